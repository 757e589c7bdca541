//! The other pods of the pool, for questions that take all of them, and for what only a certain one can answer.

use super::pod;
use crate::api::Pods;
use crate::cluster::Peers;
use crate::cluster::resource::World;
use crate::listen::wsp::Elsewhere;
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

impl PoolPods {
    /// The gateways but this one, for players of WSP whose two sockets came to two of them.
    pub(super) fn elsewhere(&self) -> Elsewhere {
        let (world, me, http_port) = (self.world.clone(), self.me.clone(), self.http_port);
        Elsewhere {
            gateways: Box::new(move |number| {
                let gateways = Peers::of(&world.gateways, http_port);
                let others = gateways.addresses().filter(|(name, _)| *name != me);
                others
                    .filter(|(name, _)| pod::number(name) == number)
                    .map(|(_, address)| address.to_owned())
                    .collect()
            }),
            secret: self.secret.clone(),
        }
    }
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
