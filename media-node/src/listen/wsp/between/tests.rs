//! Gateways in one process, and a player's data socket that comes to the wrong one.

use super::super::{Channels, WspDoor};
use super::*;
use crate::auth::{Auth, RelaySecret, Settings};
use crate::egress::Viewing;
use crate::egress::web_socket::WebSocket;
use crate::hub::Hub;
use crate::listen::{self, Limits, Offer};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(10);

fn path() -> StreamPath {
    StreamPath::parse("hall/Front Door").expect("a path")
}

/// A gateway that knows others by their numbers.
async fn gateway(number: u16, secret: &RelaySecret, others: Vec<(u16, String)>) -> (WspDoor, String) {
    let auth = Auth::without_accounts(Settings {
        anonymous_view: true,
        relay: secret.clone(),
    });
    let elsewhere = Elsewhere {
        gateways: Box::new(move |number| {
            let others = others.iter().filter(|(n, _)| *n == number);
            others.map(|(_, address)| address.clone()).collect()
        }),
        secret: secret.secret().clone(),
    };
    let door = WspDoor {
        viewing: Viewing {
            hub: Hub::new(),
            auth,
            patience: Duration::from_secs(1),
        },
        channels: Channels::new(number),
        elsewhere: Some(Arc::new(elsewhere)),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(listen::serve(
        listener,
        listen::tls::Entrance::default(),
        Offer::of(router(door.clone())),
        Limits::new(100, None),
        TaskTracker::new(),
        CancellationToken::new(),
    ));
    (door, address)
}

/// A message as clients send it, its mask being zero.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short message");
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

fn join(id: ChannelId) -> Vec<u8> {
    frame(&format!("WSP/1.1 JOIN\r\nchannel: {id}\r\nseq: 7\r\n\r\n"))
}

/// A player who has opened a data socket at that gateway, and sent something on it.
async fn player(door: &WspDoor, path: StreamPath, sends: &[u8]) -> TcpStream {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut player = TcpStream::connect(address).await.expect("a connection");
    let (socket, peer) = listener.accept().await.expect("a connection");
    player.write_all(sends).await.expect("it is open");
    tokio::spawn(door.clone().data(WebSocket {
        socket: Arc::new(socket.into()),
        input: BytesMut::new(),
        peer,
        path,
        caller: Caller::Anonymous,
    }));
    player
}

/// The reply to JOIN, of which only the first two bytes are no text.
async fn reply(player: &mut TcpStream) -> String {
    let mut head = [0; 2];
    let reading = async {
        player.read_exact(&mut head).await?;
        let mut text = vec![0; head[1].into()];
        player.read_exact(&mut text).await?;
        Ok::<_, io::Error>(text)
    };
    let text = timeout(PATIENCE, reading).await.expect("a reply in time");
    String::from_utf8(text.expect("a reply")).expect("a text")
}

async fn is_refused(mut player: TcpStream) {
    let reply = reply(&mut player).await;
    assert!(
        reply.starts_with("WSP/1.1 404 NOT FOUND\r\n") && reply.contains("seq: 7"),
        "{reply}"
    );
    let mut rest = Vec::new();
    let closing = timeout(PATIENCE, player.read_to_end(&mut rest)).await;
    closing.expect("it is closed in time").expect("it is closed");
    assert_eq!(rest, [0x88, 2, 3, 232]);
}

/// What comes on a socket, until there is so much of it.
async fn comes(socket: &Socket, input: &mut BytesMut, length: usize) {
    while input.len() < length {
        let read = timeout(PATIENCE, socket::read(socket, input, ROOM)).await;
        assert_ne!(
            read.expect("it comes in time").expect("it comes"),
            0,
            "the end came"
        );
    }
}

#[tokio::test]
async fn a_data_socket_is_carried_to_its_control_socket() {
    let secret = RelaySecret::random();
    let (first, address) = gateway(1, &secret, vec![]).await;
    let (second, _) = gateway(2, &secret, vec![(1, address)]).await;
    let mut channel = first.channels.open(&path()).expect("room");
    let ping = [0x89, 0x80, 0, 0, 0, 0];

    // What follows JOIN at once is the other gateway's to read.
    let sends = [&join(channel.id())[..], &ping].concat();
    let mut player = player(&second, path(), &sends).await;
    let reply = reply(&mut player).await;
    assert!(reply.starts_with("WSP/1.1 200 OK\r\n"), "{reply}");
    let joined = timeout(PATIENCE, channel.joined()).await;
    let mut joined = joined.expect("it joins in time");
    assert!(joined.place.is_some(), "it takes no connection's place");
    comes(&joined.socket, &mut joined.input, ping.len()).await;
    assert_eq!(joined.input, ping[..]);

    // More than fits anywhere on the way.
    let packets: Vec<u8> = (0..3 << 20).map(|n: u32| (n >> 7) as u8).collect();
    let mut out = BytesMut::from(&packets[..]);
    let mut seen = vec![0; packets.len()];
    let (written, read) = tokio::join!(
        timeout(PATIENCE, socket::write(&joined.socket, &mut out)),
        timeout(PATIENCE, player.read_exact(&mut seen)),
    );
    written.expect("it is written in time").expect("it is written");
    read.expect("it comes in time").expect("it comes");
    assert!(seen == packets, "what comes is not what was sent");
    player.write_all(&ping).await.expect("it is open");
    joined.input.clear();
    comes(&joined.socket, &mut joined.input, ping.len()).await;

    // Either end ends it for the other; then another socket may join.
    drop(joined);
    channel.data_is_gone();
    let end = timeout(PATIENCE, player.read(&mut [0; 8])).await;
    assert_eq!(end.expect("it ends in time").unwrap_or_default(), 0);
    let again = self::player(&second, path(), &join(channel.id())).await;
    let joined = timeout(PATIENCE, channel.joined())
        .await
        .expect("it joins in time");
    drop(again);
    let end = timeout(PATIENCE, socket::read(&joined.socket, &mut BytesMut::new(), ROOM)).await;
    assert_eq!(end.expect("it ends in time").unwrap_or_default(), 0);
}

#[tokio::test]
async fn who_finds_no_channel_is_told_so() {
    let secret = RelaySecret::random();
    let (first, address) = gateway(1, &secret, vec![]).await;
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let away = gone.local_addr().expect("an address").to_string();
    drop(gone);
    let (second, _) = gateway(2, &secret, vec![(1, address.clone()), (3, away.clone())]).await;
    let mut channel = first.channels.open(&path()).expect("room");
    let other = StreamPath::parse("hall/other").expect("a path");
    for (id, path) in [
        (channel.id(), other),
        (ChannelId::new(1, 5), path()),
        (ChannelId::new(2, 5), path()),
        (ChannelId::new(3, 5), path()),
        (ChannelId::new(4, 5), path()),
    ] {
        is_refused(player(&second, path, &join(id)).await).await;
    }
    // One data socket at a time, wherever they come to.
    let mut held = player(&second, path(), &join(channel.id())).await;
    assert!(reply(&mut held).await.contains("200 OK"));
    let _joined = timeout(PATIENCE, channel.joined())
        .await
        .expect("it joins in time");
    is_refused(player(&second, path(), &join(channel.id())).await).await;
    is_refused(player(&first, path(), &join(channel.id())).await).await;

    // Two gateways have the number, and one of them is away.
    let both = vec![(1, away), (1, address)];
    let (third, _) = gateway(4, &secret, both).await;
    let mut channel = first.channels.open(&path()).expect("room");
    let mut player = player(&third, path(), &join(channel.id())).await;
    assert!(reply(&mut player).await.contains("200 OK"));
    timeout(PATIENCE, channel.joined())
        .await
        .expect("it joins in time");
}

#[tokio::test]
async fn only_pods_of_the_pool_are_let_in() {
    let secret = RelaySecret::random();
    let (first, address) = gateway(1, &secret, vec![]).await;
    let channel = first.channels.open(&path()).expect("room");
    let wrong = RelaySecret::random();
    let refused = peer::open_channel(&address, wrong.secret(), channel.id(), &path()).await;
    assert!(
        matches!(refused, Err(peer::Error::Refused(StatusCode::UNAUTHORIZED))),
        "{refused:?}"
    );
    let target = format!("{CHANNEL_PREFIX}{}/hall/front%20door", channel.id());
    let plain = peer::ask(&address, secret.secret(), http::Method::GET, &target).await;
    assert!(
        matches!(plain, Err(peer::Error::Refused(StatusCode::UPGRADE_REQUIRED))),
        "{plain:?}"
    );
    let opened = peer::open_channel(&address, secret.secret(), channel.id(), &path()).await;
    assert!(opened.is_ok(), "{opened:?}");
}
