use super::*;

#[tokio::test]
async fn the_system_asks_whether_peers_are_still_there() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let _peer = TcpStream::connect(address).await.expect("a connection");
    let (socket, _) = listener.accept().await.expect("a connection");
    set_options(&socket).expect("it is open");
    let socket = SockRef::from(&socket);
    assert!(socket.keepalive().expect("a value"));
    assert_eq!(socket.tcp_keepalive_time().expect("a value"), ASK_AFTER);
    assert_eq!(socket.tcp_keepalive_interval().expect("a value"), ASK_AGAIN);
    assert_eq!(socket.tcp_keepalive_retries().expect("a value"), 3);
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_user_timeout().expect("a value"), Some(GONE_AFTER));
}

#[tokio::test]
async fn probes_are_answered_when_all_connections_are_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let all = Router::new().fallback(async || "all");
    let offer = Offer {
        spare: Some(Router::new().fallback(async || "probes")),
        ..Offer::of(all)
    };
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let limits = Limits::new(1, Some(1));
    tokio::spawn(serve(listener, Entrance::default(), offer, limits, tasks, stop));
    let ask = async |socket: &mut TcpStream| {
        let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        socket.write_all(request).await.expect("it is open");
        let mut answer = [0; 512];
        let length = socket.read(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let connect = async || TcpStream::connect(address).await.expect("a connection");
    let mut first = connect().await;
    assert!(ask(&mut first).await.ends_with("all"));
    let mut second = connect().await;
    assert!(ask(&mut second).await.ends_with("probes"));
}
