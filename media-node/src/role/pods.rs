//! The other pods of the pool, for questions that take all of them.

use crate::api::Pods;
use crate::cluster::Peers;
use crate::cluster::resource::World;
use crate::peer;
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use weir_proto::Redacted;

/// Nodes and gateways, as the cluster knows them.
pub(super) struct PoolPods {
    pub(super) world: World,
    /// The name of this pod.
    pub(super) me: String,
    pub(super) http_port: u16,
    pub(super) secret: Redacted<String>,
}

#[async_trait]
impl Pods for PoolPods {
    fn others(&self) -> Vec<String> {
        let nodes = Peers::of(&self.world.pods, self.http_port);
        let gateways = Peers::of(&self.world.gateways, self.http_port);
        nodes
            .addresses()
            .chain(gateways.addresses())
            .filter(|(name, _)| *name != self.me)
            .map(|(_, address)| address.to_owned())
            .collect()
    }

    async fn ask(&self, address: &str, method: Method, target: &str) -> Result<Bytes, String> {
        let answer = peer::ask(address, &self.secret, method, target).await;
        answer.map_err(|error| error.to_string())
    }
}
