//! Gathers: `list_gather`, `mod_gather`. They are the nodes; one that was ready once stays listed.

use super::super::Api;
use super::calendar::Calendar;
use super::nodes::NodeState;
use super::paging::{Form, Paging};
use super::parameters::Parameters;
use super::wire::{self, Delivery, Fault};
use super::{courses, scene};
use crate::store::sql::Named;
use crate::store::sql::recorder::{API, Gather, GatherChange, Registration};
use axum::response::Response;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Longest title.
const TITLE: usize = 80;

/// A gather, and how its node is now.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) row: Gather,
    pub(super) identity: String,
    pub(super) state: NodeState,
}

impl Known {
    pub(super) fn is_online(&self) -> bool {
        self.state == NodeState::Ready
    }

    /// How a command to it fares.
    pub(super) fn delivery(&self) -> Delivery {
        match self.state {
            NodeState::Ready => Delivery::Done,
            NodeState::Starting => Delivery::NotRegistered,
            NodeState::Gone => Delivery::Offline,
        }
    }
}

/// All gathers by number, with those nodes taken in that have come up since somebody looked.
pub(super) async fn known(api: &Api) -> Result<Vec<Known>, Fault> {
    let database = &api.recorder.database;
    let mut nodes = api.recorder.nodes.nodes();
    // `media-node-2` comes before `media-node-10`.
    nodes.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    let mut rows = database.all_gathers().await?;
    let news: Vec<_> = nodes
        .iter()
        .filter(|node| node.state == NodeState::Ready)
        .filter(|node| {
            let row = rows.iter().find(|row| row.node == node.name);
            row.is_none_or(|row| {
                (&row.registration, &row.address, &row.system) != (&node.life, &node.address, &node.system)
            })
        })
        .collect();
    if !news.is_empty() {
        let named: Vec<_> = news
            .iter()
            .map(|node| Named {
                uid: node.name.clone(),
                name: node.name.clone(),
            })
            .collect();
        let ids = database.resource_ids(API, "gather", &named).await?;
        for node in news {
            let Some(id) = ids.get(&node.name) else { continue };
            let registration = Registration {
                id: *id,
                node: node.name.clone(),
                life: node.life.clone(),
                address: node.address.clone(),
                system: node.system.clone(),
            };
            database.register_gather(&registration).await?;
            tracing::info!(node = node.name, gather_id = id, "a gather has come up");
        }
        rows = database.all_gathers().await?;
    }
    let nodes: HashMap<_, _> = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    Ok(rows
        .into_iter()
        .map(|row| {
            let node = nodes.get(&row.node);
            Known {
                identity: node.map_or_else(|| row.node.clone(), |node| node.identity.clone()),
                state: node.map_or(NodeState::Gone, |node| node.state),
                row,
            }
        })
        .collect())
}

pub(super) async fn list(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Texts);
    let mut all = known(api).await?;
    all.reverse();
    let calendar = Calendar::of(api);
    let (rows, total) = paging.of_all(all);
    let rows = rows.into_iter().map(|gather| row_of(gather, &calendar));
    Ok(wire::ok(paging.list(total, rows.collect())))
}

fn row_of(gather: Known, calendar: &Calendar) -> wire::Gather {
    let (status, row) = (i64::from(gather.is_online()), gather.row);
    wire::Gather {
        gather_id: row.id,
        school_id: row.school_id,
        mac_addr: hardware_address(&gather.identity),
        ip_addr: row.address,
        name_pc: row.node,
        name_set: row.title,
        os_name: row.system,
        main_rate: row.main_rate,
        sub_rate: row.sub_rate,
        auto_dvr: row.auto_dvr.into(),
        auto_fds: row.auto_fds.into(),
        auto_fdfs: row.auto_fds.into(),
        slice_val: row.slice_val,
        inter_val: row.inter_val,
        snap_val: row.snap_val,
        status,
        created: calendar.text(row.created),
        updated: calendar.text(row.updated),
    }
}

/// A locally administered address, which survives restarts.
fn hardware_address(identity: &str) -> String {
    let hash = Sha256::digest(identity);
    let rest = hash[..5].iter().map(|byte| format!("-{byte:02X}"));
    format!("02{}", rest.collect::<String>())
}

/// What records courses on the gather goes by the new settings at once.
pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let id = parameters.id("gather_id")?;
    // A node that has come up since can be changed as well.
    known(api).await?;
    let rate = |name: &str| parameters.int(name).filter(|rate| (1..=9999).contains(rate));
    let within =
        |name: &str, least: i64, most: i64| parameters.int(name).map(|value| value.clamp(least, most));
    let change = GatherChange {
        school_id: parameters.int("school_id").filter(|id| *id >= 0),
        title: parameters.text_or_empty("name_set", TITLE),
        main_rate: rate("main_rate"),
        sub_rate: rate("sub_rate"),
        auto_dvr: parameters.flag("auto_dvr"),
        auto_fds: parameters
            .flag("auto_fdfs")
            .or_else(|| parameters.flag("auto_fds")),
        slice_val: within("slice_val", 0, 30),
        inter_val: within("inter_val", 0, 3),
        snap_val: parameters
            .int("snap_val")
            .map(|value| if value <= 0 { 2 } else { value.min(10) }),
    };
    let changed = api.recorder.database.change_gather(id, &change).await?;
    if let Some(gather) = changed {
        let cuts = [change.slice_val, change.inter_val, change.snap_val];
        if cuts.iter().any(Option::is_some) {
            let scene = scene::Scene::load(api).await?;
            courses::follow_gather(api, &scene, &gather).await?;
        }
    }
    Ok(wire::done())
}

#[cfg(test)]
mod tests {
    use super::hardware_address;

    #[test]
    fn hardware_addresses_are_local_and_stay() {
        let address = hardware_address("studio/media-node-0");
        assert_eq!(address, hardware_address("studio/media-node-0"));
        assert_ne!(address, hardware_address("studio/media-node-1"));
        assert!(address.starts_with("02-") && address.len() == 17, "{address}");
    }
}
