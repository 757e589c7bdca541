//! Who answers, and who is let in.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Place,
    place::{FORMS, Form, has},
};

/// Without a token and without a code; and what all interfaces have in common.
pub async fn recorder_version(place: &Place) -> Result<()> {
    for entry in place.entries() {
        for form in FORMS {
            let told = place.call(entry, "version", &[("unknown", "x")], form).await?;
            has(&told, &json!({"API": "v1", "Name": "云录播"}))?;
            ensure!(told["err_code"] == Value::Null, "{told}");
            let server = told["Server"].as_str().unwrap_or_default();
            ensure!(
                server.starts_with("Linux ") && told["Version"].is_string(),
                "{told}"
            );
        }
        for path in ["/api/v1/version/", "//api/v1//version", "/api/v1/version/left"] {
            let reply = place.http(entry, Method::GET, path, "").await?;
            ensure!(
                reply.status == 200 && reply.text.contains("云录播"),
                "{path}: {reply:?}"
            );
        }
        let head = place.http(entry, Method::HEAD, "/api/v1/version", "").await?;
        ensure!(head.status == 200 && head.text.is_empty(), "{head:?}");
        for path in [
            "/api/v1/List_School",
            "/api/v1/list_nothing",
            "/api/v1/list_nothing/a/b?token=x",
        ] {
            let reply = place.http(entry, Method::GET, path, "").await?;
            let told: Value = serde_json::from_str(&reply.text).with_context(|| reply.text.clone())?;
            ensure!(
                reply.status == 404 && told["err_code"] == 404,
                "{path}: {reply:?}"
            );
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let reply = place.http(entry, method, "/api/v1/list_school", "").await?;
            let told: Value = serde_json::from_str(&reply.text).with_context(|| reply.text.clone())?;
            ensure!(
                reply.status == 405 && reply.header("allow") == "GET, HEAD" && told["err_code"] == 405,
                "{reply:?}"
            );
        }
    }
    Ok(())
}

/// Base64 is read leniently, and what is no credential is unknown.
pub async fn recorder_access_token(place: &Place) -> Result<()> {
    for entry in place.entries() {
        for form in FORMS {
            let told = place
                .call(entry, "access_token", &[("unionid", &place.unionid)], form)
                .await?;
            has(&told, &json!({"err_code": 0, "err_msg": "OK", "expires": 7200}))?;
            let token = told["token"].as_str().with_context(|| told.to_string())?;
            ensure!(
                token
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                "{token}"
            );
            // What one entry gives is good at the other.
            for other in place.entries() {
                let listed = place.call(other, "list_grade", &[("token", token)], form).await?;
                ensure!(listed["err_code"] == 0, "{listed}");
            }
            for (parameters, code) in [
                (&[][..], 1001),
                (&[("unionid", "")][..], 1001),
                (&[("unionid", "bm9ib2R5")][..], 1002),
                (&[("unionid", "老师")][..], 1002),
            ] {
                let told = place.call(entry, "access_token", parameters, form).await?;
                ensure!(told["err_code"] == code, "{parameters:?}: {told}");
            }
        }
        let blank = place.unionid.replace('-', " ");
        let told = place
            .call(entry, "access_token", &[("unionid", &blank)], Form::Query)
            .await?;
        ensure!(told["err_code"] == 0, "{told}");
    }
    Ok(())
}
