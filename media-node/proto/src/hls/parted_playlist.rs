//! The media playlist of low-latency HLS (RFC 8216bis section 4.4).

use super::playlist::{DateTime, Links, write_token};
use super::{InitVersion, PartPosition};
use std::fmt::{self, Write};
use std::time::Duration;

/// What a window of parts lists at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartedPlaylist {
    /// No segment lasts longer, rounded to whole seconds.
    pub target_seconds: u64,
    /// No part lasts longer.
    pub part_target: Duration,
    /// Discontinuities before the first segment.
    pub discontinuity_sequence: u64,
    /// Without gap in their numbers. Only the last may be unfinished.
    pub segments: Vec<PartedEntry>,
    /// The part that comes next.
    pub hint: PartPosition,
}

/// A segment as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartedEntry {
    pub number: u64,
    /// Once it is whole.
    pub duration: Option<Duration>,
    /// It is not here, and stands for what was before the first that is.
    pub gap: bool,
    /// Whether times or parameters break off before this segment.
    pub discontinuity: bool,
    pub init: InitVersion,
    /// When the segment was taken, in ms since 1970, UTC.
    pub program_date_time_ms: Option<i64>,
    /// Duration of each part, and whether decoding can start in it. None of a segment that is old.
    pub parts: Vec<(Duration, bool)>,
}

impl PartedPlaylist {
    /// The text for one viewer. URIs are `<base>/ll-<number>.m4s`, of parts
    /// `<base>/ll-<number>-<index>.m4s`, of init segments `<base>/ll-init-<version>.mp4`.
    pub fn render(&self, links: &Links<'_>) -> String {
        let parts: usize = self.segments.iter().map(|s| s.parts.len()).sum();
        let mut text = String::with_capacity(512 + 256 * self.segments.len() + 128 * parts);
        self.write(links, &mut text).expect("a String takes every write");
        text
    }

    fn write(&self, links: &Links<'_>, out: &mut String) -> fmt::Result {
        let target = self.part_target.as_secs_f64();
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS")?;
        writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_seconds)?;
        // At least twice the part target, better three times.
        writeln!(
            out,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3}",
            3.0 * target
        )?;
        writeln!(out, "#EXT-X-PART-INF:PART-TARGET={target:.3}")?;
        let first = self.segments.first().map_or(self.hint.number, |s| s.number);
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}")?;
        if self.discontinuity_sequence > 0 {
            writeln!(
                out,
                "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
                self.discontinuity_sequence
            )?;
        }
        let mut init = None;
        for segment in &self.segments {
            if segment.discontinuity {
                writeln!(out, "#EXT-X-DISCONTINUITY")?;
            }
            if init.replace(segment.init) != Some(segment.init) {
                write!(out, "#EXT-X-MAP:URI=\"")?;
                write_uri(links, format_args!("init-{}.mp4", segment.init), out)?;
                writeln!(out, "\"")?;
            }
            if let Some(ms) = segment.program_date_time_ms {
                writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(ms))?;
            }
            for (index, (duration, independent)) in segment.parts.iter().enumerate() {
                let seconds = duration.as_secs_f64();
                write!(out, "#EXT-X-PART:DURATION={seconds:.5},URI=\"")?;
                write_uri(links, format_args!("{}-{index}.m4s", segment.number), out)?;
                writeln!(out, "\"{}", if *independent { ",INDEPENDENT=YES" } else { "" })?;
            }
            if segment.gap {
                writeln!(out, "#EXT-X-GAP")?;
            }
            if let Some(duration) = segment.duration {
                writeln!(out, "#EXTINF:{:.5},", duration.as_secs_f64())?;
                write_uri(links, format_args!("{}.m4s", segment.number), out)?;
                writeln!(out)?;
            }
        }
        write!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")?;
        let PartPosition { number, index } = self.hint;
        write_uri(links, format_args!("{number}-{index}.m4s"), out)?;
        writeln!(out, "\"")
    }
}

fn write_uri(links: &Links<'_>, name: fmt::Arguments<'_>, out: &mut String) -> fmt::Result {
    write!(out, "{}/ll-{name}", links.base)?;
    write_token(links.token, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn entry(number: u64, duration: Option<u64>, parts: &[(u64, bool)]) -> PartedEntry {
        PartedEntry {
            number,
            duration: duration.map(ms),
            gap: false,
            discontinuity: false,
            init: InitVersion::parse("0000000a").expect("a version"),
            program_date_time_ms: None,
            parts: parts
                .iter()
                .map(|(d, independent)| (ms(*d), *independent))
                .collect(),
        }
    }

    #[test]
    fn a_playlist() {
        let mut segments = vec![
            entry(7, Some(2000), &[]),
            entry(8, Some(400), &[(200, true), (200, false)]),
            entry(9, None, &[(200, true)]),
        ];
        segments[0].program_date_time_ms = Some(1_582_934_400_123);
        segments[2].discontinuity = true;
        segments[2].init = InitVersion::parse("0000000b").expect("a version");
        let playlist = PartedPlaylist {
            target_seconds: 2,
            part_target: ms(200),
            discontinuity_sequence: 3,
            segments,
            hint: PartPosition { number: 9, index: 1 },
        };
        let links = Links {
            base: "/streams/door",
            token: Some("a\"b"),
        };
        assert_eq!(
            playlist.render(&links),
            "#EXTM3U\n\
             #EXT-X-VERSION:9\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-TARGETDURATION:2\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.600\n\
             #EXT-X-PART-INF:PART-TARGET=0.200\n\
             #EXT-X-MEDIA-SEQUENCE:7\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:3\n\
             #EXT-X-MAP:URI=\"/streams/door/ll-init-0000000a.mp4?token=a%22b\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2020-02-29T00:00:00.123Z\n\
             #EXTINF:2.00000,\n\
             /streams/door/ll-7.m4s?token=a%22b\n\
             #EXT-X-PART:DURATION=0.20000,URI=\"/streams/door/ll-8-0.m4s?token=a%22b\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.20000,URI=\"/streams/door/ll-8-1.m4s?token=a%22b\"\n\
             #EXTINF:0.40000,\n\
             /streams/door/ll-8.m4s?token=a%22b\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"/streams/door/ll-init-0000000b.mp4?token=a%22b\"\n\
             #EXT-X-PART:DURATION=0.20000,URI=\"/streams/door/ll-9-0.m4s?token=a%22b\",INDEPENDENT=YES\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/streams/door/ll-9-1.m4s?token=a%22b\"\n"
        );
    }

    #[test]
    fn a_gap() {
        let mut segments = vec![entry(4, Some(2000), &[]), entry(5, None, &[(170, true)])];
        segments[0].gap = true;
        segments[1].discontinuity = true;
        let playlist = PartedPlaylist {
            target_seconds: 2,
            part_target: ms(170),
            discontinuity_sequence: 0,
            segments,
            hint: PartPosition { number: 5, index: 1 },
        };
        let links = Links {
            base: "/s",
            token: None,
        };
        let text = playlist.render(&links);
        let (_, listed) = text.split_once("PART-TARGET=0.170\n").expect("a part target");
        assert_eq!(
            listed,
            "#EXT-X-MEDIA-SEQUENCE:4\n\
             #EXT-X-MAP:URI=\"/s/ll-init-0000000a.mp4\"\n\
             #EXT-X-GAP\n\
             #EXTINF:2.00000,\n\
             /s/ll-4.m4s\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-PART:DURATION=0.17000,URI=\"/s/ll-5-0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/s/ll-5-1.m4s\"\n"
        );
    }

    #[test]
    fn nothing_but_a_hint() {
        let playlist = PartedPlaylist {
            target_seconds: 2,
            part_target: ms(170),
            discontinuity_sequence: 0,
            segments: Vec::new(),
            hint: PartPosition { number: 5, index: 0 },
        };
        let links = Links {
            base: "/s",
            token: None,
        };
        assert!(
            playlist
                .render(&links)
                .ends_with("PART-TARGET=0.170\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/s/ll-5-0.m4s\"\n")
        );
    }
}
