//! Pictures that nobody agreed to record live in memory only: this process writes no core dump, and its memory is not swapped out
//! where the system lets it be locked.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing of this process reaches a disk.
    Locked,
    /// A host that swaps must encrypt its swap, or allow the lock (LimitMEMLOCK=infinity).
    Swappable,
}

/// For the life of this process. Pages are locked as they are touched.
pub fn keep_off_disks() -> Kept {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(e) = setrlimit(Resource::Core, none) {
        tracing::warn!(error = %e, "core dumps cannot be switched off");
    }
    // Under a limit the lock would hold, and a later allocation beyond it would end the process.
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || geteuid().is_root();
    match unlimited.then(|| mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)) {
        Some(Ok(())) => Kept::Locked,
        _ => Kept::Swappable,
    }
}
