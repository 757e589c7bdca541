//! What is committed is what the types say.

use std::{env, path::Path, process::Command};

#[test]
fn the_committed_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut crdgen = Command::new(env!("CARGO_BIN_EXE_crdgen"));
    crdgen
        .current_dir(root)
        .args(["--check", "--helm", "charts/weir/templates/crds"]);
    let out = crdgen.output().expect("crdgen runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_file_that_differs_is_named() {
    let folder = env::temp_dir().join(format!("crdgen-{}", std::process::id()));
    let run = |words: &[&str]| {
        let mut crdgen = Command::new(env!("CARGO_BIN_EXE_crdgen"));
        crdgen
            .arg("--yaml")
            .arg(folder.join("yaml"))
            .arg("--docs")
            .arg(folder.join("docs"))
            .args(words);
        crdgen.output().expect("crdgen runs")
    };
    assert_eq!(run(&["--check"]).status.code(), Some(1));
    assert!(run(&[]).status.success());
    assert!(run(&["--check"]).status.success());

    let file = folder.join("yaml/cameras.yaml");
    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, text + "\n").expect("writes");
    let out = run(&["--check"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("cameras.yaml"));
    std::fs::remove_dir_all(&folder).expect("removes");
}
