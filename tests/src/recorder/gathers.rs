//! Gathers are the nodes.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{
    Place,
    place::{FORMS, Form, has},
    registers::is_time,
};

/// With what each says of itself.
pub async fn recorder_list_gather(place: &Place) -> Result<()> {
    place.needs_token("list_gather").await?;
    let id = place.gather().await?;
    place.list("list_gather", &[], true).await?;
    let row = place.row("list_gather", &[], "gather_id", &id).await?;
    has(&row, &json!({"status": 1}))?;
    let mac = row["mac_addr"].as_str().unwrap_or_default();
    ensure!(mac.len() == 17 && mac.starts_with("02-"), "{row}");
    ensure!(
        row["auto_fds"] == row["auto_fdfs"] && is_time(&row["created"]),
        "{row}"
    );
    for text in ["ip_addr", "name_pc", "name_set", "os_name"] {
        ensure!(
            row[text].as_str().is_some_and(|text| !text.is_empty()),
            "{text}: {row}"
        );
    }
    Ok(())
}

/// What is out of bounds is brought into them or left as it was.
pub async fn recorder_mod_gather(place: &Place) -> Result<()> {
    place.needs_token("mod_gather").await?;
    place.refuses("mod_gather", &[("name_set", "n")], 1010).await?;
    place
        .done(
            "mod_gather",
            &[("gather_id", "999999"), ("name_set", "n")],
            Form::Path,
        )
        .await?;
    let id = place.gather().await?;
    for form in FORMS {
        let change = [
            ("gather_id", id.as_str()),
            ("school_id", "4"),
            ("name_set", "机房"),
            ("main_rate", "2048"),
            ("sub_rate", "0"),
            ("auto_dvr", "7"),
            ("auto_fds", "1"),
            ("auto_fdfs", "0"),
            ("slice_val", "31"),
            ("inter_val", "-1"),
            ("snap_val", "11"),
            ("mac_addr", "x"),
        ];
        place.done("mod_gather", &change, form).await?;
        let row = place.row("list_gather", &[], "gather_id", &id).await?;
        let wanted = json!({
            "school_id": 4, "name_set": "机房", "main_rate": 2048, "sub_rate": 512, "auto_dvr": 1, "auto_fds": 0,
            "auto_fdfs": 0, "slice_val": 30, "inter_val": 0, "snap_val": 10,
        });
        has(&row, &wanted)?;
        // Empty in a query, and not there in a path.
        let back = [
            ("gather_id", id.as_str()),
            ("name_set", ""),
            ("school_id", "-1"),
            ("auto_dvr", "0"),
            ("auto_fds", "1"),
            ("slice_val", "0"),
            ("snap_val", "0"),
            ("main_rate", "x"),
        ];
        place.done("mod_gather", &back, Form::Query).await?;
        let row = place.row("list_gather", &[], "gather_id", &id).await?;
        let wanted = json!({
            "school_id": 4, "name_set": "采集端", "main_rate": 2048, "auto_dvr": 0, "auto_fds": 1, "slice_val": 0, "snap_val": 2,
        });
        has(&row, &wanted)?;
    }
    place
        .done(
            "mod_gather",
            &[("gather_id", &id), ("school_id", "0")],
            Form::Query,
        )
        .await?;
    Ok(())
}
