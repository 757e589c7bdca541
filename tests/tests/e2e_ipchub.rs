//! Every line of the ipchub contract through two gateways in front of two nodes. The checks are in `src/ipchub`; what is
//! done at one gateway shows at the other.

use std::time::Instant;

use futures::{StreamExt, stream};
use weir_tests::{
    Result, bail,
    cluster::{ADMIN_PASSWORD, MACHINE, Namespace, Pool, variable, with_namespace},
    ensure,
    ipchub::{Company, Entry, LINES, Line, Place},
};

/// Lines at once: a machine of two processors is busy with these.
const AT_ONCE: usize = 4;

async fn entry(ns: &Namespace, gateway: &str) -> Result<Entry> {
    Ok(Entry {
        http: ns.address(gateway, "http").await?,
        rtsp: ns.address(gateway, "rtsp").await?,
        rtmp: ns.address(gateway, "rtmp").await?,
    })
}

/// Checks a line, and says how it went.
async fn check(place: &Place, line: &Line) -> Option<String> {
    let begin = Instant::now();
    let result = (line.check)(place).await;
    println!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), line.id);
    result.err().map(|e| format!("{}: {e:#}", line.id))
}

#[tokio::test]
async fn every_line_through_two_gateways() -> Result<()> {
    let pool = Pool {
        nodes: 2,
        gateways: 2,
        anonymous: false,
    };
    with_namespace(pool, async |ns| {
        let gateways = ns.pods("gateway").await?;
        let [first, second] = &gateways[..] else {
            bail!("two gateways are wanted, not {gateways:?}");
        };
        let machine = std::env::var(variable::MACHINE).unwrap_or_else(|_| MACHINE.to_owned());
        let (first, second) = (entry(ns, first).await?, entry(ns, second).await?);
        let place = Place::new(first, second, true, &machine, ADMIN_PASSWORD).await?;
        let mut failures = Vec::new();
        for line in LINES.iter().filter(|line| line.company == Company::Alone) {
            failures.extend(check(&place, line).await);
        }
        let others = LINES.iter().filter(|line| line.company == Company::Any);
        let others = stream::iter(others).map(|line| check(&place, line));
        let mut others = others.buffer_unordered(AT_ONCE);
        while let Some(failure) = others.next().await {
            failures.extend(failure);
        }
        ensure!(
            failures.is_empty(),
            "{} of {} lines fail:\n{}",
            failures.len(),
            LINES.len(),
            failures.join("\n")
        );
        let logs = ns.logs().await;
        ensure!(!logs.contains("canary-"), "a password is in the logs");
        Ok(())
    })
    .await
}
