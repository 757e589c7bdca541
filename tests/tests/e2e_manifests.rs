//! Manifests that are wrong are refused by the API server with the field and what to write instead; those of the
//! documentation are accepted, and applying them twice changes nothing.

use std::{collections::BTreeMap, fs, path::PathBuf};

use weir_tests::{
    Context, Result,
    cluster::{Pool, with_namespace},
    ensure, eventually, setup,
    wait::secs,
};

/// The YAML files of a folder, by name.
fn files(folder: &str) -> Result<BTreeMap<String, String>> {
    let folder: PathBuf = setup::root().join(folder);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            found.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn wrong_ones_are_refused_with_advice() -> Result<()> {
    let table = files("crds/testdata/refused")?;
    ensure!(table.len() >= 25, "{} manifests", table.len());
    with_namespace(None, async |ns| {
        let mut failures = Vec::new();
        for (name, text) in &table {
            let head = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
            let want = head("# want:").with_context(|| format!("{name} says not what it wants"))?;
            match ns.refused(text).await {
                Ok(words) => {
                    let words_plain = words.replace('\\', "");
                    if !words_plain.contains(want) {
                        failures.push(format!("{name}: want {want:?} in {words}"));
                    }
                    if let Some(field) = head("# field:")
                        && !words_plain.contains(field)
                    {
                        failures.push(format!("{name}: want the field {field} in {words}"));
                    }
                }
                Err(e) => failures.push(format!("{name}: {e:#}")),
            }
        }
        ensure!(
            failures.is_empty(),
            "{} of {}:\n{}",
            failures.len(),
            table.len(),
            failures.join("\n")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn examples_apply_twice_without_a_difference() -> Result<()> {
    let examples = files("crds/examples")?;
    ensure!(!examples.is_empty(), "no examples");
    with_namespace(Pool::default(), async |ns| {
        for (name, text) in &examples {
            // There is one pool in a namespace, and it has its name already.
            if text.contains("kind: MediaPool") {
                let folder = tempfile::TempDir::new()?;
                let file = folder.path().join(name);
                fs::write(&file, text)?;
                let file = file.to_string_lossy();
                ns.kubectl(&["apply", "--dry-run=server", "-f", &file])
                    .await
                    .with_context(|| name.clone())?;
                continue;
            }
            ns.apply(text).await.with_context(|| name.clone())?;
            ns.apply(text).await.with_context(|| name.clone())?;
            let difference = ns.diff(text).await?;
            ensure!(difference.is_empty(), "{name}, applied twice: {difference}");
        }
        // Also when they have been looked at: nobody touches the specs.
        eventually(secs(60), "each to have been looked at", async || {
            let list = ns.get(&["cameras,routes,rooms,recordschedules"]).await?;
            for object in list["items"].as_array().context("a list")? {
                let conditions = object["status"]["conditions"].as_array();
                ensure!(
                    conditions.is_some_and(|c| !c.is_empty()),
                    "{} {}",
                    object["kind"],
                    object["metadata"]["name"]
                );
            }
            Ok(())
        })
        .await?;
        for (name, text) in examples.iter().filter(|(_, t)| !t.contains("kind: MediaPool")) {
            let difference = ns.diff(text).await?;
            ensure!(difference.is_empty(), "{name}, later: {difference}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_side_apply_of_the_spec_meets_no_other_manager() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let text = fs::read_to_string(setup::root().join("crds/examples/camera-rtsp.yaml"))?;
        ns.apply(&text).await?;
        let list = ns.get(&["cameras"]).await?;
        let managers = list["items"][0]["metadata"]["managedFields"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for manager in managers.iter().filter(|m| m["fieldsV1"]["f:spec"].is_object()) {
            ensure!(
                manager["manager"]
                    .as_str()
                    .is_some_and(|m| m.starts_with("kubectl")),
                "{} writes the spec",
                manager["manager"]
            );
        }
        Ok(())
    })
    .await
}
