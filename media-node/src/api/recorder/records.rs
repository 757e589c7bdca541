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
use axum::response::Response;
use std::collections::HashMap;

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

/// Each goes with its video, save what another record has too, one that is still being made among them, and its snapshot.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("record_id")?;
    for id in ids {
        let Some(row) = api.recorder.database.remove_recording(id).await? else {
            continue;
        };
        api.recorder.footage.clear_away();
        tracing::info!(record_id = id, camera_id = row.camera_id, "a record was deleted");
    }
    Ok(wire::done())
}

#[cfg(test)]
mod tests {
    use super::shown;

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
}
