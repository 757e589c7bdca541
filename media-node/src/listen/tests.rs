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
