//! The media thread.

use super::handle::{Events, SfuConfig, SfuHandle, StartError};

pub(super) fn start(_config: SfuConfig) -> Result<(SfuHandle, Events), StartError> {
    Err(StartError::Setup(std::io::ErrorKind::Unsupported.into()))
}
