//! The program: a composed picture, clocked by its main feed.

pub mod align;
pub mod compositor;
pub mod layers;
pub mod layout;
pub mod pick;
pub mod run;
pub mod single;
pub mod stage;
