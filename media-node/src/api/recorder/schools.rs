//! Schools: `list_school`, `add_school`, `mod_school`, `del_school`.

use super::super::Api;
use super::calendar::Calendar;
use super::paging::{Form, Paging};
use super::parameters::{Parameters, TEXT};
use super::wire::{self, Code, Fault};
use axum::response::Response;
use serde::Serialize;

pub(super) async fn list(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Numbers);
    let page = api.recorder.database.schools(paging.cut()).await?;
    let calendar = Calendar::of(api);
    let rows = page.rows.into_iter().map(|row| wire::School {
        school_id: row.id.to_string(),
        name: row.name,
        addr: row.addr,
        phone: row.phone,
        created: calendar.text(row.created),
        updated: calendar.text(row.updated),
    });
    Ok(wire::ok(paging.list(page.total, rows.collect())))
}

/// Names need not differ.
pub(super) async fn add(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Added {
        school_id: i64,
    }
    let (name, addr) = described(parameters)?;
    let phone = parameters.text("phone", TEXT).unwrap_or_default();
    let school_id = api.recorder.database.add_school(&name, &addr, &phone).await?;
    Ok(wire::ok(Added { school_id }))
}

/// Nothing happens when there is none of that number.
pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("school_id")?;
    let (name, addr) = described(parameters)?;
    let phone = parameters.text_or_empty("phone", TEXT);
    let database = &api.recorder.database;
    database.change_school(id, &name, &addr, phone.as_deref()).await?;
    Ok(wire::done())
}

/// Gathers keep the number of a school that is gone.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("school_id")?;
    api.recorder.database.delete_schools(&ids).await?;
    Ok(wire::done())
}

/// Name and address.
fn described(parameters: &Parameters) -> Result<(String, String), Fault> {
    let name = parameters.name("name")?;
    let addr = parameters.text("addr", TEXT).ok_or(Code::NoAddress)?;
    Ok((name, addr))
}
