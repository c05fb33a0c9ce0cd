//! Pictures that nobody agreed to record live in memory only: this process writes no core dump, and its memory is not swapped out
//! where the system lets it be locked. And it stays as large as it is: see [`ALLOCATOR`].

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

/// What glibc is told before a process that runs for hours begins. By default it raises its limit for mappings of their own up to the largest block
/// that was ever freed: pictures and encoders then lie in the arenas among small blocks that live longer, each of up to 8 arenas a
/// core keeps its own holes, and the process grows for hours. With the limit held, and below the tracker's 130 kB a frame, what is large goes back to
/// the system when it is freed.
/// Source: mallopt(3), *M_MMAP_THRESHOLD*, *Environment variables*.
pub const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "1048576")];

/// Starts this program anew, as the same process, with [`ALLOCATOR`], unless it was started so or somebody told the allocator
/// something else: it listens only to the environment that it begins with. Call first thing in `main`. Where it cannot be done, the
/// program goes on as it is: it is as good, only larger.
pub fn settle() {
    if std::env::var_os(ALLOCATOR[0].0).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| program.clone().into_os_string());
    // It returns only when it fails.
    let _ = Command::new(program).arg0(name).args(words).envs(ALLOCATOR).exec();
}

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
