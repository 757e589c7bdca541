//! The refusals of the API server, without one: defaults, shape and rules of the same definitions, with the same messages.
//! A node that reads manifests from a folder asks here, so that a manifest that one takes the other takes. What `kubectl`
//! refuses by itself (unknown fields, doubled keys) is refused here too, except doubled keys, which the YAML reader sees.

mod shape;
#[cfg(test)]
mod tests;

use kube::core::cel;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

use crate::{GROUP, VERSION, schema};

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `spec.source.rtsp.url`; empty for the manifest as a whole.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

/// Checks manifests of every kind of this crate. Making one compiles all rules; keep it.
pub struct Validator {
    cel: cel::Validator,
    kinds: BTreeMap<String, Kind>,
}

struct Kind {
    schema: Value,
    rules: cel::CompiledSchema,
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator")
            .field("kinds", &self.kinds.keys())
            .finish_non_exhaustive()
    }
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// A validator with the rules of all kinds.
    pub fn new() -> Self {
        let kinds = schema::definitions()
            .iter()
            .map(|definition| {
                let schema = schema::open_api(definition);
                let rules = cel::compile_schema(&schema);
                (definition.spec.names.kind.clone(), Kind { schema, rules })
            })
            .collect();
        Self {
            cel: cel::Validator::new(),
            kinds,
        }
    }

    /// The manifest as the API server would store it on creation: defaults filled in, fields that are null taken away.
    ///
    /// # Errors
    /// All that is wrong with the shape, or else all rules that it breaks. Never an empty list.
    pub fn admit(&self, manifest: &Value) -> Result<Value, Vec<Problem>> {
        self.admit_change(manifest, None)
    }

    /// As [`Validator::admit`], where `old` is the object that the manifest replaces.
    ///
    /// # Errors
    /// As [`Validator::admit`], and the rules about what may change.
    pub fn admit_change(&self, manifest: &Value, old: Option<&Value>) -> Result<Value, Vec<Problem>> {
        let kind = self.kind(manifest)?;
        let mut object = manifest.clone();
        shape::prune_nulls(&mut object);
        let object = cel::apply_defaults(&kind.schema, &object);

        let mut problems = shape::check_meta(&object);
        shape::check(&kind.schema, &object, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        self.cel
            .validate_compiled(&kind.rules, &object, old)
            .map_err(|errors| {
                errors
                    .into_vec()
                    .into_iter()
                    .map(|e| Problem {
                        field: e.field_path,
                        message: e.message,
                    })
                    .collect::<Vec<_>>()
            })?;
        Ok(object)
    }

    fn kind(&self, manifest: &Value) -> Result<&Kind, Vec<Problem>> {
        let text = |key: &str| manifest.get(key).and_then(Value::as_str).unwrap_or_default();
        let wrong = |field: &str, message: String| {
            vec![Problem {
                field: field.into(),
                message,
            }]
        };
        if text("apiVersion") != format!("{GROUP}/{VERSION}") {
            return Err(wrong(
                "apiVersion",
                format!("not a manifest of this version: write {GROUP}/{VERSION}"),
            ));
        }
        self.kinds.get(text("kind")).ok_or_else(|| {
            let kinds: Vec<&str> = self.kinds.keys().map(String::as_str).collect();
            wrong(
                "kind",
                format!("not a kind of {GROUP}: write one of {}", kinds.join(", ")),
            )
        })
    }
}
