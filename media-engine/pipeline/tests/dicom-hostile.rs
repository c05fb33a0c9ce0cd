//! Broken DICOM files. In a program of its own: a decoder that hangs is left behind in it.

use std::path::Path;
use std::time::{Duration, Instant};

use pipeline::feed::dicom;

#[test]
fn hostile_files_are_read_or_refused_in_time_and_never_end_the_engine() {
    let began = Instant::now();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    for seed in ["phantom-jpeg2000-16-bit.dcm", "phantom-jpegls-12-bit.dcm"] {
        let seed = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(seed)).expect("there");
        dicom::fuzz(&seed);
        for cut in (0..seed.len()).step_by(seed.len() / 25 + 1) {
            dicom::fuzz(&seed[..cut]);
        }
        let mut random = 0x2545_F491_4F6C_DD1Du64;
        for _ in 0..60 {
            let mut broken = seed.clone();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = (random >> 8) as usize % broken.len();
                broken[at] = random as u8;
            }
            dicom::fuzz(&broken);
        }
    }
    std::panic::set_hook(quiet);
    for nothing in [&b""[..], b"DICM", &[0; 400]] {
        dicom::fuzz(nothing);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
