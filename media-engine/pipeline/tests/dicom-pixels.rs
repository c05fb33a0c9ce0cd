//! DICOM pictures against an independent decode (pydicom 3.0.2 with libjpeg and OpenJPEG, by the standard's formulas): means and two
//! known spots of every sample file; and small objects made here for the forms that no sample has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dicom_core::{DataElement, PrimitiveValue, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileDicomObject, FileMetaTableBuilder, InMemDicomObject};
use pipeline::feed::Prepared;
use pipeline::feed::dicom::PreparedCine;
use pipeline::feed::dicom::image::{DicomImage, Pixels};
use pipeline::picture::Geometry;
use pipeline::timing::pace::{Pace, Period};

/// File, frame, means of red, green and blue, colours in the middle and at a third of the width and a quarter of the height.
type Known = (&'static str, u32, [f64; 3], [u8; 3], [u8; 3]);

const KNOWN: [Known; 26] = [
    ("field/endoscopy_still_VL1_756x486_j2k.dcm", 0, [85.7, 59.7, 49.2], [228, 144, 124], [0, 0, 0]),
    ("field/endoscopy_still_VL3_756x486_j2k.dcm", 0, [49.4, 37.3, 36.4], [203, 117, 113], [44, 39, 43]),
    ("fluoro/rf_ercp_1024_raw.dcm", 0, [79.1, 79.1, 79.1], [114, 114, 114], [105, 105, 105]),
    ("fluoro/us_colour_doppler_320x240_8f_raw.dcm", 0, [52.5, 56.9, 57.9], [242, 145, 6], [5, 6, 5]),
    ("fluoro/us_colour_doppler_320x240_8f_raw.dcm", 7, [46.6, 49.5, 51.9], [132, 132, 134], [50, 51, 50]),
    ("fluoro/us_echo_palette_600x430_10f_rle.dcm", 0, [14.7, 15.3, 15.8], [20, 165, 143], [0, 0, 0]),
    ("fluoro/us_echo_palette_600x430_10f_rle.dcm", 9, [14.4, 15.3, 15.7], [121, 12, 30], [0, 0, 0]),
    ("fluoro/us_ybr_30f_jpeg.dcm", 0, [9.2, 9.5, 9.7], [7, 7, 7], [0, 0, 0]),
    ("fluoro/us_ybr_30f_jpeg.dcm", 29, [10.4, 10.7, 10.8], [8, 8, 8], [0, 0, 0]),
    ("fluoro/xa_cerebral_1024_10bit_jpegll.dcm", 0, [54.3, 54.3, 54.3], [50, 50, 50], [75, 75, 75]),
    ("fluoro/xa_cerebral_1024_10bit_rle.dcm", 0, [54.3, 54.3, 54.3], [50, 50, 50], [75, 75, 75]),
    ("fluoro/xa_coronary_rca_512x512_10f_raw.dcm", 0, [66.7, 66.7, 66.7], [68, 68, 68], [95, 95, 95]),
    ("fluoro/xa_coronary_rca_512x512_10f_raw.dcm", 9, [66.2, 66.2, 66.2], [66, 66, 66], [87, 87, 87]),
    ("fluoro/xa_coronary_rca_512x512_96f_jpegbaseline.dcm", 0, [81.5, 81.5, 81.5], [73, 73, 73], [152, 152, 152]),
    ("fluoro/xa_coronary_rca_512x512_96f_jpegbaseline.dcm", 95, [67.3, 67.3, 67.3], [64, 64, 64], [66, 66, 66]),
    ("stills/charset_chrH31.dcm", 0, [138.4, 138.4, 138.4], [255, 255, 255], [255, 255, 255]),
    ("stills/charset_chrH32.dcm", 0, [138.4, 138.4, 138.4], [255, 255, 255], [255, 255, 255]),
    ("stills/ct_pelvis_vhf_1005.dcm", 0, [39.8, 39.8, 39.8], [123, 123, 123], [94, 94, 94]),
    ("stills/ct_pelvis_vhf_1010.dcm", 0, [39.2, 39.2, 39.2], [113, 113, 113], [93, 93, 93]),
    ("stills/ct_pelvis_vhf_1015.dcm", 0, [39.0, 39.0, 39.0], [117, 117, 117], [92, 92, 92]),
    ("stills/ct_small.dcm", 0, [96.0, 96.0, 96.0], [222, 222, 222], [146, 146, 146]),
    ("stills/mr_small.dcm", 0, [113.1, 113.1, 113.1], [61, 61, 61], [73, 73, 73]),
    ("stills/overlay_example.dcm", 0, [48.1, 48.1, 48.1], [26, 26, 26], [29, 29, 29]),
    ("stills/phi_burned_ct_2.dcm", 0, [124.5, 124.5, 124.5], [246, 246, 246], [39, 39, 39]),
    ("stills/phi_burned_us_gray.dcm", 0, [20.5, 20.5, 20.5], [0, 0, 0], [0, 0, 0]),
    ("stills/phi_header_petct_rgb.dcm", 0, [22.8, 12.4, 11.9], [0, 0, 0], [0, 0, 0]),
];

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("no sample data here: {}", path.display());
    None
}

fn at(image: &DicomImage, pixels: &Pixels, x: usize, y: usize) -> [u8; 3] {
    match pixels {
        Pixels::Grey(grey) => [grey[y * image.width + x]; 3],
        Pixels::Rgb(rgb) => [0, 1, 2].map(|c| rgb[(y * image.width + x) * 3 + c]),
    }
}

fn means(pixels: &Pixels) -> [f64; 3] {
    let mean = |values: &mut dyn Iterator<Item = u8>| {
        let (sum, n) = values.fold((0u64, 0u64), |(s, n), v| (s + u64::from(v), n + 1));
        sum as f64 / n.max(1) as f64
    };
    match pixels {
        Pixels::Grey(grey) => [mean(&mut grey.iter().copied()); 3],
        Pixels::Rgb(rgb) => [0, 1, 2].map(|c| mean(&mut rgb.iter().skip(c).step_by(3).copied())),
    }
}

#[test]
fn every_sample_looks_as_an_independent_decoder_sees_it() {
    for (name, frame, mean, middle, third) in KNOWN {
        let Some(path) = shared(name) else { return };
        let image = DicomImage::open(&path).expect(name);
        let mut levels = None;
        if frame > 0 {
            image.frame(0, &mut levels).expect(name);
        }
        let pixels = image.frame(frame, &mut levels).expect(name);
        let got = means(&pixels);
        assert!((0..3).all(|c| (got[c] - mean[c]).abs() < 0.6), "{name} {frame}: {got:?} instead of {mean:?}");
        for (want, x, y) in [(middle, image.width / 2, image.height / 2), (third, image.width / 3, image.height / 4)] {
            let got = at(&image, &pixels, x, y);
            // Decoders round their colour transforms differently.
            assert!((0..3).all(|c| got[c].abs_diff(want[c]) <= 3), "{name} {frame} at {x} {y}: {got:?} instead of {want:?}");
        }
    }
}

/// Made by pydicom from `(97 x + 31 y + 500 frame) mod 2^bits`, window over the whole range.
#[test]
fn jpeg_ls_and_jpeg_2000_are_lossless_at_12_and_16_bits() {
    for (name, bits) in [("phantom-jpegls-12-bit.dcm", 12), ("phantom-jpeg2000-16-bit.dcm", 16)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let image = DicomImage::open(&path).expect(name);
        assert_eq!((image.width, image.height, image.frames), (96, 64, 2));
        for frame in 0..2 {
            let Ok(Pixels::Grey(grey)) = image.frame(frame, &mut None) else { panic!("{name}") };
            for (i, got) in grey.iter().enumerate() {
                let value = (97 * (i % 96) as u32 + 31 * (i / 96) as u32 + 500 * frame) % (1 << bits);
                let (centre, width) = (f64::from(1 << (bits - 1)), f64::from(1 << bits));
                let want = ((f64::from(value) - (centre - 0.5)) / (width - 1.0) + 0.5) * 255.0;
                assert!((f64::from(*got) - want).abs() <= 0.51, "{name} frame {frame} pixel {i}: {got} instead of {want}");
            }
        }
    }
}

/// An object of 16 x 16 with these pixels, and what else is said of it.
fn object(photometric: &str, bits: u16, samples: u16, pixels: Vec<u16>, more: Vec<Element>) -> DicomImage {
    DicomImage::of(file(photometric, bits, samples, pixels, more)).expect("a picture")
}

type Element = DataElement<InMemDicomObject>;

fn file(photometric: &str, bits: u16, samples: u16, pixels: Vec<u16>, more: Vec<Element>) -> FileDicomObject<InMemDicomObject> {
    let us = |tag, v: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(v));
    let allocated = if bits > 8 { 16 } else { 8 };
    let pixels = if allocated == 8 {
        DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into_iter().map(|p| p as u8).collect()))
    } else {
        DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into()))
    };
    let mut object = InMemDicomObject::from_element_iter([
        us(tags::ROWS, 16),
        us(tags::COLUMNS, 16),
        us(tags::SAMPLES_PER_PIXEL, samples),
        us(tags::BITS_ALLOCATED, allocated),
        us(tags::BITS_STORED, bits),
        us(tags::HIGH_BIT, bits - 1),
        us(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, dicom_value!(Str, photometric)),
        pixels,
    ]);
    for element in more {
        object.put(element);
    }
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE)
        .media_storage_sop_instance_uid("2.25.1");
    object.with_meta(meta).expect("a file")
}

fn text(tag: dicom_core::Tag, vr: VR, text: &str) -> Element {
    DataElement::new(tag, vr, PrimitiveValue::Strs(text.split('\\').map(str::to_owned).collect()))
}

fn grey(image: &DicomImage) -> Vec<u8> {
    match image.frame(0, &mut None) {
        Ok(Pixels::Grey(grey)) => grey,
        other => panic!("{other:?}"),
    }
}

fn rgb(image: &DicomImage, pixel: usize) -> [u8; 3] {
    match image.frame(0, &mut None) {
        Ok(Pixels::Rgb(rgb)) => [rgb[3 * pixel], rgb[3 * pixel + 1], rgb[3 * pixel + 2]],
        other => panic!("{other:?}"),
    }
}

#[test]
fn windows_and_luts_and_what_is_inverse_are_obeyed() {
    let ramp: Vec<u16> = (0..256u16).map(|i| i * 16).collect();
    let window =
        |centre: &str, width: &str| vec![text(tags::WINDOW_CENTER, VR::DS, centre), text(tags::WINDOW_WIDTH, VR::DS, width)];
    let plain = grey(&object("MONOCHROME2", 12, 1, ramp.clone(), window("2048", "4096")));
    assert_eq!((plain[0], plain[128], plain[255]), (0, 128, 254));
    let inverse = grey(&object("MONOCHROME1", 12, 1, ramp.clone(), window("2048", "4096")));
    assert!(plain.iter().zip(&inverse).all(|(p, i)| *p == 255 - i));
    let narrow = grey(&object("MONOCHROME2", 12, 1, ramp.clone(), window("2048\\100", "2\\100")));
    assert_eq!((narrow[127], narrow[129]), (0, 255), "the first of several windows");
    let mut sigmoid = window("2048", "4096");
    sigmoid.push(text(tags::VOILUT_FUNCTION, VR::CS, "SIGMOID"));
    let sigmoid = grey(&object("MONOCHROME2", 12, 1, ramp.clone(), sigmoid));
    assert_eq!(sigmoid[128], 128);
    assert!(sigmoid[0] > 20 && sigmoid[255] < 235);
    let mut rescaled = window("0", "200");
    rescaled.extend([text(tags::RESCALE_SLOPE, VR::DS, "0.1"), text(tags::RESCALE_INTERCEPT, VR::DS, "-204.8")]);
    let rescaled = grey(&object("MONOCHROME2", 12, 1, ramp.clone(), rescaled));
    assert_eq!((rescaled[0], rescaled[255]), (0, 255));
    assert!(rescaled[128].abs_diff(128) <= 1);
    // A LUT that turns all round, of 8 bits from the value 0 on.
    let lut = InMemDicomObject::from_element_iter([
        DataElement::new(tags::LUT_DESCRIPTOR, VR::US, PrimitiveValue::U16([4096, 0, 8].as_slice().into())),
        DataElement::new(tags::LUT_DATA, VR::OW, PrimitiveValue::U16((0..4096u16).map(|v| 255 - v / 16).collect())),
    ]);
    for tag in [tags::VOILUT_SEQUENCE, tags::MODALITY_LUT_SEQUENCE] {
        let sequence = DataElement::new(tag, VR::SQ, dicom_core::value::DataSetSequence::from(vec![lut.clone()]));
        let turned = grey(&object("MONOCHROME2", 12, 1, ramp.clone(), vec![sequence]));
        assert_eq!((turned[0], turned[255]), (255, 0), "{tag}");
    }
    let none = grey(&object("MONOCHROME2", 12, 1, ramp, Vec::new()));
    assert_eq!((none[0], none[255]), (0, 255), "its own range where nothing is said");
}

#[test]
fn colours_of_every_kind_are_those_of_the_standard() {
    let planar = |v: u16| DataElement::new(tags::PLANAR_CONFIGURATION, VR::US, PrimitiveValue::from(v));
    let thrice = |c: [u16; 3]| c.repeat(256);
    assert_eq!(rgb(&object("RGB", 8, 3, thrice([10, 20, 30]), vec![planar(0)]), 7), [10, 20, 30]);
    let planes = [10u16, 20, 30].into_iter().flat_map(|c| std::iter::repeat_n(c, 256)).collect();
    assert_eq!(rgb(&object("RGB", 8, 3, planes, vec![planar(1)]), 7), [10, 20, 30]);
    assert_eq!(rgb(&object("YBR_FULL", 8, 3, thrice([76, 85, 255]), vec![planar(0)]), 7), [254, 0, 0]);
    let halves = [76u16, 150, 85, 255].repeat(128);
    let half = object("YBR_FULL_422", 8, 3, halves, vec![planar(0)]);
    assert_eq!((rgb(&half, 0), rgb(&half, 1)), ([254, 0, 0], [255, 74, 74]));
    let us = |tag, v: Vec<u16>| DataElement::new(tag, VR::US, PrimitiveValue::U16(v.into()));
    let ow = |tag, v: Vec<u16>| DataElement::new(tag, VR::OW, PrimitiveValue::U16(v.into()));
    let palette = vec![
        us(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, vec![4, 2, 16]),
        us(tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, vec![4, 2, 16]),
        us(tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, vec![4, 2, 16]),
        ow(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, vec![0, 0x4000, 0x8000, 0xFF00]),
        ow(tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, vec![0xFF00, 0, 0, 0x0100]),
        ow(tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, vec![0; 4]),
    ];
    let image = object("PALETTE COLOR", 8, 1, (0..256).collect(), palette);
    assert_eq!([0, 2, 3, 5, 200].map(|i| rgb(&image, i)), [[0, 255, 0], [0, 255, 0], [64, 0, 0], [255, 1, 0], [255, 1, 0]]);
}

#[test]
fn a_run_with_a_vector_of_frame_times_plays_each_frame_at_its_own() {
    let Some(path) = shared("fluoro/us_colour_doppler_320x240_8f_raw.dcm") else { return };
    let cine = PreparedCine::open(&path).expect("a cine");
    let source = cine.fit(Geometry::new(64, 48).expect("even")).expect("decodes");
    let start = annotation::time::CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
    let mut pace = Pace::new(start, Period::HZ_25).with_times(source.times());
    let mut steps = Vec::new();
    for _ in 0..5 {
        let due = pace.due();
        pace.advance(due);
        steps.push((pace.due().since(due).as_secs_f64() * 1000.0).round());
    }
    // As the file says: [33.333, 50.000, 33.333, 50.000, 50.000, …], the first standing for frame 1, which has none before it.
    assert_eq!(steps, [50.0, 33.0, 50.0, 50.0, 50.0]);
}
