//! Users and their tokens.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_accounts"
    }
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Name,
    LoginHash,
    #[sea_orm(iden = "ha1_given")]
    Ha1Given,
    #[sea_orm(iden = "ha1_md5")]
    Ha1Md5,
    Admin,
    Push,
    Pull,
    Created,
}

#[derive(DeriveIden)]
enum Tokens {
    Table,
    AccessHash,
    AccessExpires,
    RefreshHash,
    RefreshExpires,
    UserName,
    Kind,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Names sort in byte order, whatever the server's language.
        let collation = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => "COLLATE \"C\"",
            _ => "COLLATE BINARY",
        };
        let text = |name: Users| ColumnDef::new(name).text().not_null().take();
        let users = Table::create()
            .table(Users::Table)
            .col(
                ColumnDef::new(Users::Name)
                    .text()
                    .not_null()
                    .extra(collation)
                    .primary_key(),
            )
            .col(text(Users::LoginHash))
            .col(text(Users::Ha1Given))
            .col(text(Users::Ha1Md5))
            .col(ColumnDef::new(Users::Admin).boolean().not_null())
            .col(text(Users::Push))
            .col(text(Users::Pull))
            .col(ColumnDef::new(Users::Created).big_integer().not_null())
            .take();
        manager.create_table(users).await?;

        let tokens = Table::create()
            .table(Tokens::Table)
            .col(ColumnDef::new(Tokens::AccessHash).text().not_null().primary_key())
            .col(ColumnDef::new(Tokens::AccessExpires).big_integer().not_null())
            .col(ColumnDef::new(Tokens::RefreshHash).text().unique_key())
            .col(ColumnDef::new(Tokens::RefreshExpires).big_integer())
            .col(
                ColumnDef::new(Tokens::UserName)
                    .text()
                    .not_null()
                    .extra(collation),
            )
            .col(ColumnDef::new(Tokens::Kind).text().not_null())
            .take();
        manager.create_table(tokens).await?;
        // For the sweep.
        let expiry = Index::create()
            .name("tokens_access_expires")
            .table(Tokens::Table)
            .col(Tokens::AccessExpires)
            .take();
        manager.create_index(expiry).await
    }
}
