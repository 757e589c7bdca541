//! From the text of a file to objects, with every mistake named by document, line and field.
//! Nothing is stored here; which version of an object counts is `state`'s.

use super::FieldError;
use crate::cluster::resource::{Kind, SecretData};
use base64::Engine as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;
use weir_crds::validate::Validator;
use weir_proto::Redacted;

/// Kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One YAML document of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// From 1, not counting empty ones.
    pub(super) number: usize,
    /// The line in the file on which it begins, from 1.
    pub(super) line: usize,
    /// Its bytes in the file, without separators.
    pub(super) range: Range<usize>,
}

/// An object as its manifest has it: checked, without nulls and status, with its namespace.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) document: Document,
    /// Part of a `kind: List`.
    pub(super) in_list: bool,
}

/// What can't be taken of a document.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Where it could be made out.
    pub(super) key: Option<Key>,
    pub(super) document: Document,
    /// A kind that is not for us: no mistake.
    pub(super) foreign: bool,
    pub(super) error: FieldError,
}

/// Cuts a file where a line begins with `---`, as kubectl does, so that a document that is no YAML
/// spoils no other. Documents of blanks and comments alone are left out.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let mut all: Vec<Document> = Vec::new();
    let mut push = |range: Range<usize>, line: usize| {
        let body = &text[range.clone()];
        let said = body.trim_start_matches('\u{feff}').lines().map(str::trim);
        if said
            .clone()
            .any(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("%YAML"))
        {
            let number = all.len() + 1;
            all.push(Document { number, line, range });
        }
    };
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|r| r.is_empty() || r.starts_with(char::is_whitespace)) {
            push(start..at, start_line);
            start = at + line.len();
            start_line = number + 2;
        }
        at += line.len();
    }
    push(start..text.len(), start_line);
    all
}

pub(super) fn wrong(field: impl Into<String>, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.into(),
        message: message.into(),
    }
}

/// All objects of a file, and what is wrong with the others.
pub(super) fn read(text: &str, validator: &Validator) -> (Vec<Manifest>, Vec<Fault>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for document in documents(text) {
        let fault = |key, error| Fault {
            key,
            document: document.clone(),
            foreign: false,
            error,
        };
        let value = match parse(&text[document.range.clone()], document.line) {
            Ok(value) => value,
            Err(error) => {
                bad.push(fault(None, error));
                continue;
            }
        };
        let in_list = value["kind"] == "List" && value["apiVersion"] == "v1";
        let objects = match value {
            Value::Object(mut list) if in_list => match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => vec![],
            },
            other => vec![other],
        };
        for object in objects {
            match check(object, validator) {
                Ok((key, value)) => good.push(Manifest {
                    key,
                    value,
                    document: document.clone(),
                    in_list,
                }),
                Err(Wrong::Foreign(what)) => bad.push(Fault {
                    foreign: true,
                    ..fault(None, wrong("kind", what))
                }),
                Err(Wrong::Fields(key, errors)) => {
                    bad.extend(errors.into_iter().map(|error| fault(key.clone(), error)));
                }
            }
        }
    }
    (good, bad)
}

/// YAML to JSON values, with duplicate keys refused and nulls left out.
fn parse(text: &str, first_line: usize) -> Result<Value, FieldError> {
    let yaml: serde_norway::Value =
        serde_norway::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| {
            let line = e.location().map_or(first_line, |l| first_line + l.line() - 1);
            // Its own "at line" counts from the document's start.
            let text = e.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            wrong("", format!("is no YAML: {what}, line {line} of the file"))
        })?;
    let mut value = serde_json::to_value(yaml)
        .map_err(|e| wrong("", format!("has something that no manifest can have: {e}")))?;
    drop_nulls(&mut value);
    Ok(value)
}

/// The API server takes a null as a field that is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, v| !v.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

pub(super) enum Wrong {
    Foreign(String),
    Fields(Option<Key>, Vec<FieldError>),
}

/// Checks one object. Answers with its value as it is stored: namespace set, status left out.
pub(super) fn check(value: Value, validator: &Validator) -> Result<(Key, Value), Wrong> {
    let one = |key: Option<Key>, field: &str, message: &str| Wrong::Fields(key, vec![wrong(field, message)]);
    let Value::Object(mut object) = value else {
        return Err(one(
            None,
            "",
            "is no object: write apiVersion, kind, metadata and spec",
        ));
    };
    let text =
        |object: &Map<String, Value>, name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(api_version) = text(&object, "apiVersion") else {
        return Err(one(None, "apiVersion", "is missing: write weir.video/v1alpha1"));
    };
    let Some(kind_name) = text(&object, "kind") else {
        return Err(one(None, "kind", "is missing: write Camera, Route or MediaPool"));
    };
    let Some(kind) = Kind::of(&api_version, &kind_name) else {
        return Err(if api_version.starts_with("weir.video/") {
            let message = format!(
                "{api_version} {kind_name} is unknown: write weir.video/v1alpha1 and one of Camera, Route, MediaPool, Room, RecordSchedule"
            );
            one(None, "kind", &message)
        } else {
            Wrong::Foreign(format!(
                "{api_version} {kind_name} means nothing without a cluster"
            ))
        });
    };
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(one(
            None,
            "metadata.name",
            "is missing: write a name, such as front-door",
        ));
    };
    let name = metadata
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if !is_name(&name, 253, true) {
        let message =
            "is not the name of an object: write lower-case letters, digits, '-' and '.', such as front-door";
        return Err(one(None, "metadata.name", message));
    }
    let namespace = metadata.entry("namespace").or_insert_with(|| "default".into());
    let namespace = namespace.as_str().unwrap_or_default().to_owned();
    if !is_name(&namespace, 63, false) {
        let message =
            "is not the name of a namespace: leave it out, or write lower-case letters, digits and '-'";
        return Err(one(None, "metadata.namespace", message));
    }
    let key = Key {
        kind,
        namespace,
        name,
    };
    if let Err(e) = serde_json::from_value::<ObjectMeta>(Value::Object(metadata.clone())) {
        return Err(one(
            Some(key),
            "metadata",
            &format!("is not as it should be: {e}"),
        ));
    }
    object.remove("status");
    let mut errors = Vec::new();
    if kind == Kind::Secret
        && let Err(e) = secret_data(&object)
    {
        errors.push(e);
    }
    let value = Value::Object(object);
    if kind != Kind::Secret
        && let Err(found) = validator.admit(&value)
    {
        errors.extend(found);
    }
    if errors.is_empty()
        && let Err(e) = typed(kind, &value)
    {
        errors.push(wrong("spec", e.to_string()));
    }
    if errors.is_empty() {
        Ok((key, value))
    } else {
        Err(Wrong::Fields(Some(key), errors))
    }
}

/// Whether the object can be read as its type.
fn typed(kind: Kind, value: &Value) -> Result<(), serde_json::Error> {
    fn try_as<T: serde::de::DeserializeOwned>(value: &Value) -> Result<(), serde_json::Error> {
        T::deserialize(value).map(drop)
    }
    match kind {
        Kind::Camera => try_as::<weir_crds::Camera>(value),
        Kind::Route => try_as::<weir_crds::Route>(value),
        Kind::MediaPool => try_as::<weir_crds::MediaPool>(value),
        Kind::Room => try_as::<weir_crds::Room>(value),
        Kind::RecordSchedule => try_as::<weir_crds::RecordSchedule>(value),
        Kind::Secret => Ok(()),
    }
}

/// RFC 1123: a label, or with `dots` a subdomain.
fn is_name(text: &str, most: usize, dots: bool) -> bool {
    let label = |l: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !l.is_empty() && l.bytes().all(inner) && !l.starts_with('-') && !l.ends_with('-')
    };
    text.len() <= most
        && if dots {
            text.split('.').all(label)
        } else {
            label(text)
        }
}

/// The values of a Secret manifest: `data` in base64, `stringData` as it is, the latter winning.
pub(super) fn secret_data(secret: &Map<String, Value>) -> Result<SecretData, FieldError> {
    let mut all = SecretData::new();
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some(members) = secret.get(field) else {
            continue;
        };
        let Some(members) = members.as_object() else {
            return Err(wrong(field, "is not a map of keys to values"));
        };
        for (key, value) in members {
            // The value itself is said in no message.
            let path = format!("{field}.{key}");
            let Some(text) = value.as_str() else {
                return Err(wrong(path, "is no text: write it in quotes"));
            };
            let bytes = if encoded {
                let compact: String = text.split_whitespace().collect();
                base64::engine::general_purpose::STANDARD
                    .decode(compact)
                    .map_err(|_| wrong(path, "is not in base64: encode it, or write it under stringData"))?
            } else {
                text.as_bytes().to_vec()
            };
            all.insert(key.clone(), Redacted::new(bytes));
        }
    }
    Ok(all)
}

/// A uid that is the same in every run, in the shape of the API server's.
pub(super) fn uid(key: &Key) -> String {
    let hash = hex::encode(Sha256::digest(key.to_string()));
    format!(
        "{}-{}-{}-{}-{}",
        &hash[..8],
        &hash[8..12],
        &hash[12..16],
        &hash[16..20],
        &hash[20..32]
    )
}

/// The value with what an API server would add to its metadata.
pub(super) fn stored(
    key: &Key,
    value: &Value,
    generation: i64,
    version: u64,
    status: Option<&Value>,
) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".into(), uid(key).into());
        metadata.insert("generation".into(), generation.into());
        metadata.insert("resourceVersion".into(), version.to_string().into());
        // Of two objects that want one thing the older wins. Nobody dates files reliably, so that
        // the name decides, unless the manifest has a date.
        metadata
            .entry("creationTimestamp")
            .or_insert_with(|| json!("1970-01-01T00:00:00Z"));
    }
    if let (Some(status), Some(object)) = (status, value.as_object_mut()) {
        object.insert("status".into(), status.clone());
    }
    value
}

#[cfg(test)]
mod tests;
