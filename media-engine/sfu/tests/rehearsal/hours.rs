//! Hours of a case in seconds.
