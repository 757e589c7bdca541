//! The media playlist (RFC 8216 section 4.3.3).

use super::{Form, InitVersion};
use std::fmt::{self, Write};
use std::time::Duration;

/// What a window lists at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playlist {
    pub form: Form,
    /// Without gap in their numbers.
    pub entries: Vec<Entry>,
    /// Discontinuities before the first entry.
    pub discontinuity_sequence: u64,
}

/// A segment as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub duration: Duration,
    /// Whether times or parameters break off before this segment.
    pub discontinuity: bool,
    /// What comes before the segment; for fragmented MP4.
    pub init: Option<InitVersion>,
    /// When the segment was taken, in ms since 1970, UTC.
    pub program_date_time_ms: Option<i64>,
}

/// What one viewer's URIs are made of.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// Path before the segments' names, percent-encoded, without slash at the end: `/streams/door`.
    pub base: &'a str,
    /// The token of the playlist's own request, as it stood in the query.
    pub token: Option<&'a str>,
}

impl Playlist {
    /// The text for one viewer. URIs are `<base>/<number>.<extension>`, of init segments
    /// `<base>/init-<version>.mp4`.
    ///
    /// The target duration is the longest listed plus one second, cut to whole seconds, so that it
    /// changes with the entries; players take that, and every edge lists the same.
    pub fn render(&self, links: &Links<'_>) -> String {
        let mut text = String::with_capacity(256 + 160 * self.entries.len());
        self.write(links, &mut text).expect("a String takes every write");
        text
    }

    fn write(&self, links: &Links<'_>, out: &mut String) -> fmt::Result {
        let longest = self.entries.iter().map(|e| e.duration).max().unwrap_or_default();
        let (version, line) = match self.form {
            Form::Ts => (3, "#EXT-X-ALLOW-CACHE:NO"),
            Form::Fmp4 => (7, "#EXT-X-INDEPENDENT-SEGMENTS"),
        };
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n{line}")?;
        writeln!(out, "#EXT-X-TARGETDURATION:{}", longest.as_secs() + 1)?;
        writeln!(
            out,
            "#EXT-X-MEDIA-SEQUENCE:{}",
            self.entries.first().map_or(0, |e| e.number)
        )?;
        if self.discontinuity_sequence > 0 {
            writeln!(
                out,
                "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
                self.discontinuity_sequence
            )?;
        }
        writeln!(out)?;
        let mut init = None;
        for entry in &self.entries {
            if entry.discontinuity {
                writeln!(out, "#EXT-X-DISCONTINUITY")?;
            }
            if let Some(version) = entry.init.filter(|version| init != Some(*version)) {
                write!(out, "#EXT-X-MAP:URI=\"{}/init-{version}.mp4", links.base)?;
                write_token(links.token, out)?;
                writeln!(out, "\"")?;
                init = Some(version);
            }
            if let Some(ms) = entry.program_date_time_ms {
                writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(ms))?;
            }
            writeln!(out, "#EXTINF:{:.3},", entry.duration.as_secs_f64())?;
            write!(out, "{}/{}.{}", links.base, entry.number, self.form.extension())?;
            write_token(links.token, out)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

/// As given, but for what could end the URI or the line.
pub(super) fn write_token(token: Option<&str>, out: &mut String) -> fmt::Result {
    let Some(token) = token else { return Ok(()) };
    out.push_str("?token=");
    for byte in token.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'#' {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Milliseconds since 1970, shown as ISO 8601 in UTC.
pub(super) struct DateTime(pub(super) i64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        // Days counted from 1 March of year 0, so that the leap day ends its year; 400 years, an
        // "era", have 146097 days.
        let days = days + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, ms) = (ms / 1000 % 60, ms % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, ms: u64) -> Entry {
        let duration = Duration::from_millis(ms);
        Entry {
            number,
            duration,
            discontinuity: false,
            init: None,
            program_date_time_ms: None,
        }
    }

    #[test]
    fn a_transport_stream_playlist() {
        let mut entries = vec![entry(12, 6302), entry(13, 6000), entry(14, 5960)];
        entries[1].discontinuity = true;
        let playlist = Playlist {
            form: Form::Ts,
            entries,
            discontinuity_sequence: 0,
        };
        let links = Links {
            base: "/streams/room/door",
            token: Some("1f0c5e4a"),
        };
        assert_eq!(
            playlist.render(&links),
            "#EXTM3U\n\
             #EXT-X-VERSION:3\n\
             #EXT-X-ALLOW-CACHE:NO\n\
             #EXT-X-TARGETDURATION:7\n\
             #EXT-X-MEDIA-SEQUENCE:12\n\
             \n\
             #EXTINF:6.302,\n\
             /streams/room/door/12.ts?token=1f0c5e4a\n\
             #EXT-X-DISCONTINUITY\n\
             #EXTINF:6.000,\n\
             /streams/room/door/13.ts?token=1f0c5e4a\n\
             #EXTINF:5.960,\n\
             /streams/room/door/14.ts?token=1f0c5e4a\n"
        );
    }

    #[test]
    fn a_fragmented_mp4_playlist() {
        let mut entries = vec![entry(7, 2000), entry(8, 2000), entry(9, 2000)];
        for (i, entry) in entries.iter_mut().enumerate() {
            entry.init = InitVersion::parse(if i < 2 { "0000000a" } else { "0000000b" });
        }
        entries[2].discontinuity = true;
        entries[2].program_date_time_ms = Some(1_582_934_400_123);
        let playlist = Playlist {
            form: Form::Fmp4,
            entries,
            discontinuity_sequence: 3,
        };
        assert_eq!(
            playlist.render(&Links {
                base: "/streams/door",
                token: None
            }),
            "#EXTM3U\n\
             #EXT-X-VERSION:7\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-TARGETDURATION:3\n\
             #EXT-X-MEDIA-SEQUENCE:7\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:3\n\
             \n\
             #EXT-X-MAP:URI=\"/streams/door/init-0000000a.mp4\"\n\
             #EXTINF:2.000,\n\
             /streams/door/7.m4s\n\
             #EXTINF:2.000,\n\
             /streams/door/8.m4s\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"/streams/door/init-0000000b.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2020-02-29T00:00:00.123Z\n\
             #EXTINF:2.000,\n\
             /streams/door/9.m4s\n"
        );
    }

    #[test]
    fn a_token_cannot_break_out_of_its_line() {
        let playlist = Playlist {
            form: Form::Ts,
            entries: vec![entry(1, 1000)],
            discontinuity_sequence: 0,
        };
        let text = playlist.render(&Links {
            base: "/s",
            token: Some("a%20b\"\r\n#EXT c"),
        });
        assert!(
            text.ends_with("\n/s/1.ts?token=a%20b%22%0D%0A%23EXT%20c\n"),
            "{text}"
        );
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(DateTime(ms).to_string(), text);
        }
    }
}
