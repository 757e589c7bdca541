use super::*;
use crate::store::object::Embedded;
use crate::store::sql::Location;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Beginning of the first segment.
const BEGIN_MS: i64 = 1_767_603_600_000;

struct Rig {
    bucket: Bucket,
    database: Database,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

async fn rig() -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(&Location::Sqlite(folder.path().join("index.sqlite")))
        .await
        .expect("a database");
    let stop = CancellationToken::new();
    let embedded = Embedded::start(&folder.path().join("objects"), stop.clone())
        .await
        .expect("a store");
    Rig {
        bucket: embedded.bucket(),
        database,
        folder,
        _stop: stop.drop_guard(),
    }
}

fn facts(camera: &str, number: i64) -> SegmentFacts {
    SegmentFacts {
        camera_uid: camera.to_owned(),
        start_ms: BEGIN_MS + number * 1000,
        end_ms: BEGIN_MS + number * 1000 + 1000,
        epoch: 1,
        session: 7,
        sequence: number as u32,
        bytes: 5,
        init_bytes: 1,
        table_offset: 2,
        ..SegmentFacts::default()
    }
}

impl Rig {
    async fn store(&self, some: &[SegmentFacts]) {
        let file = self.folder.path().join("media");
        std::fs::write(&file, b"media").expect("written");
        let puts: Vec<_> = some
            .iter()
            .map(|facts| {
                let (bucket, file) = (self.bucket.clone(), file.clone());
                let (key, metadata): (String, BTreeMap<_, _>) =
                    (facts.key().to_string(), facts.to_metadata());
                async move { bucket.put_file(&key, &file, "video/mp4", &metadata).await }
            })
            .collect();
        let mut puts = stream::iter(puts).buffer_unordered(AT_ONCE);
        while let Some(put) = puts.next().await {
            put.expect("put");
        }
    }

    async fn list(&self, some: &[SegmentFacts]) {
        self.database.put_segments(some).await.expect("listed");
    }

    async fn keys(&self, camera: &str) -> BTreeSet<String> {
        let rows = self.database.segments(camera, 0, i64::MAX, 100_000).await;
        let rows = rows.expect("a list").into_iter();
        rows.map(|facts| facts.key().to_string()).collect()
    }
}

/// The keys of problems of a kind.
fn told(census: &Census, text: &str) -> BTreeSet<String> {
    let of = census
        .problems
        .iter()
        .filter(|problem| problem.what.contains(text));
    of.map(|problem| problem.key.clone()).collect()
}

/// More than two pages of the bucket and of the index, of a camera with neighbours.
#[tokio::test]
async fn what_differs_is_found_over_many_pages() {
    let rig = rig().await;
    let page = PAGE as i64;
    let count = 2 * page + 30;
    let mut all: Vec<SegmentFacts> = (0..count).map(|number| facts("b", number)).collect();
    // Two nodes, whose segments overlap, across a border of pages, too.
    for number in page - 10..page + 10 {
        all[number as usize].end_ms = BEGIN_MS + (page + 20) * 1000 - (number - page + 10) * 500;
    }
    let (a, c) = ([facts("a", 5)], [facts("c", 0)]);
    for some in [&all[..], &a, &c] {
        rig.store(some).await;
        rig.list(some).await;
    }
    let census = verify(&rig.bucket, &rig.database, Depth::Sizes)
        .await
        .expect("compared");
    assert_eq!(census.problems, []);
    let total = count as u64 + 2;
    assert_eq!((census.segments, census.listed, census.wrong), (total, total, 0));

    // At the beginning, the border of pages and the end, either side lacks some.
    let name = |number: i64| facts("b", number).key().to_string();
    let (unstored, unlisted) = ([0, page - 1, page, count - 1], [1, page + 1, 2 * page]);
    let unstored: Vec<String> = unstored.into_iter().map(name).collect();
    let unlisted: Vec<String> = unlisted.into_iter().map(name).collect();
    let left = rig.bucket.delete(&unstored).await.expect("deleted");
    assert!(left.is_empty(), "{left:?}");
    rig.database.forget_segments(&unlisted).await.expect("forgotten");
    let census = verify(&rig.bucket, &rig.database, Depth::Sizes)
        .await
        .expect("compared");
    let keys = |keys: &[String]| keys.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(told(&census, "not in the bucket"), keys(&unstored));
    assert_eq!(told(&census, "not in the index"), keys(&unlisted));
    assert_eq!(census.wrong, 7);
    // What is on its way out is missing nowhere.
    rig.database.trash_objects(&unlisted).await.expect("noted");
    let census = verify(&rig.bucket, &rig.database, Depth::Sizes)
        .await
        .expect("compared");
    assert_eq!(census.wrong, 4);
    rig.database.empty_trash(&unlisted).await.expect("emptied");

    let census = rebuild(&rig.bucket, &rig.database).await.expect("rebuilt");
    assert_eq!((census.listed, census.forgotten), (total - 4, 4));
    let census = verify(&rig.bucket, &rig.database, Depth::Sizes)
        .await
        .expect("compared");
    assert_eq!((census.listed, census.wrong), (total - 4, 0));
}

/// Retention deletes between the look at an object and the writing of its row.
#[tokio::test]
async fn what_is_deleted_during_a_rebuild_does_not_come_back() {
    let rig = rig().await;
    let all: Vec<SegmentFacts> = (0..4).map(|number| facts("a", number)).collect();
    rig.store(&all).await;
    rig.list(&all).await;
    let keys: Vec<String> = all.iter().map(|facts| facts.key().to_string()).collect();
    let census = rebuild_while(&rig.bucket, &rig.database, async || {
        // One is deleted for good, of one the object is still to follow.
        rig.database.trash_segments(&keys[..2]).await.expect("trashed");
        rig.bucket.delete(&keys[..1]).await.expect("deleted");
        rig.database.empty_trash(&keys[..1]).await.expect("emptied");
    })
    .await
    .expect("rebuilt");
    assert_eq!(census.problems, []);
    assert_eq!(rig.keys("a").await, keys[2..].iter().cloned().collect());
}

#[test]
fn problems_have_an_end() {
    let mut census = Census::default();
    for number in 0..=MOST_PROBLEMS {
        census.problem(number.to_string(), String::new());
    }
    assert_eq!(
        (census.wrong, census.problems.len()),
        (MOST_PROBLEMS as u64 + 1, MOST_PROBLEMS)
    );
}
