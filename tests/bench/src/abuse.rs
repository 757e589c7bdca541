//! What strangers do to a server while others watch: ask for names that nobody has, read a byte a
//! second, send heads that never end. They come from addresses of their own, so that a bound for
//! each address does not hit the viewers who are measured.

use crate::run::{Worker, address};
use crate::view::{get, status};
use crate::{rtmp, rtsp};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const ASKS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const READS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const SENDS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// How long a stranger waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The least that a kernel takes, so that a slow reader's bytes wait in the server.
const SMALL: u32 = 4096;
/// Strangers who ask for names at once.
const ASKING: usize = 200;

#[derive(Clone)]
pub struct Abuse {
    /// Ways to watch, with `{i}` for the stream's number; stream 0 is there.
    pub urls: Vec<String>,
    pub names: usize,
    pub slow: usize,
    pub heads: usize,
}

/// What became of the strangers.
#[derive(Default)]
pub struct Told {
    /// Names: answered that there is no such stream, given something, neither within the patience.
    refused: AtomicU64,
    served: AtomicU64,
    unanswered: AtomicU64,
    /// Connections that did not come about.
    failed: AtomicU64,
    /// Slow readers that read at least once, and how often one was closed.
    slow: AtomicU64,
    slow_closed: AtomicU64,
    slow_failed: AtomicU64,
    /// How often an endless head was closed, and its bytes.
    heads_closed: AtomicU64,
    heads_bytes: AtomicU64,
}

impl Told {
    pub fn report(&self, grown_mib: f64, kept_mib: f64, cores: f64) -> Value {
        let n = |count: &AtomicU64| count.load(Relaxed);
        json!({
            "grown_mib": grown_mib, "kept_mib": kept_mib, "cores": cores,
            "names": { "refused": n(&self.refused), "served": n(&self.served),
                       "unanswered": n(&self.unanswered), "failed": n(&self.failed) },
            "slow": { "readers": n(&self.slow), "closed": n(&self.slow_closed),
                      "failed": n(&self.slow_failed) },
            "heads": { "closed": n(&self.heads_closed), "bytes": n(&self.heads_bytes) },
        })
    }
}

/// Begins it; the names are asked for within `seconds`.
pub fn start(abuse: Abuse, seconds: f64, told: Arc<Told>) -> Result<Worker> {
    Worker::start("abuse", false, move || async move {
        let streaming: Vec<&String> = abuse.urls.iter().filter(|url| endless(url)).collect();
        let text: Vec<&String> =
            abuse.urls.iter().filter(|url| !url.starts_with("rtmp:")).collect();
        for number in 0..if streaming.is_empty() { 0 } else { abuse.slow } {
            let url = address(streaming[number % streaming.len()], 0);
            spawn_local(read_slowly(url, told.clone()));
        }
        for number in 0..if text.is_empty() { 0 } else { abuse.heads } {
            let url = address(text[number % text.len()], 0);
            spawn_local(send_endlessly(url, told.clone()));
        }
        let asking = Arc::new(Semaphore::new(ASKING));
        let begun = Instant::now();
        for number in 0..abuse.names {
            sleep_until(
                begun + Duration::from_secs_f64(seconds / abuse.names as f64 * number as f64),
            )
            .await;
            let Ok(permit) = asking.clone().acquire_owned().await else { break };
            // No stream has such a number.
            let url = address(&abuse.urls[number % abuse.urls.len()], 1_000_000 + number);
            let told = told.clone();
            spawn_local(async move {
                let count = match timeout(PATIENCE, ask(&url)).await {
                    Ok(Ok(true)) => &told.served,
                    Ok(Ok(false)) => &told.refused,
                    Ok(Err(_)) => &told.failed,
                    Err(_) => &told.unanswered,
                };
                count.fetch_add(1, Relaxed);
                drop(permit);
            });
        }
        std::future::pending::<()>().await;
    })
}

/// Whether what lies there never ends; a playlist does.
fn endless(url: &str) -> bool {
    !url.starts_with("http:") || url.contains("flv")
}

async fn connect(url: &str, from: Ipv4Addr, receive: Option<u32>) -> Result<TcpStream> {
    let (to, _) = rtsp::authority(url)?;
    let to: SocketAddr = to.parse().with_context(|| format!("not an address: {to}"))?;
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    // Ports of those who left a minute ago may be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind((from, 0).into())?;
    Ok(timeout(PATIENCE, socket.connect(to)).await??)
}

/// Whether there is something under this name. A connection that is closed is an answer, too.
async fn ask(url: &str) -> Result<bool> {
    let mut socket = connect(url, ASKS, None).await?;
    Ok(match url.split(':').next() {
        Some("rtsp") => rtsp::Client::over(socket, url).play(rtsp::interleaved).await.is_ok(),
        Some("rtmp") => match rtmp::over(socket, url, false).await {
            Ok((mut socket, mut chunks)) => {
                rtmp::refused(&mut socket, &mut chunks).await.is_ok_and(|refused| !refused)
            }
            Err(_) => false,
        },
        _ => get(&mut socket, url, "").await.is_ok_and(|(head, _)| status(&head) == 200),
    })
}

/// Watches what is there, but takes a byte a second; comes again when it is thrown out.
async fn read_slowly(url: String, told: Arc<Told>) {
    let mut first = true;
    loop {
        match begin(&url).await {
            Ok(mut socket) => {
                let mut byte = [0; 1];
                while matches!(socket.read(&mut byte).await, Ok(1)) {
                    if std::mem::take(&mut first) {
                        told.slow.fetch_add(1, Relaxed);
                    }
                    sleep(Duration::from_secs(1)).await;
                    // What came before the end would take this one an hour to read.
                    let ready = socket.ready(Interest::READABLE).await;
                    if ready.is_ok_and(|ready| ready.is_read_closed()) {
                        break;
                    }
                }
                told.slow_closed.fetch_add(1, Relaxed);
            }
            Err(_) => {
                told.slow_failed.fetch_add(1, Relaxed);
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// A connection on which media is about to come.
async fn begin(url: &str) -> Result<TcpStream> {
    let mut socket = connect(url, READS, Some(SMALL)).await?;
    match url.split(':').next() {
        Some("rtsp") => {
            let mut client = rtsp::Client::over(socket, url);
            client.play(rtsp::interleaved).await?;
            Ok(client.socket)
        }
        Some("rtmp") => Ok(rtmp::over(socket, url, false).await?.0),
        _ => {
            get(&mut socket, url, "").await?;
            Ok(socket)
        }
    }
}

/// Sends a request whose head goes on for ever, 10 KiB a second; comes again when it is thrown out.
async fn send_endlessly(url: String, told: Arc<Told>) {
    loop {
        if let Ok(socket) = connect(&url, SENDS, None).await {
            let (mut from, mut to) = socket.into_split();
            let answer = async {
                let mut scratch = [0; 1024];
                while matches!(from.read(&mut scratch).await, Ok(1..)) {}
            };
            let send = async {
                let (host, path) = rtsp::authority(&url)?;
                let begin = match url.split(':').next() {
                    Some("rtsp") => format!("OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\n"),
                    _ => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"),
                };
                to.write_all(begin.as_bytes()).await?;
                for number in 0.. {
                    let line = format!("X-Filler-{number}: {}\r\n", "x".repeat(1000));
                    to.write_all(line.as_bytes()).await?;
                    told.heads_bytes.fetch_add(line.len() as u64, Relaxed);
                    sleep(Duration::from_millis(100)).await;
                }
                anyhow::Ok(())
            };
            tokio::select! {
                () = answer => {}
                _ = send => {}
            }
            told.heads_closed.fetch_add(1, Relaxed);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What `ask` says of a server that answers this.
    fn asked(answer: &'static [u8]) -> Result<bool> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let url = format!("http://{}/no.flv", listener.local_addr()?);
            let serve = async {
                let (mut socket, peer) = listener.accept().await?;
                assert_eq!(peer.ip(), ASKS);
                let mut scratch = [0; 1024];
                let _ = socket.read(&mut scratch).await?;
                socket.write_all(answer).await?;
                anyhow::Ok(())
            };
            let (served, found) = tokio::join!(serve, ask(&url));
            served?;
            found
        })
    }

    #[test]
    fn a_stranger_knows_a_refusal() {
        assert!(asked(b"HTTP/1.1 200 OK\r\n\r\n").is_ok_and(|found| found));
        assert!(asked(b"HTTP/1.1 404 Not Found\r\n\r\n").is_ok_and(|found| !found));
        assert!(asked(b"").is_ok_and(|found| !found));
    }

    #[test]
    fn a_playlist_is_nothing_to_read_slowly() {
        assert!(endless("rtsp://h/cam0") && endless("http://h/api/stream.flv?src=cam0"));
        assert!(!endless("http://h/cam0/index.m3u8"));
    }
}
