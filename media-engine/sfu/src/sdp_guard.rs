//! The door for session descriptions: what a peer sends is checked here before anything else sees it.

/// Why an offer was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("it has {0} bytes, over the limit of {1}")]
    TooLong(usize, usize),
    #[error("it has {0} lines, over the limit of {1}")]
    TooManyLines(usize, usize),
    #[error("line {0} has {1} bytes, over the limit of {2}")]
    LineTooLong(usize, usize, usize),
    #[error("it has {0} media lines, over the limit of {1}")]
    TooManyMedia(usize, usize),
    #[error("it is not a session description: {0}")]
    Malformed(String),
    #[error("its media lines are not those of a page: {0}")]
    Shape(String),
}
