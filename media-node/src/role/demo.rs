//! The demo camera: a clip inside the binary, and a manifest that plays it.

use anyhow::Context;
use std::fs;
use std::path::Path;

/// What the clip is called in the media folder, and so in manifests.
pub(super) const CLIP: &str = "demo.mp4";
const BYTES: &[u8] = include_bytes!("../../assets/demo.mp4");
const MANIFEST: &str = "\
# A camera that needs no hardware. Delete this file and it is gone.
apiVersion: weir.video/v1alpha1
kind: Camera
metadata:
  name: demo
spec:
  displayName: Demo
  source:
    file:
      path: demo.mp4
      loop: true
";

/// Puts the clip into the media folder, and the manifest into its folder if one is given. Files
/// that are there stay as they are.
///
/// # Errors
/// When a folder can't be written to.
pub(super) fn write(media: &Path, manifests: Option<&Path>) -> anyhow::Result<()> {
    put(&media.join(CLIP), BYTES)?;
    if let Some(folder) = manifests {
        put(&folder.join("demo.yaml"), MANIFEST.as_bytes())?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    // Renamed into place, so that nobody reads half of it.
    let aside = path.with_extension("part");
    fs::write(&aside, bytes)
        .and_then(|()| fs::rename(&aside, path))
        .with_context(|| format!("can't write {}", path.display()))
}
