//! How long footage is kept, and the journal of what is being deleted.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_retention"
    }
}

#[derive(DeriveIden)]
enum ObjectTrash {
    Table,
    Key,
    Since,
}

#[derive(DeriveIden)]
enum Retention {
    Table,
    CameraUid,
    AgeMs,
    Bytes,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let trash = Table::create()
            .table(ObjectTrash::Table)
            .col(ColumnDef::new(ObjectTrash::Key).text().not_null().primary_key())
            .col(ColumnDef::new(ObjectTrash::Since).big_integer().not_null())
            .take();
        manager.create_table(trash).await?;
        let retention = Table::create()
            .table(Retention::Table)
            .col(
                ColumnDef::new(Retention::CameraUid)
                    .text()
                    .not_null()
                    .primary_key(),
            )
            .col(ColumnDef::new(Retention::AgeMs).big_integer())
            .col(ColumnDef::new(Retention::Bytes).big_integer())
            .take();
        manager.create_table(retention).await
    }
}
