//! The lines of the ipchub contract (`docs/ref/contracts/ipchub.tsv`), each as a function of its id that checks what the
//! contract says of it: what it does, and whom and what it refuses.
//!
//! A line is checked in a [`Place`], which has two entry points. What it does at the first shows at the second: in
//! standalone both are the same process, in a cluster they are two gateways. `tests/loopback_ipchub.rs` makes a test of
//! each line, `tests/e2e_ipchub.rs` runs them all in one namespace.

pub mod accounts;
pub mod browsers;
pub mod pages;
pub mod place;
pub mod play_flv;
pub mod play_hls;
pub mod play_rtmp;
pub mod play_rtsp;
pub mod play_web_socket;
pub mod play_wsp;
pub mod publish;
pub mod pull;
pub mod routes;
pub mod streams;
pub mod users;

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::{StreamExt, future::LocalBoxFuture, stream};

pub use place::{Entry, Place};

/// A line of the contract.
#[derive(Clone, Copy)]
pub struct Line {
    /// As in the contract.
    pub id: &'static str,
    /// The function's name, which is the id's.
    pub name: &'static str,
    /// What else goes on in its place.
    pub company: Company,
    /// Checks it. Not for other threads: checks are one task, at whose side processes work.
    pub check: for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<()>>,
}

/// Which lines may be checked in a place at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// It counts all there is, or makes a route for all paths.
    Alone,
    /// Its users, routes and streams have names of their own.
    Any,
}

/// Lines that are checked elsewhere, by a test of the same name in this file of `tests/`: these need a place of another
/// kind.
pub const ELSEWHERE: &[(&str, &str)] = &[("ipchub.tls", "loopback_tls.rs")];

/// Calls the macro `$with` with all lines: id, company, module and function.
#[macro_export]
macro_rules! ipchub_lines {
    ($with:ident) => {
        $with! {
            "ipchub.login" Alone accounts::ipchub_login,
            "ipchub.refreshtoken" Any accounts::ipchub_refreshtoken,
            "ipchub.server" Any accounts::ipchub_server,
            "ipchub.runtime" Alone accounts::ipchub_runtime,
            "ipchub.users.list" Alone users::ipchub_users_list,
            "ipchub.users.get" Any users::ipchub_users_get,
            "ipchub.users.delete" Any users::ipchub_users_delete,
            "ipchub.users.save" Any users::ipchub_users_save,
            "ipchub.routes.list" Alone routes::ipchub_routes_list,
            "ipchub.routes.get" Any routes::ipchub_routes_get,
            "ipchub.routes.delete" Alone routes::ipchub_routes_delete,
            "ipchub.routes.save" Any routes::ipchub_routes_save,
            "ipchub.streams.list" Alone streams::ipchub_streams_list,
            "ipchub.streams.get" Any streams::ipchub_streams_get,
            "ipchub.streams.delete" Any streams::ipchub_streams_delete,
            "ipchub.streams.stop_consumer" Any streams::ipchub_streams_stop_consumer,
            "ipchub.crossdomain.api" Any browsers::ipchub_crossdomain_api,
            "ipchub.crossdomain.streams" Any browsers::ipchub_crossdomain_streams,
            "ipchub.preflight" Any browsers::ipchub_preflight,
            "ipchub.play.http_flv" Any play_flv::ipchub_play_http_flv,
            "ipchub.play.ws_flv" Any play_flv::ipchub_play_ws_flv,
            "ipchub.play.ws_flv_ws" Any play_flv::ipchub_play_ws_flv_ws,
            "ipchub.play.ws_rtsp" Any play_web_socket::ipchub_play_ws_rtsp,
            "ipchub.play.ws_rtsp_ws" Any play_web_socket::ipchub_play_ws_rtsp_ws,
            "ipchub.play.wsp_control" Any play_wsp::ipchub_play_wsp_control,
            "ipchub.play.wsp_data" Any play_wsp::ipchub_play_wsp_data,
            "ipchub.play.wsp_control_ws" Any play_wsp::ipchub_play_wsp_control_ws,
            "ipchub.play.wsp_data_ws" Any play_wsp::ipchub_play_wsp_data_ws,
            "ipchub.play.hls" Any play_hls::ipchub_play_hls,
            "ipchub.play.hls_segment" Any play_hls::ipchub_play_hls_segment,
            "ipchub.play.rtsp_tcp" Any play_rtsp::ipchub_play_rtsp_tcp,
            "ipchub.play.rtsp_udp" Any play_rtsp::ipchub_play_rtsp_udp,
            "ipchub.play.rtsp_multicast" Any play_rtsp::ipchub_play_rtsp_multicast,
            "ipchub.push.rtsp" Any publish::ipchub_push_rtsp,
            "ipchub.push.ws_rtsp" Any publish::ipchub_push_ws_rtsp,
            "ipchub.pull.rtsp" Any pull::ipchub_pull_rtsp,
            "ipchub.play.rtmp" Any play_rtmp::ipchub_play_rtmp,
            "ipchub.static.console" Any pages::ipchub_static_console,
            "ipchub.static.demos" Any pages::ipchub_static_demos,
        }
    };
}

macro_rules! table {
    ($($id:literal $company:ident $module:ident::$name:ident),* $(,)?) => {
        /// All lines but those [`ELSEWHERE`].
        pub const LINES: &[Line] = &[$(Line {
            id: $id,
            name: stringify!($name),
            company: Company::$company,
            check: |place| Box::pin($module::$name(place)),
        }),*];
    };
}

ipchub_lines!(table);

/// Lines that are checked at once: a machine of two processors is busy with these.
const AT_ONCE: usize = 4;

/// Checks those lines of all that are wanted, first the ones that are for themselves.
///
/// # Errors
/// Which lines fail, and why.
pub async fn check(place: &Place, wanted: impl Fn(&Line) -> bool) -> Result<()> {
    let lines: Vec<_> = LINES.iter().filter(|line| wanted(line)).collect();
    let mut failures = Vec::new();
    for line in lines.iter().filter(|line| line.company == Company::Alone) {
        failures.extend(outcome(place, line).await);
    }
    let others = lines.iter().filter(|line| line.company == Company::Any);
    let others = stream::iter(others).map(|line| outcome(place, line));
    let mut others = others.buffer_unordered(AT_ONCE);
    while let Some(failure) = others.next().await {
        failures.extend(failure);
    }
    ensure!(
        failures.is_empty(),
        "{} of {} lines fail:\n{}",
        failures.len(),
        lines.len(),
        failures.join("\n")
    );
    Ok(())
}

/// Checks a line, and says how it failed.
async fn outcome(place: &Place, line: &Line) -> Option<String> {
    let begin = Instant::now();
    let result = (line.check)(place).await;
    println!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), line.id);
    result.err().map(|e| format!("{}: {e:#}", line.id))
}
