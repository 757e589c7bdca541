//! Facts about Cameras.

use super::CameraFact;
use crate::store::sql::entity::camera_fact;
use crate::store::sql::{Database, Error, clock, writing};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
    TransactionTrait,
};
use std::collections::HashMap;

/// Switches of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFlags {
    pub mirror: bool,
    pub osd: bool,
    pub twice: bool,
    pub show: bool,
}

impl Default for DeviceFlags {
    fn default() -> Self {
        Self {
            mirror: false,
            osd: true,
            twice: false,
            show: true,
        }
    }
}

impl Database {
    /// The facts of these cameras by uid. Those that have none yet get the defaults, and count as made at the time given
    /// with them, in Unix seconds, or else now.
    pub async fn camera_facts(
        &self,
        cameras: &[(String, Option<i64>)],
    ) -> Result<HashMap<String, CameraFact>, Error> {
        let work = async {
            let mut known = all(&self.connections).await?;
            let missing: Vec<_> = cameras
                .iter()
                .filter(|(uid, _)| !known.contains_key(uid))
                .collect();
            if missing.is_empty() {
                return Ok(known);
            }
            let transaction = self.connections.begin_with_options(writing()).await?;
            let now = clock::read(&transaction).await?;
            for (uid, made) in missing {
                let row = defaults(uid, made.unwrap_or(now));
                let leave = OnConflict::column(camera_fact::Column::Uid)
                    .do_nothing()
                    .to_owned();
                let inserted = camera_fact::Entity::insert(row)
                    .on_conflict(leave)
                    .exec_without_returning(&transaction)
                    .await;
                match inserted {
                    Ok(_) | Err(DbErr::RecordNotInserted) => {}
                    Err(error) => return Err(error),
                }
            }
            known = all(&transaction).await?;
            transaction.commit().await?;
            Ok(known)
        };
        work.await.map_err(|source| self.error(source))
    }

    /// The facts of one camera.
    pub async fn camera_fact(&self, uid: &str) -> Result<Option<CameraFact>, Error> {
        let found = camera_fact::Entity::find_by_id(uid).one(&self.connections).await;
        found.map_err(|source| self.error(source))
    }

    /// Replaces what the API writes of a camera's facts: all but clicks, snapshots and when it was made.
    pub async fn save_camera_fact(&self, fact: &CameraFact) -> Result<(), Error> {
        use camera_fact::Column;
        let saved = async {
            let now = clock::read(&self.connections).await?;
            let row = camera_fact::ActiveModel {
                grade_id: Set(fact.grade_id),
                stream_prop: Set(fact.stream_prop),
                stream_url: Set(fact.stream_url.clone()),
                stream_mp4: Set(fact.stream_mp4.clone()),
                device_ip: Set(fact.device_ip.clone()),
                device_user: Set(fact.device_user.clone()),
                device_port: Set(fact.device_port),
                device_mirror: Set(fact.device_mirror),
                device_osd: Set(fact.device_osd),
                device_twice: Set(fact.device_twice),
                device_show: Set(fact.device_show),
                updated: Set(now),
                ..defaults(&fact.uid, now)
            };
            let again = OnConflict::column(Column::Uid)
                .update_columns([
                    Column::GradeId,
                    Column::StreamProp,
                    Column::StreamUrl,
                    Column::StreamMp4,
                    Column::DeviceIp,
                    Column::DeviceUser,
                    Column::DevicePort,
                    Column::DeviceMirror,
                    Column::DeviceOsd,
                    Column::DeviceTwice,
                    Column::DeviceShow,
                    Column::Updated,
                ])
                .to_owned();
            camera_fact::Entity::insert(row)
                .on_conflict(again)
                .exec_without_returning(&self.connections)
                .await
        };
        saved.await.map(drop).map_err(|source| self.error(source))
    }

    /// Says that the camera was changed.
    pub async fn touch_camera(&self, uid: &str) -> Result<(), Error> {
        let touched = camera_fact::Entity::update_many()
            .col_expr(camera_fact::Column::Updated, clock::now(self.backend()))
            .filter(camera_fact::Column::Uid.eq(uid))
            .exec(&self.connections)
            .await;
        touched.map(drop).map_err(|source| self.error(source))
    }

    /// Counts one viewer, and gives the count.
    pub async fn click_camera(&self, uid: &str) -> Result<i64, Error> {
        use camera_fact::Column::{Clicks, Uid};
        let clicked = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            camera_fact::Entity::update_many()
                .col_expr(Clicks, Expr::col(Clicks).add(1))
                .filter(Uid.eq(uid))
                .exec(&transaction)
                .await?;
            let row = camera_fact::Entity::find_by_id(uid).one(&transaction).await?;
            transaction.commit().await?;
            Ok(row.map_or(0, |row| row.clicks))
        };
        clicked.await.map_err(|source| self.error(source))
    }

    /// When somebody last set out to take a snapshot, in Unix seconds, by the camera's uid; 0 is never.
    pub async fn camera_images_tried(&self) -> Result<HashMap<String, i64>, Error> {
        use camera_fact::Column::{ImageTried, Uid};
        let found = camera_fact::Entity::find()
            .select_only()
            .columns([Uid, ImageTried])
            .into_tuple::<(String, i64)>()
            .all(&self.connections)
            .await;
        found
            .map(|rows| rows.into_iter().collect())
            .map_err(|source| self.error(source))
    }

    /// Takes it upon the caller to take a camera's snapshot now. False if somebody else has since `before`, or the camera is
    /// gone.
    pub async fn claim_camera_image(&self, uid: &str, before: i64, now: i64) -> Result<bool, Error> {
        use camera_fact::Column::{ImageTried, Uid};
        let claimed = camera_fact::Entity::update_many()
            .col_expr(ImageTried, Expr::value(now))
            .filter(Uid.eq(uid))
            .filter(ImageTried.eq(before))
            .exec(&self.connections)
            .await;
        let claimed = claimed.map_err(|source| self.error(source))?;
        Ok(claimed.rows_affected > 0)
    }

    /// Says that a camera has a new snapshot, taken at that time in Unix seconds. Gives the key of the one that nobody may
    /// ask for any more: that before the last, or this one if the camera is gone.
    pub async fn set_camera_image(&self, uid: &str, key: &str, taken: i64) -> Result<Option<String>, Error> {
        let set = async {
            let transaction = self.connections.begin_with_options(writing()).await?;
            let Some(row) = camera_fact::Entity::find_by_id(uid).one(&transaction).await? else {
                return Ok(Some(key.to_owned()));
            };
            let same = row.image_key.as_deref() == Some(key);
            let change = camera_fact::ActiveModel {
                uid: Set(uid.to_owned()),
                image_key: Set(Some(key.to_owned())),
                image_taken: Set(taken),
                former_image_key: Set(if same {
                    row.former_image_key.clone()
                } else {
                    row.image_key
                }),
                former_image_taken: Set(if same {
                    row.former_image_taken
                } else {
                    row.image_taken
                }),
                ..Default::default()
            };
            camera_fact::Entity::update(change).exec(&transaction).await?;
            transaction.commit().await?;
            Ok(if same { None } else { row.former_image_key })
        };
        set.await.map_err(|source| self.error(source))
    }

    /// The camera is gone.
    pub async fn delete_camera_fact(&self, uid: &str) -> Result<(), Error> {
        let deleted = camera_fact::Entity::delete_by_id(uid)
            .exec(&self.connections)
            .await;
        deleted.map(drop).map_err(|source| self.error(source))
    }
}

async fn all(connection: &impl ConnectionTrait) -> Result<HashMap<String, CameraFact>, DbErr> {
    let rows = camera_fact::Entity::find().all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.uid.clone(), row)).collect())
}

fn defaults(uid: &str, made: i64) -> camera_fact::ActiveModel {
    let flags = DeviceFlags::default();
    camera_fact::ActiveModel {
        uid: Set(uid.to_owned()),
        grade_id: Set(0),
        stream_prop: Set(None),
        stream_url: Set(String::new()),
        stream_mp4: Set(String::new()),
        device_ip: Set(String::new()),
        device_user: Set(String::new()),
        device_port: Set(0),
        device_mirror: Set(flags.mirror),
        device_osd: Set(flags.osd),
        device_twice: Set(flags.twice),
        device_show: Set(flags.show),
        clicks: Set(0),
        image_key: Set(None),
        image_taken: Set(0),
        former_image_key: Set(None),
        former_image_taken: Set(0),
        image_tried: Set(0),
        created: Set(made),
        updated: Set(made),
    }
}
