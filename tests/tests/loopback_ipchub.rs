//! Every line of the ipchub contract, each in a process of its own. The checks are in `src/ipchub`; `e2e_ipchub.rs` runs
//! them through gateways.

use std::{collections::BTreeSet, fs};

use weir_tests::{
    Result, ensure,
    ipchub::{self, ELSEWHERE, Entry, LINES, Place},
    media_node::{ADMIN_PASSWORD, MediaNode},
    setup,
};

/// A node without anonymous viewers, as a place; both entries are the same.
async fn started() -> Result<(MediaNode, Place)> {
    let node = MediaNode::standalone().protected().start().await?;
    let port = |name: &str| format!("127.0.0.1:{}", node.port(name));
    let entry = Entry {
        http: port("http"),
        secure: false,
        rtsp: port("rtsp"),
        rtmp: port("rtmp"),
    };
    let place = Place::new(entry.clone(), entry, false, "127.0.0.1", ADMIN_PASSWORD).await?;
    Ok((node, place))
}

macro_rules! tests {
    ($($id:literal $company:ident $module:ident::$name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() -> Result<()> {
            let (node, place) = started().await?;
            ipchub::$module::$name(&place).await?;
            let log = node.log();
            ensure!(!log.contains("canary-"), "a password is in the log");
            Ok(())
        }
    )*};
}

weir_tests::ipchub_lines!(tests);

#[test]
fn no_line_of_the_contract_is_without_a_test() -> Result<()> {
    let contract = fs::read_to_string(setup::root().join("docs/ref/contracts/ipchub.tsv"))?;
    let wanted: BTreeSet<_> = contract
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    let ids = LINES.iter().map(|line| line.id);
    let ids = ids.chain(ELSEWHERE.iter().map(|(id, _)| *id));
    let checked: BTreeSet<_> = ids.clone().collect();
    ensure!(checked.len() == ids.count(), "an id is there twice");
    ensure!(
        checked == wanted,
        "tested: {checked:?}\nin the contract: {wanted:?}"
    );
    for line in LINES {
        ensure!(
            line.name == line.id.replace('.', "_"),
            "{} is checked by {}",
            line.id,
            line.name
        );
    }
    for (id, file) in ELSEWHERE {
        let tests = fs::read_to_string(setup::sources().join("tests").join(file))?;
        let test = format!("async fn {}()", id.replace('.', "_"));
        ensure!(tests.contains(&test), "{file} has no {test}");
    }
    Ok(())
}
