//! Between a connection with TLS and the local socket that everything behind the handshake has in its place.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

/// Bytes on their way from the peer: requests, and a publisher's media.
const IN_BYTES: usize = 8 << 10;
/// Bytes on their way to the peer; a record of TLS has no more.
const OUT_BYTES: usize = 16 << 10;
/// Bytes that the kernel may keep unsent of what is encrypted already. More would only add to what the
/// local socket holds.
const MOST_UNSENT: u32 = 128 << 10;
/// When we have left, the peer may take this long to read the rest and to leave as well.
const LINGER: Duration = Duration::from_secs(5);

/// Carries a connection's bytes both ways until both sides have ended.
pub struct Pump<S> {
    stream: S,
    outside: UnixStream,
    /// Cancelled when nobody has the other end of `outside` any more.
    left: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite> Pump<S> {
    pub(super) const fn new(stream: S, outside: UnixStream, left: CancellationToken) -> Self {
        Self {
            stream,
            outside,
            left,
        }
    }

    pub async fn run(self) {
        let Self {
            stream,
            outside,
            left,
        } = self;
        let (from_peer, to_peer) = split(stream);
        let (from_us, to_us) = outside.into_split();
        let both = async { tokio::try_join!(inward(from_peer, to_us), outward(from_us, to_peer)) };
        let too_long = async {
            left.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            // A peer that is gone ends the other direction, too.
            _ = both => {}
            () = too_long => {}
        }
    }
}

/// Bounds what waits unsent in the connection below TLS.
pub(super) fn bound_unsent(below: &TcpStream) {
    let _ = socket2::SockRef::from(below).set_tcp_notsent_lowat(MOST_UNSENT);
}

/// What the peer says, until it says that it is done. One that just goes is done as well: few players say
/// good-bye, and what is spoken inside knows its own ends.
async fn inward(mut from_peer: ReadHalf<impl AsyncRead>, mut to_us: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = vec![0; IN_BYTES];
    let mut is_heard = true;
    loop {
        match from_peer.read(&mut buffer).await {
            Ok(0) => break,
            // What comes when we have left is read all the same: unread, it would reset the connection, and
            // our last words with it.
            Ok(length) => is_heard = is_heard && to_us.write_all(&buffer[..length]).await.is_ok(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    // It may have been closed already.
    let _ = to_us.shutdown().await;
    Ok(())
}

/// What we say, until we are done; then the peer is told so.
async fn outward(mut from_us: OwnedReadHalf, mut to_peer: WriteHalf<impl AsyncWrite>) -> io::Result<()> {
    let mut buffer = vec![0; OUT_BYTES];
    loop {
        match from_us.read(&mut buffer).await {
            // An error says that something to us was left unread.
            Ok(0) | Err(_) => break,
            Ok(length) => {
                to_peer.write_all(&buffer[..length]).await?;
                to_peer.flush().await?;
            }
        }
    }
    to_peer.shutdown().await
}
