use super::*;

const CAMERA: &str =
    "apiVersion: weir.video/v1alpha1\nkind: Camera\nmetadata: {name: a}\nspec: {source: {publish: {}}}\n";

#[test]
fn documents_are_cut_as_kubectl_cuts_them() {
    let text = "\u{feff}# only a comment\n---\na: 1\n--- # next\nb: |\n  ---\n  x\n---\n\n---\nc: 3";
    let found: Vec<_> = documents(text)
        .into_iter()
        .map(|d| (d.number, d.line, text[d.range].to_owned()))
        .collect();
    assert_eq!(
        found,
        [
            (1, 3, "a: 1\n".to_owned()),
            (2, 5, "b: |\n  ---\n  x\n".to_owned()),
            (3, 11, "c: 3".to_owned())
        ]
    );
    assert!(documents("").is_empty() && documents("---\n---\n").is_empty());
}

#[test]
fn one_bad_document_spoils_no_other() {
    let text = format!(
        "{CAMERA}---\nkind: [\n---\n{}",
        CAMERA.replace("name: a", "name: b")
    );
    let (good, bad) = read(&text, &Validator::new());
    let names: Vec<_> = good.iter().map(|m| m.key.to_string()).collect();
    assert_eq!(names, ["Camera default/a", "Camera default/b"]);
    assert_eq!(bad.len(), 1);
    assert_eq!((bad[0].document.number, bad[0].document.line), (2, 6));
    assert!(bad[0].error.message.contains("line 7"), "{}", bad[0].error);
}

#[test]
fn faults_name_the_field_and_what_to_write() {
    let validator = Validator::new();
    for (text, key, field, part) in [
        ("- a\n", None, "", "apiVersion"),
        ("kind: Camera\n", None, "apiVersion", "weir.video/v1alpha1"),
        (
            "apiVersion: weir.video/v1alpha1\nkind: Camra\n",
            None,
            "kind",
            "one of Camera",
        ),
        (
            "apiVersion: weir.video/v1\nkind: Camera\n",
            None,
            "kind",
            "weir.video/v1alpha1",
        ),
        (
            "apiVersion: weir.video/v1alpha1\nkind: Camera\n",
            None,
            "metadata.name",
            "front-door",
        ),
        (
            &CAMERA.replace("name: a", "name: A_b"),
            None,
            "metadata.name",
            "lower-case",
        ),
        (
            &CAMERA.replace("name: a", "name: a, namespace: ../x"),
            None,
            "metadata.namespace",
            "leave it out",
        ),
        (
            &CAMERA.replace("name: a", "name: a, labels: {x: [1]}"),
            Some("a"),
            "metadata",
            "as it should be",
        ),
        (&CAMERA.replace("spec", "sepc"), Some("a"), "", "unknown field"),
        (
            &CAMERA.replace("publish: {}", "rtps: {}"),
            Some("a"),
            "",
            "spec.source.rtps",
        ),
        ("a: 1\na: 2\n", None, "", "duplicate"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: '#'}\n",
            Some("s"),
            "data.k",
            "base64",
        ),
    ] {
        let (good, bad) = read(text, &validator);
        assert!(good.is_empty(), "{text}");
        let found = bad.iter().any(|f| {
            f.key.as_ref().map(|k| k.name.as_str()) == key
                && f.error.field == field
                && f.error.message.contains(part)
                && !f.foreign
        });
        assert!(found, "{text}: {bad:?}");
    }
}

#[test]
fn lists_and_foreign_kinds() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: weir.video/v1alpha1, kind: Route, metadata: {name: r}, spec: {pattern: /, url: 'rtsp://h/'}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: n}}\n";
    let (good, bad) = read(text, &Validator::new());
    assert_eq!(good.len(), 1);
    assert!(good[0].in_list && good[0].key.kind == Kind::Route);
    assert!(bad.len() == 1 && bad[0].foreign);
}

#[test]
fn secrets_have_data_and_string_data() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {username: YWRtaW4=, password: eA==}\nstringData: {password: 'p:w'}\n";
    let (good, bad) = read(text, &Validator::new());
    assert!(bad.is_empty(), "{bad:?}");
    let data = secret_data(good[0].value.as_object().expect("an object")).expect("data");
    assert_eq!(data["username"].reveal(), b"admin");
    assert_eq!(data["password"].reveal(), b"p:w");
    assert!(!format!("{data:?}").contains("p:w"));
}

#[test]
fn what_is_stored_is_the_same_in_every_run() {
    let (good, _) = read(CAMERA, &Validator::new());
    let value = stored(&good[0].key, &good[0].value, 1, 7, None);
    assert_eq!(value["metadata"]["uid"], "0dce46bf-7cf4-ba83-57b6-aa7ff003753b");
    assert_eq!(value["metadata"]["creationTimestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(value["metadata"]["namespace"], "default");
    assert_eq!(value["metadata"]["resourceVersion"], "7");
}
