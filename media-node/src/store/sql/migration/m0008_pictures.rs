//! What is still to be found out about recordings, and who takes the next snapshot of a camera.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_pictures"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let measured = Table::alter()
            .table("recording")
            .add_column(ColumnDef::new("measured").boolean().not_null().default(false))
            .take();
        manager.alter_table(measured).await?;
        let tried = Table::alter()
            .table("camera_fact")
            .add_column(ColumnDef::new("image_tried").big_integer().not_null().default(0))
            .take();
        manager.alter_table(tried).await?;
        let unmeasured = Index::create()
            .name("recording_measured")
            .table("recording")
            .col("measured")
            .col("id")
            .take();
        manager.create_index(unmeasured).await
    }
}
