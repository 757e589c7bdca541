//! HTTP/1.1 connections, in a way that lets media leave without passing through the HTTP library.
//!
//! A live stream over HTTP is one response without an end. Its head goes out as any other; its body
//! then is written to the socket by the hub, the same bytes for all viewers (`egress::DirectBody`).
//! For that a handler needs the socket, and must know when the library has written all that it had
//! to write: [`Connection`] carries both into the request's extensions.

use super::limits::Place;
use crate::socket::Socket;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use bytes::{Buf, BytesMut};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::debug;

/// A client may take this long to send a request's head, and to come with the next request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// A client that reads nothing of a response for this long is let go, and with it the response.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Largest request head, and the library's read buffer.
const HEAD_BYTES: usize = 32 << 10;

/// The connection a request came on; in the extensions of every request.
#[derive(Clone)]
pub struct Connection {
    pub socket: Arc<Socket>,
    pub peer: SocketAddr,
    handover: Arc<Mutex<Handover>>,
}

/// From "the library writes" to "we write".
#[derive(Default)]
enum Handover {
    #[default]
    NotWanted,
    /// Our body was asked for its first bytes: what the library holds now is the head, and it will
    /// flush that next.
    Wanted(Waker),
    /// All that the library had is in the socket.
    Done,
}

impl Connection {
    /// Ready once everything that the library had to write is written. To be polled from a response
    /// body's `poll_frame` only, which must not return a frame before or after.
    pub fn poll_handover(&self, cx: &Context<'_>) -> Poll<()> {
        let mut handover = self.handover.lock();
        if matches!(*handover, Handover::Done) {
            return Poll::Ready(());
        }
        *handover = Handover::Wanted(cx.waker().clone());
        Poll::Pending
    }
}

/// A socket, and bytes that were read from it already. What the library writes must find room within
/// [`WRITE_PATIENCE`]; after a handover it writes no more, and the hub has bounds of its own.
pub struct HttpIo {
    socket: Arc<Socket>,
    first: BytesMut,
    place: Place,
    handover: Arc<Mutex<Handover>>,
    /// While there is no room.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl HttpIo {
    /// After an upgrade: the socket, and what was read of it but not used. Keep its place as long.
    pub fn into_parts(self) -> (Arc<Socket>, BytesMut, Place) {
        (self.socket, self.first, self.place)
    }
}

impl AsyncRead for HttpIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(out.remaining());
            out.put_slice(&self.first[..length]);
            self.first.advance(length);
            if self.first.is_empty() {
                self.first = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.socket.try_read(out.initialize_unfilled()) {
                Ok(length) => {
                    out.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl HttpIo {
    fn poll_try(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while let Poll::Ready(ready) = self.socket.poll_write_ready(cx) {
            ready?;
            match write(&self.socket) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.stalled = None;
                    return Poll::Ready(done);
                }
            }
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_PATIENCE)));
        ready!(stalled.as_mut().poll(cx));
        let text = "the client does not read what it asked for";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl AsyncWrite for HttpIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |socket| socket.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |socket| socket.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when nothing is left to be written: the moment that a handover waits for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut handover = self.handover.lock();
        if let Handover::Wanted(waker) = &*handover {
            waker.wake_by_ref();
            *handover = Handover::Done;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.end_writing())
    }
}

/// Serves one connection to its end. At `stop` it ends after the request in hand.
pub(super) async fn serve(
    socket: Socket,
    first: BytesMut,
    peer: SocketAddr,
    place: Place,
    router: Router,
    stop: CancellationToken,
) {
    let socket = Arc::new(socket);
    let handover = Arc::<Mutex<Handover>>::default();
    let connection = Connection {
        socket: socket.clone(),
        peer,
        handover: handover.clone(),
    };
    let io = TokioIo::new(HttpIo {
        socket,
        first,
        place,
        handover,
        stalled: None,
    });
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(connection.peer));
        extensions.insert(connection.clone());
        router.clone().call(request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES);
    let mut serving = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
    let served = tokio::select! {
        served = &mut serving => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        debug!(%peer, error = &error as &dyn std::error::Error, "the connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    /// The clock stands still while anything can be written, and jumps once nothing can.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_let_go() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).await.expect("a connection");
        let (socket, peer) = listener.accept().await.expect("a connection");
        let segment = bytes::Bytes::from(vec![0; 64 << 20]);
        let router = Router::new().fallback(move || std::future::ready(segment.clone()));
        let request = BytesMut::from(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..]);
        let began = tokio::time::Instant::now();
        let place = super::super::Limits::new(1, Some(1))
            .take(peer.ip())
            .expect("a place");
        serve(
            socket.into(),
            request,
            peer,
            place,
            router,
            CancellationToken::new(),
        )
        .await;
        let took = began.elapsed();
        assert!((WRITE_PATIENCE..2 * WRITE_PATIENCE).contains(&took), "{took:?}");
    }
}
