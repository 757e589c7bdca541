//! Section 4: routes.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Entry, Place, users::refuses_sizes};

const KEYS: [&str; 3] = ["pattern", "url", "keepalive"];

/// A route as the entry tells it.
async fn route(place: &Place, entry: &Entry, pattern: &str) -> Result<Value> {
    let reply = place
        .admin(entry, Method::GET, &format!("routes{pattern}"), "")
        .await?;
    reply.json(&KEYS)
}

/// Asserts what a route is at both entries; `pattern` begins with a slash.
async fn route_is(place: &Place, pattern: &str, wanted: Value) -> Result<()> {
    for entry in place.entries() {
        let found = route(place, entry, pattern).await?;
        ensure!(found == wanted, "{found}, not {wanted}");
    }
    Ok(())
}

/// Asserts that neither entry has a route.
async fn no_route(place: &Place, pattern: &str) -> Result<()> {
    for entry in place.entries() {
        let reply = place
            .admin(entry, Method::GET, &format!("routes{pattern}"), "")
            .await?;
        reply.is(404, "404 page not found")?;
    }
    Ok(())
}

/// Pages in the order of patterns, with the URLs' credentials.
pub async fn ipchub_routes_list(place: &Place) -> Result<()> {
    let list = async |query: &str| -> Result<Value> {
        let reply = place
            .admin(&place.second, Method::GET, &format!("routes{query}"), "")
            .await?;
        reply.json(&["total", "next_page_token", "routes"])
    };
    let before = list("").await?["total"].as_u64().context("a total")?;
    let urls = [
        "rtsp://u:canary-p%40w@192.0.2.1:5540/live2?x=1",
        "rtsp://192.0.2.2",
        "rtsp://u@192.0.2.3/",
    ];
    for (pattern, url) in ["/lister/b", "/Lister/a/", "/lister/c"].iter().zip(urls) {
        place
            .save(
                "routes",
                json!({"pattern": pattern, "url": url, "keepalive": url.ends_with('/')}),
            )
            .await?;
    }
    let mut after = "/lister/".to_owned();
    for (pattern, url, keepalive) in [
        ("/lister/a/", urls[1], false),
        ("/lister/b", urls[0], false),
        ("/lister/c", urls[2], true),
    ] {
        let page = list(&format!("?page_size=1&page_token={after}")).await?;
        let route = json!({"pattern": pattern, "url": url, "keepalive": keepalive});
        ensure!(
            page == json!({"total": before + 3, "next_page_token": pattern, "routes": [route]}),
            "{page}"
        );
        after = pattern.to_owned();
    }
    for (query, token) in [
        ("?page_token=~~", "~~"),
        ("?page_size=0&page_token=x", "x"),
        ("?page_size=0", ""),
    ] {
        let page = list(query).await?;
        ensure!(
            page == json!({"total": before + 3, "next_page_token": token, "routes": []}),
            "{page}"
        );
    }
    refuses_sizes(place, "routes").await?;
    for pattern in ["a/", "b", "c"] {
        place.delete(&format!("routes/lister/{pattern}")).await?;
    }
    ensure!(list("").await?["total"] == before, "some are left");
    place.needs_admin(Method::GET, "routes", "").await
}

/// By the exact pattern, whose last slash counts.
pub async fn ipchub_routes_get(place: &Place) -> Result<()> {
    let url = "rtsp://u:canary-get@192.0.2.1/live";
    place
        .save("routes", json!({"pattern": "Getter/Dir/", "url": url}))
        .await?;
    let wanted = json!({"pattern": "/getter/dir/", "url": url, "keepalive": false});
    for pattern in [
        "/getter/dir/",
        "/GETTER/dir/",
        "/getter//./dir/",
        "/getter%2fdir%2F",
    ] {
        route_is(place, pattern, wanted.clone()).await?;
    }
    // No match of a stream's path.
    for pattern in ["/getter/dir", "/getter/dir/x", "/getter"] {
        no_route(place, pattern).await?;
    }
    place.needs_admin(Method::GET, "routes/getter/dir/", "").await?;
    place.needs_admin(Method::GET, "routes/absent", "").await?;
    place.delete("routes/getter/dir/").await
}

/// Gone everywhere at once; its streams go on; also `/` can be deleted.
pub async fn ipchub_routes_delete(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("deleted-route").await?;
    let viewer = place.watch(&place.second, &path, &tokens.access).await?;
    place
        .needs_admin(Method::DELETE, &format!("routes{path}"), "")
        .await?;
    route(place, &place.second, &path).await?;
    place.delete(&format!("routes{}", path.to_uppercase())).await?;
    no_route(place, &path).await?;
    place.consumers(&place.first, &path, 1).await?;
    ensure!(viewer.watches(), "it should go on");
    // Once it has ended, nothing brings it back.
    drop(viewer);
    place.close("deleted-route").await?;
    let file = format!("/streams{path}.flv?token={}", place.token);
    crate::eventually(crate::wait::secs(10), "the stream to be unknown", async || {
        let reply = place.get(&place.second, &file).await?;
        reply.is(404, "404 page not found")
    })
    .await?;

    for pattern in ["", "/"] {
        let url = "rtsp://192.0.2.1/everything";
        place
            .save("routes", json!({"pattern": pattern, "url": url}))
            .await?;
        route_is(
            place,
            "/",
            json!({"pattern": "/", "url": url, "keepalive": false}),
        )
        .await?;
        place.delete("routes/").await?;
        no_route(place, "/").await?;
    }
    place.delete("routes/").await?;
    place.delete("routes/never/was").await
}

/// Creates or updates, under the canonical pattern.
pub async fn ipchub_routes_save(place: &Place) -> Result<()> {
    for (n, (url, keepalive)) in [
        ("rtsp://u:canary-a%2Fb@192.0.2.1:5540/live2", json!(true)),
        ("rtsp://u:canary-changed@192.0.2.1:5540/live2", json!("false")),
        ("rtsp://192.0.2.9/other?a=b", json!("true")),
        ("http://192.0.2.9/no-rtsp", json!(false)),
        ("rtsp://u@192.0.2.9", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let pattern = ["Saver/Gate/A1", "/saver/./gate//a1"][n % 2];
        place
            .save(
                "routes",
                json!({"Pattern": pattern, "URL": url, "keepalive": keepalive}),
            )
            .await?;
        let keepalive = keepalive == json!(true) || keepalive == "true";
        route_is(
            place,
            "/saver/gate/a1",
            json!({"pattern": "/saver/gate/a1", "url": url, "keepalive": keepalive}),
        )
        .await?;
    }
    let count = async |entry: &Entry| -> Result<usize> {
        let list = place
            .told(entry, "routes?page_size=1000&page_token=/saver")
            .await?;
        let routes = list["routes"].as_array().context("routes")?;
        Ok(routes
            .iter()
            .filter(|r| r["pattern"].as_str().is_some_and(|p| p.starts_with("/saver/")))
            .count())
    };
    for entry in place.entries() {
        ensure!(count(entry).await? == 1, "an update makes a second route");
        let save = async |body: &str| place.admin(entry, Method::POST, "routes", body).await;
        save("").await?.is(500, "EOF")?;
        save(r#"{"pattern":"/saver/b"#).await?.is(500, "unexpected EOF")?;
        save(r#"{"pattern":"/saver/b","url":""}"#)
            .await?
            .is(500, "route url required")?;
        save(r#"{"pattern":"/saver/b"}"#)
            .await?
            .is(500, "route url required")?;
        for wrong in [
            "[]",
            r#"{"pattern":"/saver/b","url":7}"#,
            r#"{"pattern":"/saver/b","url":"rtsp://a b:%zz/"}"#,
            r#"{"pattern":"/saver/b","url":"rtsp://h","keepalive":1}"#,
        ] {
            save(wrong).await?.is_error(500)?;
        }
        no_route(place, "/saver/b").await?;
    }
    let body = r#"{"pattern":"/saver/c","url":"rtsp://h"}"#;
    place.needs_admin(Method::POST, "routes", body).await?;
    no_route(place, "/saver/c").await?;
    place.delete("routes/saver/gate/a1").await
}
