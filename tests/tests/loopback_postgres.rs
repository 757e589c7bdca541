//! Accounts in PostgreSQL, shared by gateways. Needs Debian's `postgresql` and root, as `tests/postgresql` says.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use media_node::{
    auth::{Action, AdminFiles, Auth, Call, Caller, Denied, LoginError, RelaySecret, Settings, UserEntry},
    store::sql::{
        Database, Error, Location, Named,
        accounts::User,
        recorder::{API, CourseFacts, Cut, GatherChange, NewRecording, Registration, Running},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinHandle,
};
use weir_proto::media::StreamPath;
use weir_recording::SegmentFacts;
use weir_tests::{Context, Result, camera, ensure, eventually, process::Process, setup, wait::secs};

const HOST: &str = "127.0.0.1";
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// What `tests/postgresql` gives its user.
const DATABASE_PASSWORD: &str = "canary-database-6tBn";
const ADMIN_PASSWORD: &str = "canary-admin-93Xk";

/// A fresh PostgreSQL, and a line to it that can be cut.
struct Server {
    _process: Process,
    folder: tempfile::TempDir,
    port: u16,
    line: u16,
    relay: Option<JoinHandle<()>>,
}

impl Server {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = camera::free_port(HOST)?;
        let mut command = Command::new(setup::sources().join("postgresql"));
        command
            .arg(folder.path().join("data"))
            .arg(HOST)
            .arg(port.to_string());
        let mut process = Process::start("postgresql", &mut command)?;
        process.ready(secs(60)).await?;
        let mut server = Self {
            _process: process,
            folder,
            port,
            line: camera::free_port(HOST)?,
            relay: None,
        };
        server.connect().await?;
        Ok(server)
    }

    fn url(&self, password: &str) -> String {
        format!("postgres://weir:{password}@{HOST}:{}/postgres", self.line)
    }

    fn location(&self) -> Location {
        Location::parse(&self.url(DATABASE_PASSWORD)).expect("a URL of this form")
    }

    /// A gateway, and its own connections to the accounts.
    async fn gateway(&self) -> Result<(Arc<Auth>, Database)> {
        let store = Database::open(&self.location()).await?;
        let settings = Settings {
            anonymous_view: false,
            relay: RelaySecret::random(),
        };
        Ok((Auth::new(store.clone(), settings), store))
    }

    async fn bootstrap(&self, auth: &Auth) -> Result<()> {
        let password = self.folder.path().join("password");
        std::fs::write(&password, ADMIN_PASSWORD)?;
        auth.bootstrap(Some(AdminFiles {
            password: &password,
            username: None,
        }))
        .await?;
        Ok(())
    }

    /// Lets connections through.
    async fn connect(&mut self) -> Result<()> {
        let listener = TcpListener::bind((HOST, self.line)).await?;
        let port = self.port;
        self.relay = Some(tokio::spawn(async move {
            // Dropped with this task, which cuts them.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = TcpStream::connect((HOST, port)).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        }));
        Ok(())
    }

    /// Ends all connections and refuses new ones.
    async fn cut(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.abort();
            let _ = relay.await;
        }
    }
}

fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).expect("a path")
}

#[tokio::test]
async fn gateways_that_start_at_once_share_what_they_know() -> Result<()> {
    let server = Server::start().await?;
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let location = server.location();
        starts.spawn(async move { Database::open(&location).await });
    }
    while let Some(opened) = starts.join_next().await {
        opened??.ping().await?;
    }

    let (one, store) = server.gateway().await?;
    let (two, _) = server.gateway().await?;
    server.bootstrap(&one).await?;
    server.bootstrap(&two).await?;

    // What one gives out, the other takes.
    let pair = one.login(PEER, "Admin", ADMIN_PASSWORD).await?;
    let caller = two.caller_by_token(Some(pair.access.reveal())).await;
    ensure!(
        two.authorize(&caller, Action::Call(Call::Administer)).is_ok(),
        "{caller:?}"
    );
    let view = one
        .issue_view_token("admin", secs(60))
        .await?
        .context("a token")?;
    let caller = two.caller_by_token(Some(view.reveal())).await;
    ensure!(matches!(caller, Caller::Viewer(_)), "{caller:?}");

    // A refresh token works once, wherever it is shown.
    let (first, second) = tokio::join!(
        one.refresh(pair.refresh.reveal()),
        two.refresh(pair.refresh.reveal())
    );
    let winners = [first?, second?].into_iter().flatten().count();
    ensure!(winners == 1, "{winners} refreshes worked");
    // The old one is dead at both, at once.
    for gateway in [&one, &two] {
        let caller = gateway.caller_by_token(Some(pair.access.reveal())).await;
        ensure!(matches!(caller, Caller::Unknown), "{caller:?}");
    }

    // So is a right that was taken away, by whichever gateway.
    let admin = store.user("admin").await?.context("the administrator")?;
    let guard = User {
        name: "guard".into(),
        admin: false,
        pull: "/gate/*".into(),
        ..admin
    };
    store.save_user(&guard).await?;
    let pair = one.login(PEER, "guard", ADMIN_PASSWORD).await?;
    let ask = async || {
        let caller = two.caller_by_token(Some(pair.access.reveal())).await;
        two.authorize(&caller, Action::Subscribe(&path("gate/a1")))
    };
    ensure!(ask().await == Ok(()), "the right is there");
    let wanted = |pull: &str| UserEntry {
        name: "Guard".into(),
        admin: false,
        push: String::new(),
        pull: pull.into(),
    };
    for (pull, allowed) in [
        ("/yard", Err(Denied::Forbidden)),
        ("*", Ok(())),
        ("", Err(Denied::Forbidden)),
    ] {
        one.save_user(wanted(pull), "", false).await?;
        ensure!(ask().await == allowed, "{pull}: the former right is still there");
    }
    one.login(PEER, "guard", ADMIN_PASSWORD).await?;

    // Names sort by their bytes, whatever the server's language.
    for name in ["é", "B", "a/b", "z"] {
        one.save_user(
            UserEntry {
                name: name.into(),
                ..wanted("")
            },
            "x",
            false,
        )
        .await?;
    }
    let page = two.users("a", 4).await?;
    let names: Vec<&str> = page.users.iter().map(|u| u.name.as_str()).collect();
    ensure!(
        names == ["a/b", "admin", "b", "guard"] && page.total == 6,
        "{page:?}"
    );

    // Gateways that start at once get different numbers.
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..6 {
        let store = store.clone();
        claims.spawn(async move { store.claim_ordinal(&format!("gateway-{n}"), secs(60)).await });
    }
    let mut ordinals = Vec::new();
    while let Some(claimed) = claims.join_next().await {
        ordinals.push(claimed??.context("an ordinal")?);
    }
    ordinals.sort_unstable();
    ensure!(ordinals == [0, 1, 2, 3, 4, 5], "{ordinals:?}");

    // Expiry and the sweep go by the database's clock.
    let over = one.issue_view_token("guard", secs(0)).await?.context("a token")?;
    let caller = two.caller_by_token(Some(over.reveal())).await;
    ensure!(matches!(caller, Caller::Unknown), "{caller:?}");
    ensure!(store.sweep_tokens().await? == 1, "only that token is over");
    ensure!(store.delete_user("guard").await?, "there was a guard");
    let caller = two.caller_by_token(Some(pair.access.reveal())).await;
    ensure!(!matches!(caller, Caller::Unknown), "known still: {caller:?}");
    Ok(())
}

#[tokio::test]
async fn an_absent_database_is_told_and_found_again() -> Result<()> {
    let mut server = Server::start().await?;
    let (auth, store) = server.gateway().await?;
    server.bootstrap(&auth).await?;
    let known = auth.login(PEER, "admin", ADMIN_PASSWORD).await?;
    let other = auth.login(PEER, "admin", ADMIN_PASSWORD).await?;
    let caller = auth.caller_by_token(Some(known.access.reveal())).await;
    ensure!(matches!(caller, Caller::Account(_)), "{caller:?}");

    server.cut().await;
    let error = store.ping().await.err().context("it answers")?;
    ensure!(matches!(error, Error::Unreachable { .. }), "{}", error.chain());
    let caller = auth.caller_by_token(Some(other.access.reveal())).await;
    ensure!(matches!(caller, Caller::Unverifiable), "{caller:?}");
    ensure!(
        auth.authorize(&caller, Action::Subscribe(&path("a"))) == Err(Denied::Unavailable),
        "nobody can tell"
    );
    let caller = auth.caller_by_token(Some(known.access.reveal())).await;
    ensure!(
        matches!(caller, Caller::Account(_)),
        "who was known goes on: {caller:?}"
    );
    let login = auth.login(PEER, "admin", ADMIN_PASSWORD).await;
    ensure!(
        matches!(login, Err(LoginError::Store(Error::Unreachable { .. }))),
        "{login:?}"
    );
    let absent = Database::open(&server.location())
        .await
        .err()
        .context("it opens")?
        .chain();
    ensure!(
        absent.contains(&format!("{HOST}:{}/postgres is away", server.line)),
        "{absent}"
    );

    // A gateway that starts now waits for it.
    let location = server.location();
    let waiting = tokio::spawn(async move { Database::open_patiently(&location, secs(30)).await });
    server.connect().await?;
    waiting.await??.ping().await?;
    eventually(secs(10), "the pool to reconnect", async || {
        Ok(store.ping().await?)
    })
    .await?;
    eventually(secs(10), "callers to be told apart", async || {
        let caller = auth.caller_by_token(Some(other.access.reveal())).await;
        ensure!(matches!(caller, Caller::Account(_)), "{caller:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_told() -> Result<()> {
    let server = Server::start().await?;
    let location = Location::parse(&server.url("canary-wrong-Vz4"))?;
    let error = Database::open(&location).await.err().context("it opens")?;
    let told = format!("{} {error:?} {location:?}", error.chain());
    ensure!(told.contains("password authentication failed"), "{told}");
    ensure!(!told.contains("canary"), "{told}");
    Ok(())
}

/// Two gateways share the cloud recorder's numbers, registers and locks.
#[tokio::test]
async fn the_cloud_recorder_is_one_at_all_gateways() -> Result<()> {
    let server = Server::start().await?;
    let (first, second) = (
        Database::open(&server.location()).await?,
        Database::open(&server.location()).await?,
    );
    // Registers: what one adds the other lists; numbers never come again.
    let school = first.add_school("甲", "a", "").await?;
    second.change_school(school, "乙", "b", Some("1")).await?;
    let whole = Cut { skip: 0, take: 10 };
    let page = first.schools(whole).await?;
    ensure!(page.total == 1 && page.rows[0].name == "乙" && page.rows[0].phone == "1");
    second.delete_schools(&[school]).await?;
    ensure!(first.add_school("丙", "c", "").await? > school);
    ensure!(second.grades(whole).await?.total == 12 && second.subjects(whole).await?.total == 12);
    ensure!(second.teachers_of([1]).await?.len() == 1);

    // Numbers: many at the same time get one each.
    let named = |n: usize| Named {
        uid: format!("uid-{n}"),
        name: format!("n-{n}"),
    };
    let all: Vec<_> = (0..20).map(named).collect();
    let asked = all.iter().enumerate().map(|(n, one)| {
        let store = [&first, &second][n % 2];
        store.resource_ids(API, "camera", std::slice::from_ref(one))
    });
    for ids in futures::future::join_all(asked).await {
        ids?;
    }
    let ids = first.resource_ids(API, "camera", &all).await?;
    let mut numbers: Vec<_> = ids.values().copied().collect();
    numbers.sort_unstable();
    ensure!(numbers == (1..=20).collect::<Vec<i64>>(), "{numbers:?}");
    ensure!(ids == second.resource_ids(API, "camera", &all).await?);
    let reserved = second.reserve_resource_id(API, "camera").await?;
    let made = Named {
        uid: "made".into(),
        name: format!("camera-{reserved}"),
    };
    let ids = first.resource_ids(API, "camera", &[made]).await?;
    ensure!(reserved == 21 && ids["made"] == reserved, "{ids:?}");
    second.close_resource_id(API, "camera", "made").await?;
    ensure!(first.resource_of(API, "camera", reserved).await?.is_none());

    // Locks: one at a time, over both.
    let inside = std::sync::atomic::AtomicU32::new(0);
    let visits = (0..12).map(|n| {
        let (store, inside) = ([&first, &second][n % 2], &inside);
        async move {
            let lock = store.lock("recorder/courses/uid-1").await?;
            let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            drop(lock);
            ensure!(others == 0, "{others} hold the lock, too");
            Ok(())
        }
    });
    for visit in futures::future::join_all(visits).await {
        visit?;
    }

    // Gathers, facts, courses and recordings.
    let registration = Registration {
        id: 1,
        node: "node-0".into(),
        life: "1".into(),
        address: "10.0.0.1".into(),
        system: "Linux".into(),
    };
    first.register_gather(&registration).await?;
    let change = GatherChange {
        slice_val: Some(5),
        title: Some(String::new()),
        auto_dvr: Some(true),
        ..GatherChange::default()
    };
    let gather = second.change_gather(1, &change).await?.expect("a gather");
    ensure!(gather.slice_val == 5 && gather.title == "采集端" && gather.auto_dvr);
    second.register_gather(&registration).await?;
    ensure!(first.gather_settings("node-0").await?.slice_minutes == 5);
    let facts = first
        .camera_facts(&[("uid-1".into(), Some(7)), ("uid-2".into(), None)])
        .await?;
    ensure!(facts["uid-1"].created == 7 && facts["uid-2"].created > 7);
    ensure!(second.click_camera("uid-1").await? == 1 && first.click_camera("uid-1").await? == 2);
    ensure!(second.set_camera_image("uid-1", "a", 1).await?.is_none());
    let mut fact = facts["uid-1"].clone();
    fact.stream_prop = Some(2);
    second.save_camera_fact(&fact).await?;
    let fact = first.camera_fact("uid-1").await?.expect("facts");
    ensure!(fact.clicks == 2 && fact.stream_prop == Some(2) && fact.image_key.as_deref() == Some("a"));
    let course = CourseFacts {
        uid: "course".into(),
        camera_uid: "uid-1".into(),
        course_id: 4,
        subject_id: 2,
        teacher_id: 1,
    };
    first.save_course(&course).await?;
    second.close_course("course").await?;
    ensure!(first.courses().await?.is_empty());
    let new = NewRecording {
        file_src: "src".into(),
        camera_uid: "uid-1".into(),
        node: "node-0".into(),
        schedule_uid: "course".into(),
        start_ms: 1_000,
        end_ms: 61_000,
        bytes: 9,
    };
    let told =
        futures::future::join_all([&first, &second, &first].map(|store| store.store_recording(&new))).await;
    let told = told.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(
        told[0].is_some() && told.iter().all(|id| *id == told[0]),
        "{told:?}"
    );
    let page = second.recordings(whole).await?;
    ensure!(page.total == 1);
    let row = &page.rows[0];
    ensure!(
        (row.gather_id, row.course_id, row.subject_id) == (1, 4, 2),
        "{row:?}"
    );
    ensure!(second.recording_by_uniq(&row.uniq).await?.as_ref() == Some(row));
    ensure!(second.unmeasured_recordings(9).await?.as_slice() == std::slice::from_ref(row));
    let mut measured = row.clone();
    (measured.bytes, measured.image_key) = (10, Some("k".into()));
    ensure!(second.measure_recording(&measured).await?);
    measured.measured = true;
    ensure!(first.recording(row.id).await?.as_ref() == Some(&measured));
    ensure!(first.unmeasured_recordings(9).await?.is_empty());
    ensure!(second.click_recording(row.id).await? == Some(1));
    // Recordings that share footage go at once, and neither leaves it to the other; one that is still being made keeps its part.
    let segment = |number: i64| SegmentFacts {
        camera_uid: "uid-1".into(),
        start_ms: number * 10_000,
        end_ms: number * 10_000 + 10_000,
        bytes: 1,
        ..SegmentFacts::default()
    };
    let segments: Vec<SegmentFacts> = (0..10).map(segment).collect();
    first.put_segments(&segments).await?;
    let sharing = NewRecording {
        file_src: "sharing".into(),
        start_ms: 31_000,
        end_ms: 91_000,
        ..new.clone()
    };
    let sharing = second.store_recording(&sharing).await?.context("a number")?;
    let running = Running {
        name: "running".into(),
        start_ms: 80_000,
    };
    for store in [&first, &second] {
        let told = std::slice::from_ref(&running);
        store.set_running("node-0", "uid-1", told).await?;
    }
    first.forget_silent_running().await?;
    let (one, other) = tokio::join!(first.remove_recording(row.id), second.remove_recording(sharing));
    ensure!(one?.is_some() && other?.is_some());
    let left = second.next_segments("uid-1", None, 10).await?;
    let starts: Vec<i64> = left.iter().map(|row| row.key.start_ms).collect();
    ensure!(starts == [80_000, 90_000], "{starts:?}");
    ensure!(first.next_segments("uid-1", left.first(), 10).await? == left[1..]);
    ensure!(first.trash(20).await?.contains(&"k".to_owned()));
    // The last of its footage takes a recording with it.
    first.store_recording(&new).await?;
    first.forget_empty_recordings("uid-1", 60_999).await?;
    ensure!(
        second.recordings(whole).await?.total == 1,
        "it may be about to be listed"
    );
    first.put_segments(&segments[..1]).await?;
    first.expire_segments("uid-1", &segments).await?;
    ensure!(second.recordings(whole).await?.total == 0);
    ensure!(first.newest_footage(i64::MAX, 0).await?.is_none());
    // Its clock is another machine's, as far as we know.
    ensure!(
        first
            .clock_elsewhere()
            .await?
            .is_some_and(|seconds| seconds > 1_700_000_000)
    );
    second.store_recording(&new).await?;
    first.delete_recordings_of("uid-1").await?;
    ensure!(second.recordings(whole).await?.total == 0);

    // Credentials.
    first
        .replace_credentials("recorder", "admin", &["h".into()])
        .await?;
    ensure!(second.credential_holder("recorder", "h").await?.as_deref() == Some("admin"));
    second
        .replace_credentials("recorder", "admin", &["i".into()])
        .await?;
    ensure!(
        first.credential_holder("recorder", "h").await?.is_none() && first.has_credential("recorder").await?
    );
    Ok(())
}
