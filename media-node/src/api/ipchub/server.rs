//! `GET /api/v1/server`: who answers.

use super::super::process::Process;
use super::wire;
use axum::response::Response;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use weir_crds::jiff;

/// What this process says of itself.
#[derive(Clone, Debug)]
pub struct Server {
    pub vendor: String,
    pub name: String,
    /// With a leading V.
    pub version: String,
    started: SystemTime,
    /// The same on a clock that nobody sets.
    since: Instant,
    pub(super) process: Arc<Process>,
}

impl Server {
    /// Under the names that ipchub's clients expect, with our own version; started now.
    pub fn new() -> Self {
        Self {
            vendor: "CAOHONGJU".into(),
            name: "ipchub".into(),
            version: concat!("V", env!("CARGO_PKG_VERSION")).into(),
            started: SystemTime::now(),
            since: Instant::now(),
            process: Arc::new(Process::new()),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

#[utoipa::path(
    get,
    path = "/api/v1/server",
    operation_id = "ipchub.server",
    tag = "system",
    summary = "Says who answers",
    responses((status = 200, description = "Name, version, platform, start", body = wire::Server, content_type = "text/plain"))
)]
pub(super) fn tell(server: &Server) -> Response {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    wire::json(&wire::Server {
        vendor: &server.vendor,
        name: &server.name,
        version: &server.version,
        os: &os_name(os),
        arch: &arch_name(arch),
        start_on: time(server.started),
        duration: duration(server.since.elapsed()),
    })
}

/// RFC 3339 in UTC, with up to nine digits of a second's fraction and no trailing zeros.
pub(super) fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// With a capital, as Go's documents write it.
fn os_name(os: &str) -> String {
    let os = if os == "macos" { "darwin" } else { os };
    os[..1].to_uppercase() + &os[1..]
}

/// In capitals, by Go's names.
fn arch_name(arch: &str) -> String {
    match arch {
        "x86_64" => "AMD64".into(),
        "x86" => "386".into(),
        "aarch64" => "ARM64".into(),
        other => other.to_uppercase(),
    }
}

/// As Go prints durations: `850.2ms`, `23.3s`, `1m0.5s`, `26h3m9.5s`.
fn duration(elapsed: Duration) -> String {
    let nanos = elapsed.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    for (unit, size) in [("ns", 1), ("µs", 1000), ("ms", 1_000_000)] {
        if nanos < size * 1000 {
            return fraction(nanos, size) + unit;
        }
    }
    let (hours, minutes) = (elapsed.as_secs() / 3600, elapsed.as_secs() / 60 % 60);
    let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `nanos` in units of `size`, a power of ten, without trailing zeros.
fn fraction(nanos: u128, size: u128) -> String {
    let digits = size.ilog10() as usize;
    let text = if digits == 0 {
        nanos.to_string()
    } else {
        format!("{}.{:0digits$}", nanos / size, nanos % size)
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{arch_name, duration, os_name, time};
    use std::time::{Duration, SystemTime};

    #[test]
    fn durations_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (850_200_000, "850.2ms"),
            (10_000_000_000, "10s"),
            (23_319_603_373, "23.319603373s"),
            (60_500_000_000, "1m0.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (93_789_500_000_000, "26h3m9.5s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn times_lose_their_trailing_zeros() {
        let at = |nanos| time(SystemTime::UNIX_EPOCH + Duration::new(1_772_442_904, nanos));
        assert_eq!(at(0), "2026-03-02T09:15:04Z");
        assert_eq!(at(120_933_000), "2026-03-02T09:15:04.120933Z");
        assert_eq!(at(7), "2026-03-02T09:15:04.000000007Z");
    }

    #[test]
    fn platforms_have_the_documented_names() {
        assert_eq!(
            (os_name("linux").as_str(), os_name("macos").as_str()),
            ("Linux", "Darwin")
        );
        assert_eq!(
            (arch_name("x86_64").as_str(), arch_name("aarch64").as_str()),
            ("AMD64", "ARM64")
        );
    }
}
