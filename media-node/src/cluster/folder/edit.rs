//! Changing the files of the folder for API calls. What users wrote in other documents stays byte
//! for byte; a file is always replaced as a whole, so that nobody sees half of it.

use super::manifest::{Document, Key};
use rand::RngExt as _;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Name for the file of an object that has none, where no other file is.
pub(super) fn free_file_name(dir: &Path, key: &Key) -> String {
    let kind = key.kind.as_str().to_lowercase();
    let stem = if key.namespace == "default" {
        format!("{kind}-{}", key.name)
    } else {
        format!("{kind}-{}-{}", key.namespace, key.name)
    };
    let mut name = format!("{stem}.yaml");
    let mut count = 1;
    while dir.join(&name).symlink_metadata().is_ok() {
        count += 1;
        name = format!("{stem}.{count}.yaml");
    }
    name
}

/// `old` as a JSON merge patch changes it, RFC 7396 section 2.
pub(super) fn merge(old: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut merged = old.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(name);
        } else {
            let new = merge(merged.get(name).unwrap_or(&Value::Null), value);
            merged.insert(name.clone(), new);
        }
    }
    Value::Object(merged)
}

/// `text` with one document replaced; without `replacement`, taken away. `None` when nothing is
/// left.
pub(super) fn with_document(text: &str, document: &Document, replacement: Option<&str>) -> Option<String> {
    let (before, rest) = text.split_at(document.range.start);
    let after = &rest[document.range.len()..];
    let Some(new) = replacement else {
        let left = format!("{before}{}", after.strip_prefix("---\n").unwrap_or(after));
        return (!super::manifest::documents(&left).is_empty()).then_some(left);
    };
    let gap = if new.ends_with('\n') || after.is_empty() {
        ""
    } else {
        "\n"
    };
    Some(format!("{before}{new}{gap}{after}"))
}

/// Puts `text` under `path` in one step. Only this user may read it: it may be a Secret.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link is kept, and what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = dir.join(format!(".weir-{:016x}", rand::rng().random::<u64>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(e) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(e);
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::manifest::documents;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_replaced_or_taken_away_and_others_stay() {
        let text = "# head\na: 1\n---\nb: 2 # two\n---\nc: 3";
        let all = documents(text);
        let replaced = with_document(text, &all[1], Some("x: 9\n"));
        assert_eq!(replaced.as_deref(), Some("# head\na: 1\n---\nx: 9\n---\nc: 3"));
        assert_eq!(
            with_document(text, &all[1], None).as_deref(),
            Some("# head\na: 1\n---\nc: 3")
        );
        assert_eq!(with_document("a: 1\n", &documents("a: 1\n")[0], None), None);
    }

    #[test]
    fn merging_keeps_what_the_patch_does_not_name_and_takes_away_what_is_null() {
        let old = json!({"kind": "Route", "metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"pattern": "/a", "url": "rtsp://h/", "credentials": {"secretName": "s"}}});
        let patch = json!({"metadata": {"labels": {"y": "2"}},
            "spec": {"url": "rtsp://i/", "credentials": null, "none": null, "new": {"a": null, "b": 1}}});
        assert_eq!(
            merge(&old, &patch),
            json!({"kind": "Route", "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}},
                "spec": {"pattern": "/a", "url": "rtsp://i/", "new": {"b": 1}}})
        );
    }

    #[test]
    fn no_file_of_another_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = |namespace: &str| Key {
            kind: crate::cluster::resource::Kind::Route,
            namespace: namespace.to_owned(),
            name: "a".to_owned(),
        };
        assert_eq!(free_file_name(dir.path(), &key("default")), "route-a.yaml");
        assert_eq!(free_file_name(dir.path(), &key("other")), "route-other-a.yaml");
        std::fs::write(dir.path().join("route-a.yaml"), "# mine").expect("a file");
        assert_eq!(free_file_name(dir.path(), &key("default")), "route-a.2.yaml");
    }
}
