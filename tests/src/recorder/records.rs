//! Records, as far as they can be checked without footage; what is in them is checked where they are made.

use anyhow::{Result, ensure};

use super::{
    Place,
    place::{FORMS, Form},
};

/// All of them.
pub async fn recorder_list_record(place: &Place) -> Result<()> {
    place.needs_token("list_record").await?;
    place.list("list_record", &[], true).await?;
    for entry in place.entries() {
        for form in FORMS {
            let told = place.ask(entry, "list_record", &[], form).await?;
            ensure!(told["storage_addr"] == format!("http://{entry}"), "{told}");
        }
    }
    Ok(())
}

/// Unknown ones are passed over.
pub async fn recorder_del_record(place: &Place) -> Result<()> {
    place.needs_token("del_record").await?;
    place.refuses("del_record", &[], 1010).await?;
    place.refuses("del_record", &[("record_id", "a,b")], 1010).await?;
    for form in FORMS {
        place
            .done("del_record", &[("record_id", "999998,999999")], form)
            .await?;
    }
    for path in [
        "/storage/rec/1/20260105/x_1_2_3_4.mp4",
        "/storage/live/1/2.jpg",
        "/storage//rec/x",
    ] {
        let reply = place.http(&place.first, reqwest::Method::GET, path, "").await?;
        ensure!(
            reply.status == 404 && reply.header("access-control-allow-origin") == "*",
            "{path}: {reply:?}"
        );
    }
    place
        .done("del_record", &[("record_id", "1")], Form::Path)
        .await?;
    Ok(())
}
