//! `media-node standalone | node | gateway | probe`.

use clap::Parser;
use media_node::args::{Args, Role};
use media_node::{role, telemetry};
use std::process::ExitCode;

/// Access units of all sizes are allocated at one thread and freed at another, thousands of times a second.
/// docs/performance.md says what it saves.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::start(args.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("media-node: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match args.role {
            Role::Standalone(args) => role::standalone::run(args).await,
            Role::Node(args) => role::node::run(args).await,
            Role::Gateway(args) => role::gateway::run(args).await,
            Role::Index(args) => role::index::run(args).await,
            Role::Probe(args) => role::probe::run(args).await,
        }
    });
    // Whatever still blocks (a file read, a password being hashed) has had its time to end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("media-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}
