//! `gather`: a node as the cloud recorder's API knows it: its settings, and what it said when it came up last.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gather")]
pub struct Model {
    /// Of `resource_id`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Name of the pod.
    #[sea_orm(unique)]
    pub node: String,
    /// 0: none.
    pub school_id: i64,
    pub title: String,
    /// Kbit/s, as `sub_rate`.
    pub main_rate: i64,
    pub sub_rate: i64,
    pub auto_dvr: bool,
    pub auto_fds: bool,
    /// Minutes; 0: recordings are not cut.
    pub slice_val: i64,
    /// Groups of pictures that a recording repeats of the one before it.
    pub inter_val: i64,
    /// Minutes between snapshots.
    pub snap_val: i64,
    /// Tells one life of the pod from the next.
    pub registration: String,
    pub address: String,
    pub system: String,
    /// Unix seconds.
    pub created: i64,
    pub updated: i64,
}

impl ActiveModelBehavior for ActiveModel {}
