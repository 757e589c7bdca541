//! The examples are admitted, and every manifest of `testdata/refused` is refused for its reason.

use serde_json::{Value, json};
use std::{fs, path::PathBuf};

use super::*;
use crate::{Camera, MediaPool, RecordSchedule, Room, Route, Source};

fn manifests(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    files.sort();
    files
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "yaml"))
        .map(|f| (f.display().to_string(), fs::read_to_string(f).expect("a file")))
        .collect()
}

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_norway::Deserializer::from_str(text)
        .map(|d| Value::deserialize(d).expect("YAML"))
        .collect()
}

#[test]
fn every_rule_compiles() {
    for (kind, Kind { rules, .. }) in &Validator::new().kinds {
        assert!(!rules.has_errors(), "{kind}: {:?}", rules.compilation_errors());
    }
}

#[test]
fn the_schemas_have_no_keyword_that_is_not_carried_out() {
    fn visit(schema: &Value, at: &str) {
        for (key, value) in schema.as_object().expect("a schema") {
            assert!(shape::KEYWORDS.contains(&key.as_str()), "{at}: {key}");
            match (key.as_str(), value) {
                ("properties", Value::Object(all)) => {
                    all.iter().for_each(|(k, v)| visit(v, &format!("{at}.{k}")));
                }
                ("items" | "additionalProperties", value) => visit(value, &format!("{at}[]")),
                _ => {}
            }
        }
    }
    for (kind, Kind { schema, .. }) in &Validator::new().kinds {
        visit(schema, kind);
    }
}

#[test]
fn no_item_of_a_list_has_a_default() {
    fn visit(schema: &Value, at: &str, in_list: bool) {
        assert!(
            !(in_list && schema.get("default").is_some()),
            "{at}: applying it twice would be a change"
        );
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            visit(field, &format!("{at}.{name}"), in_list);
        }
        if let Some(items) = schema.get("items") {
            visit(items, &format!("{at}[]"), true);
        }
    }
    for (kind, Kind { schema, .. }) in &Validator::new().kinds {
        visit(&schema["properties"]["spec"], kind, false);
    }
}

#[test]
fn the_examples_are_admitted_and_read() {
    let validator = Validator::new();
    let mut kinds = vec![];
    for (file, text) in manifests("examples") {
        for document in documents(&text) {
            let kind = document["kind"].as_str().unwrap_or_default().to_owned();
            if kind == "Secret" {
                continue;
            }
            let object = validator
                .admit(&document)
                .unwrap_or_else(|p| panic!("{file}: {p:?}"));
            // As the API server stored it, and as the file has it: both must be readable.
            for value in [object, document] {
                let again = match kind.as_str() {
                    "Camera" => round_trip::<Camera>(&file, &value),
                    "MediaPool" => round_trip::<MediaPool>(&file, &value),
                    "RecordSchedule" => round_trip::<RecordSchedule>(&file, &value),
                    "Room" => round_trip::<Room>(&file, &value),
                    "Route" => round_trip::<Route>(&file, &value),
                    kind => panic!("{file}: {kind:?}"),
                };
                validator
                    .admit(&again)
                    .unwrap_or_else(|p| panic!("{file}, read and written: {p:?}"));
            }
            kinds.push(kind);
        }
    }
    for kind in validator.kinds.keys() {
        assert!(kinds.contains(kind), "no example of {kind}");
    }
}

/// Reads a value as its type, also from YAML, and writes it; what is written has the same meaning.
fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(file: &str, value: &Value) -> Value {
    let object: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{file}: {e}"));
    let written = serde_json::to_value(&object).expect("it serializes");
    let yaml = serde_norway::to_string(&object).expect("it serializes");
    let from_yaml: T = serde_norway::from_str(&yaml).unwrap_or_else(|e| panic!("{file}: {e}\n{yaml}"));
    assert_eq!(
        serde_json::to_value(&from_yaml).expect("it serializes"),
        written,
        "{file}"
    );
    written
}

#[test]
fn every_bad_manifest_is_refused_for_its_reason() {
    let validator = Validator::new();
    let files = manifests("testdata/refused");
    assert!(files.len() >= 30, "{} files", files.len());
    for (file, text) in files {
        let mut lines = text.lines();
        let want = lines
            .next()
            .and_then(|l| l.strip_prefix("# want: "))
            .unwrap_or_else(|| panic!("{file}: no # want:"));
        let field = lines
            .next()
            .and_then(|l| l.strip_prefix("# field: "))
            .unwrap_or_else(|| panic!("{file}: no # field:"));
        let document = documents(&text).remove(0);
        let problems = validator.admit(&document).expect_err(&file);
        assert!(
            problems
                .iter()
                .map(ToString::to_string)
                .any(|p| p.contains(want) && p.contains(field)),
            "{file}: want {field}: {want}\ngot {problems:#?}"
        );
    }
}

fn camera(source: &Value) -> Value {
    json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera", "metadata": {"name": "a"}, "spec": {"source": source}})
}

#[test]
fn defaults_are_filled_in_as_the_types_have_them() {
    let validator = Validator::new();
    let bare = camera(&json!({"rtsp": {"url": "rtsp://10.1.2.3/main", "subUrl": null}}));
    let stored = validator.admit(&bare).expect("admitted");
    assert_eq!(stored["spec"]["idleTimeout"], "5m");
    assert_eq!(stored["spec"]["source"]["rtsp"]["transport"], "Auto");
    let [bare, stored] = [bare, stored].map(|v| serde_json::from_value::<Camera>(v).expect("a camera"));
    assert_eq!(bare.spec, stored.spec);
    assert_eq!(
        bare.spec,
        crate::CameraSpec::new(Source::Rtsp(crate::camera::RtspSource::new(
            "rtsp://10.1.2.3/main"
        )))
    );

    let bare = json!({"apiVersion": "weir.video/v1alpha1", "kind": "MediaPool", "metadata": {"name": "media"}, "spec": {}});
    let stored = validator.admit(&bare).expect("admitted");
    let [bare, stored] = [bare, stored].map(|v| serde_json::from_value::<MediaPool>(v).expect("a pool"));
    assert_eq!(bare.spec, stored.spec);
    assert_eq!(bare.spec, crate::MediaPoolSpec::default());
}

#[test]
fn a_room_keeps_its_type() {
    let validator = Validator::new();
    let room = |type_: &str| {
        json!({"apiVersion": "weir.video/v1alpha1", "kind": "Room", "metadata": {"name": "a"},
               "spec": {"type": type_, "masterId": "ann"}})
    };
    let old = validator.admit(&room("Live")).expect("admitted");
    assert!(validator.admit_change(&room("Live"), Some(&old)).is_ok());
    let problems = validator
        .admit_change(&room("Conversation"), Some(&old))
        .expect_err("refused");
    assert!(problems[0].message.contains("type cannot change"), "{problems:?}");
}

#[test]
fn what_is_no_manifest_is_refused() {
    let validator = Validator::new();
    for value in [
        json!(null),
        json!([]),
        json!({}),
        json!({"apiVersion": "v1", "kind": "Camera"}),
        json!("Camera"),
    ] {
        assert_eq!(
            validator.admit(&value).expect_err("refused")[0].field,
            "apiVersion"
        );
    }
    let other = json!({"apiVersion": "weir.video/v1alpha1", "kind": "Kamera", "metadata": {"name": "a"}});
    assert_eq!(validator.admit(&other).expect_err("refused")[0].field, "kind");
}

/// Strings that attack whoever carries a URL, a path or a name on.
#[test]
fn no_field_takes_what_could_be_read_as_something_else() {
    let validator = Validator::new();
    for url in [
        "rtsp://10.0.0.1/a\nb",
        "rtsp://10.0.0.1/a b",
        "rtsp://10.0.0.1/a\tb",
        "rtsp://10.0.0.1\\@10.0.0.2/",
        "rtsp://u:p@10.0.0.1/",
        "rtsp://u@10.0.0.1/",
        "RTSP://u:p@10.0.0.1/",
        "rtsp:///etc/passwd",
        "rtsp:10.0.0.1/a",
        "exec:ffmpeg -i x",
        "file:///etc/passwd",
        "concat:a|b",
        "http://10.0.0.1/a",
        " rtsp://10.0.0.1/a",
        "rtsp://10.0.0.1/a\u{0}",
        "rtsp://10.0.0.1/\"a\"",
        "",
    ] {
        assert!(
            validator.admit(&camera(&json!({"rtsp": {"url": url}}))).is_err(),
            "{url:?}"
        );
    }
    for path in [
        "../a",
        "a/../b",
        "/etc/passwd",
        "file:a",
        "a\\..\\b",
        "a\nb",
        "..",
        "",
        "concat:a|b",
    ] {
        assert!(
            validator
                .admit(&camera(&json!({"file": {"path": path}})))
                .is_err(),
            "{path:?}"
        );
    }
    for host in [
        "10.0.0.1:80",
        "http://10.0.0.1",
        "a b",
        "a/b",
        "a@b",
        "",
        "-a",
        "a..b",
        "[::1]",
    ] {
        assert!(
            validator
                .admit(&camera(&json!({"onvif": {"host": host}})))
                .is_err(),
            "{host:?}"
        );
    }
    for (source, url) in [
        ("rtsp", "rtsp://10.0.0.1/a?user=b#c"),
        ("rtsp", "RTSPS://camera.example:322/Streaming/Channels/101"),
        ("rtsp", "rtsp://[fd00::1]:554/live@2"),
        ("rtmp", "rtmp://10.0.0.1/live/a"),
        ("http", "https://10.0.0.1/live/a.flv?x=%20"),
    ] {
        assert!(
            validator.admit(&camera(&json!({source: {"url": url}}))).is_ok(),
            "{url:?}"
        );
    }
    for host in ["10.0.0.1", "fd00::1", "camera_1.example.", "cam"] {
        assert!(
            validator
                .admit(&camera(&json!({"onvif": {"host": host}})))
                .is_ok(),
            "{host:?}"
        );
    }
}
