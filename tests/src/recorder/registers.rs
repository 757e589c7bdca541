//! Schools, subjects, grades, teachers.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    Place,
    place::{FORMS, Form, has},
};

/// `2026-01-05 09:00:00`
pub(super) fn is_time(value: &serde_json::Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 19 && text.as_bytes()[10] == b' ' && text.bytes().filter(u8::is_ascii_digit).count() == 14
}

/// The newest first.
pub async fn recorder_list_school(place: &Place) -> Result<()> {
    place.needs_token("list_school").await?;
    let school = [
        ("name", "甲小学"),
        ("addr", "南湖路 1 号"),
        ("phone", "010-5550100"),
    ];
    let older = place
        .made("add_school", &school, Form::Query, "school_id")
        .await?;
    let newer = place.made("add_school", &school, Form::Path, "school_id").await?;
    let told = place.list("list_school", &[], false).await?;
    let rows = told["data"].as_array().context("rows")?;
    let at = |id: &str| rows.iter().position(|row| row["school_id"] == *id);
    ensure!(at(&newer) < at(&older) && at(&newer).is_some(), "{told}");
    let row = place.row("list_school", &[], "school_id", &older).await?;
    has(
        &row,
        &json!({"name": "甲小学", "addr": "南湖路 1 号", "phone": "010-5550100"}),
    )?;
    ensure!(is_time(&row["created"]) && is_time(&row["updated"]), "{row}");
    Ok(())
}

/// With a name and an address.
pub async fn recorder_add_school(place: &Place) -> Result<()> {
    place.needs_token("add_school").await?;
    place
        .refuses("add_school", &[("addr", "a"), ("phone", "p")], 1008)
        .await?;
    place.refuses("add_school", &[("name", "n")], 1009).await?;
    for form in FORMS {
        let odd = "a/b+c %2F & d?<b>'\"";
        let id = place
            .made("add_school", &[("name", odd), ("addr", "x")], form, "school_id")
            .await?;
        let row = place.row("list_school", &[], "school_id", &id).await?;
        has(&row, &json!({"name": odd, "addr": "x", "phone": ""}))?;
    }
    Ok(())
}

/// All but the phone has to be there.
pub async fn recorder_mod_school(place: &Place) -> Result<()> {
    place.needs_token("mod_school").await?;
    place
        .refuses("mod_school", &[("name", "n"), ("addr", "a")], 1010)
        .await?;
    place
        .refuses(
            "mod_school",
            &[("school_id", "x"), ("name", "n"), ("addr", "a")],
            1010,
        )
        .await?;
    place.refuses("mod_school", &[("school_id", "1")], 1008).await?;
    place
        .refuses("mod_school", &[("school_id", "1"), ("name", "n")], 1009)
        .await?;
    let made = [("name", "乙"), ("addr", "b"), ("phone", "1")];
    for form in FORMS {
        let id = place.made("add_school", &made, Form::Query, "school_id").await?;
        let change = [("school_id", id.as_str()), ("name", "丙"), ("addr", "c")];
        place.done("mod_school", &change, form).await?;
        let row = place.row("list_school", &[], "school_id", &id).await?;
        has(&row, &json!({"name": "丙", "addr": "c", "phone": "1"}))?;
    }
    // Of one that there is not, nothing happens.
    let none = [("school_id", "999999"), ("name", "n"), ("addr", "a")];
    place.done("mod_school", &none, Form::Path).await?;
    Ok(())
}

/// One or many.
pub async fn recorder_del_school(place: &Place) -> Result<()> {
    deletes(place, "school", &[("name", "丁"), ("addr", "d")], &[]).await
}

async fn deletes(place: &Place, what: &str, made: &[(&str, &str)], wrong: &[(&str, &str)]) -> Result<()> {
    let (delete, add) = (format!("del_{what}"), format!("add_{what}"));
    let (list, id) = (format!("list_{what}"), format!("{what}_id"));
    place.needs_token(&delete).await?;
    place.refuses(&delete, wrong, 1010).await?;
    place.refuses(&delete, &[(&id, ",,")], 1010).await?;
    for form in FORMS {
        let one = place.made(&add, made, form, &id).await?;
        let two = place.made(&add, made, form, &id).await?;
        let all = format!("{one}, {two},,x,999999");
        place.done(&delete, &[(&id, &all)], form).await?;
        for gone in [&one, &two] {
            place.absent(&list, &[], &id, gone).await?;
        }
        // Numbers never come again.
        let next = place.made(&add, made, form, &id).await?;
        ensure!(next.parse::<i64>()? > two.parse()?, "{next} after {two}");
        place.done(&delete, &[(&id, &next)], form).await?;
    }
    Ok(())
}

/// As schools.
pub async fn recorder_list_subject(place: &Place) -> Result<()> {
    place.needs_token("list_subject").await?;
    place.list("list_subject", &[], false).await?;
    // What records fall back on.
    let row = place.row("list_subject", &[], "subject_id", "1").await?;
    has(&row, &json!({"subject_id": "1", "subject_name": "语文"}))
}

/// With a name.
pub async fn recorder_add_subject(place: &Place) -> Result<()> {
    place.needs_token("add_subject").await?;
    place.refuses("add_subject", &[], 1008).await?;
    place
        .refuses("add_subject", &[("subject_name", "")], 1008)
        .await?;
    for form in FORMS {
        let long = "学".repeat(300);
        let id = place
            .made("add_subject", &[("subject_name", &long)], form, "subject_id")
            .await?;
        let row = place.row("list_subject", &[], "subject_id", &id).await?;
        has(&row, &json!({"subject_name": "学".repeat(255)}))?;
    }
    Ok(())
}

/// By its number.
pub async fn recorder_mod_subject(place: &Place) -> Result<()> {
    place.needs_token("mod_subject").await?;
    place
        .refuses("mod_subject", &[("subject_name", "n")], 1010)
        .await?;
    place.refuses("mod_subject", &[("subject_id", "1")], 1008).await?;
    for form in FORMS {
        let id = place
            .made("add_subject", &[("subject_name", "a")], form, "subject_id")
            .await?;
        place
            .done("mod_subject", &[("subject_id", &id), ("subject_name", "b")], form)
            .await?;
        has(
            &place.row("list_subject", &[], "subject_id", &id).await?,
            &json!({"subject_name": "b"}),
        )?;
    }
    place
        .done(
            "mod_subject",
            &[("subject_id", "999999"), ("subject_name", "b")],
            Form::Path,
        )
        .await?;
    Ok(())
}

/// A school's number is none of a subject.
pub async fn recorder_del_subject(place: &Place) -> Result<()> {
    deletes(place, "subject", &[("subject_name", "s")], &[("school_id", "1")]).await
}

/// They are there from the start.
pub async fn recorder_list_grade(place: &Place) -> Result<()> {
    place.needs_token("list_grade").await?;
    let told = place.list("list_grade", &[], false).await?;
    ensure!(told["total_num"].as_u64() >= Some(9), "{told}");
    let row = place.row("list_grade", &[], "grade_id", "1").await?;
    has(&row, &json!({"grade_type": "小学", "grade_name": "一年级"}))
}

/// Numbers of pages are texts.
pub async fn recorder_list_teacher(place: &Place) -> Result<()> {
    place.needs_token("list_teacher").await?;
    place.list("list_teacher", &[], true).await?;
    let row = place.row("list_teacher", &[], "teacher_id", "1").await?;
    ensure!(row["title_id"].is_i64() && is_time(&row["created"]), "{row}");
    Ok(())
}

const TEACHER: [(&str, &str); 4] = [
    ("teacher_name", "李敏"),
    ("sex_name", "女"),
    ("title_name", "一级教师"),
    ("title_id", "2"),
];

/// All but what is told besides has to be there.
pub async fn recorder_add_teacher(place: &Place) -> Result<()> {
    place.needs_token("add_teacher").await?;
    for left_out in 0..4 {
        let mut some = TEACHER.to_vec();
        some.remove(left_out);
        place
            .refuses("add_teacher", &some, if left_out == 3 { 1010 } else { 1008 })
            .await?;
    }
    for wrong in ["5", "-1", "x"] {
        let mut some = TEACHER;
        some[3].1 = wrong;
        place.refuses("add_teacher", &some, 1010).await?;
    }
    for form in FORMS {
        let id = place.made("add_teacher", &TEACHER, form, "teacher_id").await?;
        let row = place.row("list_teacher", &[], "teacher_id", &id).await?;
        let wanted = json!({"teacher_name": "李敏", "sex_name": "女", "title_name": "一级教师", "title_id": 2, "detail_info": ""});
        has(&row, &wanted)?;
    }
    Ok(())
}

/// One of the three names has to be there.
pub async fn recorder_mod_teacher(place: &Place) -> Result<()> {
    place.needs_token("mod_teacher").await?;
    place
        .refuses("mod_teacher", &[("teacher_name", "n")], 1010)
        .await?;
    place
        .refuses("mod_teacher", &[("teacher_id", "1"), ("title_id", "1")], 1008)
        .await?;
    place
        .refuses("mod_teacher", &[("teacher_id", "1"), ("detail_info", "d")], 1008)
        .await?;
    let wrong = [("teacher_id", "1"), ("sex_name", "男"), ("title_id", "9")];
    place.refuses("mod_teacher", &wrong, 1010).await?;
    for form in FORMS {
        let id = place.made("add_teacher", &TEACHER, form, "teacher_id").await?;
        let change = [
            ("teacher_id", id.as_str()),
            ("title_name", "高级"),
            ("title_id", "1"),
            ("detail_info", "x"),
        ];
        place.done("mod_teacher", &change, form).await?;
        let row = place.row("list_teacher", &[], "teacher_id", &id).await?;
        let wanted = json!({"teacher_name": "李敏", "sex_name": "女", "title_name": "高级", "title_id": 1, "detail_info": "x"});
        has(&row, &wanted)?;
    }
    place
        .done(
            "mod_teacher",
            &[("teacher_id", "999999"), ("sex_name", "男")],
            Form::Query,
        )
        .await?;
    Ok(())
}

/// One or many.
pub async fn recorder_del_teacher(place: &Place) -> Result<()> {
    deletes(place, "teacher", &TEACHER, &[]).await
}
