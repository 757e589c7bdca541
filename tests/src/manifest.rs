//! Resources as the text that a user would write.

use std::fmt::Display;

use crate::tls;

/// A Camera that pulls from an RTSP URL. `more` are further lines of the spec, indented by two blanks each.
pub fn rtsp_camera(name: &str, url: impl Display, more: &str) -> String {
    camera(name, &format!("  source:\n    rtsp: {{url: \"{url}\"}}\n{more}"))
}

/// A Camera that pulls over TCP or UDP only.
pub fn rtsp_camera_by(name: &str, url: impl Display, transport: &str, more: &str) -> String {
    camera(
        name,
        &format!("  source:\n    rtsp: {{url: \"{url}\", transport: {transport}}}\n{more}"),
    )
}

/// A Camera that pulls from an RTMP URL.
pub fn rtmp_camera(name: &str, url: impl Display, more: &str) -> String {
    camera(name, &format!("  source:\n    rtmp: {{url: \"{url}\"}}\n{more}"))
}

/// A Camera that plays a file in a loop.
pub fn file_camera(name: &str, path: impl Display, more: &str) -> String {
    camera(
        name,
        &format!("  source:\n    file: {{path: \"{path}\", loop: true}}\n{more}"),
    )
}

/// A Camera to which a device publishes.
pub fn publish_camera(name: &str, more: &str) -> String {
    camera(name, &format!("  source:\n    publish: {{}}\n{more}"))
}

/// A Camera with these lines as its spec.
pub fn camera(name: &str, spec: &str) -> String {
    object("Camera", name, spec)
}

/// A Route.
pub fn route(name: &str, pattern: &str, url: impl Display, keep_alive: bool) -> String {
    object(
        "Route",
        name,
        &format!("  pattern: \"{pattern}\"\n  url: \"{url}\"\n  keepAlive: {keep_alive}\n"),
    )
}

/// A MediaPool whose nodes may dial the addresses in `allow` although the default policy denies them.
pub fn pool_that_allows(name: &str, allow: &[&str]) -> String {
    let allow = allow
        .iter()
        .map(|a| format!("\"{a}\""))
        .collect::<Vec<_>>()
        .join(", ");
    object(
        "MediaPool",
        name,
        &format!("  sourcePolicy: {{allow: [{allow}]}}\n"),
    )
}

/// A RecordSchedule with these lines as its spec.
pub fn schedule(name: &str, spec: &str) -> String {
    object("RecordSchedule", name, spec)
}

/// A RecordSchedule that records a camera round the clock.
pub fn recorded(camera: &str) -> String {
    schedule(
        &format!("{camera}-always"),
        &format!("  cameras: {{names: [{camera}]}}\n  always: true\n"),
    )
}

/// A MediaPool whose nodes may dial loopback, and store in that bucket by the keys of a Secret.
pub fn pool_that_stores(name: &str, endpoint: impl Display, bucket: &str, secret: &str) -> String {
    object(
        "MediaPool",
        name,
        &format!(
            "  sourcePolicy: {{allow: [\"127.0.0.0/8\"]}}\n  storage: {{bucket: {bucket}, endpoint: \"{endpoint}\", secretName: {secret}}}\n"
        ),
    )
}

/// A Secret with the keys of an object store.
pub fn store_secret(name: &str, id: &str, secret: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{accessKeyId: \"{id}\", secretAccessKey: \"{secret}\"}}\n"
    )
}

/// A Secret with a user name and a password.
pub fn secret(name: &str, user: &str, password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{username: \"{user}\", password: \"{password}\"}}\n"
    )
}

/// A Secret with a certificate, as Kubernetes types them.
pub fn certificate(name: &str, certificate: &tls::Certificate) -> String {
    let indented = |text: &str| text.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(&certificate.text),
        indented(&certificate.key)
    )
}

/// A Secret with the certificate of an authority.
pub fn authority(name: &str, certificate: &tls::Certificate) -> String {
    let indented = certificate.text.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData:\n  ca.crt: |\n    {indented}\n"
    )
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: weir.video/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}")
}
