//! The index of stored segments, with rows of a tenth: what segments have in common is said once, keys are made of what is in them,
//! and those of a camera lie beside each other.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Rows that are moved at once.
const PAGE: i64 = 1_000;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_stored_segments"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let numbered = |table: &'static str, text: &'static str| {
            Table::create()
                .table(table)
                .col(
                    ColumnDef::new("id")
                        .integer()
                        .not_null()
                        .auto_increment()
                        .primary_key(),
                )
                .col(ColumnDef::new(text).text().not_null().unique_key())
                .take()
        };
        manager.create_table(numbered("recorded_camera", "uid")).await?;
        let formats = numbered("segment_format", "digest")
            .col(ColumnDef::new("facts").text().not_null())
            .take();
        manager.create_table(formats).await?;
        // By hand: no builder has WITHOUT ROWID, or a primary key that includes the other columns.
        let is_postgres = connection.get_database_backend() == DbBackend::Postgres;
        let (included, kind) = if is_postgres {
            (
                " INCLUDE (epoch, end_ms, bytes, table_offset, frames, keyframes, format)",
                "",
            )
        } else {
            ("", " WITHOUT ROWID")
        };
        connection
            .execute_unprepared(&format!(
                "CREATE TABLE stored_segment (
                    start_ms bigint NOT NULL, session bigint NOT NULL, epoch bigint NOT NULL, end_ms bigint NOT NULL,
                    bytes bigint NOT NULL, table_offset bigint NOT NULL,
                    camera integer NOT NULL, sequence integer NOT NULL, frames integer NOT NULL, keyframes integer NOT NULL,
                    format integer NOT NULL,
                    PRIMARY KEY (camera, start_ms, session, sequence){included}
                ){kind}"
            ))
            .await?;
        move_rows(connection).await?;
        manager.drop_table(Table::drop().table("segment").take()).await
    }
}

/// What a row said.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    camera_uid: String,
    camera: String,
    path: String,
    start_ms: i64,
    end_ms: i64,
    epoch: u64,
    session: u64,
    sequence: u32,
    bytes: u64,
    init_bytes: u64,
    table_offset: u64,
    frames: u32,
    keyframes: u32,
    tracks: Value,
}

async fn move_rows(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let run = async |sql: &str, values: Vec<sea_orm_migration::sea_orm::Value>| {
        connection
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await
            .map(drop)
    };
    let mut last = String::new();
    loop {
        let page = Statement::from_sql_and_values(
            backend,
            "SELECT key, facts FROM segment WHERE key > $1 ORDER BY key LIMIT $2",
            [last.clone().into(), PAGE.into()],
        );
        let rows = connection.query_all_raw(page).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            last = row.try_get("", "key")?;
            let text: String = row.try_get("", "facts")?;
            // What can't be read wasn't shown either. The bucket knows.
            let Ok(facts) = serde_json::from_str::<Facts>(&text) else {
                continue;
            };
            let format = json!({
                "camera": facts.camera, "path": facts.path, "initBytes": facts.init_bytes, "tracks": facts.tracks,
            })
            .to_string();
            let digest = hex::encode(Sha256::digest(&format));
            run(
                "INSERT INTO recorded_camera (uid) VALUES ($1) ON CONFLICT DO NOTHING",
                vec![facts.camera_uid.clone().into()],
            )
            .await?;
            run(
                "INSERT INTO segment_format (digest, facts) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                vec![digest.clone().into(), format.into()],
            )
            .await?;
            run(
                "INSERT INTO stored_segment (start_ms, session, epoch, end_ms, bytes, table_offset,
                    camera, sequence, frames, keyframes, format)
                 VALUES ($1, $2, $3, $4, $5, $6,
                    (SELECT id FROM recorded_camera WHERE uid = $7), $8, $9, $10,
                    (SELECT id FROM segment_format WHERE digest = $11))
                 ON CONFLICT DO NOTHING",
                vec![
                    facts.start_ms.into(),
                    (facts.session as i64).into(),
                    (facts.epoch as i64).into(),
                    facts.end_ms.into(),
                    (facts.bytes as i64).into(),
                    (facts.table_offset as i64).into(),
                    facts.camera_uid.into(),
                    (facts.sequence as i32).into(),
                    (facts.frames as i32).into(),
                    (facts.keyframes as i32).into(),
                    digest.into(),
                ],
            )
            .await?;
        }
    }
}
