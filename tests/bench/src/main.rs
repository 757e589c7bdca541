//! Load and latency measurements for live media servers. See README.md.

mod abuse;
mod hls;
mod limit;
mod media;
mod proc;
mod rtmp;
mod rtsp;
mod run;
mod source;
mod stamp;
mod start;
mod suite;
mod table;
mod view;
mod whep;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use run::Plan;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use suite::Server;

#[derive(Parser)]
struct Cli {
    /// Folder of the encoded clip.
    #[arg(long, default_value = "media", global = true)]
    media: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Encode the clip that streams repeat.
    Media {
        #[arg(long, default_value_t = 2000)]
        kbit: u32,
        #[arg(long, default_value_t = 1280)]
        width: u32,
        #[arg(long, default_value_t = 720)]
        height: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// Publish streams until the time is over.
    Source {
        /// rtsp:// or rtmp://, with {i} for the stream's number.
        url: String,
        #[arg(long, default_value_t = 1)]
        streams: usize,
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
    },
    /// Watch streams that something else publishes.
    View {
        kind: view::Kind,
        url: String,
        #[command(flatten)]
        load: Load,
        /// Process id of the server.
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Publish and watch, sample the server, and compare with the relay limit.
    Run {
        #[command(flatten)]
        about: About,
        /// Process id of a running server.
        #[arg(long)]
        pid: Option<u32>,
        /// Or the command that starts one; it is started anew for every repetition.
        #[arg(long)]
        server: Option<String>,
        #[arg(long)]
        publish: String,
        #[arg(long, requires = "url")]
        kind: Option<view::Kind>,
        #[arg(long, requires = "kind")]
        url: Option<String>,
        #[command(flatten)]
        load: Load,
        #[arg(long, default_value_t = 3)]
        repeat: u32,
        /// Leave out the relay's runs.
        #[arg(long)]
        no_limit: bool,
        /// Threads that take what processor time they get, so that the server must share it. The
        /// source and the viewers then go before all others.
        #[arg(long, default_value_t = 0)]
        busy: usize,
        #[command(flatten)]
        strangers: Strangers,
    },
    /// Start a server many times: how long until it listens, what it takes idle, how long it takes to end.
    Start {
        #[command(flatten)]
        about: About,
        #[arg(long)]
        server: String,
        /// host:port that must take connections; all of them.
        #[arg(long, required = true)]
        ready: Vec<String>,
        /// The server says on its standard output when it is ready: time that as well.
        #[arg(long)]
        ready_line: bool,
        #[arg(long, default_value_t = 20)]
        repeat: u32,
        /// How many of these are left idle for a look at their memory.
        #[arg(long, default_value_t = 3)]
        idle_repeat: u32,
        #[arg(long, default_value_t = 5.0)]
        idle: f64,
    },
    /// Make Markdown tables of the lines of JSON on standard input.
    Table,
    /// Run the standard scenarios and compare each with the relay limit.
    Suite {
        #[arg(long, default_value = "server")]
        label: String,
        #[arg(long)]
        pid: Option<u32>,
        /// The command that starts the server; it is started anew for every repetition.
        #[arg(long)]
        server: Option<String>,
        #[arg(long)]
        publish: String,
        /// KIND=URL, once for each way to watch: rtsp-tcp=rtsp://127.0.0.1:554/live/cam{i}
        #[arg(long = "view")]
        views: Vec<String>,
        #[arg(long, default_value_t = 3)]
        repeat: u32,
        /// Fewer and shorter scenarios.
        #[arg(long)]
        quick: bool,
    },
    /// The relay itself.
    Limit {
        #[arg(long, default_value_t = 17_999)]
        port: u16,
        /// Gather bytes for this long before each write.
        #[arg(long, default_value_t = 0)]
        hold_ms: u64,
    },
    /// Measure the relay alone, for several hold times.
    Limits {
        #[command(flatten)]
        load: Load,
        #[arg(long, value_delimiter = ',', default_values_t = [0, 10, 20, 50, 100])]
        hold_ms: Vec<u64>,
    },
    /// Sample a process for a while.
    WatchPid {
        pid: u32,
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
}

/// What a line of JSON says of itself.
#[derive(Args)]
struct About {
    /// Name in the output.
    #[arg(long, default_value = "server")]
    label: String,
    /// Name of the server, where several are compared.
    #[arg(long)]
    server_name: Option<String>,
    #[arg(long, requires = "server_name")]
    server_version: Option<String>,
    /// A failure is a line of JSON as well, and no failure of this program.
    #[arg(long)]
    may_fail: bool,
}

impl About {
    /// Prints the line.
    fn say(&self, measured: Result<Value>) -> Result<()> {
        let mut value = match measured {
            Err(error) if self.may_fail => {
                eprintln!("{}: {error:#}", self.label);
                json!({ "error": format!("{error:#}") })
            }
            measured => measured?,
        };
        value["label"] = self.label.clone().into();
        if let Some(name) = &self.server_name {
            value["name"] = name.clone().into();
            value["version"] = self.server_version.clone().into();
        }
        line(&value);
        Ok(())
    }
}

/// People who mean no good, while the viewers watch.
#[derive(Args)]
struct Strangers {
    /// A way to watch that they use, with {i} for the stream's number; once for each.
    #[arg(long = "abuse")]
    urls: Vec<String>,
    /// Names that nobody has and they ask for, within the settling and the measured time.
    #[arg(long, default_value_t = 10_000)]
    names: usize,
    /// Those who read a byte a second.
    #[arg(long, default_value_t = 1000)]
    slow: usize,
    /// Those who send a head that never ends.
    #[arg(long, default_value_t = 500)]
    heads: usize,
}

impl Strangers {
    fn abuse(self) -> Result<Option<abuse::Abuse>> {
        self.urls.iter().try_for_each(|url| loopback(url))?;
        let Self { urls, names, slow, heads } = self;
        Ok((!urls.is_empty()).then_some(abuse::Abuse { urls, names, slow, heads }))
    }
}

#[derive(Args)]
struct Load {
    #[arg(long, default_value_t = 1)]
    streams: usize,
    #[arg(long, default_value_t = 1)]
    viewers: usize,
    /// New viewers a second.
    #[arg(long, default_value_t = 200.0)]
    ramp: f64,
    /// Seconds between the last viewer's start and the measured time.
    #[arg(long, default_value_t = 4.0)]
    settle: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

impl Load {
    fn plan(&self, publish: Option<String>, view: Option<(view::Kind, String)>) -> Plan {
        let viewers = if view.is_some() { self.viewers } else { 0 };
        Plan {
            publish,
            view,
            streams: self.streams,
            viewers,
            ramp: self.ramp,
            settle: self.settle,
            seconds: self.seconds,
            busy: 0,
            abuse: None,
        }
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Media { kbit, width, height, seconds } => {
            media::make(&cli.media, &media::Make { kbit, width, height, seconds })?;
            let clip = media::load(&cli.media)?;
            println!("{} pictures, {} sounds", clip.pictures.len(), clip.audio.len());
        }
        Command::Source { url, streams, seconds } => {
            loopback(&url)?;
            let load = Load { streams, viewers: 0, ramp: 100.0, settle: 0.0, seconds };
            let counts = std::sync::Arc::default();
            let running =
                run::sources(&load.plan(Some(url), None), run::load(&cli.media)?, counts)?;
            std::thread::sleep(Duration::from_secs_f64(seconds));
            drop(running);
        }
        Command::View { kind, url, load, pid } => {
            loopback(&url)?;
            let clip = run::load(&cli.media)?;
            let plan = load.plan(None, Some((kind, url)));
            let measured = run::measure(&plan, &clip, pid, false)?;
            run::table("view", &measured, None);
            line(&measured);
        }
        Command::Run {
            about,
            pid,
            server,
            publish,
            kind,
            url,
            load,
            repeat,
            no_limit,
            busy,
            strangers,
        } => {
            loopback(&publish)?;
            url.as_deref().map_or(Ok(()), loopback)?;
            let server = Server::new(pid, server, &publish)?;
            let clip = run::load(&cli.media)?;
            let mut plan = load.plan(Some(publish), kind.zip(url));
            plan.busy = busy;
            plan.abuse = strangers.abuse()?;
            let label = match &about.server_name {
                Some(name) => format!("{} {name}", about.label),
                None => about.label.clone(),
            };
            about.say(suite::repeat(&label, &server, &plan, &clip, repeat, !no_limit))?;
        }
        Command::Start { about, server, ready, ready_line, repeat, idle_repeat, idle } => {
            let plan = start::Plan {
                command: server,
                ready,
                line: ready_line,
                repeat,
                idle_repeat,
                idle: Duration::from_secs_f64(idle),
            };
            about.say(start::measure(&plan))?;
        }
        Command::Table => {
            let mut lines = vec![];
            for text in std::io::stdin().lines() {
                lines.push(serde_json::from_str(&text?).context("not a line of JSON")?);
            }
            print!("{}", table::markdown(&lines));
        }
        Command::Suite { label, pid, server, publish, views, repeat, quick } => {
            loopback(&publish)?;
            let mut kinds = vec![];
            for view in &views {
                let (kind, url) = view.split_once('=').context("--view KIND=URL")?;
                loopback(url)?;
                kinds.push((
                    view::Kind::from_str(kind, true).map_err(anyhow::Error::msg)?,
                    url.into(),
                ));
            }
            let server = Server::new(pid, server, &publish)?;
            let clip = run::load(&cli.media)?;
            for (name, plan) in suite::plans(&publish, &kinds, quick) {
                let name = format!("{label} {name}");
                match suite::repeat(&name, &server, &plan, &clip, repeat, true) {
                    Ok(result) => line(&result),
                    Err(e) => eprintln!("{name}: {e:#}"),
                }
            }
        }
        Command::Limits { load, hold_ms } => {
            let clip = run::load(&cli.media)?;
            let plan = load.plan(Some(String::new()), Some((view::Kind::Limit, String::new())));
            for hold in hold_ms {
                let measured = run::measure_limit(&plan, &clip, 17_998, hold)?;
                run::table(&format!("hold {hold} ms"), &measured, None);
                line(&json!({ "hold_ms": hold, "limit": measured }));
            }
        }
        Command::Limit { port, hold_ms } => {
            // Never outlives the run that started it.
            set_parent_process_death_signal(Some(Signal::KILL))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            tokio::task::LocalSet::new()
                .block_on(&runtime, limit::serve(port, Duration::from_millis(hold_ms)))?;
        }
        Command::WatchPid { pid, seconds } => {
            let before = proc::cpu_of(pid)?;
            std::thread::sleep(Duration::from_secs_f64(seconds));
            let after = proc::cpu_of(pid)?;
            let used = after[0] + after[1] - before[0] - before[1];
            println!(
                "{}",
                json!({ "pid": pid, "seconds": seconds, "cpu_s": used, "cores": used / seconds,
                        "rss_bytes": proc::memory_of(pid)?, "threads": proc::threads_of(pid) })
            );
        }
    }
    Ok(())
}

/// This tool puts load on this machine only.
fn loopback(url: &str) -> Result<()> {
    let (host, _) = rtsp::authority(url)?;
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    ensure!(name == "localhost" || name.starts_with("127."), "not a loopback address: {url}");
    Ok(())
}

fn line(value: &Value) {
    // Nobody reading is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{value}");
}
