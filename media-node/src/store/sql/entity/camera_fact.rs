//! `camera_fact`: what the cloud recorder's API knows of a Camera and no node acts on. Keyed by the object's uid.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "camera_fact")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub uid: String,
    /// 0: none.
    pub grade_id: i64,
    /// What was asked for, where the spec can't say it for want of an address.
    pub stream_prop: Option<i64>,
    /// As it was given, without credentials; kept while the source is another.
    pub stream_url: String,
    pub stream_mp4: String,
    pub device_ip: String,
    pub device_user: String,
    pub device_port: i64,
    pub device_mirror: bool,
    pub device_osd: bool,
    pub device_twice: bool,
    pub device_show: bool,
    pub clicks: i64,
    /// Of the newest snapshot, in the bucket.
    pub image_key: Option<String>,
    /// When, in Unix seconds.
    pub image_taken: i64,
    /// Of the one before: a list that was just fetched names it still.
    pub former_image_key: Option<String>,
    pub former_image_taken: i64,
    /// When somebody last set out to take one, in Unix seconds.
    pub image_tried: i64,
    /// Unix seconds, by the database's clock, as `updated`.
    pub created: i64,
    pub updated: i64,
}

impl ActiveModelBehavior for ActiveModel {}
