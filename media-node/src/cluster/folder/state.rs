//! Which version of each object counts, and bringing the stores up to it. Reads no disk.

use super::FieldError;
use super::manifest::{self, Fault, Key, Manifest};
use crate::cluster::resource::{Kind, SecretData, Target, WriteError, Writers};
use kube::runtime::reflector::Lookup;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{error, info};
use weir_crds::Route;
use weir_crds::validate::Validator;

/// Something in the folder that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file within the folder.
    pub file: String,
    /// Number of the YAML document in the file, from 1.
    pub document: usize,
    /// The line on which the document begins, from 1.
    pub line: usize,
    /// Kind, namespace and name, where they could be made out.
    pub object: Option<String>,
    pub error: FieldError,
}

/// What was found under a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(Arc<str>),
    /// It is there, and why it can't be read.
    Unreadable(String),
}

struct File {
    content: Content,
    /// What counts of this file, in its order: the good documents, and the last good version of
    /// those that are bad now.
    good: Vec<Manifest>,
    faults: Vec<Fault>,
}

/// An object that is in the stores.
struct Held {
    value: Value,
    status: Option<Value>,
    generation: i64,
    version: u64,
}

pub(super) struct State {
    validator: Validator,
    files: BTreeMap<String, File>,
    held: BTreeMap<Key, Held>,
    version: u64,
    writers: Writers,
    problems: watch::Sender<Arc<[Problem]>>,
    secrets: watch::Sender<u64>,
}

impl State {
    pub(super) fn new(writers: Writers) -> Self {
        Self {
            validator: Validator::new(),
            files: BTreeMap::new(),
            held: BTreeMap::new(),
            version: 0,
            writers,
            problems: watch::Sender::new(Arc::default()),
            secrets: watch::Sender::new(0),
        }
    }

    pub(super) fn problems(&self) -> watch::Receiver<Arc<[Problem]>> {
        self.problems.subscribe()
    }

    pub(super) fn secret_changes(&self) -> watch::Receiver<u64> {
        self.secrets.subscribe()
    }

    pub(super) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// The first round is over: whoever waits for the stores gets them.
    pub(super) fn filled(&mut self) {
        self.writers.filled();
    }

    /// The content that was last taken of a file.
    pub(super) fn content(&self, file: &str) -> Option<&Content> {
        self.files.get(file).map(|f| &f.content)
    }

    pub(super) fn file_names(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// Takes new contents; `None` is a file that is gone.
    pub(super) fn take(&mut self, changes: impl IntoIterator<Item = (String, Option<Content>)>) {
        let mut changed = false;
        for (name, content) in changes {
            changed = true;
            match content {
                None => {
                    self.files.remove(&name);
                }
                Some(content) => {
                    let file = read(content, self.files.remove(&name), &self.validator);
                    self.files.insert(name, file);
                }
            }
        }
        if changed {
            self.settle();
        }
    }

    /// Brings the stores up to the files.
    fn settle(&mut self) {
        let mut problems = Vec::new();
        let mut wanted: BTreeMap<&Key, (&String, &Manifest)> = BTreeMap::new();
        for (name, file) in &self.files {
            if let Content::Unreadable(why) = &file.content {
                problems.push(Problem {
                    file: name.clone(),
                    document: 1,
                    line: 1,
                    object: None,
                    error: manifest::wrong("", why.clone()),
                });
            }
            problems.extend(file.faults.iter().filter(|f| !f.foreign).map(|f| Problem {
                file: name.clone(),
                document: f.document.number,
                line: f.document.line,
                object: f.key.as_ref().map(ToString::to_string),
                error: f.error.clone(),
            }));
            for manifest in &file.good {
                if let Some((first, _)) = wanted.get(&manifest.key) {
                    let message =
                        format!("this object is in {first} already, which counts: take one of them away");
                    problems.push(Problem {
                        file: name.clone(),
                        document: manifest.document.number,
                        line: manifest.document.line,
                        object: Some(manifest.key.to_string()),
                        error: manifest::wrong("metadata.name", message),
                    });
                } else {
                    wanted.insert(&manifest.key, (name, manifest));
                }
            }
        }
        let gone: Vec<Key> = self
            .held
            .keys()
            .filter(|k| !wanted.contains_key(k))
            .cloned()
            .collect();
        let mut touched: Vec<Key> = Vec::new();
        for (key, (_, manifest)) in wanted {
            let held = self.held.get_mut(key);
            if held.as_ref().is_some_and(|h| h.value == manifest.value) {
                continue;
            }
            self.version += 1;
            touched.push(key.clone());
            if let Some(held) = held {
                if held.value.get("spec") != manifest.value.get("spec") {
                    held.generation += 1;
                }
                held.value = manifest.value.clone();
                held.version = self.version;
            } else {
                self.held.insert(
                    key.clone(),
                    Held {
                        value: manifest.value.clone(),
                        status: None,
                        generation: 1,
                        version: self.version,
                    },
                );
                if key.kind == Kind::Room {
                    info!(object = %key, "this kind is accepted, and nothing runs it yet");
                }
            }
        }
        for key in &gone {
            info!(object = %key, "manifest removed");
            self.store(key, true);
            self.held.remove(key);
        }
        for key in &touched {
            info!(object = %key, "manifest taken");
            self.store(key, false);
        }
        if gone.iter().chain(&touched).any(|k| k.kind == Kind::Secret) {
            self.secrets.send_modify(|n| *n += 1);
        }
        self.report(problems);
        self.writers.news.tell();
    }

    /// Logs what is new among the problems.
    fn report(&self, problems: Vec<Problem>) {
        metrics::gauge!("weir_manifest_problems").set(problems.len() as f64);
        let before = self.problems.borrow().clone();
        for p in problems.iter().filter(|p| !before.contains(p)) {
            error!(
                file = p.file,
                document = p.document,
                line = p.line,
                object = p.object.as_deref().unwrap_or("unknown"),
                field = p.error.field,
                problem = p.error.message,
                "a manifest is not taken; what was taken of it before stays"
            );
        }
        if !before.is_empty() && problems.is_empty() {
            info!("all manifests are taken again");
        }
        self.problems.send_replace(problems.into());
    }

    /// Puts the held version of an object into its store, or takes it out.
    fn store(&mut self, key: &Key, gone: bool) {
        let Some(held) = self.held.get(key) else { return };
        let value = manifest::stored(
            key,
            &held.value,
            held.generation,
            held.version,
            held.status.as_ref(),
        );
        match key.kind {
            Kind::Camera => put(&mut self.writers.cameras, value, gone),
            Kind::Route => put(&mut self.writers.routes, value, gone),
            Kind::MediaPool => put(&mut self.writers.pools, value, gone),
            Kind::RecordSchedule => put(&mut self.writers.schedules, value, gone),
            Kind::Room | Kind::Secret => {}
        }
    }

    /// The status is kept here alone: the files are what users want, and nothing else.
    pub(super) fn set_status(
        &mut self,
        target: &Target,
        version: Option<&str>,
        status: &Value,
    ) -> Result<Option<String>, WriteError> {
        let key = Key {
            kind: target.kind,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        };
        let held = self.held.get_mut(&key).ok_or(WriteError::Gone)?;
        if manifest::uid(&key) != target.uid {
            return Err(WriteError::Gone);
        }
        if version.is_some_and(|v| v != held.version.to_string()) {
            return Err(WriteError::Conflict);
        }
        if held.status.as_ref() != Some(status) {
            self.version += 1;
            held.version = self.version;
            held.status = Some(status.clone());
            self.store(&key, false);
            self.writers.news.tell();
        }
        Ok(self.held.get(&key).map(|h| h.version.to_string()))
    }

    /// The resource version of an object that is in the stores.
    pub(super) fn version(&self, key: &Key) -> Option<String> {
        self.held.get(key).map(|held| held.version.to_string())
    }

    pub(super) fn routes(&self) -> Vec<Arc<Route>> {
        self.writers.routes.as_reader().state()
    }

    /// All objects of a kind, as their type.
    pub(super) fn objects<K: DeserializeOwned>(&self, kind: Kind) -> Vec<K> {
        let of_kind = self.held.iter().filter(|(key, _)| key.kind == kind);
        let read = |(key, held): (&Key, &Held)| {
            let value = manifest::stored(
                key,
                &held.value,
                held.generation,
                held.version,
                held.status.as_ref(),
            );
            serde_json::from_value(value).ok()
        };
        of_kind.filter_map(read).collect()
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<SecretData> {
        let key = Key {
            kind: Kind::Secret,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let object = self.held.get(&key)?.value.as_object()?;
        manifest::secret_data(object).ok()
    }

    /// Where an object's manifest stands.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        self.files.iter().find_map(|(name, file)| {
            let found = file.good.iter().find(|m| m.key == *key)?;
            Some(Place {
                file: name.clone(),
                content: file.content.clone(),
                manifest: found.clone(),
            })
        })
    }
}

/// Where an object's manifest stands.
pub(super) struct Place {
    pub(super) file: String,
    pub(super) content: Content,
    pub(super) manifest: Manifest,
}

/// Reads a file whose last version is `before`.
fn read(content: Content, before: Option<File>, validator: &Validator) -> File {
    let before = before.map(|f| f.good).unwrap_or_default();
    let Content::Text(text) = &content else {
        return File {
            content,
            good: before,
            faults: vec![],
        };
    };
    let (mut good, faults) = manifest::read(text, validator);
    // A bad document that can't be told whose it is may be any that is missing now.
    let nameless = faults.iter().any(|f| f.key.is_none() && !f.foreign);
    for old in before {
        let bad = nameless || faults.iter().any(|f| f.key.as_ref() == Some(&old.key));
        if bad && good.iter().all(|m| m.key != old.key) {
            good.push(old);
        }
    }
    File {
        content,
        good,
        faults,
    }
}

fn put<K>(writer: &mut Writer<K>, value: Value, gone: bool)
where
    K: Lookup + Clone + DeserializeOwned + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    match serde_json::from_value::<K>(value) {
        Ok(object) if gone => writer.apply_watcher_event(&Event::Delete(object)),
        Ok(object) => writer.apply_watcher_event(&Event::Apply(object)),
        // Manifests are read as their type before they are held; a status is ours.
        Err(e) => error!(error = %e, "an object that was checked is not of its type"),
    }
}
