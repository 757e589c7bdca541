//! Secrets that API calls make for the objects that they write, for credentials that come in URLs.
//!
//! Such a Secret is owned by its object and never changes: another password is another Secret, so that an object and
//! its credentials change in one step.

use crate::cluster::resource::{Kind, SecretData, Secrets, Specs, Target, WriteError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weir_crds::GATEWAY_MANAGER;
use weir_crds::route::is_made_secret;
use weir_proto::Redacted;

/// The key of a userinfo as it stands in a URL.
pub(super) const USERINFO: &str = "userinfo";
/// How long gateways may take to be allowed to read a new Secret.
const READABLE: Duration = Duration::from_secs(5);
/// What is left as it is in a userinfo that is put together.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Of all objects that API calls make.
pub(super) fn labels() -> Value {
    json!({"app.kubernetes.io/managed-by": GATEWAY_MANAGER})
}

/// Makes a Secret that goes when its owner does. `data` are texts by key.
pub(super) async fn make(
    specs: &dyn Specs,
    owner: &Target,
    name: &str,
    data: &Value,
) -> Result<(), WriteError> {
    let manifest = json!({
        "apiVersion": Kind::Secret.api_version(),
        "kind": Kind::Secret.as_str(),
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels(),
            "ownerReferences": [reference(owner)],
        },
        "stringData": data,
    });
    specs.create(&manifest).await.map(std::mem::drop)
}

/// Says in metadata that the object goes with its owner.
pub(super) fn reference(owner: &Target) -> Value {
    json!({
        "apiVersion": owner.kind.api_version(),
        "kind": owner.kind.as_str(),
        "name": owner.name,
        "uid": owner.uid,
    })
}

/// Waits until the Secret can be read: which Secrets gateways may read follows the objects that name them, and whoever
/// asks next, wherever, shall get what was saved.
pub(super) async fn until_readable(
    secrets: &dyn Secrets,
    namespace: &str,
    name: &str,
) -> Result<(), WriteError> {
    let deadline = Instant::now() + READABLE;
    loop {
        let read = secrets.read(namespace, name).await;
        if matches!(read, Ok(Some(_))) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            read?;
            return Err(WriteError::Gone);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Deletes a Secret that an API call has made and that no object names any more. What can't be deleted goes with the
/// object that owns it.
pub(super) async fn drop(specs: &dyn Specs, namespace: &str, name: &str) {
    if !is_made_secret(name) {
        return;
    }
    if let Err(error) = specs.delete(Kind::Secret, namespace, name).await {
        tracing::info!(namespace, secret = name, error = %error.chain(), "a former Secret stays");
    }
}

/// As it stands in a URL.
pub(super) fn userinfo(data: &SecretData) -> Option<Redacted<String>> {
    if let Some(userinfo) = text(data, USERINFO) {
        return Some(Redacted::new(userinfo));
    }
    let (username, password) = (text(data, "username")?, text(data, "password")?);
    let encode = |text: &str| utf8_percent_encode(text.trim_end_matches(['\r', '\n']), PLAIN).to_string();
    Some(Redacted::new(format!(
        "{}:{}",
        encode(&username),
        encode(&password)
    )))
}

/// The value of a key, if it is text.
pub(super) fn text(data: &SecretData, key: &str) -> Option<String> {
    Some(std::str::from_utf8(data.get(key)?.reveal()).ok()?.to_owned())
}
