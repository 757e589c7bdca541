//! A bucket as its users see it, at the embedded server.

use super::*;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

struct Server {
    bucket: Bucket,
    endpoint: String,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

async fn server() -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = CancellationToken::new();
    let embedded = Embedded::start(folder.path(), stop.clone())
        .await
        .expect("a server");
    Server {
        bucket: embedded.bucket(),
        endpoint: format!("http://{}", embedded.address),
        folder,
        _stop: stop.drop_guard(),
    }
}

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("camera".to_owned(), "front-door".to_owned())])
}

#[tokio::test]
async fn what_is_put_is_there_whole_and_in_parts() {
    let server = server().await;
    let bucket = &server.bucket;
    bucket.check().await.expect("the bucket is there");
    for length in [
        0_usize,
        1,
        100_000,
        PART_BYTES as usize + 1,
        2 * PART_BYTES as usize + 77,
    ] {
        let content: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
        let file = server.folder.path().join("file");
        std::fs::write(&file, &content).expect("written");
        let key = format!("segments/a/{length}.mp4");
        bucket
            .put_file(&key, &file, "video/mp4", &metadata())
            .await
            .expect("put");
        let head = bucket.head(&key).await.expect("asked").expect("there");
        assert_eq!(head.bytes, length as u64);
        assert_eq!(head.metadata, metadata());
        let read = bucket.read(&key, 0..length as u64).await.expect("read");
        assert!(read == content, "{length} bytes");
        if length > 1000 {
            let range = bucket.read(&key, 500..777).await.expect("read");
            assert_eq!(range, content[500..777]);
            let end = length as u64;
            for beyond in [end - 5..end + 5, end..end + 5] {
                let read = bucket.read(&key, beyond).await;
                assert!(matches!(read, Err(Error::Broken(_))), "{read:?}");
            }
        }
    }
    // Plain files, for people.
    assert!(server.folder.path().join("weir/segments/a/100000.mp4").is_file());
}

/// A bucket at a server that answers with three of ten bytes and goes on for ever.
async fn stalling() -> (Bucket, tokio::sync::oneshot::Receiver<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (answered, answer) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let _ = socket.read(&mut [0; 4096]).await.expect("a request");
        let text = "HTTP/1.1 206 Partial Content\r\ncontent-length: 10\r\n\r\nabc";
        socket.write_all(text.as_bytes()).await.expect("answered");
        answered.send(()).expect("somebody waits");
        std::future::pending::<()>().await;
    });
    let location = Location {
        bucket: "weir".to_owned(),
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        path_style: true,
    };
    let keys = Keys::Given {
        id: "a".to_owned(),
        secret: "b".to_owned().into(),
    };
    (Bucket::new(&location, keys), answer)
}

#[tokio::test]
async fn a_body_that_stops_is_not_waited_for_for_ever() {
    let (bucket, answer) = stalling().await;
    let reading = tokio::spawn(async move { bucket.read("a", 0..10).await });
    answer.await.expect("answered");
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::time::pause();
    let hour = Duration::from_hours(1);
    let read = timeout(hour, reading).await.expect("it ends").expect("no panic");
    assert!(matches!(read, Err(Error::Broken(_))), "{read:?}");
    tokio::time::resume();

    let (bucket, _answer) = stalling().await;
    let mut body = chunks(bucket.stream("a", 0..10).await.expect("it begins"));
    let first = body.next().await.expect("some").expect("bytes");
    assert_eq!(first, "abc");
    tokio::time::pause();
    let next = timeout(hour, body.next()).await.expect("it ends");
    assert!(matches!(next, Some(Err(Error::Broken(_)))), "{next:?}");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn lists_are_in_order_and_deleted_objects_are_gone() {
    let server = server().await;
    let bucket = &server.bucket;
    let keys: Vec<String> = (0..5).map(|n| format!("segments/a/{n}")).collect();
    for key in keys.iter().rev() {
        bucket
            .put(key, Bytes::from_static(b"x"), "video/mp4")
            .await
            .expect("put");
    }
    bucket
        .put("other", Bytes::from_static(b"x"), "image/jpeg")
        .await
        .expect("put");
    let page = bucket.list("segments/a/", None).await.expect("a list");
    let listed: Vec<&str> = page.objects.iter().map(|o| o.key.as_str()).collect();
    assert_eq!(listed, keys);
    assert_eq!(page.next, None);
    let left = bucket
        .delete(&[keys[1].clone(), "never/there".to_owned()])
        .await
        .expect("deleted");
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(bucket.head(&keys[1]).await.expect("asked"), None);
    assert!(bucket.head(&keys[2]).await.expect("asked").is_some());
}

#[tokio::test]
async fn errors_say_what_can_be_done() {
    let server = server().await;
    assert!(matches!(
        server.bucket.read("nothing", 0..5).await,
        Err(Error::NotFound)
    ));
    let location = |bucket: &str, endpoint: &str| Location {
        bucket: bucket.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: "us-east-1".to_owned(),
        path_style: true,
    };
    let keys = Keys::Given {
        id: "nobody".to_owned(),
        secret: "nothing".to_owned().into(),
    };
    let denied = Bucket::new(&location("weir", &server.endpoint), keys.clone());
    assert!(
        matches!(denied.check().await, Err(Error::Denied(_))),
        "{:?}",
        denied.check().await
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let away = Bucket::new(&location("weir", &closed), keys);
    assert!(matches!(away.check().await, Err(Error::Unreachable(_))));
}
