//! Every line of the cloud recorder contract through two gateways in front of two nodes. The checks are in `src/recorder`;
//! what is done at one gateway shows at the other.

use std::time::Instant;

use weir_tests::{
    Result, bail,
    cluster::{MACHINE, Pool, UNION_ID, variable, with_namespace},
    ensure,
    recorder::{LINES, Place},
};

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
        let (first, second) = (
            ns.address(first, "http").await?,
            ns.address(second, "http").await?,
        );
        let place = Place::new(&first, &second, &machine, UNION_ID).await?;
        let mut failures = Vec::new();
        for line in LINES {
            let begin = Instant::now();
            let checked = (line.check)(&place).await;
            println!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), line.id);
            failures.extend(checked.err().map(|e| format!("{}: {e:#}", line.id)));
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
