//! CPU seconds and memory of processes and threads, from /proc.

use anyhow::{Context, Result};

/// Parent of every process, by pid.
fn parents() -> Vec<(u32, u32)> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return vec![] };
    dir.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, fields(&format!("/proc/{pid}/stat")).ok()?[1].parse().ok()?))
    })
    .collect()
}

/// The process and everything that it started.
pub fn family(pid: u32) -> Vec<u32> {
    let parents = parents();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| child));
        next += 1;
    }
    family
}

/// What follows the parenthesised name in a stat file: state, parent, ...
fn fields(path: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let (_, rest) = text.rsplit_once(") ").context("odd stat line")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// User and system seconds.
pub fn cpu(path: &str) -> Result<[f64; 2]> {
    let fields = fields(path)?;
    let hz = rustix::param::clock_ticks_per_second() as f64;
    Ok([fields[11].parse::<f64>()? / hz, fields[12].parse::<f64>()? / hz])
}

pub fn cpu_of(pid: u32) -> Result<[f64; 2]> {
    let mut sum = [0.0; 2];
    for pid in family(pid) {
        // A child may end between the listing and the look.
        if let Ok(part) = cpu(&format!("/proc/{pid}/stat")) {
            sum[0] += part[0];
            sum[1] += part[1];
        }
    }
    Ok(sum)
}

/// Resident bytes.
pub fn memory_of(pid: u32) -> Result<u64> {
    let page = rustix::param::page_size() as u64;
    let mut sum = 0;
    for pid in family(pid) {
        if let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/statm")) {
            sum += text.split(' ').nth(1).unwrap_or("0").parse::<u64>()? * page;
        }
    }
    Ok(sum)
}

/// The most bytes that were ever resident.
pub fn peak_of(pid: u32) -> u64 {
    let peak = |pid: u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    family(pid).into_iter().filter_map(peak).sum()
}

pub fn threads_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |d| d.count())
}

/// CPU seconds of one of our own threads.
pub fn thread_cpu(tid: i32) -> f64 {
    cpu(&format!("/proc/self/task/{tid}/stat")).map_or(0.0, |[user, system]| user + system)
}

/// The calling thread's id.
pub fn tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Share of all cores' time that was stolen or idle since boot, as (busy, total) ticks.
pub fn machine() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let total: f64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3).unwrap_or(&0.0) + ticks.get(4).unwrap_or(&0.0);
    (total - idle, total)
}
