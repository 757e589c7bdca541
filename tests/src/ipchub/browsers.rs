//! Section 1.3: what pages of other origins may do.

use anyhow::{Result, ensure};
use reqwest::Method;

use super::Place;

async fn crossdomain(place: &Place, paths: &[&str]) -> Result<()> {
    for entry in place.entries() {
        for path in paths {
            let reply = place.get(entry, path).await?;
            ensure!(
                reply.status == 200 && reply.header("content-type") == "application/xml",
                "{reply:?}"
            );
            ensure!(
                reply.text.contains("<cross-domain-policy>") && reply.text.contains("domain=\"*\""),
                "{reply:?}"
            );
        }
    }
    Ok(())
}

/// The policy, below any path, without a token.
pub async fn ipchub_crossdomain_api(place: &Place) -> Result<()> {
    crossdomain(
        place,
        &[
            "/api/crossdomain.xml",
            "/api/v1/crossdomain.xml",
            "/api/v1/users/crossdomain.xml",
        ],
    )
    .await?;
    // Nothing else of that ending.
    for entry in place.entries() {
        place
            .get(entry, "/api/v1/xcrossdomain.xml")
            .await?
            .is(401, "Token is not valid")?;
    }
    Ok(())
}

/// The same below the streams.
pub async fn ipchub_crossdomain_streams(place: &Place) -> Result<()> {
    crossdomain(
        place,
        &[
            "/streams/crossdomain.xml",
            "/streams/a/crossdomain.xml",
            "/streams/a/b/crossdomain.xml",
        ],
    )
    .await?;
    for entry in place.entries() {
        let reply = place.get(entry, "/streams/a/xcrossdomain.xml").await?;
        ensure!([401, 404].contains(&reply.status), "{reply:?}");
    }
    Ok(())
}

/// 204 to whoever asks, and the header that lets others read on every answer.
pub async fn ipchub_preflight(place: &Place) -> Result<()> {
    for entry in place.entries() {
        for path in [
            "/api/v1/users",
            "/api/v1/streams/a/b",
            "/api/nothing",
            "/streams/a.flv",
            "/streams/a/1.ts",
        ] {
            let reply = place.call(entry, Method::OPTIONS, path, "").await?;
            ensure!(reply.status == 204 && reply.text.is_empty(), "{reply:?}");
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
                ("access-control-allow-headers", "*, Content-Type"),
            ] {
                ensure!(reply.header(name) == value, "{name}: {reply:?}");
            }
        }
        let token = format!("?token={}", place.token);
        for (path, status) in [
            ("/api/v1/users".to_owned(), 401),
            ("/api/v1/nothing".to_owned(), 401),
            (format!("/api/v1/nothing{token}"), 404),
            (format!("/api/V1/users{token}"), 404),
            (format!("/api/v1/users{token}"), 200),
            (format!("/api/v1/users{token}&page_size=x"), 500),
            ("/streams/absent.flv".to_owned(), 401),
            (format!("/streams/absent.flv{token}"), 404),
        ] {
            let reply = place.get(entry, &path).await?;
            ensure!(reply.status == status, "not {status}: {reply:?}");
            ensure!(reply.header("access-control-allow-origin") == "*", "{reply:?}");
        }
        // There is no 405, and a HEAD is no GET.
        for method in [Method::PUT, Method::PATCH, Method::HEAD] {
            let reply = place
                .call(entry, method, &format!("/api/v1/users{token}"), "")
                .await?;
            ensure!(reply.status == 404, "{reply:?}");
        }
    }
    Ok(())
}
