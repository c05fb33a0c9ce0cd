//! The colours of ink over what lies under it, for every kind of colour vision. AN24.

use annotation::outline::{CONTRAST_HALO, HALO_RGB, Texture};

/// What ink is drawn on: tissue as an endoscope shows it, and X-ray from dark to bright.
const GROUNDS: [(&str, [u8; 3]); 16] = [
    ("fat", [0xDD, 0xB3, 0x6A]),
    ("muscle", [0xA8, 0x48, 0x3C]),
    ("liver", [0x4F, 0x22, 0x1C]),
    ("blood", [0x7A, 0x0A, 0x0A]),
    ("bowel", [0xD9, 0x8C, 0x7E]),
    ("fascia", [0xEF, 0xE7, 0xDD]),
    ("glare", [0xFF, 0xFF, 0xFF]),
    ("bile", [0x5B, 0x6B, 0x2A]),
    ("smoke", [0x9A, 0x9A, 0x96]),
    ("drape", [0x2F, 0x6F, 0x7E]),
    ("no light", [0x00, 0x00, 0x00]),
    ("X-ray, vessel", [0x10, 0x10, 0x10]),
    ("X-ray, bone", [0x40, 0x40, 0x40]),
    ("X-ray, soft tissue", [0x80, 0x80, 0x80]),
    ("X-ray, lung", [0xC0, 0xC0, 0xC0]),
    ("X-ray, air", [0xE6, 0xE6, 0xE6]),
];

/// Rows of a matrix on linear RGB. Source: Machado, Oliveira, Fernandes 2009, severity 1.0.
const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
    ("trichromat", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("protanope", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    ("deuteranope", [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    ("tritanope", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
];

#[test]
fn an24_the_halo_is_at_least_twelve_to_one_to_every_line() {
    for texture in Texture::ALL {
        let ratio = contrast(seen(texture.rgb(), &VISIONS[0].1), seen(HALO_RGB, &VISIONS[0].1));
        assert!(ratio >= CONTRAST_HALO, "{texture:?}: {ratio:.1}");
    }
    // Nobody sees less than nine.
    for (vision, matrix) in &VISIONS {
        for texture in Texture::ALL {
            let ratio = contrast(seen(texture.rgb(), matrix), seen(HALO_RGB, matrix));
            assert!(ratio >= 9.0, "{texture:?} for a {vision}: {ratio:.1}");
        }
    }
}

#[test]
fn an24_on_every_ground_line_or_halo_stands_out_for_everybody() {
    for (vision, matrix) in &VISIONS {
        for (ground, rgb) in GROUNDS {
            for texture in Texture::ALL {
                let (line, halo, under) = (seen(texture.rgb(), matrix), seen(HALO_RGB, matrix), seen(rgb, matrix));
                let best = contrast(line, under).max(contrast(halo, under));
                assert!(best >= 3.0, "{texture:?} on {ground} for a {vision}: {best:.2}");
            }
        }
    }
}

#[test]
fn an24_no_colour_alone_stands_out_everywhere_which_is_what_the_halo_is_for() {
    for texture in Texture::ALL {
        let worst = GROUNDS
            .iter()
            .map(|(_, rgb)| contrast(seen(texture.rgb(), &VISIONS[0].1), seen(*rgb, &VISIONS[0].1)))
            .fold(f64::INFINITY, f64::min);
        assert!(worst < 3.0, "{texture:?}: {worst:.2}");
    }
}

#[test]
fn an25_the_two_usual_colours_differ_for_everybody_and_texture_tells_authors_apart_without_any() {
    for (vision, matrix) in &VISIONS {
        let (a, b) = (lab(seen(Texture::A.rgb(), matrix)), lab(seen(Texture::B.rgb(), matrix)));
        let difference = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
        assert!(difference >= 20.0, "cyan and yellow for a {vision}: {difference:.0}");
    }
}

/// Linear RGB as this vision has it.
fn seen(rgb: [u8; 3], matrix: &[[f64; 3]; 3]) -> [f64; 3] {
    let linear = rgb.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    matrix.map(|row| (0..3).map(|i| row[i] * linear[i]).sum::<f64>().clamp(0.0, 1.0))
}

/// Source: WCAG 2.2, relative luminance and contrast ratio.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |c: [f64; 3]| 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] + 0.05;
    let (a, b) = (luminance(a), luminance(b));
    a.max(b) / a.min(b)
}

/// CIELAB of linear sRGB, D65.
fn lab(c: [f64; 3]) -> [f64; 3] {
    let row = |m: [f64; 3], white: f64| {
        let t = (0..3).map(|i| m[i] * c[i]).sum::<f64>() / white;
        if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 }
    };
    let x = row([0.4124, 0.3576, 0.1805], 0.9505);
    let y = row([0.2126, 0.7152, 0.0722], 1.0);
    let z = row([0.0193, 0.1192, 0.9505], 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}
