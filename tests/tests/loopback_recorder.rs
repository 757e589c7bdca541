//! Every line of the cloud recorder contract, each in a process of its own, and what only one process can show: tokens that
//! expire, credentials that are made, restarts. The checks of the lines are in `src/recorder`; `e2e_recorder.rs` runs them
//! through gateways.

use std::{collections::BTreeSet, fs, path::PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use weir_tests::{
    Context, Result, browser, ensure, eventually,
    media_node::{Builder, MediaNode},
    player::{self, shape},
    recorder::{
        LINES, Place,
        place::{Form, has},
    },
    s3::files,
    setup,
    wait::secs,
};

/// What clients show in the nodes of these tests.
const UNION_ID: &str = "canary-unionid-7hTq";

fn builder() -> Builder {
    MediaNode::standalone()
        .protected()
        .argument("--recorder-unionid")
        .argument(UNION_ID)
}

/// Both entries of a node are the same.
async fn place_of(node: &MediaNode) -> Result<Place> {
    let http = format!("127.0.0.1:{}", node.port("http"));
    Place::new(&http, &http, "127.0.0.1", UNION_ID).await
}

macro_rules! tests {
    ($($id:literal $module:ident::$name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() -> Result<()> {
            let node = builder().start().await?;
            weir_tests::recorder::$module::$name(&place_of(&node).await?).await?;
            ensure!(!node.log().contains("canary-"), "a password is in the log");
            Ok(())
        }
    )*};
}

weir_tests::recorder_lines!(tests);

#[test]
fn no_line_of_the_contract_is_without_a_test() -> Result<()> {
    let contract = fs::read_to_string(setup::root().join("docs/ref/contracts/cloud-recorder.tsv"))?;
    let lines = contract.lines().skip(1);
    let wanted: BTreeSet<_> = lines.filter_map(|line| line.split('\t').next()).collect();
    let checked: BTreeSet<_> = LINES.iter().map(|line| line.id).collect();
    ensure!(checked.len() == LINES.len(), "an id is there twice");
    ensure!(
        checked == wanted,
        "tested: {checked:?}\nin the contract: {wanted:?}"
    );
    for line in LINES {
        ensure!(
            line.name == line.id.replace('.', "_"),
            "{} is checked by {}",
            line.id,
            line.name
        );
    }
    Ok(())
}

#[tokio::test]
async fn tokens_expire() -> Result<()> {
    let node = builder()
        .argument("--recorder-token-seconds")
        .argument("1")
        .start()
        .await?;
    let place = place_of(&node).await?;
    eventually(secs(10), "the token to expire", async || {
        let told = place.ask(&place.first, "list_school", &[], Form::Query).await?;
        ensure!(told["err_code"] == 1007, "{told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_credential_is_made_and_told_once() -> Result<()> {
    let node = MediaNode::standalone().start().await?;
    let told = |log: &str| {
        let after = log
            .split_once("have the unionid ")
            .map(|(_, after)| after.to_owned());
        after.and_then(|after| after.split_whitespace().next().map(str::to_owned))
    };
    let unionid = told(&node.log()).context("no unionid is told")?;
    let http = format!("127.0.0.1:{}", node.port("http"));
    let place = Place::new(&http, &http, "127.0.0.1", &unionid).await?;
    let school = [("name", "n"), ("addr", "a")];
    let id = place
        .made("add_school", &school, Form::Query, "school_id")
        .await?;
    let token = place.token.clone();

    // What was told and made is good after a restart; the credential is not told again.
    let node = MediaNode::standalone().start_in(node.stop().await?).await?;
    ensure!(told(&node.log()).is_none(), "{}", node.log());
    let http = format!("127.0.0.1:{}", node.port("http"));
    let place = Place::new(&http, &http, "127.0.0.1", &unionid).await?;
    place.row("list_school", &[], "school_id", &id).await?;
    let listed = place
        .call(&http, "list_school", &[("token", &token)], Form::Path)
        .await?;
    ensure!(listed["err_code"] == 0, "{listed}");

    // Another is given: the first lets nobody in.
    let given = builder().start_in(node.stop().await?).await?;
    let place = place_of(&given).await?;
    let old = place
        .call(
            &place.first,
            "access_token",
            &[("unionid", &unionid)],
            Form::Query,
        )
        .await?;
    ensure!(old["err_code"] == 1002, "{old}");
    Ok(())
}

/// What was made is there after a restart, under the same numbers; numbers of what is gone don't come again.
#[tokio::test]
async fn numbers_outlive_the_process() -> Result<()> {
    let node = builder().start().await?;
    let place = place_of(&node).await?;
    let (kept, gone) = (place.channel("留下").await?, place.channel("删掉").await?);
    let course = [
        ("camera_id", kept.as_str()),
        ("subject_id", "1"),
        ("teacher_id", "1"),
        ("week_id", "6"),
        ("elapse_sec", "60"),
        ("start_time", "08:00:00"),
    ];
    let course_id = place
        .made("add_course", &course, Form::Query, "course_id")
        .await?;
    place
        .done("del_camera", &[("camera_id", &gone)], Form::Query)
        .await?;
    place
        .done("stop_camera", &[("camera_id", &kept)], Form::Query)
        .await?;
    let upstream = place.upstream();

    let node = builder().start_in(node.stop().await?).await?;
    let again = place_of(&node).await?;
    let row = again.row("list_camera", &[], "camera_id", &kept).await?;
    has(
        &row,
        &json!({"camera_name": "留下", "status": 0, "stream_url": upstream}),
    )?;
    again
        .row("list_course", &[("camera_id", &kept)], "course_id", &course_id)
        .await?;
    let next = again.channel("新的").await?;
    ensure!(next.parse::<i64>()? > gone.parse()?, "{next} after {gone}");
    Ok(())
}

/// Cameras that others have made are channels too, and courses are schedules that anybody can read.
#[tokio::test]
async fn cameras_of_manifests_are_channels() -> Result<()> {
    let node = builder()
        .file_camera("yard", "h264_aac.mp4", "  displayName: Yard\n")
        .start()
        .await?;
    node.until_ready("yard").await?;
    let place = place_of(&node).await?;
    let listed = place.list("list_camera", &[], true).await?;
    let row = &listed["data"][0];
    let wanted = json!({"camera_id": 1, "camera_name": "Yard", "stream_prop": 1, "stream_mp4": "h264_aac.mp4", "status": 1});
    has(row, &wanted)?;
    let course = [
        ("camera_id", "1"),
        ("subject_id", "2"),
        ("teacher_id", "1"),
        ("week_id", "0"),
        ("elapse_sec", "3600"),
        ("start_time", "09:00:00"),
    ];
    let gather = place.gather().await?;
    let slices = [
        ("gather_id", gather.as_str()),
        ("slice_val", "5"),
        ("inter_val", "2"),
        ("snap_val", "3"),
    ];
    place.done("mod_gather", &slices, Form::Query).await?;
    place.done("add_course", &course, Form::Query).await?;
    let manifest = |node: &MediaNode| {
        fs::read_to_string(node.folder().join("manifests/recordschedule-course-1.yaml"))
            .context("the schedule")
    };
    let text = manifest(&node)?;
    for line in [
        "yard",
        "Sun",
        "09:00:00",
        "10:00:00",
        "recordingLength: 5m",
        "overlap: 2",
        "snapshotInterval: 3m",
    ] {
        ensure!(text.contains(line), "no {line} in\n{text}");
    }
    // Settings of the gather are followed.
    place
        .done(
            "mod_gather",
            &[("gather_id", &gather), ("slice_val", "0")],
            Form::Path,
        )
        .await?;
    let text = manifest(&node)?;
    ensure!(text.contains("recordingLength: 1d"), "{text}");

    // A schedule that somebody applies is a course, if it is of such a form.
    let by_hand = |name: &str, windows: &str| {
        format!(
            "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {{name: {name}}}\nspec:\n  cameras: {{names: [yard]}}\n  \
             windows: [{windows}]\n"
        )
    };
    let one = "{days: [Mon], start: \"08:00:00\", end: \"08:30:00\"}";
    node.apply("one.yaml", &by_hand("one", one))?;
    node.apply(
        "two.yaml",
        &by_hand("two", &format!("{one}, {one}").replace("[Mon]", "[Tue]")),
    )?;
    eventually(secs(10), "the schedule to be a course", async || {
        let told = place
            .ask(&place.first, "list_course", &[("camera_id", "1")], Form::Query)
            .await?;
        ensure!(
            told["total_num"] == 2 && told["data"][1]["elapse_sec"] == 1800,
            "{told}"
        );
        Ok(())
    })
    .await?;
    let mut course = course;
    (course[3].1, course[5].1) = ("1", "08:29:59");
    let told = place.refuses("add_course", &course, 1012).await?;
    ensure!(told.to_string().contains("08:00:00 ~ 08:30:00"), "{told}");

    // Gone by hand is gone here.
    node.delete("yard.yaml")?;
    eventually(secs(10), "the channel to go", async || {
        place.absent("list_camera", &[], "camera_id", "1").await
    })
    .await
}

/// What is configured is told.
#[tokio::test]
async fn title_zone_and_storage_address_are_settings() -> Result<()> {
    let node = builder()
        .argument("--recorder-title=校园")
        .argument("--recorder-time-zone=America/New_York")
        .argument("--recorder-storage-address=https://media.example.org/")
        .start()
        .await?;
    let place = place_of(&node).await?;
    let told = place.call(&place.first, "version", &[], Form::Query).await?;
    has(&told, &json!({"Name": "校园"}))?;
    let told = place.ask(&place.first, "list_record", &[], Form::Query).await?;
    has(&told, &json!({"storage_addr": "https://media.example.org:443"}))?;
    let grade = place.row("list_grade", &[], "grade_id", "1").await?;
    let hour = |text: &Value| {
        text.as_str()
            .and_then(|text| text[11..13].parse::<i64>().ok())
            .context("an hour")
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs() as i64;
    let behind = (now / 3600 % 24 - hour(&grade["created"])?).rem_euclid(24);
    ensure!((4..=6).contains(&behind), "{grade} is {behind} hours behind UTC");
    Ok(())
}

/// The picture at a path, by its width and height.
async fn picture(node: &MediaNode, path: &str) -> Result<(u32, u32)> {
    let reply = node.get(path).await?;
    let (status, kind) = (reply.status(), reply.headers().get("content-type").cloned());
    let bytes = reply.bytes().await?;
    ensure!(status == 200, "{path}: {status} {bytes:?}");
    ensure!(kind.is_some_and(|kind| kind == "image/jpeg"), "{path}");
    let file = node.folder().join("picture.jpg");
    fs::write(&file, bytes)?;
    let (codec, width, height) = shape(&file).await?;
    ensure!(codec == "mjpeg", "{codec}");
    Ok((width, height))
}

/// The picture itself, and smaller ones.
async fn pictured(node: &MediaNode, path: &str) -> Result<()> {
    let whole = picture(node, path).await?;
    ensure!(whole.0 > 470 && whole.1 > 250, "{whole:?}");
    for (width, height) in [(90, 50), (252, 162), (470, 250), (90, 50)] {
        let (w, h) = picture(node, &format!("{path}_{width}x{height}")).await?;
        ensure!(
            w <= width && h <= height && (w == width || h == height),
            "{w}x{h} in {width}x{height}"
        );
    }
    ensure!(picture(node, &format!("{path}_1920x1920")).await? == whole);
    for size in ["_0x50", "_1921x50", "_90", "_"] {
        let (status, _) = node.text(&format!("{path}{size}")).await?;
        ensure!(status == 404, "{size}: {status}");
    }
    Ok(())
}

/// Pictures in the bucket.
fn stored_pictures(node: &MediaNode) -> Result<Vec<PathBuf>> {
    files(&node.data().join("objects/weir/snapshots"), ".jpg")
}

/// A channel that runs has a picture, though nothing is recorded; nothing is left of it when the channel goes.
#[tokio::test]
async fn a_channel_is_pictured_while_it_runs() -> Result<()> {
    let node = builder()
        .file_camera("yard", "h264_aac.mp4", "  displayName: Yard\n")
        .start()
        .await?;
    node.until_ready("yard").await?;
    let place = place_of(&node).await?;
    let row = place.row("list_camera", &[], "camera_id", "1").await?;
    has(&row, &json!({"image_id": 0, "image_fdfs": ""}))?;
    let gather = place.gather().await?;
    let often = [("gather_id", gather.as_str()), ("snap_val", "1")];
    place.done("mod_gather", &often, Form::Query).await?;
    let path = eventually(secs(90), "a picture of the channel", async || {
        let row = place.row("list_camera", &[], "camera_id", "1").await?;
        let path = row["image_fdfs"].as_str().context("a path")?.to_owned();
        ensure!(
            path.starts_with("/storage/live/1/") && row["image_id"] == 1,
            "{row}"
        );
        Ok(path)
    })
    .await?;
    pictured(&node, &path).await?;
    ensure!(stored_pictures(&node)?.len() == 1);
    place
        .done("del_camera", &[("camera_id", "1")], Form::Query)
        .await?;
    for path in [path.clone(), format!("{path}_90x50")] {
        let (status, _) = node.text(&path).await?;
        ensure!(status == 404, "{path}: {status}");
    }
    eventually(secs(20), "the picture to go", async || {
        let left = stored_pictures(&node)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

/// A course that is on: what it records is listed with its subject, served in parts, played in a page, and gone when it is
/// deleted.
#[tokio::test]
async fn a_course_becomes_a_record() -> Result<()> {
    let node = builder()
        .file_camera("yard", "h264_aac.mp4", "  displayName: Yard\n")
        .argument("--recorder-time-zone=UTC")
        .argument("--segment-seconds=1")
        .start()
        .await?;
    node.until_ready("yard").await?;
    let place = place_of(&node).await?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    // The epoch was a Thursday.
    let today = ((now / 86_400 + 4) % 7).to_string();
    let course = [
        ("camera_id", "1"),
        ("subject_id", "2"),
        ("teacher_id", "1"),
        ("week_id", today.as_str()),
        ("elapse_sec", "86399"),
        ("start_time", "00:00:00"),
    ];
    let course_id = place
        .made("add_course", &course, Form::Query, "course_id")
        .await?;
    eventually(secs(30), "some footage", async || {
        let token = node.login().await?.access;
        let path = format!("/api/weir/v1/recordings?path=yard&token={token}&from=0&to=4102444800000");
        let (status, text) = node.text(&path).await?;
        let told: Value = serde_json::from_str(&text).with_context(|| format!("{status} {text}"))?;
        let span = &told["spans"][0];
        let length = span["endMs"].as_i64().unwrap_or(0) - span["startMs"].as_i64().unwrap_or(0);
        ensure!(length >= 3_000, "{told}");
        Ok(())
    })
    .await?;
    // It stops at once, and what there is of it is kept.
    place
        .done("del_course", &[("course_id", &course_id)], Form::Path)
        .await?;
    let row = eventually(secs(30), "the record", async || {
        let told = place.ask(&place.first, "list_record", &[], Form::Query).await?;
        ensure!(told["total_num"] == 1, "{told}");
        ensure!(told["data"][0]["image_fdfs"] != "", "{told}");
        Ok(told["data"][0].clone())
    })
    .await?;
    has(
        &row,
        &json!({"camera_id": 1, "camera_name": "Yard", "gather_id": 1, "subject_id": 2, "subject_name": "数学"}),
    )?;
    let seconds: u64 = row["duration"].as_str().unwrap_or_default().parse()?;
    ensure!((3..60).contains(&seconds), "{row}");
    let path = row["file_fdfs"].as_str().context("a path")?.to_owned();
    ensure!(path.ends_with(&format!("_{course_id}_{seconds}.mp4")), "{row}");

    let head = place.http(&place.first, Method::HEAD, &path, "").await?;
    ensure!(
        head.status == 200 && row["file_size"] == head.header("content-length"),
        "{row}: {head:?}"
    );
    let image = row["image_fdfs"].as_str().context("a path")?.to_owned();
    let uniq = path.split('_').next().context("a name")?;
    ensure!(image == format!("{uniq}_1.jpg"), "{row}");
    pictured(&node, &image).await?;
    ensure!(stored_pictures(&node)?.len() == 1);
    let part = place
        .with_headers(&place.first, Method::GET, &path, "", &[("range", "bytes=0-99")])
        .await?;
    ensure!(
        part.status == 206 && part.header("content-length") == "100",
        "{part:?}"
    );
    ensure!(
        part.header("content-type") == "video/mp4" && part.text.contains("ftyp"),
        "{part:?}"
    );
    let seen = player::probe(&node.http(&path), &[], 2.0).await?;
    seen.expect(&["h264", "aac"], 2.0)?;

    // Without an ffmpeg there are still the pictures that were made, and it is said why there are no smaller ones.
    let node = builder()
        .argument("--recorder-time-zone=UTC")
        .argument("--ffmpeg=/nowhere/ffmpeg")
        .start_in(node.stop().await?)
        .await?;
    let place = place_of(&node).await?;
    picture(&node, &image).await?;
    let (status, text) = node.text(&format!("{image}_90x50")).await?;
    ensure!(status == 503 && text.contains("ffmpeg"), "{status} {text}");

    let id = row["record_id"].to_string();
    let told = place
        .done("play_record", &[("record_id", &id)], Form::Query)
        .await?;
    let url = told["play_url"].as_str().context("a URL")?;
    let page = path_of_page(url)?;
    for clicks in 1..=2 {
        let page = place.http(&place.first, Method::GET, page, "").await?;
        ensure!(
            page.text.contains(&format!("data-clicks=\"{clicks}\"")),
            "{page:?}"
        );
        ensure!(page.text.contains(&path), "{page:?}");
    }
    // In a frame of another site it plays.
    let framed: Value = browser::run("frame.mjs", &["--url", url, "--seconds", "1.5"]).await?;
    ensure!(framed["advanced"].as_f64() >= Some(1.5), "{framed}");
    has(&framed, &json!({"state": "playing", "width": 1280, "errors": []}))?;
    place
        .done("del_record", &[("record_id", &id)], Form::Path)
        .await?;
    place.absent("list_record", &[], "record_id", &id).await?;
    let gone = place.http(&place.first, Method::GET, &path, "").await?;
    ensure!(gone.status == 404, "{gone:?}");
    let gone = place.http(&place.first, Method::GET, &image, "").await?;
    ensure!(gone.status == 404, "{gone:?}");
    eventually(secs(20), "the picture to go", async || {
        let left = stored_pictures(&node)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

/// A record without a picture is a record.
#[tokio::test]
async fn a_record_is_listed_without_an_ffmpeg() -> Result<()> {
    let node = builder()
        .file_camera("yard", "h264_aac.mp4", "")
        .argument("--segment-seconds=1")
        .argument("--ffmpeg=/nowhere/ffmpeg")
        .manifest(
            "rec.yaml",
            "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {name: all}\n\
             spec: {cameras: {names: [yard]}, always: true}\n",
        )
        .start()
        .await?;
    eventually(secs(40), "stored segments", async || {
        let stored = files(&node.data().join("objects/weir/segments"), ".mp4")?;
        ensure!(stored.len() >= 3, "{stored:?}");
        Ok(())
    })
    .await?;
    node.delete("rec.yaml")?;
    let place = place_of(&node).await?;
    eventually(secs(30), "the record with its size", async || {
        let told = place.ask(&place.first, "list_record", &[], Form::Query).await?;
        ensure!(told["total_num"] == 1, "{told}");
        let row = &told["data"][0];
        has(row, &json!({"image_fdfs": ""}))?;
        let path = row["file_fdfs"].as_str().context("a path")?;
        let head = place.http(&place.first, Method::HEAD, path, "").await?;
        ensure!(
            row["file_size"] == head.header("content-length"),
            "{row}: {head:?}"
        );
        Ok(())
    })
    .await
}

/// A record that goes takes nothing of what another schedule is recording just then.
#[tokio::test]
async fn a_record_that_goes_leaves_what_is_being_recorded() -> Result<()> {
    let schedule = |name: &str| {
        format!(
            "apiVersion: weir.video/v1alpha1\nkind: RecordSchedule\nmetadata: {{name: {name}}}\n\
             spec: {{cameras: {{names: [yard]}}, always: true}}\n"
        )
    };
    let node = builder()
        .file_camera("yard", "h264_aac.mp4", "")
        .argument("--segment-seconds=1")
        .argument("--ffmpeg=/nowhere/ffmpeg")
        .manifest("all.yaml", schedule("all"))
        .manifest("some.yaml", schedule("some"))
        .start()
        .await?;
    let token = node.login().await?.access;
    let footage = async || -> Result<(i64, i64)> {
        let path = format!("/api/weir/v1/recordings?path=yard&token={token}&from=0&to=4102444800000");
        let (status, text) = node.text(&path).await?;
        let told: Value = serde_json::from_str(&text).with_context(|| format!("{status} {text}"))?;
        let span = &told["spans"][0];
        let at = |name: &str| span[name].as_i64().with_context(|| told.to_string());
        Ok((at("startMs")?, at("endMs")?))
    };
    eventually(secs(40), "footage", async || {
        let (start, end) = footage().await?;
        ensure!(end - start >= 4_000, "{start} to {end}");
        Ok(())
    })
    .await?;
    node.delete("some.yaml")?;
    let place = place_of(&node).await?;
    let id = eventually(secs(30), "the record", async || {
        let told = place.ask(&place.first, "list_record", &[], Form::Query).await?;
        ensure!(told["total_num"] == 1, "{told}");
        Ok(told["data"][0]["record_id"].to_string())
    })
    .await?;
    let (start, end) = footage().await?;
    place
        .done("del_record", &[("record_id", &id)], Form::Path)
        .await?;
    place.absent("list_record", &[], "record_id", &id).await?;
    let (start_now, end_now) = footage().await?;
    ensure!(
        start_now == start && end_now >= end,
        "{start} to {end} became {start_now} to {end_now}"
    );
    Ok(())
}

fn path_of_page(url: &str) -> Result<&str> {
    let at = url.match_indices('/').nth(2).context("a path")?.0;
    Ok(&url[at..])
}

/// Both ports take it, and its neighbours are where they were.
#[tokio::test]
async fn neighbours_keep_their_names() -> Result<()> {
    let node = builder().start().await?;
    let place = place_of(&node).await?;
    let rtsp = format!("127.0.0.1:{}", node.port("rtsp"));
    let told = place.call(&rtsp, "version", &[], Form::Path).await?;
    has(&told, &json!({"API": "v1"}))?;
    for (path, status) in [
        ("/api/v1/server", 200),
        ("/api/v1/streams", 401),
        ("/api/v1/unknown", 401),
        ("/api/openapi.json", 200),
        ("/play.js", 200),
    ] {
        let reply = place.http(&place.first, Method::GET, path, "").await?;
        ensure!(reply.status == status, "{path}: {reply:?}");
    }
    Ok(())
}
