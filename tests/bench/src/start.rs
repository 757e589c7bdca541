//! How long a server takes to start and to end, and what it takes while nobody wants anything.

use crate::proc;
use crate::run::{rank, round};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_micros(500);
/// How long a server that was started only for its times is left alone before it is ended.
const SETTLE: Duration = Duration::from_millis(300);

pub struct Plan {
    pub command: String,
    /// Addresses that must all take connections.
    pub ready: Vec<String>,
    /// Whether the server says on its standard output when it is ready.
    pub line: bool,
    pub repeat: u32,
    /// How many of these are left idle, and for how long before a look.
    pub idle_repeat: u32,
    pub idle: Duration,
}

/// A server that ends with this.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn measure(plan: &Plan) -> Result<Value> {
    let (mut listening, mut said, mut ended) = (vec![], vec![], vec![]);
    let (mut bytes, mut cores, mut threads) = (vec![], vec![], 0);
    let mut killed = 0;
    ensure!(plan.repeat > 0, "nothing to repeat");
    for turn in 0..plan.repeat {
        for address in &plan.ready {
            ensure!(TcpStream::connect(address).is_err(), "something else listens at {address}");
        }
        let mut words = plan.command.split_whitespace();
        let begun = Instant::now();
        let mut server = Started(
            Command::new(words.next().context("empty --server")?)
                .args(words)
                .stdout(if plan.line { Stdio::piped() } else { Stdio::null() })
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| plan.command.clone())?,
        );
        let line = plan.line.then(|| first_line(&mut server.0, begun));
        for address in &plan.ready {
            while TcpStream::connect(address).is_err() {
                ensure!(begun.elapsed() < PATIENCE, "{address} does not answer");
                sleep(LOOK);
            }
        }
        listening.push(micros(begun.elapsed()));
        if let Some(line) = line {
            let when = line.recv_timeout(PATIENCE).context("it never said that it is ready")?;
            said.push(micros(when));
        }
        let pid = server.0.id();
        if turn < plan.idle_repeat {
            let before = proc::cpu_of(pid)?;
            sleep(plan.idle);
            let after = proc::cpu_of(pid)?;
            bytes.push(proc::memory_of(pid)?);
            cores.push((after[0] + after[1] - before[0] - before[1]) / plan.idle.as_secs_f64());
            threads = proc::threads_of(pid);
        } else {
            sleep(SETTLE);
        }
        let told = Instant::now();
        kill_process(Pid::from_raw(pid as i32).context("pid")?, Signal::TERM)?;
        loop {
            if server.0.try_wait()?.is_some() {
                ended.push(micros(told.elapsed()));
                break;
            }
            if told.elapsed() > PATIENCE {
                killed += 1;
                break;
            }
            sleep(LOOK);
        }
    }
    let first = f64::from(listening[0]) / 1000.0;
    bytes.sort_unstable();
    cores.sort_by(f64::total_cmp);
    let middle = bytes.get(bytes.len() / 2).copied().unwrap_or(0);
    Ok(json!({
        "repeat": plan.repeat,
        "first_listening_ms": round(first),
        "listening_ms": spread(&mut listening), "ready_line_ms": spread(&mut said),
        "exit_ms": spread(&mut ended), "killed": killed,
        "idle_seconds": round(plan.idle.as_secs_f64()), "idle_mib": round(middle as f64 / 1048576.0),
        "idle_cores": cores.get(cores.len() / 2).copied().map(round), "idle_threads": threads,
    }))
}

/// When the server's first line came. What else it says is read and forgotten.
fn first_line(server: &mut Child, begun: Instant) -> Receiver<Duration> {
    let (tell, told) = channel();
    if let Some(out) = server.stdout.take() {
        std::thread::spawn(move || {
            for _ in BufReader::new(out).lines().map_while(Result::ok) {
                // Nobody waits for more than one.
                let _ = tell.send(begun.elapsed());
            }
        });
    }
    told
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn spread(micros: &mut [u32]) -> Value {
    if micros.is_empty() {
        return Value::Null;
    }
    micros.sort_unstable();
    let ms = |q| round(f64::from(rank(micros, q)) / 1000.0);
    json!({ "p50": ms(0.5), "min": ms(0.0), "max": ms(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(command: &str) -> Plan {
        Plan {
            command: command.into(),
            ready: vec![],
            line: true,
            repeat: 2,
            idle_repeat: 1,
            idle: Duration::from_millis(50),
        }
    }

    #[test]
    fn a_process_is_started_looked_at_and_ended() {
        let measured =
            measure(&plan("/bin/sh -c echo${IFS}ready;exec${IFS}sleep${IFS}60")).unwrap();
        assert!(measured["ready_line_ms"]["p50"].as_f64().unwrap() > 0.0, "{measured}");
        assert!(measured["exit_ms"]["max"].as_f64().unwrap() < 10_000.0, "{measured}");
        assert!(measured["idle_mib"].as_f64().unwrap() > 0.1, "{measured}");
        assert_eq!(measured["killed"], 0);
    }

    #[test]
    fn a_process_that_says_nothing_is_not_ready() {
        assert!(measure(&plan("/bin/true")).is_err());
    }
}
