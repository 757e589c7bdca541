//! A schedule at one moment: whether it records, until when, and what its status says of that. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{Timestamp, civil::Weekday, tz::TimeZone as TimeZoneData};
use weir_recording::schedule::{Moment, Plan, When, Window as PlanWindow};

use crate::condition::{self, Condition, kind, reason};
use crate::field::{Date, ParseError, TimeZone};
use crate::{Camera, RecordSchedule, RecordScheduleSpec, RecordScheduleStatus};

/// What a schedule comes to at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Cameras that it chooses are recorded now.
    pub active: bool,
    /// All that is true of it.
    pub status: RecordScheduleStatus,
    /// When this becomes untrue by itself.
    pub changes: Option<Timestamp>,
    /// What is wrong with the spec; then nothing is recorded.
    pub refused: Option<String>,
}

impl RecordSchedule {
    /// Looks at the schedule at `now`, with the cameras of its namespace. `zone` is the pool's.
    pub fn evaluate<'a>(
        &self,
        cameras: impl Iterator<Item = &'a Camera>,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Evaluated {
        let chosen: Vec<&Camera> = cameras
            .filter(|c| c.metadata.deletion_timestamp.is_none() && self.chooses(c))
            .collect();
        let ends = chosen
            .iter()
            .filter_map(|c| c.status.as_ref()?.last_segment_time.clone());
        let mut status = RecordScheduleStatus {
            cameras: Some(chosen.len() as i64),
            observed_generation: self.metadata.generation,
            last_segment_time: ends.max_by_key(|at| at.0),
            ..RecordScheduleStatus::default()
        };
        let (refused, changes) = match self.spec.moment(zone, now) {
            Ok(moment) => {
                let open = moment.open.as_ref();
                let shown = open.or(moment.next.as_ref());
                status.active = Some(open.is_some());
                status.next_start = moment.next.as_ref().and_then(|o| time(o.since_ms));
                status.next_end = shown.and_then(|o| time(o.until_ms?));
                let changes = open.map_or_else(
                    || moment.next.as_ref().and_then(|o| time(o.since_ms)),
                    |o| time(o.until_ms?),
                );
                (None, changes.map(|at| at.0))
            }
            Err(error) => (Some(error.to_string()), None),
        };
        let active = status.active == Some(true);
        let (holds, why, message) = match &refused {
            Some(message) => (false, reason::INVALID_SPEC, message.as_str()),
            None => (true, reason::ACCEPTED, ""),
        };
        let before = self.status.as_ref().map_or(&[][..], |s| &s.conditions);
        for kind in [kind::ACCEPTED, kind::READY] {
            let new = Condition::new(kind, holds, why, message, Time(now)).observed(self.metadata.generation);
            let mut one: Vec<Condition> = condition::find(before, kind).cloned().into_iter().collect();
            condition::set(&mut one, new);
            status.conditions.append(&mut one);
        }
        Evaluated {
            active,
            status,
            changes,
            refused,
        }
    }
}

impl RecordScheduleSpec {
    /// Which window is open at `now`, and which opens next. `zone` is the pool's, for a spec without its own.
    ///
    /// # Errors
    /// The time zone is unknown, or a time or date is none.
    pub fn moment(&self, zone: &TimeZone, now: Timestamp) -> Result<Moment, ParseError> {
        Ok(self.plan(zone)?.at(now.as_millisecond()))
    }

    fn plan(&self, zone: &TimeZone) -> Result<Plan, ParseError> {
        let zone = self.time_zone.as_ref().unwrap_or(zone);
        let time_zone = TimeZoneData::get(zone.as_str()).map_err(|_| {
            ParseError::new(
                zone.as_str(),
                "a time zone: write its name in the IANA database, such as Asia/Shanghai",
            )
        })?;
        let windows = self.windows.iter().map(|window| {
            Ok(PlanWindow {
                days: window.days.iter().map(|day| Weekday::from(*day)).collect(),
                start: window.start.seconds()?,
                end: window.end.seconds()?,
            })
        });
        Ok(Plan {
            time_zone,
            when: if self.always {
                When::Always
            } else {
                When::Windows(windows.collect::<Result<_, ParseError>>()?)
            },
            except_dates: self
                .except_dates
                .iter()
                .map(Date::get)
                .collect::<Result<_, _>>()?,
            suspend: self.suspend,
        })
    }
}

fn time(ms: i64) -> Option<Time> {
    Timestamp::from_millisecond(ms).ok().map(Time)
}
