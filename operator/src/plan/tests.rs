//! Worlds made up in `testdata/plans/*.yaml`, each with the plan that it gets beside it as text; and a small simulation
//! that carries plans out until there is nothing more to do. `WEIR_BLESS=1 cargo test` writes the texts anew.

mod simulation;
mod world;

use std::{fmt::Write as _, fs, path::PathBuf};

use super::{Limits, Plan, PoolPlan, Standing, Verdict, plan};
use crate::snapshot::Snapshot;

/// A plan as text: pools and nodes as they are to be, and of cameras only the news.
fn text(plan: &Plan, world: &Snapshot) -> String {
    let mut out = String::new();
    for (name, pool) in &plan.pools {
        match pool {
            PoolPlan::Refuse(why) => _ = writeln!(out, "pool {name}: {}: {}", why.reason, why.message),
            PoolPlan::Serve(pool) => {
                _ = write!(out, "pool {name}: {} pods", pool.replicas);
                if pool.wanted != pool.replicas {
                    _ = write!(out, " until {} are enough", pool.wanted);
                }
                if pool.outdated > 0 {
                    _ = write!(out, ", {} of an older version", pool.outdated);
                }
                out.push('\n');
                for node in &pool.nodes {
                    let standing = match node.standing {
                        Standing::Usable => "usable".into(),
                        Standing::Unready => "not ready".into(),
                        Standing::Lost => "lost".into(),
                        Standing::Leaving(cause) => format!("leaving: {}", cause.text()),
                    };
                    _ = writeln!(out, "  {}: {} cameras, {standing}", node.name, node.cameras);
                }
            }
        }
    }
    for change in plan.changes(world) {
        let placement = &plan.cameras[&change.camera];
        _ = write!(
            out,
            "camera {} #{}: {}",
            change.camera, placement.epoch, change.kind
        );
        out.push_str(if placement.silent {
            " (nobody runs it)\n"
        } else {
            "\n"
        });
    }
    for (name, verdict) in &plan.routes {
        if let Verdict::Refuse(why) = verdict {
            _ = writeln!(out, "route {name}: {}: {}", why.reason, why.message);
        }
    }
    for removal in &plan.removals {
        _ = writeln!(out, "delete pod {}", removal.pod);
    }
    if let Some(wake) = plan.wake {
        _ = writeln!(out, "again in {wake:?}");
    }
    out
}

#[test]
fn made_up_worlds_get_these_plans() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/plans");
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut worlds: Vec<_> = fs::read_dir(&folder)
        .expect("the folder")
        .flatten()
        .map(|e| e.path())
        .collect();
    worlds.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    worlds.sort();
    assert!(worlds.len() >= 20, "the worlds are in {}", folder.display());
    let mut wrong = String::new();
    for path in worlds {
        let world = world::World::read(&fs::read_to_string(&path).expect("readable"));
        let snapshot = world.snapshot();
        let got = text(&plan(&snapshot, &Limits::default()), &snapshot);
        let golden = path.with_extension("txt");
        if bless {
            fs::write(&golden, &got).expect("writable");
        }
        let want = fs::read_to_string(&golden).unwrap_or_default();
        if got != want {
            _ = writeln!(
                wrong,
                "{} ({})\n--- want\n{want}--- got\n{got}",
                path.display(),
                world.what
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
