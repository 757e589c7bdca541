//! The standard set of scenarios, each with a freshly started server, beside the relay limit.

use crate::media::Clip;
use crate::proc;
use crate::rtsp::authority;
use crate::run::{self, Plan};
use crate::view::Kind;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The server under test: already running, or started for each measurement.
pub enum Server {
    Running(u32),
    Start { command: String, ready: String },
}

pub struct Live {
    pub pid: u32,
    child: Option<Child>,
}

impl Server {
    pub fn new(pid: Option<u32>, command: Option<String>, publish: &str) -> Result<Self> {
        match (pid, command) {
            (Some(pid), None) => Ok(Self::Running(pid)),
            (None, Some(command)) => Ok(Self::Start { command, ready: authority(publish)?.0 }),
            _ => anyhow::bail!("give either --pid or --server"),
        }
    }

    pub fn live(&self) -> Result<Live> {
        let (command, ready) = match self {
            Self::Running(pid) => return Ok(Live { pid: *pid, child: None }),
            Self::Start { command, ready } => (command, ready),
        };
        let mut words = command.split_whitespace();
        let child = Command::new(words.next().context("empty --server")?)
            .args(words)
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| command.clone())?;
        let live = Live { pid: child.id(), child: Some(child) };
        let begun = Instant::now();
        while TcpStream::connect(ready).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(15), "{ready} does not answer");
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(500));
        Ok(live)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // The end of a server is part of what users see; it gets five seconds.
        if let Some(pid) = Pid::from_raw(child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        for _ in 0..50 {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Runs one plan `repeat` times and prints a line for each; the last line is JSON.
pub fn repeat(
    label: &str,
    server: &Server,
    plan: &Plan,
    clip: &Arc<Clip>,
    times: u32,
    limit: bool,
) -> Result<Value> {
    let (mut runs, mut ratios, mut doubts) = (vec![], vec![], vec![]);
    for round in 0..times {
        let live = server.live()?;
        let measured = run::measure(plan, clip, Some(live.pid), false)?;
        let alive = proc::cpu_of(live.pid).is_ok_and(|c| c[0] + c[1] > 0.0);
        ensure!(alive, "the server is gone");
        drop(live);
        let beside = match limit {
            true => Some(run::measure_limit(plan, clip, 17_990 + (round % 9) as u16, 0)?),
            false => None,
        };
        let cost = |m: &Value| m["cpu_s_per_gbit"].as_f64().unwrap_or(f64::NAN);
        let ratio = beside.as_ref().map(|l| cost(&measured) / cost(l));
        run::table(label, &measured, ratio);
        if let Some(why) = doubt(&measured) {
            eprintln!("  does not count: {why}");
            doubts.push(why);
        }
        if let Some(beside) = &beside {
            run::table("  limit", beside, None);
        }
        ratios.extend(ratio);
        runs.push(json!({ "server": measured, "limit": beside, "ratio": ratio }));
        sleep(Duration::from_millis(500));
    }
    ratios.sort_by(f64::total_cmp);
    Ok(json!({
        "label": label, "streams": plan.streams, "viewers": plan.viewers,
        "kind": plan.view.as_ref().map(|v| format!("{:?}", v.0)),
        "counts": doubts.is_empty(), "doubts": doubts, "ratio_min": ratios.first(), "ratio_median": ratios.get(ratios.len() / 2), "runs": runs,
    }))
}

/// Why a run says nothing about the server: what measured it was itself too slow, or viewers starved.
fn doubt(measured: &Value) -> Option<String> {
    let n = |name: &str| measured[name].as_f64().unwrap_or(0.0);
    if n("source_behind_ms") > 40.0 {
        Some(format!("the source was {} ms late", n("source_behind_ms")))
    } else if n("view_cores") > 0.95 {
        Some(format!("the viewers took {} of a processor", n("view_cores")))
    } else if n("starved") > 0.0 {
        Some(format!("{} viewers starved", n("starved")))
    } else {
        None
    }
}

/// The standard plans for a server that is watched by the given kinds of URL.
pub fn plans(publish: &str, views: &[(Kind, String)], quick: bool) -> Vec<(String, Plan)> {
    let seconds = if quick { 4.0 } else { 8.0 };
    let plan = |view: Option<&(Kind, String)>, streams, viewers, ramp, seconds| Plan {
        publish: Some(publish.into()),
        view: view.cloned(),
        streams,
        viewers: if view.is_some() { viewers } else { 0 },
        ramp,
        settle: 2.0,
        seconds,
        busy: 0,
        abuse: None,
    };
    let segmented = |kind: &Kind| matches!(kind, Kind::Hls | Kind::LlHls);
    let mut plans = vec![];
    for view in views.iter().filter(|v| !segmented(&v.0)) {
        let name = format!("{:?}", view.0);
        // Slow joins fall on all points between two key pictures, which shows the startup time.
        plans.push((format!("{name} 1x10"), plan(Some(view), 1, 10, 7.0, seconds)));
        for viewers in if quick { vec![100] } else { vec![100, 500, 1000] } {
            plans.push((
                format!("{name} 1x{viewers}"),
                plan(Some(view), 1, viewers, 400.0, seconds),
            ));
        }
        for n in if quick { vec![20] } else { vec![50, 200] } {
            plans.push((format!("{name} {n}x1"), plan(Some(view), n, n, 400.0, seconds)));
        }
    }
    for view in views.iter().filter(|v| segmented(&v.0)) {
        let mut plan = plan(Some(view), 1, 3, 2.0, if quick { 8.0 } else { 20.0 });
        plan.settle = 12.0;
        plans.push((format!("{:?} 1x3", view.0), plan));
    }
    let streams = if quick { 50 } else { 200 };
    plans.push((format!("publish {streams}"), plan(None, streams, 0, 400.0, seconds)));
    plans
}
