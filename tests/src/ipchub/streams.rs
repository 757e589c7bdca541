//! Section 5: streams and who watches them.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Entry, Place, users::refuses_sizes};
use crate::{
    eventually,
    wait::{secs, throughout},
};

const STREAM: [&str; 14] = [
    "start_on",
    "path",
    "addr",
    "size",
    "video",
    "codec",
    "width",
    "height",
    "clockrate",
    "audio",
    "codec",
    "samplerate",
    "channels",
    "cc",
];
const CONSUMERS: [&str; 8] = [
    "cs",
    "id",
    "start_on",
    "packet_type",
    "extra",
    "flow",
    "inbytes",
    "outbytes",
];

/// Asserts what is told of a stream of the camera's `h264`.
fn is_stream(place: &Place, stream: &Value, path: &str) -> Result<()> {
    ensure!(
        stream["path"] == path && stream["addr"] == place.camera.url("h264"),
        "{stream}"
    );
    ensure!(
        stream["size"].is_u64() && stream["start_on"].is_string(),
        "{stream}"
    );
    let (video, audio) = (&stream["video"], &stream["audio"]);
    ensure!(
        video["codec"] == "H264"
            && video["width"] == 1280
            && video["height"] == 720
            && video["clockrate"] == 90000,
        "{stream}"
    );
    ensure!(
        audio["codec"] == "AAC"
            && audio["samplerate"] == 48000
            && audio["samplesize"] == 16
            && audio["channels"].is_u64(),
        "{stream}"
    );
    Ok(())
}

/// What the guard, who is no administrator, is told.
async fn guarded(place: &Place, entry: &Entry, path: &str, keys: &[&str]) -> Result<Value> {
    let token = &place.guard().await?.access;
    let path = super::place::with(&format!("/api/v1/{path}"), &format!("token={token}"));
    place.get(entry, &path).await?.json(keys)
}

/// All that run, at whatever node, as any entry tells whoever is logged in.
pub async fn ipchub_streams_list(place: &Place) -> Result<()> {
    let (a, tokens) = place.stream("list-a").await?;
    let (b, _) = place.stream("list-b").await?;
    let keys = ["total", "next_page_token", "streams"];
    let _viewer = place.watch(&place.first, &a, &tokens.access).await?;
    place.consumers(&place.second, &a, 1).await?;
    let totals: Vec<_> = [
        guarded(place, &place.first, "streams", &keys).await?,
        guarded(place, &place.second, "streams?page_size=500", &keys).await?,
    ]
    .iter()
    .map(|list| list["total"].as_u64())
    .collect();
    ensure!(totals[0] == totals[1] && totals[0] >= Some(2), "{totals:?}");
    for entry in place.entries() {
        let mut after = "/ids/list-".to_owned();
        for (path, cc) in [(&a, 1), (&b, 0)] {
            for (query, with_consumers) in [("&c=1", true), ("", false), ("&c=0", false), ("&c=true", false)]
            {
                let page = format!("streams?page_size=1&page_token={after}{query}");
                let order = [&keys[..], &STREAM, if with_consumers { &["cs"] } else { &[] }].concat();
                let page = guarded(place, entry, &page, &order).await?;
                ensure!(
                    page["total"].as_u64() == totals[0] && page["next_page_token"] == **path,
                    "{page}"
                );
                let streams = page["streams"].as_array().context("streams")?;
                ensure!(streams.len() == 1 && streams[0]["cc"] == cc, "{page}");
                is_stream(place, &streams[0], path)?;
                let consumers = streams[0]["cs"].as_array().map(Vec::len);
                ensure!(consumers == with_consumers.then_some(cc), "{query}: {page}");
            }
            after = path.clone();
        }
        for query in ["page_token=~~", "page_size=0&page_token=x", "page_size=0"] {
            let page = guarded(place, entry, &format!("streams?{query}"), &keys).await?;
            ensure!(
                page["total"].as_u64() == totals[0]
                    && page["next_page_token"] == ""
                    && page["streams"] == json!([]),
                "{page}"
            );
        }
    }
    refuses_sizes(place, "streams").await?;
    place.needs_token(Method::GET, "streams", "").await?;
    place.close("list-a").await?;
    place.close("list-b").await
}

/// One that runs, for whoever is logged in. Asking pulls nothing.
pub async fn ipchub_streams_get(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("got").await?;
    let _viewer = place.watch(&place.second, &path, &tokens.access).await?;
    place.consumers(&place.first, &path, 1).await?;
    for entry in place.entries() {
        for path in [&path, &path.to_uppercase(), &path.replace("/got", "%2Fgot")] {
            let order = [&STREAM[..], &CONSUMERS].concat();
            let stream = guarded(place, entry, &format!("streams{path}?c=1"), &order).await?;
            is_stream(place, &stream, "/ids/got")?;
            let consumers = stream["cs"].as_array().context("consumers")?;
            ensure!(stream["cc"] == 1 && consumers.len() == 1, "{stream}");
            let consumer = &consumers[0];
            let extra = consumer["extra"].as_str().unwrap_or_default();
            ensure!(
                consumer["packet_type"] == "FLV" && extra.starts_with("net=http-flv,") && extra.contains(':'),
                "{stream}"
            );
            // The two upper bits say FLV; ordinal 0 gives the documented server's numbers.
            let id = consumer["id"].as_u64().context("an id")?;
            ensure!(
                id >> 30 == 1 && (place.in_cluster || id == 1_073_741_825),
                "{stream}"
            );
            ensure!(
                consumer["flow"]["inbytes"].is_u64() && consumer["flow"]["outbytes"].is_u64(),
                "{stream}"
            );
        }
        let plain = guarded(place, entry, &format!("streams{path}"), &STREAM).await?;
        ensure!(plain["cs"].is_null() && plain["cc"] == 1, "{plain}");
    }
    // Bytes are counted.
    let sent = async || -> Result<u64> {
        let stream = guarded(place, &place.first, &format!("streams{path}?c=1"), &[]).await?;
        ensure!(stream["size"].as_u64() > Some(100), "{stream}");
        let sent = stream["cs"][0]["flow"]["outbytes"].as_u64();
        sent.filter(|n| *n > 100).with_context(|| stream.to_string())
    };
    eventually(secs(15), "100 KiB to be sent", sent).await?;

    // There is a route for it, and nobody watches.
    place
        .save(
            "routes",
            json!({"pattern": "/ids/unwatched", "url": place.upstream("other")}),
        )
        .await?;
    let before = place.dialled("/other");
    for entry in place.entries() {
        for missing in ["/ids/unwatched", "/ids/unknown", "/ids"] {
            let reply = place
                .admin(entry, Method::GET, &format!("streams{missing}"), "")
                .await?;
            reply.is(404, "404 page not found")?;
        }
    }
    ensure!(place.dialled("/other") == before, "the API has it pulled");
    place.delete("routes/ids/unwatched").await?;
    place
        .needs_token(Method::GET, &format!("streams{path}"), "")
        .await?;
    place.needs_token(Method::GET, "streams/ids/unknown", "").await?;
    place.close("got").await
}

/// Ends at once, with all who watch, wherever; the next viewer has it pulled anew.
pub async fn ipchub_streams_delete(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("closed").await?;
    let mut viewers = [
        place.watch(&place.first, &path, &tokens.access).await?,
        place.watch(&place.second, &path, &tokens.access).await?,
    ];
    place
        .needs_admin(Method::DELETE, &format!("streams{path}"), "")
        .await?;
    let started = place.consumers(&place.second, &path, 2).await?["start_on"].clone();
    place.delete(&format!("streams{}", path.to_uppercase())).await?;
    eventually(secs(1), "the stream to be gone from both lists", async || {
        for entry in place.entries() {
            let reply = place
                .admin(entry, Method::GET, &format!("streams{path}"), "")
                .await?;
            reply.is(404, "404 page not found")?;
        }
        Ok(())
    })
    .await?;
    for viewer in &mut viewers {
        viewer.ended(secs(5)).await?;
    }
    // Nobody asks for it, so it stays away.
    throughout(secs(3), "the stream should stay away", async || {
        for entry in place.entries() {
            let reply = place
                .admin(entry, Method::GET, &format!("streams{path}"), "")
                .await?;
            reply.is(404, "404 page not found")?;
        }
        Ok(())
    })
    .await?;
    let _viewer = place.watch(&place.second, &path, &tokens.access).await?;
    let again = place.consumers(&place.first, &path, 1).await?;
    ensure!(again["start_on"] != started, "it is the same stream: {again}");
    // Also for one who comes at once.
    place.delete(&format!("streams{path}")).await?;
    let _viewer = place.watch(&place.first, &path, &tokens.access).await?;
    place.consumers(&place.second, &path, 1).await?;
    // A verb is only `:consumer`; what is not there has ended.
    for absent in ["streams/ids/unknown", "streams/ids/closed:other"] {
        place.delete(absent).await?;
    }
    place.consumers(&place.first, &path, 1).await?;
    place.close("closed").await
}

/// Ends one of those who watch, at whatever entry, and no other.
pub async fn ipchub_streams_stop_consumer(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("stopped").await?;
    let mut first = place.watch(&place.second, &path, &tokens.access).await?;
    let stream = place.consumers(&place.first, &path, 1).await?;
    let cid = stream["cs"][0]["id"].as_u64().context("an id")?;
    let second = place.watch(&place.second, &path, &tokens.access).await?;
    let third = place.watch(&place.first, &path, &tokens.access).await?;
    let stream = place.consumers(&place.first, &path, 3).await?;
    let ids: Vec<_> = stream["cs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["id"].as_u64())
        .collect();
    ensure!(
        ids.is_sorted_by(|a, b| a < b),
        "ids are in order, each another: {stream}"
    );
    let verb = format!("streams{path}:consumer");
    place
        .needs_admin(Method::DELETE, &format!("{verb}?cid={cid}"), "")
        .await?;
    place.consumers(&place.second, &path, 3).await?;
    for unknown in [
        format!("{verb}?cid=99"),
        format!("{verb}?cid=-1"),
        format!("streams/ids/unknown:consumer?cid={cid}"),
    ] {
        place.delete(&unknown).await?;
    }
    for (query, text) in [("", ""), ("?cid=", ""), ("?cid=x7", "x7"), ("?cid=1.5", "1.5")] {
        let reply = place
            .admin(&place.second, Method::DELETE, &format!("{verb}{query}"), "")
            .await?;
        reply.is(
            500,
            &format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"),
        )?;
    }
    place.consumers(&place.first, &path, 3).await?;
    for _ in 0..2 {
        place
            .delete(&format!("streams{}:consumer?cid={cid}", path.to_uppercase()))
            .await?;
    }
    first.ended(secs(10)).await?;
    for entry in place.entries() {
        let left = place.consumers(entry, &path, 2).await?;
        ensure!(
            !left["cs"].to_string().contains(&format!("\"id\":{cid},")),
            "{left}"
        );
    }
    ensure!(second.watches() && third.watches(), "the others go on");
    place.close("stopped").await
}
