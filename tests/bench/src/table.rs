//! Lines of JSON that `run` and `start` printed, as Markdown tables: a row for each server, beside the relay.

use serde_json::Value;
use std::fmt::Write;

/// The tables of all lines that have a server's name; others are left out.
pub fn markdown(lines: &[Value]) -> String {
    let named: Vec<&Value> = lines.iter().filter(|line| line["name"].is_string()).collect();
    let mut out = String::new();
    let mut servers: Vec<String> = vec![];
    for line in &named {
        let server = format!("{} {}", text(&line["name"]), text(&line["version"]));
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    let _ = writeln!(out, "Servers: {}.", servers.join(", "));
    for (kind, head) in HEADS {
        let rows: Vec<&Value> =
            named.iter().copied().filter(|l| Kind::of(l) == Some(*kind)).collect();
        if rows.is_empty() {
            continue;
        }
        let columns = head.matches('|').count() - 1;
        let _ = write!(out, "\n{head}\n|{}\n", "---|".repeat(columns));
        let mut labels: Vec<&str> = vec![];
        for row in &rows {
            let label = text(&row["label"]);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        for label in labels {
            let same: Vec<&Value> =
                rows.iter().copied().filter(|row| text(&row["label"]) == label).collect();
            for row in &same {
                let name = text(&row["name"]);
                let cells = match kind {
                    Kind::Load => load(typical(row), "server"),
                    Kind::Segments => segments(typical(row), "server"),
                    Kind::Abuse => abuse(typical(row)),
                    Kind::Start => start(row),
                };
                let _ = writeln!(out, "| {label} | {name} | {} |", cells.join(" | "));
            }
            let relay = same.iter().map(|row| typical(row)).find(|run| run["limit"].is_object());
            if let (Kind::Load, Some(run)) = (kind, relay) {
                let _ =
                    writeln!(out, "| {label} | the relay | {} |", load(run, "limit").join(" | "));
            }
        }
    }
    let notes = named.iter().flat_map(|line| {
        let who = format!("{}, {}", text(&line["label"]), text(&line["name"]));
        let failed = line["error"].as_str().map(|error| format!("{who}: failed: {error}"));
        let doubts = line["doubts"].as_array().into_iter().flatten();
        failed
            .into_iter()
            .chain(doubts.map(move |doubt| format!("{who}: in doubt: {}", text(doubt))))
    });
    let notes: Vec<String> = notes.collect();
    if !notes.is_empty() {
        let _ = write!(out, "\n- {}\n", notes.join("\n- "));
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Segments,
    Abuse,
    Start,
}

const HEADS: &[(Kind, &str)] = &[
    (
        Kind::Load,
        "| what | server | ratio | processors | age p50 / p99 | the worst viewer's p99 | first keyframe p50 / max | memory a viewer | a stream | in all |",
    ),
    (
        Kind::Segments,
        "| what | server | oldest picture of a segment or part, p50 / max | age p50 / p99 | first playable p50 / max | age of that, p50 | processors |",
    ),
    (
        Kind::Abuse,
        "| what | server | age p50 / p99 | the worst viewer's p99 | starved | processors | memory grown, kept 10 s later | unknown names refused, unanswered, served, failed | slow readers, closed | endless heads closed |",
    ),
    (
        Kind::Start,
        "| what | server | listens after, p50 (max; first) | says so after, p50 | idle memory | idle processors | threads | ends after SIGTERM, p50 / max |",
    ),
];

impl Kind {
    fn of(line: &Value) -> Option<Self> {
        if line["listening_ms"].is_object() {
            return Some(Self::Start);
        }
        let runs = line["runs"].as_array().filter(|runs| !runs.is_empty())?;
        Some(if runs[0]["server"]["abuse"].is_object() {
            Self::Abuse
        } else if matches!(line["kind"].as_str(), Some("Hls" | "LlHls")) {
            Self::Segments
        } else {
            Self::Load
        })
    }
}

/// The run in the middle by what it cost beside the relay, or at all where there was none.
fn typical(line: &Value) -> &Value {
    let Some(runs) = line["runs"].as_array() else { return &Value::Null };
    let cost = |run: &&Value| {
        run["ratio"].as_f64().or(run["server"]["cpu_s_per_gbit"].as_f64()).unwrap_or(f64::MAX)
    };
    let mut sorted: Vec<&Value> = runs.iter().collect();
    sorted.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    sorted.get(sorted.len() / 2).copied().unwrap_or(&Value::Null)
}

fn load(run: &Value, side: &str) -> Vec<String> {
    let of = &run[side];
    let watched = of.pointer("/age_ms/p50").and_then(Value::as_f64).is_some_and(|age| age > 0.0);
    let if_watched = |cell: String| if watched { cell } else { String::new() };
    let relay = side == "limit";
    vec![
        if relay { "1".into() } else { number(run, "/ratio", 2) },
        number(of, "/cores", 3),
        if_watched(pair(of, "/age_ms/p50", "/age_ms/p99")),
        if_watched(format!("{} ms", number(of, "/age_ms/worst_viewer_p99", 1))),
        if relay {
            String::new()
        } else {
            if_watched(pair(of, "/first_key_ms/p50", "/first_key_ms/max"))
        },
        if relay {
            String::new()
        } else {
            if_watched(format!("{} KiB", number(of, "/kib_per_viewer", 0)))
        },
        if relay { String::new() } else { format!("{} KiB", number(of, "/kib_per_stream", 0)) },
        format!("{} MiB", number(of, "/memory_mib/full", 0)),
    ]
}

fn segments(run: &Value, side: &str) -> Vec<String> {
    let of = &run[side];
    vec![
        pair(of, "/unit_age_ms/p50", "/unit_age_ms/max"),
        pair(of, "/age_ms/p50", "/age_ms/p99"),
        pair(of, "/first_key_ms/p50", "/first_key_ms/max"),
        format!("{} ms", number(of, "/join_age_ms/p50", 0)),
        number(of, "/cores", 3),
    ]
}

fn abuse(run: &Value) -> Vec<String> {
    let of = &run["server"];
    let all =
        |paths: &[&str]| paths.iter().map(|p| number(of, p, 0)).collect::<Vec<_>>().join(", ");
    vec![
        pair(of, "/age_ms/p50", "/age_ms/p99"),
        format!("{} ms", number(of, "/age_ms/worst_viewer_p99", 1)),
        number(of, "/starved", 0),
        number(of, "/cores", 3),
        format!("{}, {} MiB", number(of, "/abuse/grown_mib", 1), number(of, "/abuse/kept_mib", 1)),
        all(&[
            "/abuse/names/refused",
            "/abuse/names/unanswered",
            "/abuse/names/served",
            "/abuse/names/failed",
        ]),
        all(&["/abuse/slow/readers", "/abuse/slow/closed"]),
        number(of, "/abuse/heads/closed", 0),
    ]
}

fn start(line: &Value) -> Vec<String> {
    let said = if line["ready_line_ms"].is_object() {
        format!("{} ms", number(line, "/ready_line_ms/p50", 0))
    } else {
        String::new()
    };
    vec![
        format!(
            "{} ms ({}; {})",
            number(line, "/listening_ms/p50", 0),
            number(line, "/listening_ms/max", 0),
            number(line, "/first_listening_ms", 0)
        ),
        said,
        format!("{} MiB", number(line, "/idle_mib", 1)),
        number(line, "/idle_cores", 3),
        number(line, "/idle_threads", 0),
        pair(line, "/exit_ms/p50", "/exit_ms/max"),
    ]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(of: &Value, path: &str, digits: usize) -> String {
    of.pointer(path).and_then(Value::as_f64).map_or_else(|| "?".into(), |n| format!("{n:.digits$}"))
}

fn pair(of: &Value, a: &str, b: &str) -> String {
    format!("{} / {} ms", number(of, a, 1), number(of, b, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(name: &str, ratio: f64) -> Value {
        let side = json!({
            "cores": 0.25, "age_ms": { "p50": 1.25, "p99": 2.5, "worst_viewer_p99": 3.0 },
            "first_key_ms": { "p50": 1.0, "max": 2.0 }, "kib_per_viewer": 15.4, "kib_per_stream": 560.0,
            "memory_mib": { "full": 30.0 }, "cpu_s_per_gbit": 1.0, "abuse": null,
        });
        json!({
            "label": "rtsp-tcp 1 x 100", "name": name, "version": "1", "kind": "RtspTcp",
            "runs": [
                { "server": side, "limit": side, "ratio": 9.0 },
                { "server": side, "limit": side, "ratio": ratio },
                { "server": side, "limit": side, "ratio": 0.1 },
            ],
        })
    }

    #[test]
    fn servers_stand_below_each_other_and_above_the_relay() {
        let lines = [run("a", 1.125), json!({ "label": "without a name" }), run("b", 2.0)];
        let table = markdown(&lines);
        assert!(table.starts_with("Servers: a 1, b 1.\n\n| what | server | ratio |"), "{table}");
        let rows: Vec<&str> = table.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| rtsp-tcp 1 x 100 | a | 1.12 | 0.250 | 1.2 / 2.5 ms | 3.0 ms | 1.0 / 2.0 ms | 15 KiB | 560 KiB | 30 MiB |",
                "| rtsp-tcp 1 x 100 | b | 2.00 | 0.250 | 1.2 / 2.5 ms | 3.0 ms | 1.0 / 2.0 ms | 15 KiB | 560 KiB | 30 MiB |",
                "| rtsp-tcp 1 x 100 | the relay | 1 | 0.250 | 1.2 / 2.5 ms | 3.0 ms |  |  |  | 30 MiB |",
            ]
        );
    }

    #[test]
    fn what_failed_or_is_in_doubt_is_said() {
        let failed = json!({ "label": "hls", "name": "a", "version": "1", "error": "gone" });
        let mut doubted = run("b", 1.0);
        doubted["doubts"] = json!(["2 viewers starved"]);
        let table = markdown(&[failed, doubted]);
        assert!(table.contains(
            "- hls, a: failed: gone\n- rtsp-tcp 1 x 100, b: in doubt: 2 viewers starved\n"
        ));
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let mut hls = run("a", 1.0);
        hls["kind"] = "LlHls".into();
        let mut abused = run("a", 1.0);
        abused["runs"][0]["server"]["abuse"] = json!({ "grown_mib": 1.0 });
        let start = json!({ "label": "start", "name": "a", "version": "1", "listening_ms": { "p50": 1.0 } });
        let table = markdown(&[run("a", 1.0), hls, abused, start]);
        let tables: Vec<&str> = table.split("\n\n").skip(1).collect();
        assert_eq!(tables.len(), 4);
        for table in tables {
            let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(cells.len() > 2 && cells.iter().all(|n| *n == cells[0]), "{table}");
        }
    }
}
