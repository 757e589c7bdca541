//! Recordings that are being made: what deletes others must know of them.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0009_running_recordings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("running_recording")
            .col(ColumnDef::new("name").text().not_null().primary_key())
            .col(ColumnDef::new("node").text().not_null())
            .col(ColumnDef::new("camera_uid").text().not_null())
            .col(ColumnDef::new("start_ms").big_integer().not_null())
            .col(ColumnDef::new("told").big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        let by_camera = Index::create()
            .name("running_recording_camera")
            .table("running_recording")
            .col("camera_uid")
            .col("node")
            .take();
        manager.create_index(by_camera).await
    }
}
