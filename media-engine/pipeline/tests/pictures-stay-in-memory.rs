//! Pictures that nobody agreed to record do not reach a disk: no core dump, and locked memory where the system allows it.
//! A process of its own: what is locked stays locked.

use pipeline::memory::{Kept, keep_off_disks};

fn status(field: &str) -> u64 {
    let all = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = all.lines().find(|line| line.starts_with(field)).expect("a field of it");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("kB")
}

#[test]
fn there_is_no_core_dump_and_what_is_touched_is_locked() {
    let kept = keep_off_disks();
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let before = status("VmLck:");
    let mut pictures = vec![0u8; 32 << 20];
    pictures.iter_mut().step_by(1024).for_each(|byte| *byte = 200);
    let after = status("VmLck:");
    match kept {
        Kept::Locked => assert!(after >= before + (32 << 10), "{before} kB locked before, {after} after"),
        Kept::Swappable => assert_eq!((before, after), (0, 0), "said to be swappable"),
    }
    assert_eq!(pictures[1024], 200);
}
