//! Choosing objects by their labels, as `metav1.LabelSelector`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::rule::rules;

/// Chooses objects by their labels; all parts must match. An empty selector chooses every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that the object must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) : (!has(self.values) || self.values.size() == 0)",
    "values do not fit the operator: write values with In and NotIn, and none with Exists and DoesNotExist",
)])))]
pub struct Requirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label's value and `values` must relate.
    pub operator: Operator,
    /// Values for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label's value and a requirement's values relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The value is one of them.
    In,
    /// The value is none of them, or there is no such label.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is chosen.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| {
                let value = labels.get(&r.key);
                match r.operator {
                    Operator::In => value.is_some_and(|v| r.values.contains(v)),
                    Operator::NotIn => value.is_none_or(|v| !r.values.contains(v)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: serde_json::Value) -> bool {
        let labels = BTreeMap::from([("building".to_owned(), "a".to_owned())]);
        serde_json::from_value::<LabelSelector>(selector)
            .expect("a selector")
            .matches(&labels)
    }

    #[test]
    fn by_labels_and_expressions() {
        use serde_json::json;
        assert!(selects(json!({})));
        assert!(selects(json!({"matchLabels": {"building": "a"}})));
        assert!(!selects(json!({"matchLabels": {"building": "b"}})));
        for (operator, key, values, want) in [
            ("In", "building", json!(["a", "b"]), true),
            ("In", "floor", json!(["a"]), false),
            ("NotIn", "building", json!(["a"]), false),
            ("NotIn", "floor", json!(["a"]), true),
            ("Exists", "building", json!([]), true),
            ("DoesNotExist", "building", json!([]), false),
            ("DoesNotExist", "floor", json!([]), true),
        ] {
            let selector =
                json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
            assert_eq!(selects(selector), want, "{key} {operator}");
        }
    }
}
