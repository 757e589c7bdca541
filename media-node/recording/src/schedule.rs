//! When a schedule records: windows of local time, evaluated. Pure, and bounded: nobody looks further ahead than
//! [`HORIZON_DAYS`].

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How far ahead the next opening is looked for: over a year of exceptions.
const HORIZON_DAYS: i64 = 400;
const DAY_SECONDS: u32 = 86_400;

/// A span of local time on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub days: Vec<Weekday>,
    /// Seconds since midnight on the clock on the wall, up to 86400.
    pub start: u32,
    pub end: u32,
}

/// When is recorded, but for exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Windows(Vec<Window>),
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub time_zone: TimeZone,
    pub when: When,
    /// Local dates on which nothing is recorded.
    pub except_dates: Vec<Date>,
    pub suspend: bool,
}

/// A span of time. Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub since_ms: i64,
    /// None: for as far as anybody looks.
    pub until_ms: Option<i64>,
}

/// A schedule at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// What is open.
    pub open: Option<Opening>,
    /// What opens next, after that.
    pub next: Option<Opening>,
}

impl Plan {
    /// The schedule at `now_ms`, milliseconds since 1970.
    ///
    /// Windows that touch are one opening, over midnight too. A local time that a change of the clocks leaves out is the
    /// moment of the change; of one that comes twice a window opens at the first and closes at the second.
    pub fn at(&self, now_ms: i64) -> Moment {
        if self.suspend {
            return Moment::default();
        }
        if self.when == When::Always && self.except_dates.is_empty() {
            return Moment {
                open: Some(Opening {
                    since_ms: i64::MIN,
                    until_ms: None,
                }),
                next: None,
            };
        }
        let Ok(now) = Timestamp::from_millisecond(now_ms) else {
            return Moment::default();
        };
        let today = now.to_zoned(self.time_zone.clone()).date();
        // Yesterday's last window may reach into today, where clocks differ, and be one with today's first.
        let mut openings: Vec<(i64, i64)> = Vec::new();
        let mut moment = Moment::default();
        let begin = today.checked_sub(8.days()).unwrap_or(Date::MIN);
        let mut date = begin;
        for _ in 0..HORIZON_DAYS + 8 {
            for (start, end) in self.day(date) {
                match openings.last_mut() {
                    Some((_, last)) if start <= *last => *last = end.max(*last),
                    _ => openings.push((start, end)),
                }
            }
            // The last may still grow with the next day.
            let settled = openings.len().saturating_sub(1);
            openings
                .drain(..settled)
                .for_each(|opening| take(&mut moment, opening, now_ms));
            if moment.next.is_some() {
                return moment;
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        for (start, end) in openings {
            // It reaches to the horizon: nobody sees its end.
            let horizon = self.moment_of(date, 0);
            let until_ms = (end < horizon).then_some(end);
            let opening = Opening {
                since_ms: start,
                until_ms,
            };
            if start > now_ms {
                moment.next.get_or_insert(opening);
            } else if until_ms.is_none_or(|until| until > now_ms) {
                moment.open = Some(opening);
            }
        }
        moment
    }

    /// What is open on that local date, in order of the beginnings.
    fn day(&self, date: Date) -> Vec<(i64, i64)> {
        if self.except_dates.contains(&date) {
            return Vec::new();
        }
        let mut spans: Vec<(u32, u32)> = match &self.when {
            When::Always => vec![(0, DAY_SECONDS)],
            When::Windows(windows) => windows
                .iter()
                .filter(|w| w.days.contains(&date.weekday()) && w.start < w.end)
                .map(|w| (w.start, w.end))
                .collect(),
        };
        spans.sort_unstable();
        spans
            .into_iter()
            .map(|(start, end)| (self.moment_of(date, start), self.closing_of(date, end)))
            .filter(|(start, end)| start < end)
            .collect()
    }

    /// The first moment when the clock on the wall says that, or the next one that it says.
    fn moment_of(&self, date: Date, seconds: u32) -> i64 {
        let local = local(date, seconds);
        let ambiguous = self.time_zone.to_ambiguous_timestamp(local);
        let at = match ambiguous.offset() {
            // The moment of the change itself: what the clock would have said counts no more.
            jiff::tz::AmbiguousOffset::Gap { .. } => self.change_before(local),
            _ => ambiguous.earlier().ok(),
        };
        at.unwrap_or(Timestamp::MAX).as_millisecond()
    }

    /// The last moment when the clock on the wall says that.
    fn closing_of(&self, date: Date, seconds: u32) -> i64 {
        let local = local(date, seconds);
        let ambiguous = self.time_zone.to_ambiguous_timestamp(local);
        let at = match ambiguous.offset() {
            jiff::tz::AmbiguousOffset::Gap { .. } => self.change_before(local),
            _ => ambiguous.later().ok(),
        };
        at.unwrap_or(Timestamp::MAX).as_millisecond()
    }

    /// The change of the clocks that leaves this local time out.
    fn change_before(&self, local: DateTime) -> Option<Timestamp> {
        // Read with the offset of before the change it lies after it.
        let after = self.time_zone.to_ambiguous_timestamp(local).later().ok()?;
        let change = self
            .time_zone
            .preceding(after.checked_add(1.second()).ok()?)
            .next()?;
        Some(change.timestamp())
    }
}

fn take(moment: &mut Moment, (start, end): (i64, i64), now_ms: i64) {
    let opening = Opening {
        since_ms: start,
        until_ms: Some(end),
    };
    if start > now_ms {
        moment.next.get_or_insert(opening);
    } else if end > now_ms {
        moment.open = Some(opening);
    }
}

fn local(date: Date, seconds: u32) -> DateTime {
    let (date, seconds) = if seconds >= DAY_SECONDS {
        (date.tomorrow().unwrap_or(Date::MAX), seconds - DAY_SECONDS)
    } else {
        (date, seconds)
    };
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    date.at(h as i8, m as i8, s as i8, 0)
}

#[cfg(test)]
mod tests;
