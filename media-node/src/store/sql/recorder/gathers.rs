//! Gathers: the nodes as the cloud recorder's API knows them.

use super::{Cut, Gather, Page};
use crate::store::sql::entity::gather;
use crate::store::sql::lock::advisory;
use crate::store::sql::{Database, Error, clock, writing};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
};

const TITLE: &str = "采集端";

/// What a node says when it comes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Of `resource_id`.
    pub id: i64,
    pub node: String,
    /// Tells one life of the pod from the next.
    pub life: String,
    pub address: String,
    pub system: String,
}

/// What changes of a gather's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatherChange {
    pub school_id: Option<i64>,
    /// Empty: the default.
    pub title: Option<String>,
    pub main_rate: Option<i64>,
    pub sub_rate: Option<i64>,
    pub auto_dvr: Option<bool>,
    pub auto_fds: Option<bool>,
    pub slice_val: Option<i64>,
    pub inter_val: Option<i64>,
    pub snap_val: Option<i64>,
}

/// How a node records courses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherSettings {
    /// Minutes after which a recording is cut at the next keyframe; 0: it is not.
    pub slice_minutes: u32,
    /// Groups of pictures that a recording repeats of the one before it.
    pub overlap: u32,
    /// Minutes between snapshots of a camera.
    pub snapshot_minutes: u32,
}

impl Default for GatherSettings {
    fn default() -> Self {
        Self {
            slice_minutes: 0,
            overlap: 0,
            snapshot_minutes: 2,
        }
    }
}

impl From<&Gather> for GatherSettings {
    fn from(row: &Gather) -> Self {
        let small = |value: i64| u32::try_from(value).unwrap_or(0);
        Self {
            slice_minutes: small(row.slice_val),
            overlap: small(row.inter_val),
            snapshot_minutes: small(row.snap_val).max(1),
        }
    }
}

impl Database {
    /// All gathers, also of nodes that are gone, by number.
    pub async fn all_gathers(&self) -> Result<Vec<Gather>, Error> {
        let found = gather::Entity::find()
            .order_by_asc(gather::Column::Id)
            .all(&self.connections)
            .await;
        found.map_err(|source| self.error(source))
    }

    /// The newest first.
    pub async fn gathers(&self, cut: Cut) -> Result<Page<Gather>, Error> {
        let read = async {
            let transaction = self.connections.begin().await?;
            let total = gather::Entity::find().count(&transaction).await?;
            let rows = gather::Entity::find()
                .order_by_desc(gather::Column::Id)
                .offset(cut.skip)
                .limit(cut.take)
                .all(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(Page { rows, total })
        };
        read.await.map_err(|source| self.error(source))
    }

    /// How the node of that name records courses; the defaults for one that the API has not seen.
    pub async fn gather_settings(&self, node: &str) -> Result<GatherSettings, Error> {
        let found = gather::Entity::find()
            .filter(gather::Column::Node.eq(node))
            .one(&self.connections)
            .await;
        let row = found.map_err(|source| self.error(source))?;
        Ok(row.as_ref().map(GatherSettings::from).unwrap_or_default())
    }

    /// Takes note that a node has come up. Its settings stay.
    pub async fn register_gather(&self, registration: &Registration) -> Result<(), Error> {
        use gather::Column::{Address, Node, Registration as Life, System, Updated};
        let registered = async {
            // Several gateways may see the node come up, and the row has two keys.
            let transaction = self.connections.begin_with_options(writing()).await?;
            advisory(&transaction, "recorder/gathers").await?;
            let now = clock::read(&transaction).await?;
            let default = super::GatherSettings::default();
            let row = gather::ActiveModel {
                id: Set(registration.id),
                node: Set(registration.node.clone()),
                school_id: Set(0),
                title: Set(TITLE.to_owned()),
                main_rate: Set(1024),
                sub_rate: Set(512),
                auto_dvr: Set(false),
                auto_fds: Set(true),
                slice_val: Set(default.slice_minutes.into()),
                inter_val: Set(default.overlap.into()),
                snap_val: Set(default.snapshot_minutes.into()),
                registration: Set(registration.life.clone()),
                address: Set(registration.address.clone()),
                system: Set(registration.system.clone()),
                created: Set(now),
                updated: Set(now),
            };
            let again = OnConflict::column(Node)
                .update_columns([Life, Address, System, Updated])
                .to_owned();
            gather::Entity::insert(row)
                .on_conflict(again)
                .exec_without_returning(&transaction)
                .await?;
            transaction.commit().await
        };
        registered.await.map_err(|source| self.error(source))
    }

    /// The gather as it is then; none, and nothing happens, when there is none of that number.
    pub async fn change_gather(&self, id: i64, change: &GatherChange) -> Result<Option<Gather>, Error> {
        use gather::Column;
        let changed = async {
            let mut update = gather::Entity::update_many()
                .col_expr(Column::Updated, clock::now(self.backend()))
                .filter(Column::Id.eq(id));
            let numbers = [
                (Column::SchoolId, change.school_id),
                (Column::MainRate, change.main_rate),
                (Column::SubRate, change.sub_rate),
                (Column::SliceVal, change.slice_val),
                (Column::InterVal, change.inter_val),
                (Column::SnapVal, change.snap_val),
            ];
            for (column, value) in numbers {
                if let Some(value) = value {
                    update = update.col_expr(column, Expr::value(value));
                }
            }
            for (column, value) in [
                (Column::AutoDvr, change.auto_dvr),
                (Column::AutoFds, change.auto_fds),
            ] {
                if let Some(value) = value {
                    update = update.col_expr(column, Expr::value(value));
                }
            }
            if let Some(title) = &change.title {
                let title = if title.is_empty() { TITLE } else { title };
                update = update.col_expr(Column::Title, Expr::value(title));
            }
            update.exec(&self.connections).await?;
            gather::Entity::find_by_id(id).one(&self.connections).await
        };
        changed.await.map_err(|source| self.error(source))
    }
}
