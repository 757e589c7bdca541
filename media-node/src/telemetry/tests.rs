//! The chart's rules and dashboard against the code that tells the metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("weir_") && word.len() > "weir_".len())
        .map(str::to_owned)
        .collect()
}

/// All code below a folder but tests.
fn code(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&code(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            text.push_str(&fs::read_to_string(&path).expect("a file"));
        }
    }
    text
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let told = code(&root().join("media-node/src"));
    let documented = fs::read_to_string(root().join("docs/guide/operations.md")).expect("the guide");
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(root().join("charts/weir/files").join(file)).expect(file);
        let names = names(&text);
        assert!(names.len() > 5, "{file}: {names:?}");
        for name in names {
            let macros = ["counter!", "gauge!", "histogram!"];
            let is_told = macros
                .iter()
                .any(|kind| told.contains(&format!("metrics::{kind}(\"{name}\"")));
            assert!(is_told, "{file} names {name}, which nothing tells");
            assert!(
                told.matches(&format!("\"{name}\"")).count() > 1,
                "{name} has no help text"
            );
            assert!(
                documented.contains(&format!("`{name}`")),
                "{name} is not in operations.md"
            );
        }
    }
}
