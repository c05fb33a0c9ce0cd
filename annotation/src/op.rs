//! What one op may look like, before anybody asks who sent it.

use crate::check;
use crate::id::{Author, Epoch};
use crate::points::PointsError;
use crate::wire::{self, op::Body};

/// Longest line width: 1/32 of the picture's width.
pub const WIDTH_MAX: u32 = 512;
/// Longest encoded op: 4,096 points of at most 7 bytes each, and its frame.
pub const OP_BYTES_MAX: usize = 32 * 1024;

/// Why an op or a live stroke will never be taken. `code` is stable and travels to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    #[error("the op names another author or page than its sender")]
    NotYours,
    #[error("this person may not draw")]
    MayNotDraw,
    #[error("only the operating room may do this")]
    RoomOnly,
    #[error("the op has no content that this version knows")]
    Empty,
    #[error("the stroke has no points")]
    NoPoints,
    #[error("the points cannot be read: {0}")]
    Points(PointsError),
    #[error("the line width is not within 1..={WIDTH_MAX}")]
    Width,
    #[error("the stroke names no frame")]
    NoFrame,
    #[error("the frame named was not shown with this feed in it")]
    FrameMismatch,
    #[error("the stroke number was used already")]
    StrokeKnown,
    #[error("there is no such stroke of this author")]
    NoSuchStroke,
    #[error("the op is longer than {OP_BYTES_MAX} bytes")]
    TooLong,
    #[error("the glass holds more ink than every page can take; clear or undo some")]
    Full,
    #[error("there is no such tool")]
    Tool,
    #[error("the tool needs another number of points")]
    ToolPoints,
    #[error("the text is not 1 to 40 plain characters")]
    Text,
    #[error("the known length of a measurement is missing or of no use")]
    Reference,
    #[error("the frames that the stroke was drawn over do not ascend, or it was not drawn on a moving picture")]
    Spans,
    #[error("there is no such surface, or its still is missing")]
    Surface,
    #[error("the pen is somebody else's: ask for it")]
    NoPen,
    #[error("only the lead or the operating room may do this")]
    LeadOnly,
    #[error("nobody of this number may draw here")]
    Nobody,
    #[error("only the tracker may do this")]
    EngineOnly,
    #[error("four people have drawn or hold a pen; a fifth could not be told from them")]
    NoTexture,
}

impl Fault {
    /// Stable code for the wire and the texts.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::NotYours => "ink.not-yours",
            Fault::MayNotDraw => "ink.may-not-draw",
            Fault::RoomOnly => "ink.room-only",
            Fault::Empty => "ink.empty",
            Fault::NoPoints => "ink.no-points",
            Fault::Points(_) => "ink.points",
            Fault::Width => "ink.width",
            Fault::NoFrame => "ink.no-frame",
            Fault::FrameMismatch => "ink.frame-mismatch",
            Fault::StrokeKnown => "ink.stroke-known",
            Fault::NoSuchStroke => "ink.no-such-stroke",
            Fault::TooLong => "ink.too-long",
            Fault::Full => "ink.full",
            Fault::Tool => "ink.tool",
            Fault::ToolPoints => "ink.tool-points",
            Fault::Text => "ink.text",
            Fault::Reference => "ink.reference",
            Fault::Spans => "ink.spans",
            Fault::Surface => "ink.surface",
            Fault::NoPen => "ink.no-pen",
            Fault::LeadOnly => "ink.lead-only",
            Fault::Nobody => "ink.nobody",
            Fault::EngineOnly => "ink.engine-only",
            Fault::NoTexture => "ink.no-texture",
        }
    }
}

/// (author, epoch, number): one pen-down. Ordered, so that it can be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrokeId {
    pub author: Author,
    pub epoch: Epoch,
    pub number: u32,
}

impl From<&wire::StrokeKey> for StrokeId {
    fn from(key: &wire::StrokeKey) -> Self {
        StrokeId { author: Author(key.author), epoch: Epoch(key.epoch), number: key.number }
    }
}

impl From<StrokeId> for wire::StrokeKey {
    fn from(id: StrokeId) -> Self {
        wire::StrokeKey { author: id.author.0, epoch: id.epoch.0, number: id.number }
    }
}

/// Checks what an op of a page says of itself (AN4): key, body, and of a stroke all that [`mod@check`] knows. Says nothing about
/// rights or order.
pub fn check(op: &wire::Op) -> Result<(), Fault> {
    if prost::Message::encoded_len(op) > OP_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let own = |key: Option<&wire::StrokeKey>| match key {
        Some(k) if k.author == op.author => Ok(StrokeId::from(k)),
        _ => Err(Fault::NotYours),
    };
    match op.body.as_ref().ok_or(Fault::Empty)? {
        Body::Stroke(s) => {
            if own(s.key.as_ref())?.epoch != Epoch(op.epoch) {
                return Err(Fault::NotYours);
            }
            check::stroke(s).map(|_| ())
        }
        // An earlier page of the same author may have drawn it.
        Body::Undo(u) => own(u.stroke.as_ref()).map(|_| ()),
        Body::Pin(p) => p.stroke.as_ref().ok_or(Fault::NoSuchStroke).map(|_| ()),
        Body::Grant(g) if g.author == 0 => Err(Fault::Nobody),
        Body::Rebase(_) => Err(Fault::EngineOnly),
        Body::ClearAll(_) | Body::InkOff(_) | Body::Lead(_) | Body::Grant(_) => Ok(()),
    }
}
