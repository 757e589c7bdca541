//! Courses are record schedules.

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    Place,
    place::{FORMS, Form, has, is, reached},
};

/// A course of a channel on a Monday.
fn course<'a>(camera_id: &'a str, start: &'a str, seconds: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("camera_id", camera_id),
        ("subject_id", "1"),
        ("teacher_id", "7"),
        ("week_id", "1"),
        ("elapse_sec", seconds),
        ("start_time", start),
    ]
}

/// Of one channel, the oldest first.
pub async fn recorder_list_course(place: &Place) -> Result<()> {
    place.needs_token("list_course").await?;
    place.refuses("list_course", &[], 1010).await?;
    let none = place
        .ask(
            &place.first,
            "list_course",
            &[("camera_id", "999999")],
            Form::Path,
        )
        .await?;
    ensure!(
        none["err_code"] == 0 && none["total_num"] == 0 && none["data"] == json!([]),
        "{none}"
    );
    let (id, other) = (place.channel("课程").await?, place.channel("别的").await?);
    let first = place
        .made(
            "add_course",
            &course(&id, "09:00:00", "2700"),
            Form::Query,
            "course_id",
        )
        .await?;
    let second = place
        .made(
            "add_course",
            &course(&id, "08:00:00", "60"),
            Form::Path,
            "course_id",
        )
        .await?;
    place
        .made(
            "add_course",
            &course(&other, "09:00:00", "2700"),
            Form::Path,
            "course_id",
        )
        .await?;
    let told = place.list("list_course", &[("camera_id", &id)], true).await?;
    let rows = told["data"].as_array().context("rows")?;
    let ids: Vec<_> = rows.iter().map(|row| row["course_id"].to_string()).collect();
    ensure!(ids == [first, second], "{told}");
    let wanted = json!({"subject_id": 1, "teacher_id": 7, "repeat_id": 2, "week_id": 1, "elapse_sec": 2700});
    has(&rows[0], &wanted)?;
    let text = |name: &str| rows[0][name].as_str().unwrap_or_default().to_owned();
    ensure!(
        text("start_time").ends_with(" 09:00:00") && text("end_time").ends_with(" 09:45:00"),
        "{told}"
    );
    ensure!(text("start_time")[..10] == text("updated")[..10], "{told}");
    place
        .done(
            "del_camera",
            &[("camera_id", &format!("{id},{other}"))],
            Form::Query,
        )
        .await?;
    Ok(())
}

/// In the documented order of checks.
pub async fn recorder_add_course(place: &Place) -> Result<()> {
    place.needs_token("add_course").await?;
    let id = place.channel("加课").await?;
    let good = course(&id, "09:00:00", "3600");
    for left_out in 0..6 {
        let mut some = good.to_vec();
        some.remove(left_out);
        place.refuses("add_course", &some, 1010).await?;
        some.insert(left_out, (good[left_out].0, ""));
        place.refuses("add_course", &some, 1010).await?;
    }
    let with = |at: usize, value: &'static str| {
        let mut some = good;
        some[at].1 = value;
        some
    };
    for (at, value, code) in [
        (0, "999999", 1010),
        (5, "9:00:00", 1011),
        (5, "24:00:00", 1011),
        (5, "09:60:00", 1011),
        (4, "0", 1011),
        (4, "-5", 1011),
        (4, "x", 1011),
        (3, "7", 1011),
        (3, "-1", 1011),
        (3, "x", 1011),
        (4, "86400", 1013),
        (4, "9223372036854775807", 1013),
    ] {
        place.refuses("add_course", &with(at, value), code).await?;
    }
    let week = |day: &'static str, start: &'static str, seconds: &'static str| {
        let mut some = course(&id, start, seconds);
        some[3].1 = day;
        some
    };
    place
        .refuses("add_course", &week("2", "23:59:00", "60"), 1013)
        .await?;
    place
        .refuses("add_course", &week("3", "23:59:58", "2"), 1013)
        .await?;
    for whole in [week("2", "23:59:00", "59"), week("3", "00:00:00", "86399")] {
        place.done("add_course", &whole, Form::Path).await?;
    }
    for form in FORMS {
        let told = place.done("add_course", &good, form).await?;
        reached(&told, 7)?;
        ensure!(is(&told["camera_id"], &id), "{told}");
        let course_id = told["course_id"].to_string();
        let refused = place
            .refuses("add_course", &course(&id, "09:59:59", "60"), 1012)
            .await?;
        let text = refused["err_msg"].as_str().unwrap_or_default();
        ensure!(text.contains("09:00:00 ~ 10:00:00"), "{refused}");
        for touching in [course(&id, "10:00:00", "60"), week("4", "09:00:00", "3600")] {
            let touching = place.made("add_course", &touching, form, "course_id").await?;
            place
                .done("del_course", &[("course_id", &touching)], form)
                .await?;
        }
        place
            .done("del_course", &[("course_id", &course_id)], form)
            .await?;
    }
    // Of many at the same time, one is let in.
    let at_once = (0..8).map(|n| {
        let entry = place.entries()[n % 2];
        place.ask(entry, "add_course", &good, FORMS[n / 4])
    });
    let told = join_all(at_once)
        .await
        .into_iter()
        .collect::<Result<Vec<Value>>>()?;
    let codes: Vec<_> = told.iter().filter_map(|told| told["err_code"].as_u64()).collect();
    let count = |code: u64| codes.iter().filter(|c| **c == code).count();
    ensure!(count(0) == 1 && count(1012) == 7, "{codes:?}");
    place
        .done("del_camera", &[("camera_id", &id)], Form::Query)
        .await?;
    Ok(())
}

/// As a whole; it does not stand in its own way.
pub async fn recorder_mod_course(place: &Place) -> Result<()> {
    place.needs_token("mod_course").await?;
    let (id, other) = (place.channel("改课").await?, place.channel("移课").await?);
    let made = place
        .made(
            "add_course",
            &course(&id, "09:00:00", "3600"),
            Form::Query,
            "course_id",
        )
        .await?;
    place
        .made(
            "add_course",
            &course(&id, "12:00:00", "60"),
            Form::Query,
            "course_id",
        )
        .await?;
    let change = |camera, start, seconds| {
        [
            &[("course_id", made.as_str())][..],
            &course(camera, start, seconds),
        ]
        .concat()
    };
    place
        .refuses("mod_course", &course(&id, "09:00:00", "60"), 1010)
        .await?;
    place
        .refuses("mod_course", &change(&id, "09:00:00", ""), 1010)
        .await?;
    let unknown = [&[("course_id", "999999")][..], &course(&id, "9", "60")].concat();
    place.refuses("mod_course", &unknown, 1010).await?;
    place
        .refuses("mod_course", &change(&id, "9:00:00", "60"), 1011)
        .await?;
    place
        .refuses("mod_course", &change(&id, "23:00:00", "3600"), 1013)
        .await?;
    place
        .refuses("mod_course", &change(&id, "11:59:59", "2"), 1012)
        .await?;
    for form in FORMS {
        let told = place
            .done("mod_course", &change(&id, "09:30:00", "3600"), form)
            .await?;
        reached(&told, 7)?;
        has(
            &told,
            &json!({"course_id": made.parse::<i64>()?, "camera_id": id.parse::<i64>()?}),
        )?;
        let row = place
            .row("list_course", &[("camera_id", &id)], "course_id", &made)
            .await?;
        has(&row, &json!({"elapse_sec": 3600}))?;
        ensure!(
            row["start_time"]
                .as_str()
                .is_some_and(|text| text.ends_with(" 09:30:00")),
            "{row}"
        );
        // To another channel and back.
        place
            .done("mod_course", &change(&other, "12:00:00", "60"), form)
            .await?;
        place
            .row("list_course", &[("camera_id", &other)], "course_id", &made)
            .await?;
        place
            .absent("list_course", &[("camera_id", &id)], "course_id", &made)
            .await?;
        place
            .done("mod_course", &change(&id, "09:00:00", "60"), form)
            .await?;
    }
    place
        .done(
            "del_camera",
            &[("camera_id", &format!("{id},{other}"))],
            Form::Query,
        )
        .await?;
    Ok(())
}

/// Of any channels; none at all is an error.
pub async fn recorder_del_course(place: &Place) -> Result<()> {
    place.needs_token("del_course").await?;
    place.refuses("del_course", &[], 1010).await?;
    place
        .refuses("del_course", &[("course_id", "999999")], 1010)
        .await?;
    let (id, other) = (place.channel("删课").await?, place.channel("又删").await?);
    for form in FORMS {
        let one = place
            .made("add_course", &course(&id, "09:00:00", "60"), form, "course_id")
            .await?;
        let two = place
            .made("add_course", &course(&other, "09:00:00", "60"), form, "course_id")
            .await?;
        let told = place
            .done(
                "del_course",
                &[("course_id", &format!("{one},999999,{two}"))],
                form,
            )
            .await?;
        reached(&told, 7)?;
        place
            .absent("list_course", &[("camera_id", &id)], "course_id", &one)
            .await?;
        place
            .absent("list_course", &[("camera_id", &other)], "course_id", &two)
            .await?;
        place.refuses("del_course", &[("course_id", &one)], 1010).await?;
    }
    place
        .done(
            "del_camera",
            &[("camera_id", &format!("{id},{other}"))],
            Form::Query,
        )
        .await?;
    Ok(())
}
