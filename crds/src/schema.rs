//! The definitions of the custom resources as the API server gets them: what the derive makes of the types, less what the
//! API server would only warn of. Rules stand with the types, not here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::{Camera, MediaPool, RecordSchedule, Room, Route};

/// The definitions of all kinds, by kind.
///
/// # Panics
/// If a type of this crate has a schema that is none; the crate's tests call this.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [
        Camera::crd(),
        MediaPool::crd(),
        RecordSchedule::crd(),
        Room::crd(),
        Route::crd(),
    ]
    .into_iter()
    .map(|definition| {
        let mut value = serde_json::to_value(definition).expect("a definition serializes");
        if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
            for version in versions {
                if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                    tidy(schema);
                }
            }
        }
        serde_json::from_value(value).expect("a tidied definition is one")
    })
    .collect()
}

/// The schema of one kind.
///
/// # Panics
/// As [`definitions`].
pub fn open_api(definition: &CustomResourceDefinition) -> Value {
    let schema = definition.spec.versions[0]
        .schema
        .as_ref()
        .and_then(|s| s.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).expect("a schema serializes")
}

/// A definition as YAML, with keys in alphabetical order.
///
/// # Panics
/// As [`definitions`].
pub fn yaml(definition: &CustomResourceDefinition) -> String {
    let value = serde_json::to_value(definition).expect("a definition serializes");
    serde_norway::to_string(&ordered(&value)).expect("a definition serializes as YAML")
}

/// The value with its keys in order and whole numbers without a fraction, so that the text depends on nothing else.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            sorted.into_iter().map(|(k, v)| (k.clone(), ordered(v))).collect()
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 9e15 => Value::from(f as i64),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

/// Takes away what JSON Schema has and the API server does not want.
fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    // A field that is not there is left out. With null as a second way to say so, each rule would have to ask for both.
    object.remove("nullable");
    // Of the integer formats it knows these two and warns of others.
    if object
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|f| f.starts_with("uint"))
    {
        object.remove("format");
    }
    for (key, value) in object.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(tidy),
            ("items" | "additionalProperties", value) => tidy(value),
            _ => {}
        }
    }
}
