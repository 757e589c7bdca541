//! What a structural schema says without rules: types, fields, enums, lengths. Only the keywords that this crate's schemas
//! use are known; a test sees to it that there are no others.

use serde_json::{Map, Value};

use super::Problem;

/// The keywords that [`check`] carries out, or that ask nothing of a value.
#[cfg(test)]
pub(super) const KEYWORDS: &[&str] = &[
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

/// Takes away fields that are null: for the API server they are not there.
pub(super) fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, v| !v.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// The name that every object needs.
pub(super) fn check_meta(object: &Value) -> Vec<Problem> {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return vec![];
    }
    vec![Problem {
        field: "metadata.name".into(),
        message:
            "not the name of an object: write lower-case letters, digits, '-' and '.', such as front-door"
                .into(),
    }]
}

/// Puts everything into `problems` that is wrong with the shape of a whole object.
pub(super) fn check(schema: &Value, object: &Value, problems: &mut Vec<Problem>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(fields) = object.as_object() else {
        problems.push(Problem {
            field: String::new(),
            message: "a manifest must be an object".into(),
        });
        return;
    };
    for (name, value) in fields {
        match properties.and_then(|p| p.get(name)) {
            Some(schema) => walk(schema, value, name, problems),
            None if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {}
            None => problems.push(unknown(name)),
        }
    }
    check_required(schema, fields, "", problems);
}

fn walk(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| {
        problems.push(Problem {
            field: path.into(),
            message,
        });
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let too_many = |key: &str, n: usize| bound(key).filter(|max| n as f64 > *max);
    let too_few = |key: &str, n: usize| bound(key).filter(|min| (n as f64) < *min);

    let either = schema.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true);
    let type_ = if either {
        "integer or string"
    } else {
        schema.get("type").and_then(Value::as_str).unwrap_or_default()
    };
    let fits = match type_ {
        "integer or string" => value.is_i64() || value.is_u64() || value.is_string(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    if !fits {
        return wrong(format!("Invalid value: must be of type {type_}"));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
        wrong(format!(
            "Unsupported value: {value}: supported values: {}",
            list.join(", ")
        ));
    }
    match value {
        Value::String(text) => {
            let length = text.chars().count();
            if let Some(max) = too_many("maxLength", length) {
                wrong(format!("Too long: may not be more than {max} bytes"));
            }
            if let Some(min) = too_few("minLength", length) {
                wrong(format!("Invalid value: should be at least {min} chars long"));
            }
            let is_time = || text.parse::<k8s_openapi::jiff::Timestamp>().is_ok();
            if schema.get("format").and_then(Value::as_str) == Some("date-time") && !is_time() {
                wrong("Invalid value: must be of type date-time".into());
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(max) = bound("maximum").filter(|max| number > *max) {
                wrong(format!("Invalid value: should be less than or equal to {max}"));
            }
            if let Some(min) = bound("minimum").filter(|min| number < *min) {
                wrong(format!("Invalid value: should be greater than or equal to {min}"));
            }
        }
        Value::Array(items) => {
            if let Some(max) = too_many("maxItems", items.len()) {
                wrong(format!("Too many: must have at most {max} items"));
            }
            if let Some(min) = too_few("minItems", items.len()) {
                wrong(format!("Invalid value: should have at least {min} items"));
            }
            check_unique(schema, items, path, problems);
            if let Some(schema) = schema.get("items") {
                for (i, item) in items.iter().enumerate() {
                    walk(schema, item, &format!("{path}[{i}]"), problems);
                }
            }
        }
        Value::Object(fields) => walk_object(schema, fields, path, problems),
        Value::Bool(_) | Value::Null => {}
    }
}

fn walk_object(schema: &Value, fields: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    if let Some(max) = schema
        .get("maxProperties")
        .and_then(Value::as_u64)
        .filter(|max| fields.len() as u64 > *max)
    {
        problems.push(Problem {
            field: path.into(),
            message: format!("Too many: must have at most {max} items"),
        });
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match properties.and_then(|p| p.get(name)).or(others) {
            Some(schema) => walk(schema, value, &path, problems),
            None => problems.push(unknown(&path)),
        }
    }
    check_required(schema, fields, path, problems);
}

fn check_required(schema: &Value, fields: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            problems.push(Problem {
                field,
                message: "Required value".into(),
            });
        }
    }
}

fn check_unique(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
    let key = |item: &Value| match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Some(item.clone()),
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)?;
            Some(
                keys.iter()
                    .map(|k| {
                        item.get(k.as_str().unwrap_or_default())
                            .cloned()
                            .unwrap_or_default()
                    })
                    .collect(),
            )
        }
        _ => None,
    };
    let mut seen: Vec<Value> = vec![];
    for (i, item) in items.iter().enumerate() {
        let Some(key) = key(item) else { return };
        if seen.contains(&key) {
            problems.push(Problem {
                field: format!("{path}[{i}]"),
                message: format!("Duplicate value: {key}"),
            });
        }
        seen.push(key);
    }
}

/// As the API server's strict decoding says it.
fn unknown(path: &str) -> Problem {
    Problem {
        field: String::new(),
        message: format!("unknown field {path:?}"),
    }
}
