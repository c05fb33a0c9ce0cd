//! Compares pictures with images that are kept beside the tests. On a mismatch the new one is written to the folder of temporary
//! files, and its name is in the message.

use std::path::PathBuf;

use pipeline::picture::Picture;

/// Mean and largest difference of a colour that passes: what another version of a converter changes, and no line or letter.
const MEAN_MAX: f64 = 1.0;
const PIXEL_MAX: u8 = 24;

pub(crate) fn assert_looks_like(name: &str, picture: &Picture) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.png"));
    let (size, actual) = (picture.geometry(), to_rgb(picture));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(&path, size.width, size.height, &actual);
        return;
    }
    let wrong = |why: String| {
        let actual_path = std::env::temp_dir().join(format!("{name}-actual.png"));
        write(&actual_path, size.width, size.height, &actual);
        panic!("{name} {why}: see {}", actual_path.display());
    };
    let Some((w, h, expected)) = read(&path) else { return wrong("has no image yet".into()) };
    if (w, h) != (size.width, size.height) {
        return wrong(format!("is {}x{}, not {w}x{h}", size.width, size.height));
    }
    let differences = expected.iter().zip(&actual).map(|(a, b)| a.abs_diff(*b));
    let largest = differences.clone().max().unwrap_or(0);
    let mean = differences.map(f64::from).sum::<f64>() / actual.len() as f64;
    if mean > MEAN_MAX || largest > PIXEL_MAX {
        wrong(format!("looks different (mean {mean:.2}, largest {largest})"));
    }
}

/// At the end of a test: one that wrote its images anew has shown nothing.
pub(crate) fn finish() {
    let updated = std::env::var_os("UPDATE_GOLDEN").is_some();
    assert!(!updated, "images were written anew: look at them, then run the tests without UPDATE_GOLDEN");
}

/// BT.709, limited range, to 8-bit RGB.
fn to_rgb(picture: &Picture) -> Vec<u8> {
    let (w, h) = (picture.geometry().width, picture.geometry().height);
    let at = |n: usize, x: usize, y: usize| {
        let plane = picture.plane(n);
        f64::from(plane.data[y * plane.stride + x])
    };
    let mut rgb = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        for x in 0..w {
            let luma = (at(0, x, y) - 16.0) * 255.0 / 219.0;
            let (cb, cr) = ((at(1, x / 2, y / 2) - 128.0) * 255.0 / 224.0, (at(2, x / 2, y / 2) - 128.0) * 255.0 / 224.0);
            for v in [luma + 1.5748 * cr, luma - 0.1873 * cb - 0.4681 * cr, luma + 1.8556 * cb] {
                rgb.push(v.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    rgb
}

fn write(path: &std::path::Path, w: usize, h: usize, rgb: &[u8]) {
    let file = std::io::BufWriter::new(std::fs::File::create(path).expect("the folder is writable"));
    let mut encoder = png::Encoder::new(file, w as u32, h as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header().and_then(|mut w| w.write_image_data(rgb)).expect("written");
}

fn read(path: &std::path::Path) -> Option<(usize, usize, Vec<u8>)> {
    let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).ok()?)).read_info().ok()?;
    let mut rgb = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut rgb).ok()?;
    rgb.truncate(info.buffer_size());
    Some((info.width as usize, info.height as usize, rgb))
}
