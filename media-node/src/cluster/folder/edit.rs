//! Changing the files of the folder for API calls. What users wrote in other documents stays byte
//! for byte; a file is always replaced as a whole, so that nobody sees half of it.

use super::manifest::{Document, Key};
use rand::RngExt as _;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Name of the file of an object that had none.
pub(super) fn file_name(key: &Key) -> String {
    let kind = key.kind.as_str().to_lowercase();
    if key.namespace == "default" {
        format!("{kind}-{}.yaml", key.name)
    } else {
        format!("{kind}-{}-{}.yaml", key.namespace, key.name)
    }
}

/// `old` with the fields that `new` has: labels and annotations one by one, the spec field by
/// field, everything else as a whole.
pub(super) fn merge(old: &Value, new: &Value) -> Value {
    let mut merged = old.clone();
    let (Some(to), Some(from)) = (merged.as_object_mut(), new.as_object()) else {
        return new.clone();
    };
    for (name, value) in from {
        match (name.as_str(), to.get_mut(name), value) {
            ("spec" | "labels" | "annotations", Some(Value::Object(to)), Value::Object(from)) => {
                to.extend(from.clone());
            }
            ("metadata", Some(old), value) => *old = merge(old, value),
            (_, _, value) => {
                to.insert(name.clone(), value.clone());
            }
        }
    }
    merged
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
    fn merging_keeps_what_the_change_does_not_name() {
        let old = json!({"kind": "Camera", "metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"audio": false, "source": {"rtsp": {"url": "rtsp://h/", "transport": "Tcp"}}}});
        let new =
            json!({"metadata": {"name": "a", "labels": {"y": "2"}}, "spec": {"source": {"publish": {}}}});
        assert_eq!(
            merge(&old, &new),
            json!({"kind": "Camera", "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}},
                "spec": {"audio": false, "source": {"publish": {}}}})
        );
    }
}
