//! Every line of the ipchub contract through two gateways in front of two nodes. The checks are in `src/ipchub`; what is
//! done at one gateway shows at the other.

use weir_tests::{
    Result, bail,
    cluster::{ADMIN_PASSWORD, MACHINE, Namespace, Pool, variable, with_namespace},
    ensure,
    ipchub::{self, Entry, Place},
};

async fn entry(ns: &Namespace, gateway: &str) -> Result<Entry> {
    Ok(Entry {
        http: ns.address(gateway, "http").await?,
        secure: false,
        rtsp: ns.address(gateway, "rtsp").await?,
        rtmp: ns.address(gateway, "rtmp").await?,
    })
}

#[tokio::test]
async fn every_line_through_two_gateways() -> Result<()> {
    let pool = Pool {
        nodes: 2,
        gateways: 2,
        anonymous: false,
        node_fields: "",
    };
    with_namespace(pool, async |ns| {
        let gateways = ns.pods("gateway").await?;
        let [first, second] = &gateways[..] else {
            bail!("two gateways are wanted, not {gateways:?}");
        };
        let machine = std::env::var(variable::MACHINE).unwrap_or_else(|_| MACHINE.to_owned());
        let (first, second) = (entry(ns, first).await?, entry(ns, second).await?);
        let place = Place::new(first, second, true, &machine, ADMIN_PASSWORD).await?;
        ipchub::check(&place, |_| true).await?;
        let logs = ns.logs().await;
        ensure!(!logs.contains("canary-"), "a password is in the logs");
        Ok(())
    })
    .await
}
