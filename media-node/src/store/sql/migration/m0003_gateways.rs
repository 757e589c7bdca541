//! Ordinals of gateways.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_gateways"
    }
}

#[derive(DeriveIden)]
enum Gateways {
    Table,
    Ordinal,
    Holder,
    Expires,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Gateways::Table)
            .col(
                ColumnDef::new(Gateways::Ordinal)
                    .integer()
                    .not_null()
                    .primary_key(),
            )
            .col(ColumnDef::new(Gateways::Holder).text().not_null())
            .col(ColumnDef::new(Gateways::Expires).big_integer().not_null())
            .take();
        manager.create_table(table).await
    }
}
