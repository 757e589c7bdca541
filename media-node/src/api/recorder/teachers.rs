//! Teachers: `list_teacher`, `add_teacher`, `mod_teacher`, `del_teacher`.

use super::super::Api;
use super::calendar::Calendar;
use super::paging::{Form, Paging};
use super::parameters::{Parameters, TEXT};
use super::wire::{self, Code, Fault};
use crate::store::sql::recorder::{NewTeacher, TeacherChange};
use axum::response::Response;
use serde::Serialize;

/// Longest text about a teacher.
const DETAIL: usize = 2000;

pub(super) async fn list(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Texts);
    let page = api.recorder.database.teachers(paging.cut()).await?;
    let calendar = Calendar::of(api);
    let rows = page.rows.into_iter().map(|row| wire::Teacher {
        teacher_id: row.id.to_string(),
        teacher_name: row.name,
        sex_name: row.sex,
        title_name: row.title,
        title_id: row.title_id,
        detail_info: row.detail,
        created: calendar.text(row.created),
        updated: calendar.text(row.updated),
    });
    Ok(wire::ok(paging.list(page.total, rows.collect())))
}

pub(super) async fn add(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Added {
        teacher_id: i64,
    }
    let teacher = NewTeacher {
        name: parameters.name("teacher_name")?,
        title: parameters.name("title_name")?,
        sex: parameters.name("sex_name")?,
        title_id: title_id(parameters)?.ok_or(Code::NoId)?,
        detail: parameters.text("detail_info", DETAIL).unwrap_or_default(),
    };
    let teacher_id = api.recorder.database.add_teacher(teacher).await?;
    Ok(wire::ok(Added { teacher_id }))
}

/// Nothing happens when there is none of that number. One of the three names has to be there.
pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("teacher_id")?;
    let change = TeacherChange {
        name: parameters.text("teacher_name", TEXT),
        sex: parameters.text("sex_name", TEXT),
        title: parameters.text("title_name", TEXT),
        title_id: None,
        detail: parameters.text_or_empty("detail_info", DETAIL),
    };
    if change.name.is_none() && change.sex.is_none() && change.title.is_none() {
        return Err(Code::NoName.into());
    }
    let change = TeacherChange {
        title_id: title_id(parameters)?,
        ..change
    };
    api.recorder.database.change_teacher(id, &change).await?;
    Ok(wire::done())
}

/// Courses and recordings keep the number of a teacher who is gone.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("teacher_id")?;
    api.recorder.database.delete_teachers(&ids).await?;
    Ok(wire::done())
}

/// 0 to 4 where it is there.
fn title_id(parameters: &Parameters) -> Result<Option<i64>, Fault> {
    if parameters.text("title_id", TEXT).is_none() {
        return Ok(None);
    }
    let id = parameters.int("title_id").filter(|id| (0..=4).contains(id));
    id.map(Some).ok_or_else(|| Code::NoId.into())
}
