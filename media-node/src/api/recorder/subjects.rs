//! Subjects: `list_subject`, `add_subject`, `mod_subject`, `del_subject`; and grades, which can only be listed: `list_grade`.

use super::super::Api;
use super::calendar::Calendar;
use super::paging::{Form, Paging};
use super::parameters::Parameters;
use super::wire::{self, Fault};
use axum::response::Response;
use serde::Serialize;

pub(super) async fn list(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Numbers);
    let page = api.recorder.database.subjects(paging.cut()).await?;
    let calendar = Calendar::of(api);
    let rows = page.rows.into_iter().map(|row| wire::Subject {
        subject_id: row.id.to_string(),
        subject_name: row.name,
        created: calendar.text(row.created),
        updated: calendar.text(row.updated),
    });
    Ok(wire::ok(paging.list(page.total, rows.collect())))
}

pub(super) async fn add(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Added {
        subject_id: i64,
    }
    let name = parameters.name("subject_name")?;
    let subject_id = api.recorder.database.add_subject(&name).await?;
    Ok(wire::ok(Added { subject_id }))
}

/// Nothing happens when there is none of that number.
pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("subject_id")?;
    let name = parameters.name("subject_name")?;
    api.recorder.database.change_subject(id, &name).await?;
    Ok(wire::done())
}

/// Courses and recordings keep the number of a subject that is gone.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("subject_id")?;
    api.recorder.database.delete_subjects(&ids).await?;
    Ok(wire::done())
}

pub(super) async fn list_grades(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Numbers);
    let page = api.recorder.database.grades(paging.cut()).await?;
    let calendar = Calendar::of(api);
    let rows = page.rows.into_iter().map(|row| wire::Grade {
        grade_id: row.id.to_string(),
        grade_type: row.kind,
        grade_name: row.name,
        created: calendar.text(row.created),
        updated: calendar.text(row.updated),
    });
    Ok(wire::ok(paging.list(page.total, rows.collect())))
}
