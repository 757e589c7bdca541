//! What the cloud recorder's API keeps: numbers of objects, its registers, facts that no node acts on, and the
//! recordings; and the credentials by which its clients are known.

use super::super::clock;
use sea_orm::sea_query::{ColumnDef, Index, IndexCreateStatement, Query, Table, TableCreateStatement};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::prelude::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_recorder"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        preset(manager).await
    }
}

/// A number that grows and never comes again, also after the newest row is gone.
fn grown() -> ColumnDef {
    let mut column = ColumnDef::new("id");
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

fn table(name: &'static str, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

fn tables() -> Vec<TableCreateStatement> {
    let key = |name| text(name).primary_key().take();
    vec![
        table(
            "resource_id",
            vec![
                text("api"),
                text("kind"),
                number("id"),
                text("uid"),
                text("name"),
                flag("closed"),
                number("closed_at"),
            ],
        )
        .primary_key(Index::create().col("api").col("kind").col("id"))
        .take(),
        table(
            "school",
            vec![
                grown(),
                text("name"),
                text("addr"),
                text("phone"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "subject",
            vec![grown(), text("name"), number("created"), number("updated")],
        ),
        table(
            "grade",
            vec![
                grown(),
                text("kind"),
                text("name"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "teacher",
            vec![
                grown(),
                text("name"),
                text("sex"),
                text("title"),
                number("title_id"),
                text("detail"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "gather",
            vec![
                number("id").primary_key().take(),
                text("node").unique_key().take(),
                number("school_id"),
                text("title"),
                number("main_rate"),
                number("sub_rate"),
                flag("auto_dvr"),
                flag("auto_fds"),
                number("slice_val"),
                number("inter_val"),
                number("snap_val"),
                text("registration"),
                text("address"),
                text("system"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "course",
            vec![
                key("uid"),
                text("camera_uid"),
                number("course_id"),
                number("subject_id"),
                number("teacher_id"),
                number("created"),
                number("updated"),
                flag("closed"),
            ],
        ),
        table(
            "camera_fact",
            vec![
                key("uid"),
                number("grade_id"),
                ColumnDef::new("stream_prop").big_integer().take(),
                text("stream_url"),
                text("stream_mp4"),
                text("device_ip"),
                text("device_user"),
                number("device_port"),
                flag("device_mirror"),
                flag("device_osd"),
                flag("device_twice"),
                flag("device_show"),
                number("clicks"),
                ColumnDef::new("image_key").text().take(),
                number("image_taken"),
                ColumnDef::new("former_image_key").text().take(),
                number("former_image_taken"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "recording",
            vec![
                grown(),
                text("uniq").unique_key().take(),
                text("file_src").unique_key().take(),
                text("camera_uid"),
                number("camera_id"),
                text("node"),
                number("gather_id"),
                text("schedule_uid"),
                number("course_id"),
                number("subject_id"),
                number("teacher_id"),
                number("start_ms"),
                number("end_ms"),
                number("bytes"),
                ColumnDef::new("image_key").text().take(),
                number("clicks"),
                number("created"),
                number("updated"),
            ],
        ),
        table(
            "credential",
            vec![key("hash"), text("kind"), text("user_name"), number("created")],
        ),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        index("resource_id_uid", "resource_id", &["api", "kind", "uid"]),
        index("recording_camera_start", "recording", &["camera_uid", "start_ms"]),
    ]
}

/// What the API has no call to make, or falls back on: grades, a first subject and a first teacher.
async fn preset(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let now = clock::read(connection).await?;
    let subjects = [
        "语文", "数学", "英语", "物理", "化学", "生物", "历史", "地理", "政治", "音乐", "美术", "体育",
    ];
    let mut insert = Query::insert();
    insert
        .into_table("subject")
        .columns(["name", "created", "updated"]);
    for name in subjects {
        insert.values_panic([name.into(), now.into(), now.into()]);
    }
    connection.execute(&insert).await?;
    let grades = [
        (
            "小学",
            ["一年级", "二年级", "三年级", "四年级", "五年级", "六年级"].as_slice(),
        ),
        ("初中", ["初一", "初二", "初三"].as_slice()),
        ("高中", ["高一", "高二", "高三"].as_slice()),
    ];
    let mut insert = Query::insert();
    insert
        .into_table("grade")
        .columns(["kind", "name", "created", "updated"]);
    for (kind, names) in grades {
        for name in names {
            insert.values_panic([kind.into(), (*name).into(), now.into(), now.into()]);
        }
    }
    connection.execute(&insert).await?;
    let mut insert = Query::insert();
    insert
        .into_table("teacher")
        .columns(["name", "sex", "title", "title_id", "detail", "created", "updated"])
        .values_panic([
            "默认教师".into(),
            "男".into(),
            "一级教师".into(),
            2_i64.into(),
            "".into(),
            now.into(),
            now.into(),
        ]);
    connection.execute(&insert).await.map(drop)
}
