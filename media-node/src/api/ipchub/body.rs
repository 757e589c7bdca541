//! Request bodies: read as JSON whatever their type is said to be, keys in any case.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The members of the object that a body begins with; what follows it is ignored.
pub(super) struct Members(Vec<(String, Value)>);

impl Members {
    /// # Errors
    /// What is wrong, in words for whoever sent it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let first = serde_json::Deserializer::from_slice(body).into_iter().next();
        match first {
            None => Err("EOF".into()),
            Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
            Some(parsed) => parsed.map_err(|error| error.to_string()),
        }
    }

    /// A text; empty when it is missing or null.
    pub(super) fn text(&self, key: &str) -> Result<String, String> {
        match self.value(key) {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(key, "string", other)),
        }
    }

    /// A flag; false when it is missing or null. Documents call it a string, so that is taken too.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        match self.value(key) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(wrong(key, "bool", other)),
        }
    }

    /// The last one counts.
    fn value(&self, key: &str) -> &Value {
        let mut found = self.0.iter().rev().filter(|(k, _)| k == key);
        found.next().map_or(&Value::Null, |(_, value)| value)
    }
}

fn wrong(key: &str, wanted: &str, value: &Value) -> String {
    // Not the value itself: it may be a password.
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {kind} into field {key} of type {wanted}")
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    // Bounds what is kept: no body that is meant has more.
                    if members.len() < 64 {
                        members.push((key.to_lowercase(), map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::Members;

    #[test]
    fn members_as_clients_send_them() {
        let members = Members::parse(
            br#" {"Name":"a","ADMIN":"true","on":false,"none":null,"n":7,"list":[{}],"name":"b"} trailing"#,
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(members.text("name").as_deref(), Ok("b"), "the last counts");
        assert_eq!(members.flag("admin"), Ok(true));
        assert_eq!(members.flag("on"), Ok(false));
        for missing in ["none", "other"] {
            assert_eq!(members.text(missing).as_deref(), Ok(""));
            assert_eq!(members.flag(missing), Ok(false));
        }
        for wrong in ["n", "list"] {
            assert!(
                members.text(wrong).is_err() && members.flag(wrong).is_err(),
                "{wrong}"
            );
        }
        assert!(members.flag("name").is_err());
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (body, error) in [
            ("", "EOF"),
            (" \n", "EOF"),
            ("{\"name\":\"a", "unexpected EOF"),
            ("{", "unexpected EOF"),
        ] {
            assert_eq!(
                Members::parse(body.as_bytes()).err().as_deref(),
                Some(error),
                "{body}"
            );
        }
        for body in ["[]", "null", "7", "\"a\"", "name=a", "\u{feff}{}", "{\"a\" 1}"] {
            assert!(Members::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Members::parse(&b"[".repeat(100_000)).is_err(), "deep nesting");
        assert!(Members::parse(b"{\"name\":\"\xff\"}").is_err(), "not UTF-8");
    }
}
