//! The number by which gateways see at once that rights have changed.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_account_revision"
    }
}

#[derive(DeriveIden)]
enum AccountRevision {
    Table,
    Id,
    Revision,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(AccountRevision::Table)
            .col(
                ColumnDef::new(AccountRevision::Id)
                    .integer()
                    .not_null()
                    .primary_key(),
            )
            .col(ColumnDef::new(AccountRevision::Revision).big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        let row = Query::insert()
            .into_table(AccountRevision::Table)
            .columns([AccountRevision::Id, AccountRevision::Revision])
            .values_panic([1.into(), 0.into()])
            .take();
        manager.execute(row).await
    }
}
