//! FLV tags, or RTMP's messages of the same content, on their way into the hub.

use super::unreadable::{MOST_IN_A_ROW, Unreadable};
use crate::hub::Publisher;
use tracing::info;
use weir_proto::flv::{self, Event, LeftOut, Tag, Unpacker};
use weir_proto::media::{TrackKind, Tracks};

/// Tags that may come before it is known what is in the stream; a peer that never gets there is
/// given up. More than the unpacker waits for.
const MOST_BEFORE_TRACKS: usize = 600;

/// Why this can't become a stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nothing of what comes can be carried: {0}; H.264, H.265, AAC and G.711 can")]
    NothingCarried(String),
    #[error("no sequence header came, so nobody could decode this")]
    NoParameters,
    #[error("{MOST_IN_A_ROW} messages in a row could not be read; the last")]
    Unreadable(#[source] flv::Error),
}

/// One stream. It is published with its first access unit, and ends when this is dropped.
#[derive(Default)]
pub(super) struct Feed {
    unpacker: Unpacker,
    publisher: Option<Publisher>,
    tags_before: usize,
    left_out: Vec<LeftOut>,
    unreadable: Unreadable,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes a tag; `begin` publishes the stream when it is known what is in it. Some: the tracks are
    /// known now, or have changed.
    ///
    /// # Errors
    /// When this can't become a stream. Damaged tags are counted and left out.
    pub(super) fn push(
        &mut self,
        tag: &Tag,
        begin: impl Fn(Tracks) -> Publisher,
    ) -> Result<Option<Tracks>, Error> {
        if let Err(error) = self.unpacker.push(tag.kind, tag.timestamp_ms, &tag.body) {
            let is_bearable = self.unreadable.bear(&error);
            return if is_bearable {
                Ok(None)
            } else {
                Err(Error::Unreadable(error))
            };
        }
        self.unreadable.over();
        let mut news = None;
        while let Some(event) = self.unpacker.pull() {
            match event {
                Event::Tracks(tracks) => {
                    match &mut self.publisher {
                        Some(publisher) => publisher.set_tracks(&tracks),
                        None => self.publisher = Some(begin(tracks.clone())),
                    }
                    news = Some(tracks);
                }
                Event::AccessUnit(unit) => {
                    if let Some(publisher) = &mut self.publisher {
                        publisher.push(unit);
                    }
                }
                Event::LeftOut(what) => {
                    info!(what = name(what), "part of the stream is left out");
                    self.left_out.push(what);
                }
            }
        }
        if self.publisher.is_none() {
            self.tags_before += 1;
            if self.tags_before > MOST_BEFORE_TRACKS {
                return Err(self.why_nothing());
            }
        }
        Ok(news)
    }

    /// What to say when nothing has become of it.
    pub(super) fn why_nothing(&self) -> Error {
        if self.left_out.is_empty() {
            return Error::NoParameters;
        }
        let names: Vec<String> = self.left_out.iter().copied().map(name).collect();
        Error::NothingCarried(names.join(", "))
    }

    /// Sends what came; to be called when the socket has no more at hand. False once a newcomer has
    /// the path, or somebody has closed the stream.
    pub(super) fn flush(&mut self) -> bool {
        let Some(publisher) = &mut self.publisher else {
            return true;
        };
        publisher.flush();
        publisher.is_live()
    }
}

/// For people.
fn name(what: LeftOut) -> String {
    match what {
        LeftOut::Video(2) => "Sorenson H.263".to_owned(),
        LeftOut::Video(4 | 5) => "VP6".to_owned(),
        LeftOut::Video(id) => format!("video of codec {id}"),
        LeftOut::Audio(2 | 14) => "MP3".to_owned(),
        LeftOut::Audio(4..=6) => "Nellymoser".to_owned(),
        LeftOut::Audio(11) => "Speex".to_owned(),
        LeftOut::Audio(id) => format!("audio of format {id}"),
        LeftOut::FourCc(code) => code.escape_ascii().to_string(),
        LeftOut::Multitrack(TrackKind::Video) => "further video tracks".to_owned(),
        LeftOut::Multitrack(_) => "further audio tracks".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, Provenance, Segmentation};
    use bytes::Bytes;
    use std::sync::Arc;
    use std::time::Duration;
    use weir_proto::flv::TagKind;
    use weir_proto::media::StreamPath;

    fn tag(kind: TagKind, timestamp_ms: u32, body: &[u8]) -> Tag {
        Tag {
            kind,
            timestamp_ms,
            body: Bytes::copy_from_slice(body),
        }
    }

    fn begin(hub: &Arc<Hub>) -> impl Fn(Tracks) -> Publisher {
        let from = Provenance {
            protocol: "rtmp-push",
            address: "h:1".to_owned(),
            session: 1,
        };
        let path = StreamPath::parse("a").expect("a path");
        let segmentation = Segmentation::Own(Duration::from_secs(2));
        move |tracks| hub.publish(&path, tracks, from.clone(), segmentation)
    }

    #[test]
    fn sound_alone_is_published_after_a_second() {
        let (hub, mut feed) = (Hub::new(), Feed::new());
        let path = StreamPath::parse("a").expect("a path");
        feed.push(&tag(TagKind::Audio, 0, &[0xaf, 0, 0x11, 0x90]), begin(&hub))
            .expect("a sequence header");
        let mut sounds = (0_u32..).map(|n| tag(TagKind::Audio, n * 64 / 3, &[0xaf, 1, 1, 2, 3]));
        let news = sounds.find_map(|sound| feed.push(&sound, begin(&hub)).expect("sound"));
        assert_eq!(news.expect("tracks").iter().count(), 1);
        assert!(feed.flush());
        let stream = hub.stream(&path).expect("a stream");
        assert_eq!(
            stream.traffic().units_in,
            48,
            "of 64/3 ms; the last begins after a second"
        );
        drop(feed);
        assert!(stream.has_ended() && hub.stream(&path).is_none());
    }

    #[test]
    fn what_is_never_carried_is_given_up() {
        let hub = Hub::new();
        for (body, want) in [
            (&[0x14, 1, 2, 3][..], "VP6"),
            (&[0x91, b'a', b'v', b'0', b'1', 0], "av01"),
            (&[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65], "sequence header"),
            (&[0x17, 9], "in a row"),
        ] {
            let mut feed = Feed::new();
            let mut tags = (0..).map(|n| tag(TagKind::Video, n * 40, body));
            let error = tags.find_map(|tag| feed.push(&tag, begin(&hub)).err());
            let error = error.expect("an error").to_string();
            assert!(error.contains(want), "{error}");
        }
        assert!(hub.streams().is_empty());
    }
}
