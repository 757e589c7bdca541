//! Names and labels of what belongs to a pool.

use serde_json::{Value, json};
use weir_crds::POOL_LABEL;

/// Name of the one container of every pod.
pub const CONTAINER: &str = "media-node";
/// Who applies the objects, as server-side apply knows it; also the value of [`MANAGED_BY`].
pub const MANAGER: &str = weir_crds::OPERATOR_MANAGER;
/// Label that says who applies an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label that says what an object is for: [`Component::as_str`].
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// What a pod of a pool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// It runs cameras and rooms.
    Node,
    /// It serves viewers and the APIs.
    Gateway,
}

impl Component {
    /// Its word in labels, in names and as the role on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Gateway => "gateway",
        }
    }

    /// Name of the objects of this component of the pool.
    pub fn name(self, pool: &str) -> String {
        format!("{pool}-{}", self.as_str())
    }
}

/// Name of the pool's `StatefulSet`; its pods have it with `-N` behind.
pub fn node(pool: &str) -> String {
    Component::Node.name(pool)
}

/// Name of the pool's Deployment of gateways, and of the Service in front of them.
pub fn gateway(pool: &str) -> String {
    Component::Gateway.name(pool)
}

/// Name of the Secret with the administrator's account and the pods' shared secret.
pub fn auth(pool: &str) -> String {
    format!("{pool}-auth")
}

/// The number at the end of the name of a node of that pool.
pub fn ordinal(pool: &str, pod: &str) -> Option<u32> {
    let number = pod.strip_prefix(pool)?.strip_prefix("-node-")?;
    let plain = number == "0" || !number.starts_with('0');
    (plain && number.bytes().all(|b| b.is_ascii_digit())).then(|| number.parse().ok())?
}

/// Labels by which a component's pods are found. They can never change.
pub fn selector(pool: &str, component: Component) -> Value {
    json!({
        "app.kubernetes.io/name": "weir",
        "app.kubernetes.io/instance": pool,
        COMPONENT: component.as_str(),
    })
}

/// Labels of everything of a pool; with a component, also of what belongs to that alone.
pub fn labels(pool: &str, component: Option<Component>) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/name": "weir",
        "app.kubernetes.io/instance": pool,
        MANAGED_BY: MANAGER,
        POOL_LABEL: pool,
    });
    if let Some(component) = component {
        labels[COMPONENT] = component.as_str().into();
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_strictly() {
        assert_eq!(ordinal("media", "media-node-0"), Some(0));
        assert_eq!(ordinal("media", "media-node-17"), Some(17));
        for other in [
            "media-node-",
            "media-node-01",
            "media-node-+1",
            "media-node-1-2",
            "media-gateway-1",
            "x-node-1",
        ] {
            assert_eq!(ordinal("media", other), None, "{other}");
        }
    }
}
