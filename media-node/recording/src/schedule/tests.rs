use super::*;
use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};

const ALL: [Weekday; 7] = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

fn hms(text: &str) -> u32 {
    let parts: Vec<u32> = text.split(':').map(|part| part.parse().expect(text)).collect();
    parts[0] * 3600 + parts[1] * 60 + parts.get(2).copied().unwrap_or(0)
}

fn plan(zone_name: &str, windows: &[(&[Weekday], &str, &str)]) -> Plan {
    let windows = windows.iter().map(|(days, start, end)| Window {
        days: days.to_vec(),
        start: hms(start),
        end: hms(end),
    });
    Plan {
        time_zone: zone(zone_name),
        when: When::Windows(windows.collect()),
        except_dates: Vec::new(),
        suspend: false,
    }
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect(text).as_millisecond()
}

fn text(ms: i64) -> String {
    Timestamp::from_millisecond(ms).expect("a time").to_string()
}

/// What is open or comes next, as texts in UTC.
fn open(plan: &Plan, now: &str) -> Option<(String, String)> {
    let opening = plan.at(ms(now)).open?;
    Some((text(opening.since_ms), text(opening.until_ms.expect("an end"))))
}

fn next(plan: &Plan, now: &str) -> Option<(String, String)> {
    let opening = plan.at(ms(now)).next?;
    Some((text(opening.since_ms), text(opening.until_ms.expect("an end"))))
}

fn span(since: &str, until: &str) -> Option<(String, String)> {
    Some((since.to_owned(), until.to_owned()))
}

#[test]
fn a_window_opens_and_closes_by_the_clock_on_the_wall() {
    // 2026-11-23 is a Monday; Shanghai is 8 hours ahead of UTC.
    let plan = plan("Asia/Shanghai", &[(&[Monday, Tuesday], "08:00:00", "09:40:00")]);
    assert_eq!(open(&plan, "2026-11-22T23:59:59Z"), None);
    let monday = span("2026-11-23T00:00:00Z", "2026-11-23T01:40:00Z");
    assert_eq!(next(&plan, "2026-11-22T23:59:59Z"), monday);
    assert_eq!(open(&plan, "2026-11-23T00:00:00Z"), monday);
    assert_eq!(open(&plan, "2026-11-23T01:39:59.999Z"), monday);
    assert_eq!(
        open(&plan, "2026-11-23T01:40:00Z"),
        None,
        "the end is no part of it"
    );
    let tuesday = span("2026-11-24T00:00:00Z", "2026-11-24T01:40:00Z");
    assert_eq!(next(&plan, "2026-11-23T00:30:00Z"), tuesday);
    assert_eq!(
        next(&plan, "2026-11-24T01:40:00Z"),
        span("2026-11-30T00:00:00Z", "2026-11-30T01:40:00Z")
    );
}

#[test]
fn windows_that_touch_are_one_opening() {
    let plan = plan(
        "UTC",
        &[
            (&[Monday], "22:00:00", "24:00:00"),
            (&[Tuesday], "00:00:00", "06:00:00"),
            (&[Tuesday], "05:00:00", "07:00:00"),
        ],
    );
    let night = span("2026-11-23T22:00:00Z", "2026-11-24T07:00:00Z");
    assert_eq!(open(&plan, "2026-11-23T23:00:00Z"), night);
    assert_eq!(open(&plan, "2026-11-24T06:30:00Z"), night);
    assert_eq!(next(&plan, "2026-11-23T21:00:00Z"), night);
}

#[test]
fn clocks_that_go_forward() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00, at 01:00 UTC.
    let inside = plan("Europe/Berlin", &[(&[Sunday], "02:15:00", "02:45:00")]);
    assert_eq!(open(&inside, "2026-03-29T01:00:00Z"), None, "it is left out");
    let begins = plan("Europe/Berlin", &[(&[Sunday], "02:30:00", "04:00:00")]);
    assert_eq!(
        open(&begins, "2026-03-29T01:00:00Z"),
        span("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")
    );
    let ends = plan("Europe/Berlin", &[(&[Sunday], "01:00:00", "02:30:00")]);
    assert_eq!(
        open(&ends, "2026-03-29T00:30:00Z"),
        span("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")
    );
    // Santiago, 2026-09-06: midnight becomes 01:00, at 04:00 UTC.
    let midnight = plan("America/Santiago", &[(&[Sunday], "00:00:00", "02:00:00")]);
    assert_eq!(
        next(&midnight, "2026-09-05T12:00:00Z"),
        span("2026-09-06T04:00:00Z", "2026-09-06T05:00:00Z")
    );
}

#[test]
fn clocks_that_go_back() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00, at 01:00 UTC. 02:30 comes at 00:30 and at 01:30.
    let inside = plan("Europe/Berlin", &[(&[Sunday], "02:30:00", "02:45:00")]);
    assert_eq!(
        open(&inside, "2026-10-25T01:00:00Z"),
        span("2026-10-25T00:30:00Z", "2026-10-25T01:45:00Z")
    );
    // Lord Howe goes back by half an hour, at 15:00 UTC on 2026-04-04: 02:00 becomes 01:30 on the 5th.
    let half = plan("Australia/Lord_Howe", &[(&[Sunday], "01:45:00", "03:00:00")]);
    assert_eq!(
        next(&half, "2026-04-04T12:00:00Z"),
        span("2026-04-04T14:45:00Z", "2026-04-04T16:30:00Z")
    );
}

#[test]
fn dates_are_left_out() {
    let mut plan = plan("Europe/Berlin", &[(&ALL, "08:00:00", "09:00:00")]);
    plan.except_dates = vec![jiff::civil::date(2026, 12, 25), jiff::civil::date(2026, 12, 26)];
    assert_eq!(open(&plan, "2026-12-25T07:30:00Z"), None);
    assert_eq!(
        next(&plan, "2026-12-24T12:00:00Z"),
        span("2026-12-27T07:00:00Z", "2026-12-27T08:00:00Z")
    );
    // Round the clock, but for those days.
    plan.when = When::Always;
    let moment = plan.at(ms("2026-12-25T12:00:00Z"));
    assert_eq!(moment.open, None);
    assert_eq!(
        moment.next.map(|o| text(o.since_ms)),
        Some("2026-12-26T23:00:00Z".to_owned())
    );
    let moment = plan.at(ms("2026-12-24T12:00:00Z"));
    let until = moment.open.and_then(|o| o.until_ms).map(text);
    assert_eq!(until, Some("2026-12-24T23:00:00Z".to_owned()));
}

#[test]
fn always_and_never() {
    let mut plan = plan("UTC", &[]);
    assert_eq!(plan.at(0), Moment::default());
    plan.when = When::Always;
    assert!(plan.at(0).open.is_some_and(|o| o.until_ms.is_none()));
    plan.suspend = true;
    assert_eq!(plan.at(0), Moment::default());
    let every_day = super::Plan {
        time_zone: zone("UTC"),
        when: When::Windows(vec![Window {
            days: ALL.to_vec(),
            start: 0,
            end: DAY_SECONDS,
        }]),
        except_dates: Vec::new(),
        suspend: false,
    };
    let moment = every_day.at(ms("2026-11-26T00:00:00Z"));
    assert!(moment.open.is_some_and(|o| o.until_ms.is_none()), "{moment:?}");
}

#[test]
fn the_ends_of_time_are_survived() {
    let plan = plan("Asia/Shanghai", &[(&ALL, "08:00:00", "09:00:00")]);
    for now in [i64::MIN, -377_705_023_201_000, 253_402_207_200_000, i64::MAX] {
        let _ = plan.at(now);
    }
}
