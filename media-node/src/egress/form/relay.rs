//! The stream as it goes to other pods: tracks and access units as they are.

use crate::hub::{Form, FormKey, Packed};
use weir_proto::media::{AccessUnit, Tracks};
use weir_proto::relay::{EndReason, Hello, Message};

/// All edges get the same bytes.
pub const KEY: FormKey = FormKey {
    name: "relay",
    layout: 0,
};

/// The relay protocol for all edges.
pub struct RelayForm {
    pub session: u64,
    /// Where the stream comes from, as APIs show it.
    pub name: String,
}

impl Form for RelayForm {
    fn start(&mut self, tracks: &Tracks, out: &mut Packed) {
        let hello = Hello {
            session: self.session,
            name: self.name.clone(),
        };
        Message::Hello(hello).write(&mut out.buffer);
        Message::Tracks(tracks.clone()).write(&mut out.buffer);
        out.cut(0, false);
    }

    fn unit(&mut self, _: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        Message::write_unit(unit, &mut out.buffer);
        out.cut(0, unit.keyframe);
    }

    fn tracks_changed(&mut self, tracks: &Tracks, out: &mut Packed) {
        Message::Tracks(tracks.clone()).write(&mut out.buffer);
        out.cut(0, false);
    }

    /// A gateway would make a segment with a hole in it, and another gateway the same without.
    fn may_skip(&self) -> bool {
        false
    }

    fn end(&mut self, out: &mut Packed) {
        Message::End(EndReason::Ended).write(&mut out.buffer);
        out.cut(0, false);
    }
}
