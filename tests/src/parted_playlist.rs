//! A low-latency HLS playlist as a player reads it, and the rules that it must keep.

use anyhow::{Context, Result, ensure};

/// What a playlist says.
#[derive(Clone, Debug, Default)]
pub struct PartedPlaylist {
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target: f64,
    /// `PART-TARGET`, in seconds.
    pub part_target: f64,
    /// `PART-HOLD-BACK`, in seconds.
    pub hold_back: f64,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub sequence: u64,
    /// The segments; the last may be unfinished.
    pub segments: Vec<Segment>,
    /// The part that is to come.
    pub hint: String,
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Its number, which the playlist does not say but for the first.
    pub number: u64,
    /// Its duration and address, once it is whole.
    pub whole: Option<(f64, String)>,
    /// Its parts, unless it is old.
    pub parts: Vec<Part>,
    /// Address of its init segment.
    pub init: String,
    /// When it was taken, in seconds since 1970.
    pub time: Option<f64>,
    /// Whether something is missing before it.
    pub discontinuity: bool,
    /// Whether it is not there.
    pub gap: bool,
}

/// A part.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// In seconds.
    pub duration: f64,
    /// Its address.
    pub uri: String,
    /// `INDEPENDENT=YES`
    pub independent: bool,
}

impl PartedPlaylist {
    /// Reads a playlist and checks what RFC 8216bis says that it must keep by itself.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn read(text: &str) -> Result<Self> {
        let found = Self::parse(text).with_context(|| text.to_owned())?;
        found.check(text).with_context(|| text.to_owned())?;
        Ok(found)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        ensure!(
            lines.next() == Some("#EXTM3U"),
            "section 4.4.1.1: no #EXTM3U first"
        );
        let mut found = Self::default();
        let mut segment = Segment::default();
        let mut duration = None;
        let mut init = String::new();
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-TARGETDURATION" => found.target = value.parse::<u64>()? as f64,
                "#EXT-X-PART-INF" => found.part_target = attribute(value, "PART-TARGET")?.parse()?,
                "#EXT-X-SERVER-CONTROL" => {
                    ensure!(attribute(value, "CAN-BLOCK-RELOAD")? == "YES", "it can't block");
                    found.hold_back = attribute(value, "PART-HOLD-BACK")?.parse()?;
                }
                "#EXT-X-MEDIA-SEQUENCE" => found.sequence = value.parse()?,
                "#EXT-X-MAP" => attribute(value, "URI")?.clone_into(&mut init),
                "#EXT-X-GAP" => segment.gap = true,
                "#EXT-X-DISCONTINUITY" => segment.discontinuity = true,
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    segment.time = Some(seconds(value)?);
                }
                "#EXT-X-PART" => segment.parts.push(Part {
                    duration: attribute(value, "DURATION")?.parse()?,
                    uri: attribute(value, "URI")?.to_owned(),
                    independent: attribute(value, "INDEPENDENT").is_ok_and(|v| v == "YES"),
                }),
                "#EXTINF" => duration = Some(value.trim_end_matches(',').parse()?),
                "#EXT-X-PRELOAD-HINT" => {
                    ensure!(attribute(value, "TYPE")? == "PART", "a hint of something else");
                    attribute(value, "URI")?.clone_into(&mut found.hint);
                }
                _ if !line.starts_with('#') && !line.is_empty() => {
                    let duration = duration.take().context("section 4.4.4.1: no EXTINF")?;
                    segment.whole = Some((duration, line.to_owned()));
                    found.push(&mut segment, &init);
                }
                _ => {}
            }
        }
        if !segment.parts.is_empty() {
            found.push(&mut segment, &init);
        }
        Ok(found)
    }

    fn push(&mut self, segment: &mut Segment, init: &str) {
        let mut segment = std::mem::take(segment);
        segment.number = self.sequence + self.segments.len() as u64;
        init.clone_into(&mut segment.init);
        self.segments.push(segment);
    }

    fn check(&self, text: &str) -> Result<()> {
        let version = text.lines().find_map(|l| l.strip_prefix("#EXT-X-VERSION:"));
        let version: u32 = version.context("section 4.4.1.2: no version")?.parse()?;
        ensure!(version >= 6, "section 8: EXT-X-MAP needs version 6");
        ensure!(self.target > 0.0, "section 4.4.3.1: no target duration");
        ensure!(self.part_target > 0.0, "section 4.4.3.7: no part target");
        ensure!(
            self.hold_back >= 3.0 * self.part_target - 1e-6,
            "section 4.4.3.8: PART-HOLD-BACK {} of {}",
            self.hold_back,
            self.part_target
        );
        let mut addresses = Vec::new();
        for (i, segment) in self.segments.iter().enumerate() {
            ensure!(
                !segment.init.is_empty(),
                "section 4.4.4.5: no EXT-X-MAP before it"
            );
            let is_open = segment.whole.is_none();
            ensure!(!is_open || i + 1 == self.segments.len(), "an open segment within");
            if let Some((duration, uri)) = &segment.whole {
                ensure!(
                    duration.round() <= self.target,
                    "section 4.4.3.1: {duration} s of {}",
                    self.target
                );
                let sum: f64 = segment.parts.iter().map(|p| p.duration).sum();
                ensure!(
                    segment.parts.is_empty() || (sum - duration).abs() < 0.01,
                    "parts of {sum} s make {duration} s"
                );
                addresses.push(uri);
            }
            for (j, part) in segment.parts.iter().enumerate() {
                let is_final = !is_open && j + 1 == segment.parts.len();
                ensure!(
                    part.duration <= self.part_target + 1e-6,
                    "section 4.4.4.9: {part:?} is longer than {}",
                    self.part_target
                );
                ensure!(
                    part.duration >= 0.85 * self.part_target - 1e-6 || part.independent || is_final,
                    "section 4.4.4.9: {part:?} is shorter than 85 % of {}",
                    self.part_target
                );
                ensure!(
                    j > 0 || part.independent,
                    "section 4.4.2.1: a segment does not begin with a keyframe"
                );
                addresses.push(&part.uri);
            }
        }
        ensure!(!self.hint.is_empty(), "no hint");
        addresses.push(&self.hint);
        let count = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        ensure!(addresses.len() == count, "section 4.4.5.3: an address twice");
        Ok(())
    }

    /// Checks what must not change from one load to the next (section 6.2.1).
    ///
    /// # Errors
    /// What has.
    pub fn follows(&self, before: &Self) -> Result<()> {
        let same = |now: f64, then: f64| (now - then).abs() < 1e-9;
        ensure!(same(self.target, before.target), "the target duration changes");
        ensure!(
            same(self.part_target, before.part_target),
            "the part target changes"
        );
        ensure!(self.sequence >= before.sequence, "the media sequence goes back");
        for now in &self.segments {
            let Some(then) = before.segments.iter().find(|s| s.number == now.number) else {
                continue;
            };
            ensure!(
                now.init == then.init && now.discontinuity == then.discontinuity,
                "a segment changes: {then:?}, {now:?}"
            );
            ensure!(then.time.is_none() || now.time == then.time, "its time changes");
            ensure!(
                then.whole.is_none() || now.whole == then.whole,
                "a whole one changes"
            );
            // Old ones lose their parts.
            ensure!(
                now.parts.is_empty() || now.parts.starts_with(&then.parts),
                "parts change: {then:?}, {now:?}"
            );
        }
        Ok(())
    }

    /// The part that would come next: number of the segment, and its place in it.
    pub fn next(&self) -> Option<(u64, usize)> {
        let last = self.segments.last()?;
        Some(match last.whole {
            Some(_) => (last.number + 1, 0),
            None => (last.number, last.parts.len()),
        })
    }
}

/// Seconds since 1970 of a time such as `2020-02-29T12:00:00.500Z`.
fn seconds(time: &str) -> Result<f64> {
    let fields: Vec<&str> = time.trim_end_matches('Z').split(['-', 'T', ':']).collect();
    let [year, month, day, hour, minute, second] = fields[..] else {
        anyhow::bail!("no time: {time}");
    };
    let (year, month, day): (i64, i64, i64) = (year.parse()?, month.parse()?, day.parse()?);
    // Counted from March, so that the leap day ends its year.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let (hour, minute, second): (i64, i64, f64) = (hour.parse()?, minute.parse()?, second.parse()?);
    Ok((86_400 * days + 3600 * hour + 60 * minute) as f64 + second)
}

/// The value of an attribute, without quotation marks.
fn attribute<'a>(list: &'a str, name: &str) -> Result<&'a str> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=').with_context(|| list.to_owned())?;
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').with_context(|| list.to_owned())?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if key == name {
            return Ok(value);
        }
        rest = behind.trim_start_matches(',');
    }
    anyhow::bail!("no {name} in {list}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6\n#EXT-X-PART-INF:PART-TARGET=0.2\n\
        #EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"/i\"\n#EXT-X-PROGRAM-DATE-TIME:2020-02-29T00:00:00.500Z\n\
        #EXT-X-PART:DURATION=0.2,URI=\"/7-0\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.1,URI=\"/7-1\"\n#EXTINF:0.3,\n/7\n\
        #EXT-X-PART:DURATION=0.19,URI=\"/8-0\",INDEPENDENT=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/8-1\"\n";

    #[test]
    fn a_good_one_is_read() -> Result<()> {
        let found = PartedPlaylist::read(GOOD)?;
        assert_eq!(found.next(), Some((8, 1)));
        assert_eq!(found.segments[0].time, Some(1_582_934_400.5));
        assert!((found.segments[0].parts[1].duration - 0.1).abs() < 1e-9);
        assert_eq!(found.hint, "/8-1");
        found.follows(&found)
    }

    #[test]
    fn bad_ones_are_not() -> Result<()> {
        for (good, bad) in [
            ("#EXTM3U\n", ""),
            ("VERSION:9", "VERSION:5"),
            ("TARGETDURATION:1", "TARGETDURATION:0"),
            ("HOLD-BACK=0.6", "HOLD-BACK=0.5"),
            ("=YES,PART", "=NO,PART"),
            ("PART-TARGET=0.2", "PART-TARGET=0.19"),
            ("#EXT-X-MAP:URI=\"/i\"\n", ""),
            ("URI=\"/7-0\",INDEPENDENT=YES", "URI=\"/7-0\""),
            ("#EXTINF:0.3,", "#EXTINF:1.6,"),
            ("#EXTINF:0.3,", "#EXTINF:0.4,"),
            ("#EXTINF:0.3,\n", ""),
            ("\"/8-1\"", "\"/8-0\""),
            (
                "INDEPENDENT=YES\n#EXT-X-PRE",
                "INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.16,URI=\"/8-9\"\n#EXT-X-PRE",
            ),
        ] {
            assert!(GOOD.contains(good), "{good}");
            let text = GOOD.replace(good, bad);
            assert!(PartedPlaylist::read(&text).is_err(), "{good} as {bad}");
        }
        let found = PartedPlaylist::read(GOOD)?;
        for (good, changed) in [
            ("SEQUENCE:7", "SEQUENCE:6"),
            ("/7-1", "/7-9"),
            ("00.500Z", "00.501Z"),
            ("0.2\n", "0.201\n"),
        ] {
            assert!(GOOD.contains(good), "{good}");
            let changed = PartedPlaylist::parse(&GOOD.replace(good, changed))?;
            assert!(changed.follows(&found).is_err(), "{good}");
        }
        Ok(())
    }
}
