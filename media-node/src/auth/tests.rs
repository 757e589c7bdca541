//! Callers and decisions, with accounts in a SQLite file.

use super::{
    Account, Action, AdminFiles, Auth, BootstrapError, Call, Caller, Denied, LoginError, RelaySecret,
    Settings, digest,
};
use crate::store::sql::accounts::User;
use crate::store::sql::{Database, Location};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use weir_proto::media::StreamPath;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

struct World {
    folder: TempDir,
    store: Database,
    auth: Arc<Auth>,
}

async fn world(anonymous_view: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::open(&Location::Sqlite(folder.path().join("weir.db")))
        .await
        .unwrap();
    let auth = Auth::new(
        store.clone(),
        Settings {
            anonymous_view,
            relay: RelaySecret::random(),
        },
    );
    World { folder, store, auth }
}

impl World {
    async fn add(&self, name: &str, password: &str, push: &str, pull: &str) {
        let secrets = self.auth.hasher.secrets(name, password).await.unwrap();
        let user = User {
            name: name.into(),
            secrets,
            admin: false,
            push: push.into(),
            pull: pull.into(),
        };
        self.store.save_user(&user).await.unwrap();
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

fn account(admin: bool, push: &str, pull: &str) -> Arc<Account> {
    let secrets = crate::store::sql::accounts::Secrets {
        login_hash: String::new(),
        ha1_given: String::new(),
        ha1_md5: String::new(),
    };
    Arc::new(Account::from(&User {
        name: "a".into(),
        secrets,
        admin,
        push: push.into(),
        pull: pull.into(),
    }))
}

/// Who may do what: a row per caller; columns as in `ACTIONS`.
#[test]
fn decisions() {
    use Denied::{Forbidden, Throttled, Unavailable, Unidentified};
    let (gate, yard) = (path("gate/a1"), path("yard"));
    let actions = [
        Action::Subscribe(&gate),
        Action::Subscribe(&yard),
        Action::Publish(&gate),
        Action::Publish(&yard),
        Action::Call(Call::Browse),
        Action::Call(Call::Read),
        Action::Call(Call::Administer),
        Action::Call(Call::Pool),
    ];
    let wait = Duration::from_secs(3);
    let no = |reason| [Err(reason); 8];
    let mine = account(false, "/yard", "/gate/*");
    let rows = [
        (Caller::Anonymous, no(Unidentified)),
        (Caller::Unknown, no(Unidentified)),
        (Caller::Throttled(wait), no(Throttled(wait))),
        (Caller::Unverifiable, no(Unavailable)),
        (Caller::Relay, {
            let mut row = no(Forbidden);
            row[..2].fill(Ok(()));
            row[7] = Ok(());
            row
        }),
        (
            Caller::Account(mine.clone()),
            [
                Ok(()),
                Err(Forbidden),
                Err(Forbidden),
                Ok(()),
                Ok(()),
                Ok(()),
                Err(Forbidden),
                Err(Forbidden),
            ],
        ),
        (
            Caller::Account(account(true, "", "")),
            [
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
                Ok(()),
                Ok(()),
                Ok(()),
                Err(Forbidden),
            ],
        ),
        (Caller::Account(account(true, "*", "*")), {
            let mut row = [Ok(()); 8];
            row[7] = Err(Forbidden);
            row
        }),
        (
            Caller::Viewer(account(true, "*", "/gate/*")),
            [
                Ok(()),
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
                Ok(()),
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
            ],
        ),
        (
            Caller::Deleted,
            [
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
                Err(Forbidden),
                Ok(()),
                Ok(()),
                Err(Forbidden),
                Err(Forbidden),
            ],
        ),
    ];
    let relay = RelaySecret::random();
    let closed = Auth::without_accounts(Settings {
        anonymous_view: false,
        relay: relay.clone(),
    });
    let open = Auth::without_accounts(Settings {
        anonymous_view: true,
        relay,
    });
    for (caller, expected) in rows {
        for (n, action) in actions.into_iter().enumerate() {
            assert_eq!(
                closed.authorize(&caller, action),
                expected[n],
                "{caller:?} {action:?}"
            );
            // With anonymous view all may watch and browse, and nothing else changes.
            let expected = if matches!(n, 0 | 1 | 4) {
                Ok(())
            } else {
                expected[n]
            };
            assert_eq!(
                open.authorize(&caller, action),
                expected,
                "anonymous view, {caller:?} {action:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_login_gives_a_token_that_is_its_user() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "/gate/*").await;
    let auth = &world.auth;
    let pair = auth.login(PEER, "GUARD", "geheim").await.unwrap();
    let again = auth
        .login(PEER, "guard", "E8636EA013E682FAF61F56CE1CB1AB5C")
        .await
        .unwrap();
    assert!(!format!("{pair:?}").contains(pair.access.reveal()));
    for token in [&pair.access, &again.access] {
        let caller = auth.caller_by_token(Some(token.reveal())).await;
        assert!(
            matches!(&caller, Caller::Account(account) if account.name() == "guard"),
            "{caller:?}"
        );
        assert_eq!(
            auth.authorize(&caller, Action::Subscribe(&path("Gate/A1"))),
            Ok(())
        );
    }
    assert!(matches!(
        auth.caller_by_token(Some(pair.refresh.reveal())).await,
        Caller::Unknown
    ));
    assert!(matches!(
        auth.caller_by_token(Some("rubbish")).await,
        Caller::Unknown
    ));
    assert!(matches!(auth.caller_by_token(Some("")).await, Caller::Anonymous));
    assert!(matches!(auth.caller_by_token(None).await, Caller::Anonymous));
    for (name, password) in [
        ("guard", "Geheim"),
        ("nobody", "geheim"),
        ("", "geheim"),
        ("guard", ""),
    ] {
        let error = auth.login(PEER, name, password).await.unwrap_err();
        assert!(matches!(error, LoginError::Wrong), "{name} {password}: {error}");
    }
}

#[tokio::test]
async fn a_refresh_ends_the_old_pair_at_once() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "*").await;
    let auth = &world.auth;
    let old = auth.login(PEER, "guard", "geheim").await.unwrap();
    // It is in the cache now.
    assert!(matches!(
        auth.caller_by_token(Some(old.access.reveal())).await,
        Caller::Account(_)
    ));
    assert!(
        auth.refresh(old.access.reveal()).await.unwrap().is_none(),
        "an access token refreshes nothing"
    );
    let new = auth.refresh(old.refresh.reveal()).await.unwrap().unwrap();
    assert!(matches!(
        auth.caller_by_token(Some(old.access.reveal())).await,
        Caller::Unknown
    ));
    assert!(auth.refresh(old.refresh.reveal()).await.unwrap().is_none());
    assert!(matches!(
        auth.caller_by_token(Some(new.access.reveal())).await,
        Caller::Account(_)
    ));
}

#[tokio::test]
async fn a_token_of_a_deleted_user_is_known_but_opens_little() {
    let world = world(false).await;
    world.add("guard", "geheim", "*", "*").await;
    let pair = world.auth.login(PEER, "guard", "geheim").await.unwrap();
    world.store.delete_user("guard").await.unwrap();
    assert!(matches!(
        world.auth.caller_by_token(Some(pair.access.reveal())).await,
        Caller::Deleted
    ));
    assert!(world.auth.refresh(pair.refresh.reveal()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_view_token_views() {
    let world = world(false).await;
    world.add("guard", "geheim", "*", "/gate/*").await;
    let auth = &world.auth;
    assert!(
        auth.issue_view_token("nobody", Duration::from_mins(1))
            .await
            .unwrap()
            .is_none()
    );
    let token = auth
        .issue_view_token("Guard", Duration::from_mins(1))
        .await
        .unwrap()
        .unwrap();
    let caller = auth.caller_by_token(Some(token.reveal())).await;
    assert!(
        matches!(&caller, Caller::Viewer(account) if account.name() == "guard"),
        "{caller:?}"
    );
    assert!(auth.refresh(token.reveal()).await.unwrap().is_none());
    let over = auth
        .issue_view_token("guard", Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(
        auth.caller_by_token(Some(over.reveal())).await,
        Caller::Unknown
    ));
}

#[tokio::test]
async fn a_changed_right_holds_at_the_next_request() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "/gate/*").await;
    let pair = world.auth.login(PEER, "guard", "geheim").await.unwrap();
    let gate = path("gate/a1");
    let ask = async || {
        let caller = world.auth.caller_by_token(Some(pair.access.reveal())).await;
        world.auth.authorize(&caller, Action::Subscribe(&gate))
    };
    assert_eq!(ask().await, Ok(()));
    // By another process, as far as this one can tell.
    let mut user = world.store.user("guard").await.unwrap().unwrap();
    for (pull, allowed) in [("/yard", Err(Denied::Forbidden)), ("*", Ok(()))] {
        user.pull = pull.into();
        world.store.save_user(&user).await.unwrap();
        assert_eq!(ask().await, allowed, "{pull}");
    }
}

#[tokio::test]
async fn many_who_ask_at_once_share_a_query_and_see_what_was_before() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "/gate/*").await;
    let pair = world.auth.login(PEER, "guard", "geheim").await.unwrap();
    let (auth, store) = (world.auth.clone(), world.store.clone());
    let gate = path("gate/a1");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (auth, token, gate) = (auth.clone(), pair.access.clone(), gate.clone());
        asking.spawn(async move {
            let caller = auth.caller_by_token(Some(token.reveal())).await;
            auth.authorize(&caller, Action::Subscribe(&gate))
        });
    }
    while let Some(asked) = asking.join_next().await {
        assert_eq!(asked.unwrap(), Ok(()));
    }
    assert!(store.delete_user("guard").await.unwrap());
    let caller = auth.caller_by_token(Some(pair.access.reveal())).await;
    assert!(matches!(caller, Caller::Deleted), "{caller:?}");
}

#[tokio::test]
async fn known_callers_go_on_while_the_store_is_away() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "*").await;
    let auth = &world.auth;
    let known = auth.login(PEER, "guard", "geheim").await.unwrap();
    let new = auth.login(PEER, "guard", "geheim").await.unwrap();
    assert!(matches!(
        auth.caller_by_token(Some(known.access.reveal())).await,
        Caller::Account(_)
    ));
    world.store.close().await;
    tokio::time::sleep(super::FRESH).await;
    assert!(matches!(
        auth.caller_by_token(Some(known.access.reveal())).await,
        Caller::Account(_)
    ));
    assert!(matches!(
        auth.caller_by_token(Some(new.access.reveal())).await,
        Caller::Unverifiable
    ));
    assert!(matches!(
        auth.login(PEER, "guard", "geheim").await,
        Err(LoginError::Store(_))
    ));
}

#[tokio::test]
async fn guessing_is_slowed_down_for_the_guesser_only() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "*").await;
    let auth = &world.auth;
    let mut wrong = 0;
    let wait = loop {
        match auth.login(PEER, "guard", &format!("guess{wrong}")).await {
            Err(LoginError::Wrong) => wrong += 1,
            Err(LoginError::Throttled { retry_in }) => break retry_in,
            other => panic!("{other:?}"),
        }
        assert!(wrong < 100);
    };
    assert!(wrong >= 10 && !wait.is_zero());
    assert!(matches!(
        auth.login(PEER, "guard", "geheim").await,
        Err(LoginError::Throttled { .. })
    ));
    let answer = digest::Answer {
        username: "guard",
        response: "r",
        expected: &|_| None,
    };
    assert!(matches!(
        auth.caller_by_digest(PEER, answer).await,
        Caller::Throttled(_)
    ));
    assert!(
        auth.login("192.0.2.8".parse().unwrap(), "guard", "geheim")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_password_may_be_shown_where_no_digest_is_spoken() {
    let world = world(false).await;
    world.add("guard", "geheim", "/gate/*", "").await;
    let (auth, gate) = (&world.auth, path("gate/a1"));
    for (name, password) in [("Guard", "geheim"), ("guard", "e8636ea013e682faf61f56ce1cb1ab5c")] {
        let caller = auth.caller_by_password(PEER, name, password).await;
        assert_eq!(caller.name(), "guard");
        assert_eq!(auth.authorize(&caller, Action::Publish(&gate)), Ok(()));
        assert_eq!(
            auth.authorize(&caller, Action::Subscribe(&gate)),
            Err(Denied::Forbidden)
        );
    }
    for (name, password) in [("guard", "geraten"), ("nobody", "geheim"), ("guard", "")] {
        let caller = auth.caller_by_password(PEER, name, password).await;
        assert!(matches!(caller, Caller::Unknown), "{name} {password}: {caller:?}");
    }
    // Wrong ones count as those of a login do.
    for _ in 0..20 {
        auth.caller_by_password(PEER, "guard", "geraten").await;
    }
    let caller = auth.caller_by_password(PEER, "guard", "geheim").await;
    assert!(matches!(caller, Caller::Throttled(_)), "{caller:?}");
}

#[tokio::test]
async fn digest_answers() {
    let world = world(false).await;
    world.add("guard", "geheim", "", "*").await;
    let md5 = |parts: &[&str]| super::password::md5_hex(parts);
    let response = |ha1: &str| md5(&[ha1, "0123", &md5(&["DESCRIBE", "rtsp://h/a"])]);
    for (name, secret, right) in [
        ("guard", "geheim".to_owned(), true),
        ("guard", md5(&["geheim"]), true),
        ("guard", "falsch".to_owned(), false),
        ("nobody", "geheim".to_owned(), false),
    ] {
        let given = response(&md5(&[name, digest::REALM, &secret]));
        let expected = |ha1: &str| Some(response(ha1).into());
        let answer = digest::Answer {
            username: name,
            response: &given,
            expected: &expected,
        };
        let caller = world.auth.caller_by_digest(PEER, answer).await;
        assert_eq!(matches!(caller, Caller::Account(_)), right, "{name} {secret}");
        assert!(right || matches!(caller, Caller::Unknown));
    }
}

#[tokio::test]
async fn relays_show_their_secret() {
    let relay = RelaySecret::random();
    let node = Auth::without_accounts(Settings {
        anonymous_view: false,
        relay: relay.clone(),
    });
    let header = format!("Bearer {}", relay.secret().reveal());
    assert!(matches!(node.caller_by_relay(Some(&header)), Caller::Relay));
    assert!(matches!(node.caller_by_relay(Some("Bearer x")), Caller::Unknown));
    assert!(matches!(node.caller_by_relay(None), Caller::Anonymous));
    assert!(matches!(
        node.caller_by_token(Some("1f0c5e4a9b7d3326c8e1f4a05b9d7e12"))
            .await,
        Caller::Unknown
    ));
    assert!(matches!(
        node.login(PEER, "admin", "x").await,
        Err(LoginError::Wrong)
    ));
    assert!(matches!(node.bootstrap(None).await, Err(BootstrapError::NoStore)));
}

#[tokio::test]
async fn the_first_start_makes_a_password_and_tells_it_once() {
    let world = world(false).await;
    let first = world.auth.bootstrap(None).await.unwrap();
    let password = first.first_password.unwrap();
    assert_eq!(first.admin, "admin");
    let pair = world.auth.login(PEER, "admin", password.reveal()).await.unwrap();
    let caller = world.auth.caller_by_token(Some(pair.access.reveal())).await;
    assert_eq!(
        world.auth.authorize(&caller, Action::Call(Call::Administer)),
        Ok(())
    );
    assert_eq!(
        world.auth.authorize(&caller, Action::Publish(&path("any"))),
        Ok(())
    );
    assert!(world.auth.bootstrap(None).await.unwrap().first_password.is_none());
    assert!(world.auth.login(PEER, "admin", password.reveal()).await.is_ok());
}

#[tokio::test]
async fn the_files_decide_at_every_start() {
    let world = world(false).await;
    let password = world.write("password", "erstes-geheimnis\n");
    let username = world.write("username", "Root\n");
    let none = world.folder.path().join("none");
    let files = |username| {
        Some(AdminFiles {
            password: &password,
            username,
        })
    };
    assert_eq!(world.auth.bootstrap(files(None)).await.unwrap().admin, "admin");
    assert_eq!(
        world.auth.bootstrap(files(Some(&none))).await.unwrap().admin,
        "admin"
    );
    let made = world.auth.bootstrap(files(Some(&username))).await.unwrap();
    assert_eq!(
        (made.admin.as_str(), made.first_password.is_none()),
        ("root", true)
    );
    assert!(world.auth.login(PEER, "root", "erstes-geheimnis").await.is_ok());

    world.write("password", "zweites-geheimnis");
    world.auth.bootstrap(files(Some(&username))).await.unwrap();
    assert!(world.auth.login(PEER, "root", "erstes-geheimnis").await.is_err());
    assert!(world.auth.login(PEER, "root", "zweites-geheimnis").await.is_ok());

    for (text, message) in [
        ("123456\n", "everybody tries first"),
        ("ROOT", "everybody tries first"),
        ("21232f297a57a5a743894a0e4a801fc3", "everybody tries first"),
        ("\n", "is empty"),
    ] {
        world.write("password", text);
        let error = world
            .auth
            .bootstrap(files(Some(&username)))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(message) && error.contains("/password"), "{error}");
    }
    world.write("password", "drittes-geheimnis");
    world.write("username", "a:b");
    let error = world.auth.bootstrap(files(Some(&username))).await.unwrap_err();
    assert!(matches!(error, BootstrapError::Name { .. }), "{error}");
    let error = world
        .auth
        .bootstrap(Some(AdminFiles {
            password: &none,
            username: None,
        }))
        .await
        .unwrap_err();
    assert!(matches!(error, BootstrapError::File { .. }), "{error}");
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    #[derive(Clone, Default)]
    struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || to.clone())
        .finish();
    // The test's runtime has this one thread.
    let guard = tracing::subscriber::set_default(subscriber);
    let world = world(false).await;
    let password = world.write("password", "canary-admin");
    let files = AdminFiles {
        password: &password,
        username: None,
    };
    world.auth.bootstrap(Some(files)).await.unwrap();
    let pair = world.auth.login(PEER, "admin", "canary-admin").await.unwrap();
    world.auth.login(PEER, "admin", "canary-wrong").await.unwrap_err();
    world.auth.caller_by_token(Some(pair.access.reveal())).await;
    let new = world.auth.refresh(pair.refresh.reveal()).await.unwrap().unwrap();
    world.auth.caller_by_token(Some("canary-token")).await;
    let relay = world.auth.relay_secret().secret().reveal().clone();
    world.auth.caller_by_relay(Some(&format!("Bearer {relay}")));
    let secrets = world.store.user("admin").await.unwrap().unwrap().secrets;
    world.store.close().await;
    world.auth.login(PEER, "admin", "canary-late").await.unwrap_err();
    drop(guard);

    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(
        log.contains("login failed") && log.contains("TRACE"),
        "the log is not heard:\n{log}"
    );
    for secret in [
        "canary-",
        pair.access.reveal(),
        pair.refresh.reveal(),
        new.access.reveal(),
        &relay,
        &secrets.login_hash,
        &secrets.ha1_given,
        &secrets.ha1_md5,
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}
