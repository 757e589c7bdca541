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
