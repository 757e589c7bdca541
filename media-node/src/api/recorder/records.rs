//! Records: `list_record`, `del_record`.

use super::super::Api;
use super::calendar::Calendar;
use super::cameras::name_of;
use super::origin::Origin;
use super::paging::{Form, Paging};
use super::parameters::Parameters;
use super::scene::{Channel, Scene};
use super::storage;
use super::wire::{self, Fault};
use crate::store::sql::recorder::Recording;
use axum::response::Response;
use std::collections::HashMap;
use std::ops::Range;

pub(super) async fn list(api: &Api, parameters: &Parameters, origin: &Origin) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Texts);
    let database = &api.recorder.database;
    let page = database.recordings(paging.cut()).await?;
    let scene = Scene::load(api).await?;
    let channels: HashMap<_, _> = scene
        .channels
        .iter()
        .map(|channel| (channel.uid(), channel))
        .collect();
    let grade_of = |channel: Option<&&Channel>| channel.map_or(0, |channel| channel.fact.grade_id);
    let grade_ids = page
        .rows
        .iter()
        .map(|row| grade_of(channels.get(row.camera_uid.as_str())));
    let grades = database.grades_of(grade_ids).await?;
    let grades: HashMap<_, _> = grades.into_iter().map(|row| (row.id, row)).collect();
    let subjects = database
        .subjects_of(page.rows.iter().map(|row| row.subject_id))
        .await?;
    let subjects: HashMap<_, _> = subjects.into_iter().map(|row| (row.id, row.name)).collect();
    let teachers = database
        .teachers_of(page.rows.iter().map(|row| row.teacher_id))
        .await?;
    let teachers: HashMap<_, _> = teachers.into_iter().map(|row| (row.id, row)).collect();
    let calendar = Calendar::of(api);
    let rows = page.rows.into_iter().map(|row| {
        let channel = channels.get(row.camera_uid.as_str());
        let grade_id = grade_of(channel);
        let grade = grades.get(&grade_id);
        let teacher = teachers.get(&row.teacher_id);
        let seconds = storage::seconds(&row);
        wire::Record {
            record_id: row.id,
            gather_id: row.gather_id,
            camera_id: row.camera_id,
            camera_name: channel
                .map(|channel| name_of(&channel.camera))
                .unwrap_or_default(),
            grade_id,
            grade_type: grade.map(|grade| grade.kind.clone()).unwrap_or_default(),
            grade_name: grade.map(|grade| grade.name.clone()).unwrap_or_default(),
            subject_id: row.subject_id,
            subject_name: subjects.get(&row.subject_id).cloned().unwrap_or_default(),
            teacher_id: row.teacher_id,
            teacher_name: teacher.map(|teacher| teacher.name.clone()).unwrap_or_default(),
            title_name: teacher.map(|teacher| teacher.title.clone()).unwrap_or_default(),
            file_fdfs: storage::video_path(&row, &calendar),
            image_fdfs: storage::image_path(&row, &calendar).unwrap_or_default(),
            file_size: row.bytes.to_string(),
            duration: seconds.to_string(),
            disptime: shown(seconds),
            clicks: row.clicks,
            created: calendar.text(row.start_ms.div_euclid(1000)),
            updated: calendar.text(row.updated),
        }
    });
    let mut list = paging.list(page.total, rows.collect());
    list.storage_addr = Some(storage::address(api, origin));
    Ok(wire::ok(list))
}

/// `MM:SS`, and from one hour on `HH:MM:SS`.
fn shown(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes:02}:{seconds:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// Each goes with its video, save what another record has too, and its snapshot.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("record_id")?;
    let (database, footage) = (&api.recorder.database, &api.recorder.footage);
    for id in ids {
        let Some(row) = database.recording(id).await? else {
            continue;
        };
        let mut others = database
            .recordings_within(&row.camera_uid, row.start_ms, row.end_ms)
            .await?;
        others.retain(|other| other.id != id);
        for span in uncovered(row.start_ms..row.end_ms, &others) {
            footage.delete(&row.camera_uid, span.start, span.end).await?;
        }
        if let Some(key) = &row.image_key {
            footage.delete_image(key).await?;
        }
        database.delete_recording(id).await?;
        tracing::info!(record_id = id, camera_id = row.camera_id, "a record was deleted");
    }
    Ok(wire::done())
}

/// What of a span no other recording has. `others` come by their start.
fn uncovered(span: Range<i64>, others: &[Recording]) -> Vec<Range<i64>> {
    let (mut free, mut at) = (Vec::new(), span.start);
    for other in others {
        if other.start_ms > at {
            free.push(at..other.start_ms.min(span.end));
        }
        at = at.max(other.end_ms);
    }
    if at < span.end {
        free.push(at..span.end);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::{shown, uncovered};
    use crate::store::sql::recorder::Recording;

    fn recording(start_ms: i64, end_ms: i64) -> Recording {
        Recording {
            id: 1,
            uniq: String::new(),
            file_src: String::new(),
            camera_uid: String::new(),
            camera_id: 0,
            node: String::new(),
            gather_id: 0,
            schedule_uid: String::new(),
            course_id: 0,
            subject_id: 0,
            teacher_id: 0,
            start_ms,
            end_ms,
            bytes: 0,
            image_key: None,
            measured: true,
            clicks: 0,
            created: 0,
            updated: 0,
        }
    }

    #[test]
    fn lengths_are_shown_short_below_an_hour() {
        for (seconds, text) in [
            (0, "00:00"),
            (59, "00:59"),
            (2700, "45:00"),
            (3600, "01:00:00"),
            (36_061, "10:01:01"),
        ] {
            assert_eq!(shown(seconds), text);
        }
    }

    #[test]
    fn what_another_record_has_too_stays() {
        for (others, free) in [
            (vec![], vec![(10, 20)]),
            (vec![(0, 12)], vec![(12, 20)]),
            (vec![(18, 30)], vec![(10, 18)]),
            (vec![(0, 12), (11, 13), (18, 30)], vec![(13, 18)]),
            (vec![(12, 14)], vec![(10, 12), (14, 20)]),
            (vec![(0, 30)], vec![]),
        ] {
            let others: Vec<_> = others
                .into_iter()
                .map(|(start, end)| recording(start, end))
                .collect();
            let found = uncovered(10..20, &others).into_iter();
            assert_eq!(found.map(|span| (span.start, span.end)).collect::<Vec<_>>(), free);
        }
    }
}
