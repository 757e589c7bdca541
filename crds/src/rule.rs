//! Building blocks of the schema attributes that the field types and kinds carry. No rule itself lives here.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A list of CEL rules with their messages, in the shape of `x-kubernetes-validations`.
pub(crate) fn rules(list: &[(&str, &str)]) -> Value {
    list.iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}

/// The schema of a point in time, RFC 3339.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
