//! Channels are Cameras.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    Place,
    place::{FORMS, Form, has, is, reached},
    registers::is_time,
};

/// With gather, school, grade, source and state.
pub async fn recorder_list_camera(place: &Place) -> Result<()> {
    place.needs_token("list_camera").await?;
    let older = place.channel("列表一").await?;
    let newer = place.channel("列表二").await?;
    let told = place.list("list_camera", &[], true).await?;
    let rows = told["data"].as_array().context("rows")?;
    let at = |id: &str| rows.iter().position(|row| is(&row["camera_id"], id));
    ensure!(at(&newer) < at(&older) && at(&newer).is_some(), "{told}");
    for entry in place.entries() {
        let told = place.ask(entry, "list_camera", &[], Form::Query).await?;
        ensure!(told["storage_addr"] == format!("http://{entry}"), "{told}");
    }
    let row = place.row("list_camera", &[], "camera_id", &older).await?;
    let wanted = json!({
        "camera_name": "列表一", "image_id": 0, "image_fdfs": "", "grade_id": 2, "grade_type": "小学", "grade_name": "二年级",
        "stream_prop": 2, "stream_url": place.upstream(), "stream_mp4": "", "device_ip": "", "device_user": "",
        "device_pass": "", "device_cmd_port": 0, "device_mirror": 0, "device_osd": 1, "device_twice": 0, "device_show": 1,
        "clicks": 0,
    });
    has(&row, &wanted)?;
    ensure!(is_time(&row["created"]) && row["gather_id"].is_i64(), "{row}");
    place
        .done(
            "del_camera",
            &[("camera_id", &format!("{older},{newer}"))],
            Form::Query,
        )
        .await?;
    Ok(())
}

/// It starts at once.
pub async fn recorder_add_camera(place: &Place) -> Result<()> {
    place.needs_token("add_camera").await?;
    let gather = place.gather().await?;
    let url = place.upstream();
    let good = [
        ("gather_id", gather.as_str()),
        ("grade_id", "1"),
        ("stream_prop", "2"),
        ("camera_name", "新"),
        ("stream_url", url.as_str()),
    ];
    let with = |name: &str, value: &'static str| {
        let mut some: Vec<_> = good.iter().copied().filter(|(n, _)| *n != name).collect();
        if !value.is_empty() {
            some.push((
                match name {
                    "gather_id" => "gather_id",
                    "stream_prop" => "stream_prop",
                    _ => "stream_url",
                },
                value,
            ));
        }
        some
    };
    place.refuses("add_camera", &good[1..4], 1010).await?;
    for (name, value, code) in [
        ("gather_id", "", 1010),
        ("gather_id", "999999", 1010),
        ("grade_id", "", 1010),
        ("stream_prop", "", 1010),
        ("stream_prop", "0", 1010),
        ("stream_prop", "3", 1010),
        ("stream_prop", "1", 1008),
        ("camera_name", "", 1008),
        ("stream_url", "", 1008),
        ("stream_url", "http://192.0.2.1/a.flv", 1008),
        ("stream_url", "rtsp://", 1008),
    ] {
        place.refuses("add_camera", &with(name, value), code).await?;
    }
    for form in FORMS {
        let told = place.done("add_camera", &good, form).await?;
        reached(&told, 3)?;
        let id = told["camera_id"].to_string();
        place.until_status(&id, 1).await?;
        place.done("del_camera", &[("camera_id", &id)], form).await?;
    }
    for wrong in ["../a.mp4", "D:\\..\\a.mp4"] {
        let mut file = with("stream_prop", "1");
        file.push(("stream_mp4", wrong));
        place.refuses("add_camera", &file, 1008).await?;
    }
    let mut file = with("stream_prop", "1");
    file.push(("stream_mp4", "D:\\movies\\a.mp4"));
    let id = place.made("add_camera", &file, Form::Path, "camera_id").await?;
    let row = place.row("list_camera", &[], "camera_id", &id).await?;
    has(
        &row,
        &json!({"stream_prop": 1, "stream_mp4": "D:\\movies\\a.mp4", "status": 0}),
    )?;
    place
        .done("del_camera", &[("camera_id", &id)], Form::Path)
        .await?;
    Ok(())
}

/// Its name has to be there; what is left out stays.
pub async fn recorder_mod_camera(place: &Place) -> Result<()> {
    place.needs_token("mod_camera").await?;
    place.refuses("mod_camera", &[("camera_name", "n")], 1010).await?;
    place
        .refuses("mod_camera", &[("camera_id", "999999")], 1008)
        .await?;
    place
        .refuses(
            "mod_camera",
            &[("camera_id", "999999"), ("camera_name", "n")],
            1010,
        )
        .await?;
    let id = place.channel("改前").await?;
    let named = [("camera_id", id.as_str()), ("camera_name", "改后")];
    for (more, code) in [
        (("stream_prop", "3"), 1010),
        (("stream_url", "ftp://192.0.2.1/"), 1008),
    ] {
        place
            .refuses("mod_camera", &[&named[..], &[more]].concat(), code)
            .await?;
    }
    for form in FORMS {
        let grade = [&named[..], &[("grade_id", "3"), ("gather_id", "999999")]].concat();
        reached(&place.done("mod_camera", &grade, form).await?, 4)?;
        let row = place.row("list_camera", &[], "camera_id", &id).await?;
        let wanted =
            json!({"camera_name": "改后", "grade_id": 3, "stream_prop": 2, "stream_url": place.upstream()});
        has(&row, &wanted)?;
        ensure!(row["gather_id"] != 999_999, "{row}");
        // To a device, whose password is encoded; then back.
        let device = [
            &named[..],
            &[
                ("stream_prop", "0"),
                ("device_ip", "192.0.2.9"),
                ("device_cmd_port", "8000"),
                ("device_user", "admin"),
                ("device_pass", "Y2FuYXJ5LWRldg=="),
                ("device_osd", "0"),
                ("device_mirror", "5"),
            ],
        ]
        .concat();
        place.done("mod_camera", &device, form).await?;
        let row = place.row("list_camera", &[], "camera_id", &id).await?;
        let wanted = json!({
            "stream_prop": 0, "device_ip": "192.0.2.9", "device_cmd_port": 8000, "device_user": "admin",
            "device_pass": "Y2FuYXJ5LWRldg==", "device_osd": 0, "device_mirror": 1,
        });
        has(&row, &wanted)?;
        let url = place.upstream();
        let relay = [
            &named[..],
            &[
                ("stream_prop", "2"),
                ("stream_url", url.as_str()),
                ("device_osd", "1"),
            ],
        ]
        .concat();
        place.done("mod_camera", &relay, form).await?;
        let row = place.row("list_camera", &[], "camera_id", &id).await?;
        has(
            &row,
            &json!({"stream_prop": 2, "stream_url": url, "device_osd": 1}),
        )?;
    }
    place.until_status(&id, 1).await?;
    place
        .done("del_camera", &[("camera_id", &id)], Form::Query)
        .await?;
    Ok(())
}

/// With its courses.
pub async fn recorder_del_camera(place: &Place) -> Result<()> {
    place.needs_token("del_camera").await?;
    place.refuses("del_camera", &[], 1010).await?;
    place.refuses("del_camera", &[("camera_id", ",x,")], 1010).await?;
    for form in FORMS {
        let id = place.channel("删除").await?;
        let course = [
            ("camera_id", id.as_str()),
            ("subject_id", "1"),
            ("teacher_id", "1"),
            ("week_id", "0"),
            ("elapse_sec", "60"),
            ("start_time", "00:00:00"),
        ];
        place.made("add_course", &course, form, "course_id").await?;
        let told = place
            .done("del_camera", &[("camera_id", &format!("999999,{id}"))], form)
            .await?;
        ensure!(told["transmit"].is_null(), "{told}");
        place.absent("list_camera", &[], "camera_id", &id).await?;
        let courses = place
            .ask(&place.second, "list_course", &[("camera_id", &id)], form)
            .await?;
        ensure!(courses["total_num"] == 0, "{courses}");
        place.refuses("start_camera", &[("camera_id", &id)], 1010).await?;
    }
    Ok(())
}

/// The call's code is not the device's.
pub async fn recorder_get_camera_status(place: &Place) -> Result<()> {
    place.needs_token("get_camera_status").await?;
    place.refuses("get_camera_status", &[], 1010).await?;
    place
        .refuses("get_camera_status", &[("camera_id", "999999")], 1010)
        .await?;
    let id = place.channel("状态").await?;
    place.until_status(&id, 1).await?;
    for form in FORMS {
        let told = place
            .ask(&place.second, "get_camera_status", &[("camera_id", &id)], form)
            .await?;
        ensure!(is(&told["camera_id"], &id), "{told}");
        has(
            &told,
            &json!({"err_code": 0, "status": 1, "dev_err_code": 0, "dev_err_msg": ""}),
        )?;
    }
    // A password that is wrong.
    let url = place
        .camera
        .url("h264")
        .replace("rtsp://", "rtsp://canary-u:canary-p@");
    let change = [
        ("camera_id", id.as_str()),
        ("camera_name", "状态"),
        ("stream_url", &url),
    ];
    place.done("mod_camera", &change, Form::Path).await?;
    crate::eventually(crate::wait::secs(30), "the channel to fail", async || {
        let told = place
            .ask(
                &place.first,
                "get_camera_status",
                &[("camera_id", &id)],
                Form::Query,
            )
            .await?;
        let is_told = told["dev_err_msg"].as_str().is_some_and(|text| !text.is_empty());
        ensure!(
            told["err_code"] == 0 && told["status"] == 0 && told["dev_err_code"] == 2 && is_told,
            "{told}"
        );
        Ok(())
    })
    .await?;
    place
        .done("del_camera", &[("camera_id", &id)], Form::Query)
        .await?;
    Ok(())
}

/// Twice is as once.
pub async fn recorder_start_camera(place: &Place) -> Result<()> {
    switches(place, "start_camera", "stop_camera", 13, 1).await
}

/// Likewise.
pub async fn recorder_stop_camera(place: &Place) -> Result<()> {
    switches(place, "stop_camera", "start_camera", 14, 0).await
}

async fn switches(place: &Place, to: &str, from: &str, command: u64, status: i64) -> Result<()> {
    place.needs_token(to).await?;
    place.refuses(to, &[], 1010).await?;
    place.refuses(to, &[("camera_id", "999999")], 1010).await?;
    let id = place.channel("开关").await?;
    place.until_status(&id, 1).await?;
    for form in FORMS {
        place.done(from, &[("camera_id", &id)], form).await?;
        place.until_status(&id, 1 - status).await?;
        for _ in 0..2 {
            reached(&place.done(to, &[("camera_id", &id)], form).await?, command)?;
        }
        place.until_status(&id, status).await?;
    }
    place
        .done("del_camera", &[("camera_id", &id)], Form::Query)
        .await?;
    Ok(())
}
