//! What is being recorded, as far as nodes have told. Nobody lists it; who deletes footage asks for it.

use crate::store::sql::entity::running_recording;
use crate::store::sql::{Database, Error, clock, writing};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, TransactionTrait};
use std::time::Duration;

/// A node tells at least every hour of each. One that is not told of for so long is of a node that has gone with its spool.
const SILENCE: Duration = Duration::from_hours(7 * 24);

/// A recording that has begun, and is not among the recordings yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// As [`super::NewRecording::file_src`], once it is one.
    pub name: String,
    /// Unix milliseconds.
    pub start_ms: i64,
}

impl Database {
    /// Those of a camera that a node has now, in place of all that it had before.
    pub async fn set_running(&self, node: &str, camera_uid: &str, now: &[Running]) -> Result<(), Error> {
        use running_recording::Column;
        let set = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let told = clock::read(&transaction).await?;
            running_recording::Entity::delete_many()
                .filter(Column::CameraUid.eq(camera_uid))
                .filter(Column::Node.eq(node))
                .exec(&transaction)
                .await?;
            if !now.is_empty() {
                let rows = now.iter().map(|running| running_recording::ActiveModel {
                    name: Set(running.name.clone()),
                    node: Set(node.to_owned()),
                    camera_uid: Set(camera_uid.to_owned()),
                    start_ms: Set(running.start_ms),
                    told: Set(told),
                });
                let again = OnConflict::column(Column::Name)
                    .update_columns([Column::Node, Column::Told])
                    .to_owned();
                running_recording::Entity::insert_many(rows)
                    .on_conflict(again)
                    .exec_without_returning(&transaction)
                    .await?;
            }
            transaction.commit().await
        };
        set.await.map_err(|source| self.error(source))
    }

    /// Forgets those that nobody has spoken of for a week.
    pub async fn forget_silent_running(&self) -> Result<(), Error> {
        let forgotten = async {
            let since = clock::read(&self.connections).await? - SILENCE.as_secs() as i64;
            running_recording::Entity::delete_many()
                .filter(running_recording::Column::Told.lt(since))
                .exec(&self.connections)
                .await
        };
        forgotten.await.map(drop).map_err(|source| self.error(source))
    }
}
