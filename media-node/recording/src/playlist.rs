//! HLS playlists (RFC 8216) over stored segments: their objects are what the players fetch, by byte ranges.

use std::fmt::Write;

/// A stretch of an object that is one segment of HLS.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub uri: String,
    /// Milliseconds since 1970 when its first picture is shown.
    pub start_ms: i64,
    pub duration_ms: i64,
    /// Bytes of the object: whole fragments.
    pub offset: u64,
    pub bytes: u64,
    /// The object whose init segment is this one's, and how long that is: it lies at the object's front.
    pub init_uri: String,
    pub init_bytes: u64,
    /// Other parameters or timestamps than the entry before, or a gap before it.
    pub discontinuity: bool,
}

/// Footage that doesn't grow any more, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vod,
    Event,
}

/// The playlist.
pub fn render(kind: Kind, entries: &[Entry]) -> String {
    let target = entries.iter().map(|e| e.duration_ms).max().unwrap_or(0);
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    // Writing to a string can't fail.
    let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", ((target + 500) / 1000).max(1));
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:0");
    let kind_text = match kind {
        Kind::Vod => "VOD",
        Kind::Event => "EVENT",
    };
    let _ = writeln!(out, "#EXT-X-PLAYLIST-TYPE:{kind_text}");
    let _ = writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS");
    let mut map: Option<(&str, u64)> = None;
    for (number, entry) in entries.iter().enumerate() {
        if entry.discontinuity && number > 0 {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if map != Some((&entry.init_uri, entry.init_bytes)) {
            let _ = writeln!(
                out,
                "#EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{}@0\"",
                entry.init_uri, entry.init_bytes
            );
            map = Some((&entry.init_uri, entry.init_bytes));
        }
        if let Ok(at) = jiff::Timestamp::from_millisecond(entry.start_ms) {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{at:.3}");
        }
        let _ = writeln!(
            out,
            "#EXTINF:{}.{:03},",
            entry.duration_ms / 1000,
            entry.duration_ms % 1000
        );
        let _ = writeln!(out, "#EXT-X-BYTERANGE:{}@{}", entry.bytes, entry.offset);
        let _ = writeln!(out, "{}", entry.uri);
    }
    if kind == Kind::Vod {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_discontinuity() {
        let entry = |uri: &str, start_ms, offset, discontinuity| Entry {
            uri: uri.to_owned(),
            start_ms,
            duration_ms: 6040,
            offset,
            bytes: 500,
            init_uri: uri.to_owned(),
            init_bytes: 900,
            discontinuity,
        };
        let text = render(
            Kind::Vod,
            &[
                entry("a.mp4", 0, 900, true),
                entry("a.mp4", 6040, 1400, false),
                entry("b.mp4", 90_000, 900, true),
            ],
        );
        let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n\
            #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"900@0\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:6.040,\n#EXT-X-BYTERANGE:500@900\na.mp4\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:06.040Z\n#EXTINF:6.040,\n#EXT-X-BYTERANGE:500@1400\na.mp4\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b.mp4\",BYTERANGE=\"900@0\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:30.000Z\n#EXTINF:6.040,\n#EXT-X-BYTERANGE:500@900\nb.mp4\n\
            #EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
        assert!(!render(Kind::Event, &[]).contains("ENDLIST"));
    }
}
