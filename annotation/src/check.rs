//! What each tool's mark must look like: number of points, text, reference, spans, surface (AN10, AN18, AN19).

use crate::id::FeedId;
use crate::measure::{REFERENCE_MIN, REFERENCE_UM_MAX};
use crate::op::{Fault, WIDTH_MAX};
use crate::points::{self, COORDINATE_MAX, POINTS_MAX, Point};
use crate::wire::{FrameRef, FrameSpan, LiveStroke, Reference, StrokeCommit, Surface, Tool};

/// Longest text of a mark, characters.
pub const TEXT_CHARS_MAX: usize = 40;
/// Frames over which one stroke may be drawn: a stroke of 17 s, told every eighth frame at 30 a second.
pub const SPANS_MAX: usize = 64;
/// Longest id of a still, bytes.
pub const STILL_ID_MAX: usize = 64;

/// True when the frame names a feed, a capture time, and a surface that goes with its still.
pub fn frame(frame: Option<&FrameRef>) -> Result<&FrameRef, Fault> {
    let frame = frame.ok_or(Fault::NoFrame)?;
    if frame.capture == 0 || FeedId::parse(&frame.feed).is_err() || FeedId::parse(&frame.program).is_err() {
        return Err(Fault::NoFrame);
    }
    let surface = Surface::try_from(frame.surface).map_err(|_| Fault::Surface)?;
    let on_still = surface == Surface::Still;
    if on_still == frame.still.is_empty() || (on_still && !is_still_id(&frame.still)) {
        return Err(Fault::Surface);
    }
    Ok(frame)
}

/// 1 to 64 characters of `A-Z a-z 0-9 - _ .`, the first a letter or figure.
pub fn is_still_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=STILL_ID_MAX).contains(&id.len()) && id.bytes().all(plain) && id.as_bytes()[0].is_ascii_alphanumeric()
}

/// True while the picture under the ink moves: the tracker follows it.
pub fn is_followed(frame: &FrameRef) -> bool {
    matches!(Surface::try_from(frame.surface), Ok(Surface::Unspecified | Surface::Live | Surface::Frozen | Surface::Held))
}

/// A whole stroke, whoever sent it; its points.
pub fn stroke(s: &StrokeCommit) -> Result<Vec<Point>, Fault> {
    let tool = head(s.tool, s.width, s.frame.as_ref())?;
    let points = points::decode(s.points.as_ref().ok_or(Fault::NoPoints)?).map_err(Fault::Points)?;
    if points.is_empty() {
        return Err(Fault::NoPoints);
    }
    let fits = match tool {
        Tool::Pen => true,
        Tool::Arrow | Tool::Ellipse | Tool::Line | Tool::Measure => points.len() == 2,
        Tool::Text | Tool::Pin => points.len() == 1,
        Tool::Unspecified => false,
    };
    if !fits {
        return Err(Fault::ToolPoints);
    }
    if (tool == Tool::Text && !is_text(&s.text)) || (tool != Tool::Text && !s.text.is_empty()) {
        return Err(Fault::Text);
    }
    reference(tool, s.reference.as_ref())?;
    spans(&s.spans, s.frame.as_ref(), points.len())?;
    Ok(points)
}

/// What of a stroke under the pen can be known; a dragged mark's last point is its end. Its new points.
pub fn live(l: &LiveStroke) -> Result<Vec<Point>, Fault> {
    let tool = head(l.tool, l.width, l.frame.as_ref())?;
    let points = points::decode(l.points.as_ref().unwrap_or(&Default::default())).map_err(Fault::Points)?;
    reference(tool, l.reference.as_ref())?;
    spans(&l.spans, l.frame.as_ref(), POINTS_MAX)?;
    Ok(points)
}

/// More of a stroke under the pen whose beginning is known, on the same `frame`. Its new points.
pub fn more(l: &LiveStroke, frame: Option<&FrameRef>) -> Result<Vec<Point>, Fault> {
    let points = points::decode(l.points.as_ref().unwrap_or(&Default::default())).map_err(Fault::Points)?;
    spans(&l.spans, frame, POINTS_MAX)?;
    Ok(points)
}

fn head(tool: i32, width: u32, of: Option<&FrameRef>) -> Result<Tool, Fault> {
    if !(1..=WIDTH_MAX).contains(&width) {
        return Err(Fault::Width);
    }
    frame(of)?;
    match Tool::try_from(tool) {
        Ok(Tool::Unspecified) | Err(_) => Err(Fault::Tool),
        Ok(tool) => Ok(tool),
    }
}

fn reference(tool: Tool, reference: Option<&Reference>) -> Result<(), Fault> {
    let Some(r) = reference else { return if tool == Tool::Measure { Err(Fault::Reference) } else { Ok(()) } };
    let inside = |v: i32| v.unsigned_abs() <= COORDINATE_MAX as u32;
    if tool != Tool::Measure
        || ![r.x1, r.y1, r.x2, r.y2].into_iter().all(inside)
        || !(1..=REFERENCE_UM_MAX).contains(&r.length_um)
        || f64::from(r.x2 - r.x1).hypot(f64::from(r.y2 - r.y1)) < REFERENCE_MIN
    {
        return Err(Fault::Reference);
    }
    Ok(())
}

fn spans(spans: &[FrameSpan], frame: Option<&FrameRef>, n_points: usize) -> Result<(), Fault> {
    if spans.is_empty() {
        return Ok(());
    }
    let live = frame.is_some_and(|f| matches!(Surface::try_from(f.surface), Ok(Surface::Unspecified | Surface::Live)));
    let ascending = spans.windows(2).all(|s| s[0].first < s[1].first && s[0].capture <= s[1].capture);
    let named = spans.iter().all(|s| s.capture != 0 && (s.first as usize) < n_points);
    if live && ascending && named && spans.len() <= SPANS_MAX { Ok(()) } else { Err(Fault::Spans) }
}

/// 1 to 40 characters that can be seen, in the order in which they are written: no control characters, nothing that turns the
/// direction of reading or stands invisibly between letters.
pub fn is_text(text: &str) -> bool {
    let n = text.chars().count();
    (1..=TEXT_CHARS_MAX).contains(&n) && !text.chars().any(is_unseen) && text.chars().any(|c| !c.is_whitespace())
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Bidi marks, embeddings, overrides, isolates (UAX #9 §2).
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph ends, joiners, byte order, annotations, tags.
            | '\u{2028}' | '\u{2029}' | '\u{00AD}' | '\u{180E}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{206A}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an18_a_text_is_what_it_looks_like() {
        for good in ["ここ", "clip here", "①", "a".repeat(40).as_str(), "漢".repeat(40).as_str()] {
            assert!(is_text(good), "{good:?}");
        }
        for bad in
            ["", "   ", "a\nb", "a\u{0}b", "abc\u{202E}fed", "\u{2066}x\u{2069}", "a\u{200B}b", "x\u{E0041}", &"a".repeat(41)]
        {
            assert!(!is_text(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_id_of_a_still_is_no_path() {
        for good in ["field-123", "a", "S.1_2"] {
            assert!(is_still_id(good), "{good:?}");
        }
        for bad in ["", "../x", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(!is_still_id(bad), "{bad:?}");
        }
    }
}
