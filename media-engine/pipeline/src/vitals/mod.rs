//! Vital signs: what devices say of a patient in their several protocols, what is computed from it, and how a patient monitor
//! draws it. Pure.

pub mod dicom_wave;
pub mod hl7;
pub mod live;
pub mod mdc;
pub mod mfer;
pub mod mllp;
pub mod monitor;
pub mod numerics;
pub mod report;
pub mod sdc;
pub mod text;
pub mod waves;
pub mod wfdb;
