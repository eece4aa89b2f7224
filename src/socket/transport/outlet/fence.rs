//! A mark in the stream of frames that the library writes: everything that it was handed before has gone out by then.

use std::sync::LazyLock;

use uuid::Uuid;

use crate::socket::recovery::shim;

/// The event behind which a socket's events go directly. It never leaves this process.
pub(crate) static FENCE: LazyLock<Fence> = LazyLock::new(Fence::new);

/// See [`FENCE`].
pub(crate) struct Fence {
    /// The event's name.
    pub(crate) name: String,
    frame: Vec<u8>,
}

impl Fence {
    fn new() -> Self {
        let name = format!("fence:{}", Uuid::new_v4().simple());
        let mut frame = Vec::new();
        shim::append_text_frame(format!("42[\"{name}\"]").as_bytes(), &mut frame);
        Self { name, frame }
    }

    /// The frames without it, and how often it stood there.
    pub(super) fn cut_out_of(&self, frames: &[u8]) -> (Vec<u8>, usize) {
        let (mut kept, mut rest, mut found) = (Vec::with_capacity(frames.len()), frames, 0);
        while let Some(fence) = self.find(rest) {
            kept.extend_from_slice(rest.get(..fence.start).unwrap_or_default());
            rest = rest.get(fence.end..).unwrap_or_default();
            found += 1;
        }
        kept.extend_from_slice(rest);
        (kept, found)
    }

    /// Where it stands in these frames, if it does.
    fn find(&self, frames: &[u8]) -> Option<std::ops::Range<usize>> {
        let at = frames
            .windows(self.frame.len())
            .position(|window| window == self.frame)?;
        Some(at..at + self.frame.len())
    }
}
