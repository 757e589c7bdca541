//! The API's description at `/api/openapi.json`, by a fuzzer that asks for whatever it allows and for some of what it
//! forbids, and looks whether answers are among those described.
//!
//! The documented API answers wrong input by 500 (contract, section 1.3), which a fuzzer takes for a fault. The operations
//! with such input describe a 500 that begins with "Wrong input", and only theirs is let pass. Every other 5xx fails, also
//! where one is described for the account store's sake: the store is there.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use weir_tests::{Context, Result, ensure, media_node::MediaNode, process, setup, wait::secs};

/// Without `stateful`, which uses what it was told for further requests: it deletes `admin`, who is listed, and has no
/// rights from then on.
const PHASES: &str = "examples,coverage,fuzzing";
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Of each operation, and again of what is wrong on purpose; besides, there is the coverage of each parameter's limits.
const EXAMPLES: &str = "15";

/// What clients of the cloud recorder show.
const UNION_ID: &str = "canary-unionid-7hTq";

/// The fuzzer's settings: who asks, and whose 500 is an answer.
fn settings(described: &Value, token: &str, recorder_token: &str) -> Result<String> {
    let mut text = format!(
        "[auth.openapi]\ntoken = {{ api_key = \"{token}\" }}\nrecorder_token = {{ api_key = \"{recorder_token}\" }}\n"
    );
    let mut some = false;
    for (path, item) in described["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("operations")? {
            let failure = operation["responses"]["500"]["description"].as_str();
            if failure.is_some_and(|text| text.starts_with("Wrong input")) {
                some = true;
                let passes = format!(
                    "[[operations]]\ninclude-name = \"{} {path}\"\nchecks.not_a_server_error.expected-statuses = \
                     [\"2xx\", \"3xx\", \"4xx\", 500]\n",
                    method.to_uppercase()
                );
                text.push_str(&passes);
            }
        }
    }
    ensure!(some, "no operation describes wrong input: {described}");
    Ok(text)
}

/// The operations of one API: those with this tag, or those without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Ipchub,
    Recorder,
}

const RECORDER_TAG: &str = "cloud recorder";

#[tokio::test]
async fn answers_are_among_those_described() -> Result<()> {
    ask(Of::Ipchub).await
}

#[tokio::test]
async fn answers_of_the_cloud_recorder_are_among_those_described() -> Result<()> {
    ask(Of::Recorder).await
}

async fn ask(of: Of) -> Result<()> {
    let packages = setup::part("schemathesis").await?;
    // What the description's examples name is there, until it is deleted; and some that are not deleted.
    let mut node = MediaNode::standalone()
        .protected()
        .argument("--recorder-unionid")
        .argument(UNION_ID)
        .file_camera("door", "h264_aac.mp4", "  path: gate/a1\n")
        .file_camera("yard", "h264_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    node.until_ready("yard").await?;
    let token = node.login().await?.access;
    for (what, body) in [
        (
            "users",
            json!({"name": "guard", "password": "canary-guard-4Rr", "pull": "/gate/*"}),
        ),
        ("routes", json!({"pattern": "/hr/", "url": "rtsp://192.0.2.1"})),
        (
            "routes",
            json!({"pattern": "/gate/a1", "url": "rtsp://u:canary-p@192.0.2.1/live"}),
        ),
    ] {
        let path = format!("/api/v1/{what}?token={token}");
        let (status, text) = node.call(Method::POST, &path, &body.to_string()).await?;
        ensure!(status == 200, "{what}: {status} {text}");
    }
    let described: Value = serde_json::from_str(&node.text("/api/openapi.json").await?.1)?;
    let config = node.folder().join("schemathesis.toml");
    let told = node
        .text(&format!("/api/v1/access_token?unionid={UNION_ID}"))
        .await?
        .1;
    let told: Value = serde_json::from_str(&told)?;
    let recorder_token = told["token"].as_str().context("a token")?;
    fs::write(&config, settings(&described, &token, recorder_token)?)?;

    let mut fuzzer = Command::new("python3");
    fuzzer
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&config);
    fuzzer.args(["run", &node.http("/api/openapi.json")]);
    fuzzer.args(["--phases", PHASES, "--checks", CHECKS, "--max-examples", EXAMPLES]);
    let which = if of == Of::Recorder {
        "--include-tag"
    } else {
        "--exclude-tag"
    };
    fuzzer.args([which, RECORDER_TAG]);
    // The same each time; what fails is shown as it was found.
    fuzzer.args([
        "--seed",
        "7",
        "--no-shrink",
        "--continue-on-failure",
        "--generation-database",
        "none",
    ]);
    fuzzer.args([
        "--suppress-health-check",
        "all",
        "--warnings",
        "off",
        // Two threads of Python 3.11 that parse Python at once may fail: "AST constructor recursion depth mismatch".
        "--workers",
        "1",
        "--no-color",
    ]);
    fuzzer
        .env("PYTHONPATH", &packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    fuzzer.env(
        "SCHEMATHESIS_HOOKS",
        setup::sources().join("tests/loopback_schemathesis/hooks.py"),
    );
    fuzzer.current_dir(node.folder());
    let (report, complaints, status) = process::outcome(&mut fuzzer, secs(160)).await?;
    ensure!(status.success(), "{report}\n{complaints}");
    let items = described["paths"].as_object().into_iter().flatten();
    let operations = items
        .filter_map(|(_, item)| item.as_object())
        .flat_map(serde_json::Map::values);
    let asked = operations.filter(|operation| (operation["tags"][0] == RECORDER_TAG) == (of == Of::Recorder));
    let asked = asked.count();
    ensure!(
        report.contains(&format!("Tested: {asked}\n")),
        "not all was asked: {report}"
    );

    ensure!(node.process().is_running(), "it has ended");
    let log = node.log();
    ensure!(!log.contains("panicked"), "a panic:\n{log}");
    ensure!(!log.contains("canary-"), "a password is in the log");
    Ok(())
}
