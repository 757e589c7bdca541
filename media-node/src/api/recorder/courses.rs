//! Courses: `list_course`, `add_course`, `mod_course`, `del_course`. A course is a RecordSchedule that chooses one Camera by name
//! and has one window on one day of the week; other schedules are not shown.

use super::super::{Api, owned_secret};
use super::calendar::{self, Calendar, LAST_SECOND};
use super::cameras::first_failure;
use super::paging::{Form, Paging};
use super::parameters::{Parameters, TEXT};
use super::scene::{Channel, Scene};
use super::wire::{self, Code, Fault, command};
use crate::cluster::resource::{Kind, Target, WriteError};
use crate::store::sql::Named;
use crate::store::sql::recorder::{API, CourseFact, CourseFacts, Gather, GatherSettings};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use weir_crds::field::Day;
use weir_crds::{GATEWAY_MANAGER, RecordSchedule};

/// Tries to write while others write the same object.
const ATTEMPTS: u32 = 8;
/// The documents' number for weekly courses, which all are.
const WEEKLY: i64 = 2;
/// Days in the order of the documents' numbers.
const DAYS: [Day; 7] = [
    Day::Sun,
    Day::Mon,
    Day::Tue,
    Day::Wed,
    Day::Thu,
    Day::Fri,
    Day::Sat,
];

/// Once a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// 0 Sunday to 6 Saturday.
    week: i64,
    /// Seconds after midnight.
    start: i64,
    length: i64,
}

impl Window {
    fn end(self) -> i64 {
        self.start + self.length
    }

    /// Those that touch do not.
    fn collides(self, other: Self) -> bool {
        self.week == other.week && self.start < other.end() && other.start < self.end()
    }

    fn text(self) -> String {
        format!(
            "{} ~ {}",
            calendar::clock(self.start),
            calendar::clock(self.end())
        )
    }
}

/// A course as it is.
struct Course {
    id: i64,
    schedule: RecordSchedule,
    window: Window,
    camera: String,
    fact: Option<CourseFact>,
}

impl Course {
    fn is_of(&self, channel: &Channel) -> bool {
        let camera = &channel.camera.metadata;
        self.schedule.metadata.namespace == camera.namespace && Some(&self.camera) == camera.name.as_ref()
    }

    fn target(&self) -> Target {
        Target::of(Kind::RecordSchedule, &self.schedule)
    }
}

/// All courses by number.
async fn all(api: &Api) -> Result<Vec<Course>, Fault> {
    let mut schedules: Vec<_> = api
        .specs
        .schedules()
        .await?
        .into_iter()
        .filter(|schedule| schedule.metadata.deletion_timestamp.is_none())
        .filter_map(|schedule| {
            let (camera, window) = as_course(&schedule)?;
            Some((schedule, camera, window))
        })
        .collect();
    schedules.sort_by_key(|(schedule, ..)| {
        let meta = &schedule.metadata;
        let made = meta.creation_timestamp.as_ref().map(|time| time.0.as_second());
        (made, meta.namespace.clone(), meta.name.clone())
    });
    let named: Vec<_> = schedules
        .iter()
        .map(|(schedule, ..)| Named {
            uid: schedule.metadata.uid.clone().unwrap_or_default(),
            name: schedule.metadata.name.clone().unwrap_or_default(),
        })
        .collect();
    let database = &api.recorder.database;
    let ids = database.resource_ids(API, "course", &named).await?;
    let mut facts = database.courses().await?;
    let mut courses: Vec<_> = schedules
        .into_iter()
        .filter_map(|(schedule, camera, window)| {
            let uid = schedule.metadata.uid.as_ref()?;
            Some(Course {
                id: *ids.get(uid)?,
                fact: facts.remove(uid),
                schedule,
                window,
                camera,
            })
        })
        .collect();
    courses.sort_by_key(|course| course.id);
    Ok(courses)
}

/// The camera and window of a schedule that is a course.
fn as_course(schedule: &RecordSchedule) -> Option<(String, Window)> {
    let spec = &schedule.spec;
    let ([camera], [window], None) = (
        spec.cameras.names.as_slice(),
        spec.windows.as_slice(),
        &spec.cameras.selector,
    ) else {
        return None;
    };
    let [day] = window.days.as_slice() else {
        return None;
    };
    let week = DAYS.iter().position(|d| d == day)?;
    let (start, end) = (window.start.seconds().ok()?, window.end.seconds().ok()?);
    let window = Window {
        week: week as i64,
        start: start.into(),
        length: i64::from(end) - i64::from(start),
    };
    Some((camera.clone(), window))
}

pub(super) async fn list(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("camera_id")?;
    let paging = Paging::of(parameters, Form::Texts);
    let scene = Scene::load(api).await?;
    let mut courses = Vec::new();
    if let Some(channel) = scene.channel(id) {
        courses = all(api).await?;
        courses.retain(|course| course.is_of(channel));
    }
    let calendar = Calendar::of(api);
    let (courses, total) = paging.of_all(courses);
    let rows = courses.into_iter().map(|course| {
        let made = course.schedule.metadata.creation_timestamp.as_ref();
        let made = made.map_or(0, |time| time.0.as_second());
        let fact = course.fact.as_ref();
        let (created, updated) = fact.map_or((made, made), |fact| (fact.created, fact.updated));
        let date = calendar.date(updated);
        wire::Course {
            course_id: course.id,
            camera_id: id,
            subject_id: fact.map_or(0, |fact| fact.subject_id),
            teacher_id: fact.map_or(0, |fact| fact.teacher_id),
            repeat_id: WEEKLY,
            week_id: course.window.week,
            elapse_sec: course.window.length,
            start_time: format!("{date} {}", calendar::clock(course.window.start)),
            end_time: format!("{date} {}", calendar::clock(course.window.end())),
            created: calendar.text(created),
            updated: calendar.text(updated),
        }
    });
    Ok(wire::ok(paging.list(total, rows.collect())))
}

/// A course that is to be.
struct Wish {
    channel: Channel,
    subject_id: i64,
    teacher_id: i64,
    window: Window,
}

#[derive(Serialize)]
struct Saved {
    course_id: i64,
    camera_id: i64,
    transmit: String,
}

impl Saved {
    fn of(wish: &Wish, course_id: i64) -> Response {
        wire::ok(Self {
            course_id,
            camera_id: wish.channel.id,
            transmit: wish.channel.delivery().transmit(command::COURSE),
        })
    }
}

/// What is asked for, checked in the documented order; `exists` is asked between presence and form.
async fn wish(
    api: &Api,
    parameters: &Parameters,
    exists: impl AsyncFnOnce() -> Result<(), Fault>,
) -> Result<Wish, Fault> {
    let camera_id = parameters.id("camera_id")?;
    let subject_id = parameters.id("subject_id")?;
    let teacher_id = parameters.id("teacher_id")?;
    let present = |name: &str| parameters.text(name, TEXT).ok_or(Code::NoId);
    present("week_id")?;
    present("elapse_sec")?;
    let start = present("start_time")?;
    let scene = Scene::load(api).await?;
    let channel = scene.named(camera_id)?.clone();
    exists().await?;
    let start = calendar::time_of_day(&start).ok_or(Code::BadTime)?;
    let length = parameters
        .int("elapse_sec")
        .filter(|length| *length >= 1)
        .ok_or(Code::BadTime)?;
    let week = parameters
        .int("week_id")
        .filter(|week| (0..=6).contains(week))
        .ok_or(Code::BadTime)?;
    if length > LAST_SECOND - start {
        return Err(Code::CrossesDays.into());
    }
    Ok(Wish {
        channel,
        subject_id,
        teacher_id,
        window: Window { week, start, length },
    })
}

pub(super) async fn add(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let wish = wish(api, parameters, async || Ok(())).await?;
    let database = &api.recorder.database;
    // Nobody else writes courses of this channel meanwhile.
    let _lock = database.lock(&lock_of(&wish.channel)).await?;
    refuse_overlap(&all(api).await?, &wish, None)?;
    let camera = wish.channel.target();
    for _ in 0..ATTEMPTS {
        let reserved = database.reserve_resource_id(API, "course").await?;
        let name = format!("course-{reserved}");
        let manifest = json!({
            "apiVersion": Kind::RecordSchedule.api_version(),
            "kind": Kind::RecordSchedule.as_str(),
            "metadata": {
                "name": name,
                "namespace": camera.namespace,
                "labels": owned_secret::labels(),
                "ownerReferences": [owned_secret::reference(&camera)],
            },
            "spec": spec(api, &wish),
        });
        let target = match api.specs.create(&manifest).await {
            // Somebody has made an object of this name by hand.
            Err(WriteError::Conflict) => continue,
            created => created?,
        };
        let named = Named {
            uid: target.uid.clone(),
            name,
        };
        let ids = database.resource_ids(API, "course", &[named]).await?;
        let course_id = ids.get(&target.uid).copied().unwrap_or(reserved);
        database.save_course(&facts(&wish, &target, course_id)).await?;
        tracing::info!(schedule = %target, course_id, "a course was added");
        return Ok(Saved::of(&wish, course_id));
    }
    Err(Fault::Unavailable)
}

pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("course_id")?;
    let wish = wish(api, parameters, async || {
        let there = all(api).await?.iter().any(|course| course.id == id);
        if there { Ok(()) } else { Err(Code::NoId.into()) }
    })
    .await?;
    let database = &api.recorder.database;
    let _lock = database.lock(&lock_of(&wish.channel)).await?;
    let camera = wish.channel.target();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let courses = all(api).await?;
        let course = courses.iter().find(|course| course.id == id).ok_or(Code::NoId)?;
        refuse_overlap(&courses, &wish, Some(id))?;
        let target = course.target();
        if target.namespace != camera.namespace {
            // An object can't move to another namespace.
            return Err(Code::NoId.into());
        }
        let mut metadata = json!({});
        if is_made(&course.schedule) {
            metadata["ownerReferences"] = json!([owned_secret::reference(&camera)]);
        }
        let patch = json!({"metadata": metadata, "spec": spec(api, &wish)});
        let version = course
            .schedule
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default();
        match api.specs.change(&target, version, &patch).await {
            Err(WriteError::Conflict) if attempts < ATTEMPTS => continue,
            Err(WriteError::Gone) => return Err(Code::NoId.into()),
            changed => changed?,
        }
        database.save_course(&facts(&wish, &target, id)).await?;
        tracing::info!(schedule = %target, course_id = id, "a course was changed");
        return Ok(Saved::of(&wish, id));
    }
}

pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Deleted {
        transmit: String,
    }
    let ids = parameters.ids("course_id")?;
    let mut courses = all(api).await?;
    courses.retain(|course| ids.contains(&course.id));
    if courses.is_empty() {
        return Err(Code::NoId.into());
    }
    let scene = Scene::load(api).await?;
    let mut deliveries = Vec::new();
    for course in courses {
        let channel = scene.channels.iter().find(|channel| course.is_of(channel));
        deliveries.extend(channel.map(Channel::delivery));
        remove(api, &course).await?;
    }
    Ok(wire::ok(Deleted {
        transmit: first_failure(deliveries).transmit(command::COURSE),
    }))
}

/// All courses of a channel that goes.
pub(super) async fn delete_of(api: &Api, channel: &Channel) -> Result<(), Fault> {
    for course in all(api).await?.iter().filter(|course| course.is_of(channel)) {
        remove(api, course).await?;
    }
    Ok(())
}

async fn remove(api: &Api, course: &Course) -> Result<(), Fault> {
    let target = course.target();
    api.specs
        .delete(Kind::RecordSchedule, &target.namespace, &target.name)
        .await?;
    api.recorder.database.close_course(&target.uid).await?;
    api.recorder
        .database
        .close_resource_id(API, "course", &target.uid)
        .await?;
    tracing::info!(schedule = %target, course_id = course.id, "a course was deleted");
    Ok(())
}

/// Has courses that were made here record as their gather's settings say now.
pub(super) async fn follow_gather(api: &Api, scene: &Scene, gather: &Gather) -> Result<(), Fault> {
    let cutting = cutting(&GatherSettings::from(gather));
    let is_here = |course: &Course| {
        let mut channels = scene.channels.iter().filter(|channel| course.is_of(channel));
        channels.any(|channel| channel.gather.as_ref().is_some_and(|g| g.row.id == gather.id))
    };
    let mut attempts: HashMap<i64, u32> = HashMap::new();
    let mut courses: Vec<_> = all(api).await?;
    courses.retain(|course| is_made(&course.schedule) && is_here(course));
    while let Some(course) = courses.pop() {
        let version = course
            .schedule
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default();
        let changed = api
            .specs
            .change(&course.target(), version, &json!({"spec": cutting}))
            .await;
        match changed {
            Ok(()) | Err(WriteError::Gone) => {}
            Err(WriteError::Conflict) => {
                let tried = attempts.entry(course.id).or_default();
                *tried += 1;
                if *tried >= ATTEMPTS {
                    return Err(Fault::Unavailable);
                }
                courses.extend(all(api).await?.into_iter().find(|c| c.id == course.id));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether an API call made it.
fn is_made(schedule: &RecordSchedule) -> bool {
    let labels = schedule.metadata.labels.as_ref();
    let manager = labels.and_then(|labels| labels.get("app.kubernetes.io/managed-by"));
    manager.is_some_and(|manager| manager == GATEWAY_MANAGER)
}

fn lock_of(channel: &Channel) -> String {
    format!("recorder/courses/{}", channel.uid())
}

/// The course with the smallest number that is in the way, other than itself.
fn refuse_overlap(courses: &[Course], wish: &Wish, itself: Option<i64>) -> Result<(), Fault> {
    let mut others = courses
        .iter()
        .filter(|course| Some(course.id) != itself && course.is_of(&wish.channel));
    match others.find(|course| course.window.collides(wish.window)) {
        Some(course) => Err(Fault::Overlap(course.window.text())),
        None => Ok(()),
    }
}

fn facts(wish: &Wish, target: &Target, course_id: i64) -> CourseFacts {
    CourseFacts {
        uid: target.uid.clone(),
        camera_uid: wish.channel.uid().to_owned(),
        course_id,
        subject_id: wish.subject_id,
        teacher_id: wish.teacher_id,
    }
}

fn spec(api: &Api, wish: &Wish) -> Value {
    let gather = wish.channel.gather.as_ref();
    let settings = gather
        .map(|gather| GatherSettings::from(&gather.row))
        .unwrap_or_default();
    let mut spec = cutting(&settings);
    // Within 0 to 6, as it was checked.
    let day = usize::try_from(wish.window.week)
        .ok()
        .and_then(|day| DAYS.get(day));
    spec["cameras"] = json!({"names": [wish.channel.camera.metadata.name]});
    spec["timeZone"] = Calendar::of(api).name().into();
    spec["windows"] = json!([{
        "days": [day],
        "start": calendar::clock(wish.window.start),
        "end": calendar::clock(wish.window.end()),
    }]);
    spec
}

/// How a gather's settings are said in a schedule.
fn cutting(settings: &GatherSettings) -> Value {
    let length = match settings.slice_minutes {
        // A window is shorter than a day, so that this is one recording.
        0 => "1d".to_owned(),
        minutes => format!("{minutes}m"),
    };
    json!({
        "recordingLength": length,
        "overlap": settings.overlap,
        "snapshotInterval": format!("{}m", settings.snapshot_minutes),
    })
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn windows_that_touch_do_not_collide() {
        let window = |week, start, length| Window { week, start, length };
        let nine = window(1, 32_400, 3_600);
        for (other, collides) in [
            (window(1, 36_000, 60), false),
            (window(1, 35_999, 60), true),
            (window(1, 32_340, 60), false),
            (window(1, 32_340, 61), true),
            (window(1, 33_000, 1), true),
            (window(1, 0, 86_399), true),
            (window(2, 32_400, 3_600), false),
        ] {
            assert_eq!(nine.collides(other), collides, "{other:?}");
            assert_eq!(other.collides(nine), collides, "{other:?}");
        }
        assert_eq!(nine.text(), "09:00:00 ~ 10:00:00");
    }
}
