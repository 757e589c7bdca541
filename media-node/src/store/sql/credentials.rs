//! Queries on secrets by which clients of a documented API are known. They come here already hashed.

use super::entity::credential;
use super::{Database, Error, clock, writing};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait};

impl Database {
    /// Makes these the user's only credentials of the kind.
    pub async fn replace_credentials(
        &self,
        kind: &str,
        user_name: &str,
        hashes: &[String],
    ) -> Result<(), Error> {
        let work = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let now = clock::read(&transaction).await?;
            credential::Entity::delete_many()
                .filter(credential::Column::Kind.eq(kind))
                .filter(credential::Column::UserName.eq(user_name))
                .filter(credential::Column::Hash.is_not_in(hashes))
                .exec(&transaction)
                .await?;
            for hash in hashes {
                let row = credential::ActiveModel {
                    hash: Set(hash.clone()),
                    kind: Set(kind.to_owned()),
                    user_name: Set(user_name.to_owned()),
                    created: Set(now),
                };
                // Gateways that start at the same time write the same; of two users the last one has it.
                let again = OnConflict::column(credential::Column::Hash)
                    .update_columns([credential::Column::Kind, credential::Column::UserName])
                    .to_owned();
                credential::Entity::insert(row)
                    .on_conflict(again)
                    .exec_without_returning(&transaction)
                    .await?;
            }
            transaction.commit().await
        };
        work.await.map_err(|source| self.error(source))
    }

    /// Whether anybody has one of this kind.
    pub async fn has_credential(&self, kind: &str) -> Result<bool, Error> {
        let count = credential::Entity::find()
            .filter(credential::Column::Kind.eq(kind))
            .count(&self.connections)
            .await;
        Ok(count.map_err(|source| self.error(source))? > 0)
    }

    /// Whose it is.
    pub async fn credential_holder(&self, kind: &str, hash: &str) -> Result<Option<String>, Error> {
        let found = credential::Entity::find_by_id(hash)
            .filter(credential::Column::Kind.eq(kind))
            .one(&self.connections)
            .await;
        Ok(found
            .map_err(|source| self.error(source))?
            .map(|row| row.user_name))
    }
}
