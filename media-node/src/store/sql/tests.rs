//! What holds on SQLite. The same and more runs against PostgreSQL in `tests/postgres.rs`.

use super::accounts::{Kind, NewRefresh, NewToken, Rights, Secrets, User};
use super::{Database, Location, Stored};
use std::time::Duration;
use weir_recording::SegmentFacts;
use weir_recording::facts::TrackFacts;

fn user(name: &str) -> User {
    User {
        name: name.into(),
        secrets: Secrets {
            login_hash: "l".into(),
            ha1_given: "g".into(),
            ha1_md5: "m".into(),
        },
        admin: false,
        push: String::new(),
        pull: "/gate/*".into(),
    }
}

fn pair(access: &str, lifetime: u64, refresh: &str, refresh_lifetime: u64) -> NewToken {
    NewToken {
        access_hash: access.into(),
        access_lifetime: Duration::from_secs(lifetime),
        refresh: Some(NewRefresh {
            hash: refresh.into(),
            lifetime: Duration::from_secs(refresh_lifetime),
        }),
        kind: Kind::Session,
    }
}

async fn open(folder: &tempfile::TempDir) -> Database {
    Database::open(&Location::Sqlite(folder.path().join("a b?#%41.db")))
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder).await;
    first.save_user(&user("guard")).await.unwrap();
    first
        .save_user(&User {
            pull: "*".into(),
            ..user("guard")
        })
        .await
        .unwrap();
    first.close().await;
    assert!(first.ping().await.is_err());

    let second = open(&folder).await;
    second.ping().await.unwrap();
    assert_eq!(second.user("guard").await.unwrap().unwrap().pull, "*");
    assert!(second.user("Guard").await.unwrap().is_none());
    assert!(!second.has_admin().await.unwrap());
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone_and_uses_a_write_ahead_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    database.save_user(&user("guard")).await.unwrap();
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        names.push(file.file_name().into_string().unwrap());
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            file.path()
        );
    }
    names.sort();
    assert_eq!(names, ["a b?#%41.db", "a b?#%41.db-shm", "a b?#%41.db-wal"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("weir.db"));
        let mut starts = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let location = location.clone();
            starts.spawn(async move { Database::open(&location).await.map(drop) });
        }
        for opened in starts.join_all().await {
            opened.unwrap();
        }
    }
}

#[tokio::test]
async fn many_may_migrate_and_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut starts = tokio::task::JoinSet::new();
    for n in 0..4 {
        let location = Location::Sqlite(folder.path().join("weir.db"));
        starts.spawn(async move {
            let database = Database::open(&location).await.unwrap();
            for m in 0..10 {
                database
                    .add_token("guard", pair(&format!("a{n}-{m}"), 60, &format!("r{n}-{m}"), 60))
                    .await
                    .unwrap();
                let new = pair(&format!("b{n}-{m}"), 60, &format!("s{n}-{m}"), 60);
                assert!(
                    database
                        .exchange_token(&format!("r{n}-{m}"), new)
                        .await
                        .unwrap()
                        .is_none(),
                    "no user"
                );
            }
        });
    }
    while let Some(done) = starts.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_works_once_even_for_two_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    database.save_user(&user("guard")).await.unwrap();
    database.add_token("guard", pair("a", 60, "r", 60)).await.unwrap();
    let (one, two) = tokio::join!(
        database.exchange_token("r", pair("a1", 60, "r1", 60)),
        database.exchange_token("r", pair("a2", 60, "r2", 60))
    );
    let winners: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(winners[0].former_access_hash, "a");
    assert!(database.token_holder("a").await.unwrap().is_none());
}

#[tokio::test]
async fn tokens_expire_and_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    database.save_user(&user("guard")).await.unwrap();
    for token in [
        pair("dead", 0, "dead-r", 0),
        pair("tired", 0, "tired-r", 60),
        pair("live", 60, "live-r", 60),
    ] {
        database.add_token("guard", token).await.unwrap();
    }
    let view = NewToken {
        access_hash: "view".into(),
        access_lifetime: Duration::ZERO,
        refresh: None,
        kind: Kind::View,
    };
    database.add_token("guard", view).await.unwrap();
    for (hash, valid) in [("dead", false), ("tired", false), ("view", false), ("live", true)] {
        assert_eq!(
            database.token_holder(hash).await.unwrap().is_some(),
            valid,
            "{hash}"
        );
    }
    assert!(
        database
            .exchange_token("dead-r", pair("x", 60, "y", 60))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(database.sweep_tokens().await.unwrap(), 2, "dead and view");
    assert!(
        database
            .exchange_token("tired-r", pair("x", 60, "y", 60))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_deleted_users_token_is_still_known() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    database.save_user(&user("guard")).await.unwrap();
    database.add_token("guard", pair("a", 60, "r", 60)).await.unwrap();
    assert!(database.delete_user("guard").await.unwrap());
    assert!(!database.delete_user("guard").await.unwrap());
    let holder = database.token_holder("a").await.unwrap().unwrap();
    assert_eq!((holder.name.as_str(), holder.user.is_none()), ("guard", true));
    assert!(
        database
            .exchange_token("r", pair("x", 60, "y", 60))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn users_come_in_the_order_of_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    for name in ["b", "é", "a/b", "a", "z"] {
        database.save_user(&user(name)).await.unwrap();
    }
    let names = async |after: &str, limit| {
        let page = database.users(after, limit).await.unwrap();
        let names: Vec<_> = page.users.into_iter().map(|user| user.name).collect();
        (names.join(" "), page.total)
    };
    assert_eq!(names("", 10).await, ("a a/b b z é".into(), 5));
    assert_eq!(names("a", 2).await, ("a/b b".into(), 5));
    assert_eq!(names("aa", 1).await, ("b".into(), 5));
    assert_eq!(names("é", 10).await, (String::new(), 5));
    assert_eq!(names("", 0).await, (String::new(), 5));
}

#[tokio::test]
async fn a_user_is_created_once_and_updated_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let rights = Rights {
        admin: true,
        push: "*".into(),
        pull: String::new(),
    };
    assert!(!database.update_user("guard", &rights, None).await.unwrap());
    assert!(database.create_user(&user("guard")).await.unwrap());
    assert!(!database.create_user(&user("guard")).await.unwrap());
    assert!(database.update_user("guard", &rights, None).await.unwrap());
    let mut expected = User {
        admin: true,
        push: "*".into(),
        pull: String::new(),
        ..user("guard")
    };
    assert!(database.user("guard").await.unwrap().unwrap() == expected);
    expected.secrets.login_hash = "new".into();
    let updated = database
        .update_user("guard", &rights, Some(&expected.secrets))
        .await;
    assert!(updated.unwrap());
    assert!(database.user("guard").await.unwrap().unwrap() == expected);
}

#[tokio::test]
async fn the_revision_grows_with_whatever_takes_something_away() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let mut last = database.account_revision().await.unwrap();
    let mut grows = async |what: &str, expected: bool| {
        let revision = database.account_revision().await.unwrap();
        assert_eq!(revision > last, expected, "{what}");
        last = revision;
    };
    let rights = Rights {
        admin: false,
        push: String::new(),
        pull: String::new(),
    };
    database.save_user(&user("guard")).await.unwrap();
    grows("a new user", true).await;
    database.update_user("guard", &rights, None).await.unwrap();
    grows("other rights", true).await;
    database.update_user("nobody", &rights, None).await.unwrap();
    database.create_user(&user("guard")).await.unwrap();
    database.delete_user("nobody").await.unwrap();
    grows("nothing", false).await;
    database.add_token("guard", pair("a", 60, "r", 60)).await.unwrap();
    grows("a new token", false).await;
    database
        .exchange_token("r", pair("b", 60, "s", 60))
        .await
        .unwrap()
        .unwrap();
    grows("a token that died", true).await;
    database.delete_user("guard").await.unwrap();
    grows("a user that is gone", true).await;
}

#[tokio::test]
async fn ordinals_are_small_held_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let minute = Duration::from_mins(1);
    let claim = async |holder: &str, lifetime| database.claim_ordinal(holder, lifetime).await.unwrap();
    assert_eq!(claim("one", minute).await, Some(0));
    assert_eq!(claim("two", minute).await, Some(1));
    assert_eq!(claim("one", minute).await, Some(0), "it stays");
    database.release_ordinal("one").await.unwrap();
    assert_eq!(claim("three", Duration::ZERO).await, Some(0));
    assert_eq!(
        claim("four", minute).await,
        Some(0),
        "one that has expired is free"
    );
    assert_eq!(claim("three", minute).await, Some(2), "and another's now");
    assert_eq!(claim("two", minute).await, Some(1));
    for n in 3..=255 {
        assert_eq!(claim(&n.to_string(), minute).await, Some(n as u8));
    }
    assert_eq!(claim("late", minute).await, None);
}

#[tokio::test]
async fn cameras_are_listed_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    assert_eq!(database.recorded_cameras().await.unwrap(), [""; 0]);
    assert_eq!(database.stored("a").await.unwrap(), Stored::default());
    let segment = |camera: &str, number: i64| SegmentFacts {
        camera_uid: camera.to_owned(),
        start_ms: number,
        end_ms: number + 1,
        bytes: 10,
        ..SegmentFacts::default()
    };
    let rows = [
        segment("b", 1),
        segment("a", 1),
        segment("a", 2),
        segment("ab", 1),
    ];
    database.put_segments(&rows).await.unwrap();
    assert_eq!(database.recorded_cameras().await.unwrap(), ["a", "ab", "b"]);
    let stored = database.stored("a").await.unwrap();
    assert_eq!((stored.segments, stored.bytes), (2, 20));
    // A camera of which nothing is left is not listed.
    let key = rows[3].key().to_string();
    database.forget_segments(&[key]).await.unwrap();
    assert_eq!(database.recorded_cameras().await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn segments_come_back_as_they_were_put() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let day = 86_400_000;
    let segment = |start_ms: i64, session: u64| SegmentFacts {
        camera_uid: "a".into(),
        camera: "hall".into(),
        path: "school/hall".into(),
        start_ms,
        end_ms: start_ms + 60_000,
        epoch: u64::MAX,
        session,
        sequence: u32::MAX,
        bytes: 16_027_519,
        init_bytes: 1_103,
        table_offset: 16_003_733,
        frames: 1_500,
        keyframes: 30,
        tracks: vec![TrackFacts {
            codec: "H264".into(),
            clock_rate: 90_000,
            width: 1_280,
            height: 720,
        }],
    };
    // Two writers at once, one of them with the highest bit set; one after them in another format.
    let (one, two) = (segment(day, 7), segment(day, u64::MAX));
    let mut three = segment(day + 60_000, 7);
    three.path = "school/aula".into();
    let all = [one.clone(), two.clone(), three.clone()];
    database.put_segments(&all).await.unwrap();
    let list = async |from_ms, to_ms| {
        let mut found = database.segments("a", from_ms, to_ms, 10).await.unwrap();
        found.sort_by_key(|segment| (segment.start_ms, segment.session));
        found
    };
    assert_eq!(list(0, 2 * day).await, all);
    assert_eq!(list(day + 59_999, day + 60_000).await, all[..2]);
    assert_eq!(list(day + 60_000, day + 60_001).await, all[2..]);
    assert_eq!(list(0, day).await, []);
    assert_eq!(list(i64::MIN, i64::MAX).await, all);
    assert_eq!(database.segments("a", 0, 2 * day, 1).await.unwrap().len(), 1);
    assert_eq!(database.segments("b", 0, 2 * day, 1).await.unwrap(), []);
    assert_eq!(database.newest_segment("a").await.unwrap(), Some(three.clone()));
    assert_eq!(database.newest_segment("b").await.unwrap(), None);
    assert_eq!(
        database
            .oldest_segments("a", day + 60_001, 10)
            .await
            .unwrap()
            .len(),
        2
    );
    let keys = [
        two.key().to_string(),
        three.key().to_string(),
        "segments/a/x.mp4".into(),
    ];
    let sizes = database.segment_sizes(&keys).await.unwrap();
    assert_eq!(sizes.len(), 2);
    assert_eq!(sizes[&keys[0]], 16_027_519);
    // Page by page.
    let mut pages = Vec::new();
    while let [row] = &database.next_segments("a", pages.last(), 1).await.unwrap()[..] {
        pages.push(row.clone());
    }
    let mut keys: Vec<_> = pages.into_iter().map(|row| row.key).collect();
    keys.sort_by_key(|key| (key.start_ms, key.session));
    assert_eq!(keys, all.each_ref().map(SegmentFacts::key));

    // Told again, with another name.
    let again = SegmentFacts {
        camera: "the hall".into(),
        bytes: 5,
        ..one.clone()
    };
    database.put_segments(std::slice::from_ref(&again)).await.unwrap();
    assert_eq!(list(0, day + 1).await, [again, two.clone()]);

    // What names none, or another's, takes nothing along.
    let other_epoch = SegmentFacts {
        epoch: 1,
        ..two.clone()
    };
    let nobodys = SegmentFacts {
        camera_uid: "nobody".into(),
        ..two.clone()
    };
    for key in [
        "",
        "segments/a/x.mp4",
        &other_epoch.key().to_string(),
        &nobodys.key().to_string(),
    ] {
        database.forget_segments(&[key.to_owned()]).await.unwrap();
    }
    assert_eq!(list(0, 2 * day).await.len(), 3);
    database
        .trash_segments(&[two.key().to_string(), three.key().to_string()])
        .await
        .unwrap();
    assert_eq!(list(0, 2 * day).await.len(), 1);
}
