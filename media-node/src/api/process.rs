//! What the operating system says of this process.

use parking_lot::Mutex;
use std::fs::read_to_string;
use std::time::{Duration, Instant};

/// Over less time than this the use of the processor is not measured anew.
const SHORTEST: Duration = Duration::from_secs(1);

/// Measures the process, from `/proc`.
#[derive(Debug)]
pub(super) struct Process {
    started: Instant,
    last: Mutex<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    /// Time that all threads had spent on a processor by then.
    busy: Duration,
    percent: f64,
}

/// How it stands with the process; what the system doesn't tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Percent of one core, since it was last asked.
    pub(super) cpu_percent: f64,
    pub(super) resident_kib: u64,
    pub(super) virtual_kib: u64,
    pub(super) uptime: Duration,
}

impl Process {
    /// Started now.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last: Mutex::new(Sample {
                at: now,
                busy: busy().unwrap_or_default(),
                percent: 0.0,
            }),
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let now = Instant::now();
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        Figures {
            cpu_percent: self.cpu_percent(now),
            resident_kib: kib(&status, "VmRSS:"),
            virtual_kib: kib(&status, "VmSize:"),
            uptime: now.saturating_duration_since(self.started),
        }
    }

    fn cpu_percent(&self, now: Instant) -> f64 {
        let mut last = self.last.lock();
        let span = now.saturating_duration_since(last.at);
        if span >= SHORTEST
            && let Some(busy) = busy()
        {
            let percent = busy.saturating_sub(last.busy).as_secs_f64() / span.as_secs_f64() * 100.0;
            *last = Sample {
                at: now,
                busy,
                percent: (percent * 10.0).round() / 10.0,
            };
        }
        last.percent
    }
}

fn busy() -> Option<Duration> {
    let ticks = ticks(&read_to_string("/proc/self/stat").ok()?)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Ticks in user and kernel mode of a `/proc/<pid>/stat` (`proc_pid_stat(5)`, fields 14 and 15).
fn ticks(stat: &str) -> Option<u64> {
    // The program's name, which is field 2, may hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// A figure of a `/proc/<pid>/status`.
fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Process, kib, ticks};

    #[test]
    fn what_the_files_say() {
        let stat =
            "4711 (a b) c) S 1 4711 4711 0 -1 4194560 9000 0 0 0 120 30 0 0 20 0 9 0 100 1791504384 5134";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("4711 (a) S 1"), None);
        let status = "Name:\tmedia-node\nVmSize:\t 1791504 kB\nVmRSS:\t   20536 kB\n";
        assert_eq!(
            (
                kib(status, "VmRSS:"),
                kib(status, "VmSize:"),
                kib(status, "VmSwap:")
            ),
            (20_536, 1_791_504, 0)
        );
    }

    #[test]
    fn this_process_has_some_memory() {
        let figures = Process::new().figures();
        assert!(figures.resident_kib > 0 && figures.virtual_kib >= figures.resident_kib);
        assert!(figures.cpu_percent.abs() < f64::EPSILON, "not measured yet");
    }
}
