//! The index of stored segments.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_segments"
    }
}

#[derive(DeriveIden)]
enum Segment {
    Table,
    Key,
    CameraUid,
    StartMs,
    EndMs,
    Bytes,
    Facts,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Segment::Table)
            .col(ColumnDef::new(Segment::Key).text().not_null().primary_key())
            .col(ColumnDef::new(Segment::CameraUid).text().not_null())
            .col(ColumnDef::new(Segment::StartMs).big_integer().not_null())
            .col(ColumnDef::new(Segment::EndMs).big_integer().not_null())
            .col(ColumnDef::new(Segment::Bytes).big_integer().not_null())
            .col(ColumnDef::new(Segment::Facts).text().not_null())
            .take();
        manager.create_table(table).await?;
        // By their ends: those that reach into a range follow each other, and where they begin is bounded by how long a
        // segment may be.
        let by_end = Index::create()
            .name("segment_by_end")
            .table(Segment::Table)
            .col(Segment::CameraUid)
            .col(Segment::EndMs)
            .take();
        manager.create_index(by_end).await
    }
}
