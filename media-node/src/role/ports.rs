//! The ports of a process.

use super::limits;
use crate::args;
use crate::listen::Limits;
use anyhow::Context;
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// Connections that wait to be accepted: a thousand viewers come at once after a restart.
const BACKLOG: i32 = 4096;

/// Bound, not served yet.
pub(super) struct Ports {
    /// Takes RTSP and HTTP.
    pub(super) rtsp: TcpListener,
    pub(super) http: TcpListener,
    pub(super) rtmp: TcpListener,
    /// Held, so that a later version finds it free; nothing answers.
    pub(super) webrtc: UdpSocket,
}

/// The line on standard output that says that everything is up.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    #[serde(rename = "ready")]
    is_up: bool,
    pub(super) rtsp: u16,
    pub(super) http: u16,
    pub(super) rtmp: u16,
    pub(super) webrtc: u16,
}

impl Ports {
    pub(super) async fn bind(args: &args::Ports) -> anyhow::Result<Self> {
        let tcp = |port, flag| {
            let address = SocketAddr::new(args.bind, port);
            listen(address).with_context(|| format!("can't listen on {address}; choose another with {flag}"))
        };
        let udp = SocketAddr::new(args.bind, args.webrtc_port);
        Ok(Self {
            rtsp: tcp(args.port, "--port")?,
            http: tcp(args.http_port, "--http-port")?,
            rtmp: tcp(args.rtmp_port, "--rtmp-port")?,
            webrtc: UdpSocket::bind(udp)
                .await
                .with_context(|| format!("can't bind UDP {udp}; choose another with --webrtc-port"))?,
        })
    }

    pub(super) fn ready(&self) -> anyhow::Result<Ready> {
        Ok(Ready {
            is_up: true,
            rtsp: self.rtsp.local_addr()?.port(),
            http: self.http.local_addr()?.port(),
            rtmp: self.rtmp.local_addr()?.port(),
            webrtc: self.webrtc.local_addr()?.port(),
        })
    }
}

impl args::Ports {
    /// Connections that may be open at once, which some may be with TLS.
    pub(super) fn limits(&self, tls: bool) -> Limits {
        let most = limits::connections(self.most_connections, tls);
        Limits::new(most, self.most_connections_per_peer)
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
