//! How much there is of a camera is summed up from an index alone, without a look at the rows.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_segment_bytes"
    }
}

#[derive(DeriveIden)]
enum Segment {
    Table,
    CameraUid,
    EndMs,
    Bytes,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let with_bytes = Index::create()
            .name("segment_by_end_with_bytes")
            .table(Segment::Table)
            .col(Segment::CameraUid)
            .col(Segment::EndMs)
            .col(Segment::Bytes)
            .take();
        manager.create_index(with_bytes).await?;
        let mut without = Index::drop();
        without.name("segment_by_end").table(Segment::Table);
        manager.drop_index(without).await
    }
}
