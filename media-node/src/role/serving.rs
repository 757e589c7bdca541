//! The listeners of a process and what they offer.

use super::ports::Ports;
use crate::api::{self, IsTls};
use crate::egress::{self, Viewing};
use crate::listen::rtmp::RtmpDoor;
use crate::listen::rtsp::RtspDoor;
use crate::listen::tls::Tls;
use crate::listen::{self, Limits, Offer, RtspHandler};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// How long connections may take to end by themselves on shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Running listeners.
pub(super) struct Serving {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the ports offer: media for viewers, and whatever HTTP the role adds.
pub(super) struct Offered {
    pub(super) viewing: Viewing,
    /// None on a node, which serves gateways alone.
    pub(super) rtsp: Option<RtspDoor>,
    /// None likewise.
    pub(super) rtmp: Option<RtmpDoor>,
    /// Media for viewers, APIs, health, pages; with the fallback.
    pub(super) http: Router,
    pub(super) tls: Tls,
}

impl Serving {
    pub(super) fn start(ports: Ports, offered: Offered, limits: &Limits) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let routes = offered.http.merge(egress::relay::router(offered.viewing));
        let routes = routes.layer(middleware::from_fn(tell_tls));
        // What is let pass is the path that is served, not the one that was sent.
        let bare = api::clean_paths(routes.clone().layer(middleware::from_fn(pods_alone)));
        let http = api::clean_paths(routes);
        let rtsp = offered.rtsp.map(|door| {
            let handler: RtspHandler = Arc::new(move |socket, first, peer| {
                let door = door.clone();
                Box::pin(door.serve(socket, first, peer))
            });
            handler
        });
        let both = Offer {
            http: http.clone(),
            rtsp,
            spare: None,
            bare: bare.clone(),
        };
        let spare = http.clone().layer(middleware::from_fn(probes_alone));
        let alone = Offer {
            http,
            rtsp: None,
            spare: Some(spare),
            bare,
        };
        for (listener, offer) in [(ports.rtsp, both), (ports.http, alone)] {
            tasks.spawn(listen::serve(
                listener,
                offered.tls.http(),
                offer,
                limits.clone(),
                tasks.clone(),
                stop.clone(),
            ));
        }
        match offered.rtmp {
            Some(door) => tasks.spawn(listen::serve_rtmp(
                ports.rtmp,
                offered.tls.rtmp(),
                door,
                limits.clone(),
                tasks.clone(),
                stop.clone(),
            )),
            None => tasks.spawn(turn_away(ports.rtmp, stop.clone())),
        };
        let (webrtc, held) = (ports.webrtc, stop.clone());
        tasks.spawn(async move {
            held.cancelled().await;
            drop(webrtc);
        });
        Self { tasks, stop }
    }

    /// Stops accepting, and waits a moment for what is open. Call it when the streams have ended, or
    /// viewers hold it up for all of the moment.
    pub(super) async fn drain(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            warn!(open = self.tasks.len(), "connections are cut");
        }
    }
}

/// What the kubelet and Prometheus ask for.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

/// Tells the APIs whether a request came by TLS, for the addresses that they give.
async fn tell_tls(mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<listen::Connection>();
    let is_tls = connection.is_some_and(|connection| connection.socket.is_tls());
    request.extensions_mut().insert(IsTls(is_tls));
    next.run(request).await
}

/// Answers probes, and the other pods of the pool, which show the pool's secret; turns all else away. None of
/// them is a client, for whom TLS is required.
async fn pods_alone(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let of_pods = ["/relay/v1/", "/pool/v1/", "/wsp/v1/"];
    if is_probe(path) || of_pods.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    let text = "TLS is required here: use https:// or wss://\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Answers probes, and turns all else away. Either way the connection ends, so that it is free for the
/// next probe.
async fn probes_alone(request: Request, next: Next) -> Response {
    let mut response = if is_probe(request.uri().path()) {
        next.run(request).await
    } else {
        metrics::counter!("weir_connections_refused_total").increment(1);
        let text = "As many connections as allowed are open; try again later\n";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    };
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Holds a port that every role has, for one that serves nothing there.
async fn turn_away(listener: TcpListener, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) => debug!(%peer, "RTMP is for gateways"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
        }
    }
}
