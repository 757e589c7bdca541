//! The world as a folder of YAML files, for running without Kubernetes: the same manifests that
//! `kubectl apply -f` takes, read again when they change.
//!
//! | file | holds |
//! |---|---|
//! | `scan` | which files there are, and which have changed for good |
//! | `manifest` | from text to objects, with every mistake named |
//! | `state` | which version of each object counts; brings the stores up to it |
//! | `edit` | changing files for API calls |
//!
//! No API server checks these manifests, so that [`weir_crds::validate`] does, by the same schema. A
//! bad document is reported and stops no other; the last good version of its object stays until
//! the document is mended or removed. Status is kept in memory.

mod edit;
mod manifest;
mod scan;
mod state;

pub use state::Problem;
pub use weir_crds::validate::Problem as FieldError;

use super::resource::{
    Kind, Notice, ResourceWriter, SecretData, Secrets, Specs, Target, World, WriteError, Writers,
};
use async_trait::async_trait;
use manifest::Key;
use parking_lot::Mutex;
use serde_json::Value;
use state::{Content, Place, State};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use weir_crds::{Camera, RecordSchedule, Route};

/// The feed, the writer and the Secrets of a folder. Cheap to clone.
#[derive(Clone)]
pub struct Folder(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    /// Held while files are read or written, so that no look takes what a change has replaced.
    disk: Mutex<scan::Scanner>,
    /// Held for moments only, and taken after `disk`.
    state: Mutex<State>,
}

impl Folder {
    /// Reads the folder, which must be there, once. The stores of the world are filled when this
    /// returns; they follow the files while [`Self::run`] runs.
    pub async fn open(dir: PathBuf) -> io::Result<(World, Self)> {
        let (world, writers) = Writers::new();
        let open = move || {
            let folder = Self(Arc::new(Inner {
                dir,
                disk: Mutex::default(),
                state: Mutex::new(State::new(writers)),
            }));
            folder.look(true)?;
            folder.0.state.lock().filled();
            Ok::<_, io::Error>(folder)
        };
        let folder = tokio::task::spawn_blocking(open)
            .await
            .map_err(io::Error::other)??;
        Ok((world, folder))
    }

    /// Follows the files until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(scan::PERIOD))
            .await
            .is_some()
        {
            let folder = self.clone();
            let look = tokio::task::spawn_blocking(move || folder.look(false)).await;
            match look.map_err(io::Error::other).flatten() {
                Ok(()) if failing => {
                    failing = false;
                    info!("the folder of manifests can be read again");
                }
                Ok(()) => {}
                Err(error) if failing => debug!(%error, "the folder of manifests can't be read"),
                Err(error) => {
                    failing = true;
                    warn!(%error, "the folder of manifests can't be read; what was taken before stays");
                }
            }
        }
    }

    /// What is wrong in the folder now.
    pub fn problems(&self) -> watch::Receiver<Arc<[Problem]>> {
        self.0.state.lock().problems()
    }

    fn look(&self, at_once: bool) -> io::Result<()> {
        let mut scanner = self.0.disk.lock();
        let known: Vec<String> = self.0.state.lock().file_names().cloned().collect();
        let taken = |file: &str| self.0.state.lock().content(file).cloned();
        let changes = scanner.look(&self.0.dir, at_once, taken, known)?;
        self.0.state.lock().take(changes);
        Ok(())
    }

    /// Writes one file, or removes it, and takes it at once. `disk` is locked.
    fn change_file(&self, file: &str, text: Option<String>) -> Result<(), WriteError> {
        let path = self.0.dir.join(file);
        match &text {
            Some(text) => edit::write(&path, text),
            None => std::fs::remove_file(&path),
        }
        .map_err(|e| WriteError::Unavailable(Box::new(e)))?;
        let content = text.map(|t| Content::Text(t.into()));
        self.0.state.lock().take([(file.to_owned(), content)]);
        Ok(())
    }

    fn create_now(&self, manifest: Value) -> Result<Target, WriteError> {
        let _disk = self.0.disk.lock();
        let (key, value) = self.checked(manifest)?;
        if self.0.state.lock().find(&key).is_some() {
            return Err(WriteError::Conflict);
        }
        let file = edit::free_file_name(&self.0.dir, &key);
        self.change_file(&file, Some(yaml(&value)?))?;
        Ok(Target {
            uid: manifest::uid(&key),
            kind: key.kind,
            namespace: key.namespace,
            name: key.name,
        })
    }

    fn change_now(&self, target: &Target, version: &str, patch: &Value) -> Result<(), WriteError> {
        let _disk = self.0.disk.lock();
        let key = Key {
            kind: target.kind,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        };
        let place = self.0.state.lock().find(&key).ok_or(WriteError::Gone)?;
        if manifest::uid(&key) != target.uid {
            return Err(WriteError::Gone);
        }
        if self.0.state.lock().version(&key).as_deref() != Some(version) {
            return Err(WriteError::Conflict);
        }
        let (_, value) = self.checked(edit::merge(&place.manifest.value, patch))?;
        if place.manifest.value == value {
            return Ok(());
        }
        let text = edit::with_document(editable(&place)?, &place.manifest.document, Some(&yaml(&value)?));
        self.change_file(&place.file, text)
    }

    fn checked(&self, manifest: Value) -> Result<(Key, Value), WriteError> {
        let checked = manifest::check(manifest, self.0.state.lock().validator());
        checked.map_err(|wrong| match wrong {
            manifest::Wrong::Foreign(what) => WriteError::Refused(what),
            manifest::Wrong::Fields(_, errors) => {
                let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
                WriteError::Refused(list.join("; "))
            }
        })
    }

    fn delete_now(&self, key: &Key) -> Result<bool, WriteError> {
        let _disk = self.0.disk.lock();
        let Some(place) = self.0.state.lock().find(key) else {
            return Ok(false);
        };
        let text = edit::with_document(editable(&place)?, &place.manifest.document, None);
        self.change_file(&place.file, text)?;
        Ok(true)
    }

    /// Runs something that touches the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let folder = self.clone();
        tokio::task::spawn_blocking(move || work(&folder))
            .await
            .unwrap_or_else(|e| Err(WriteError::Unavailable(Box::new(e))))
    }
}

fn yaml(value: &Value) -> Result<String, WriteError> {
    serde_norway::to_string(value).map_err(|e| WriteError::Refused(e.to_string()))
}

fn key_of(manifest: &Value) -> Option<Key> {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
    Some(Key {
        kind: Kind::of(text("/apiVersion")?, text("/kind")?)?,
        namespace: text("/metadata/namespace").unwrap_or("default").to_owned(),
        name: text("/metadata/name")?.to_owned(),
    })
}

/// The text in which a manifest stands, if it can be changed there.
fn editable(place: &Place) -> Result<&str, WriteError> {
    let by_hand = |why: &str| {
        Err(WriteError::Refused(format!(
            "{} {why}: change it by hand",
            place.file
        )))
    };
    let Content::Text(text) = &place.content else {
        return by_hand("can't be read");
    };
    if place.manifest.in_list {
        return by_hand("has the object in a List");
    }
    // The document may be bad now, and what counts be its last good version.
    let document = &place.manifest.document;
    let same = manifest::documents(text).contains(document)
        && serde_norway::from_str::<Value>(&text[document.range.clone()])
            .ok()
            .and_then(|v| key_of(&v))
            .is_some_and(|k| k == place.manifest.key);
    if same {
        Ok(text)
    } else {
        by_hand("has a mistake in this object's place")
    }
}

#[async_trait]
impl ResourceWriter for Folder {
    async fn apply_status(
        &self,
        target: &Target,
        resource_version: Option<&str>,
        status: &Value,
    ) -> Result<Option<String>, WriteError> {
        self.0.state.lock().set_status(target, resource_version, status)
    }

    async fn notify(&self, target: &Target, notice: &Notice) -> Result<(), WriteError> {
        // What happened is in the log already, from where it happened.
        debug!(object = %target, reason = notice.reason, note = notice.note, "event");
        Ok(())
    }
}

#[async_trait]
impl Specs for Folder {
    async fn routes(&self) -> Result<Vec<Route>, WriteError> {
        let routes = self.0.state.lock().routes();
        Ok(routes.iter().map(|route| (**route).clone()).collect())
    }

    async fn cameras(&self) -> Result<Vec<Camera>, WriteError> {
        Ok(self.0.state.lock().objects(Kind::Camera))
    }

    async fn schedules(&self) -> Result<Vec<RecordSchedule>, WriteError> {
        Ok(self.0.state.lock().objects(Kind::RecordSchedule))
    }

    async fn create(&self, manifest: &Value) -> Result<Target, WriteError> {
        let manifest = manifest.clone();
        self.blocking(move |folder| folder.create_now(manifest)).await
    }

    async fn change(&self, target: &Target, resource_version: &str, patch: &Value) -> Result<(), WriteError> {
        let (target, version, patch) = (target.clone(), resource_version.to_owned(), patch.clone());
        self.blocking(move |folder| folder.change_now(&target, &version, &patch))
            .await
    }

    async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, WriteError> {
        let key = Key {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.blocking(move |folder| folder.delete_now(&key)).await
    }
}

#[async_trait]
impl Secrets for Folder {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, WriteError> {
        Ok(self.0.state.lock().secret(namespace, name))
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.0.state.lock().secret_changes())
    }
}

#[cfg(test)]
mod tests;
