//! `/api/v1/users` (check list 5 and 6).

use super::*;
use crate::auth::{Action, Caller};

impl World {
    async fn save(&self, query: &str, user: &Value) -> Reply {
        let token = self.token("admin").await;
        self.post(&format!("/api/v1/users?{query}token={token}"), user.to_string())
            .await
    }

    async fn can_login(&self, name: &str, password: &str) -> bool {
        let body = json!({"username": name, "password": password}).to_string();
        self.login(body).await.status == 200
    }
}

#[tokio::test]
async fn ipchub_users_list() {
    let world = world().await;
    let token = world.token("admin").await;
    let list = async |query: &str| {
        let reply = world.get(&format!("/api/v1/users?{query}token={token}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply
    };
    let admin = json!({"name": "admin", "admin": true, "push": "*", "pull": "*"});
    let guard = json!({"name": "guard", "admin": false, "push": "", "pull": "/gate/*"});
    let reply = list("").await;
    assert_eq!(
        reply.json(),
        json!({"total": 2, "next_page_token": "guard", "users": [admin, guard]})
    );
    assert!(
        reply
            .body
            .starts_with("{\n\t\"total\": 2,\n\t\"next_page_token\""),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains("password") && !reply.body.contains("argon2"));

    world
        .save("", &json!({"name": "zoe", "password": "p"}))
        .await
        .is(200, "");
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let page = list(&format!("page_size=1&page_token={after}&")).await.json();
        assert_eq!(page["total"], 3);
        let Some(user) = page["users"].get(0) else {
            assert_eq!(page["next_page_token"], after, "an empty page echoes");
            break;
        };
        assert_eq!(user["name"], page["next_page_token"]);
        after = user["name"].as_str().unwrap().to_owned();
        seen.push(after.clone());
    }
    assert_eq!(seen, ["admin", "guard", "zoe"]);
    // The token's user need not exist.
    assert_eq!(list("page_token=h&").await.json()["users"][0]["name"], "zoe");
    assert_eq!(
        list("page_size=0&page_token=x&").await.json(),
        json!({"total": 3, "next_page_token": "x", "users": []})
    );
    for (size, text) in [
        ("abc", "strconv.Atoi: parsing \"abc\": invalid syntax\n"),
        ("-1", "invalid page_size\n"),
    ] {
        world
            .get(&format!("/api/v1/users?page_size={size}&token={token}"))
            .await
            .is(500, text);
    }
}

#[tokio::test]
async fn ipchub_users_get() {
    let world = world().await;
    let token = world.token("admin").await;
    let get = async |path: &str| world.get(&format!("/api/v1/users{path}?token={token}")).await;
    for name in ["/guard", "/GUARD", "/gu%61rd"] {
        assert_eq!(
            get(name).await.json(),
            json!({"name": "guard", "admin": false, "push": "", "pull": "/gate/*"})
        );
    }
    for path in ["/none", "/", "/guard/", "/guard/a", "/a%2Fb", "/%ff"] {
        get(path).await.is(404, NOT_FOUND);
    }
}

#[tokio::test]
async fn ipchub_users_delete() {
    let world = world().await;
    let token = world.token("admin").await;
    let guard = world.token("guard").await;
    for _ in 0..2 {
        let reply = world
            .ask("DELETE", &format!("/api/v1/users/Guard?token={token}"))
            .await;
        reply.is(200, "");
        assert_eq!(reply.header("content-type"), "");
    }
    world
        .get(&format!("/api/v1/users/guard?token={token}"))
        .await
        .is(404, NOT_FOUND);
    for path in ["/api/v1/users/", "/api/v1/users/a/b", "/api/v1/users"] {
        world
            .ask("DELETE", &format!("{path}?token={token}"))
            .await
            .is(404, NOT_FOUND);
    }
    // The token opens what any token does, until it expires.
    assert_eq!(
        world.get(&format!("/api/v1/streams?token={guard}")).await.status,
        200
    );
    world
        .get(&format!("/api/v1/users?token={guard}"))
        .await
        .is(403, ADMIN_ONLY);
    assert!(!world.can_login("guard", PASSWORD).await);
    // Nobody is spared, not even the last administrator, who asks.
    world
        .ask("DELETE", &format!("/api/v1/users/admin?token={token}"))
        .await
        .is(200, "");
    world
        .get(&format!("/api/v1/users?token={token}"))
        .await
        .is(403, ADMIN_ONLY);
}

#[tokio::test]
async fn ipchub_users_save() {
    let world = world().await;
    let shown = async |name: &str| {
        let token = world.token("admin").await;
        world
            .get(&format!("/api/v1/users/{name}?token={token}"))
            .await
            .json()
    };
    // New, in another case; the password is taken though nobody says so.
    let zoe = json!({"name": "ZOE", "password": "secret zoe", "push": "/a;/b/*", "pull": "/c"});
    let reply = world.save("", &zoe).await;
    reply.is(200, "");
    assert_eq!(reply.header("content-type"), "");
    assert_eq!(
        shown("zoe").await,
        json!({"name": "zoe", "admin": false, "push": "/a;/b/*", "pull": "/c"})
    );
    assert!(world.can_login("Zoe", "secret zoe").await);
    // Rights are replaced as a whole, the password stays.
    for query in ["", "update_password=0&", "update_password=true&"] {
        let user = json!({"name": "zoe", "password": "other", "pull": "/d"});
        world.save(query, &user).await.is(200, "");
        assert_eq!(
            shown("zoe").await,
            json!({"name": "zoe", "admin": false, "push": "", "pull": "/d"})
        );
        assert!(world.can_login("zoe", "secret zoe").await && !world.can_login("zoe", "other").await);
    }
    let md5 = hex::encode(<md5::Md5 as md5::Digest>::digest("third secret"));
    let user = json!({"NAME": "zoe", "Password": md5, "admin": "true"});
    world.save("update_password=1&", &user).await.is(200, "");
    assert!(world.can_login("zoe", "third secret").await && !world.can_login("zoe", "secret zoe").await);
    assert_eq!(
        shown("zoe").await,
        json!({"name": "zoe", "admin": true, "push": "*", "pull": "*"}),
        "an administrator may push and pull all, unless somebody says otherwise"
    );
    let user = json!({"name": "zoe", "admin": true, "pull": "/only"});
    world.save("", &user).await.is(200, "");
    assert_eq!(shown("zoe").await["push"], "*");
    assert_eq!(shown("zoe").await["pull"], "/only");

    let token = world.token("admin").await;
    let uri = format!("/api/v1/users?token={token}");
    for (body, text) in [
        ("", "EOF\n"),
        ("{\"name\": \"a", "unexpected EOF\n"),
        ("{}", "user name required\n"),
        ("{\"name\": \"\", \"password\": \"p\"}", "user name required\n"),
        (
            "{\"name\": 7}",
            "json: cannot unmarshal number into field name of type string\n",
        ),
        (
            "{\"name\": \"a\", \"admin\": \"yes\"}",
            "json: cannot unmarshal string into field admin of type bool\n",
        ),
    ] {
        world.post(&uri, body).await.is(500, text);
    }
    assert_eq!(world.post(&uri, "no json").await.status, 500);
}

#[tokio::test]
async fn administrators_have_no_password_that_everybody_tries() {
    let world = world().await;
    let refused = "an administrator needs a password, and not one that everybody tries first\n";
    let user = |admin: bool, password: &str| json!({"name": "zoe", "admin": admin, "password": password});
    for password in [
        "admin",
        "ADMIN",
        "123456",
        "zoe",
        "",
        "21232f297a57a5a743894a0e4a801fc3",
    ] {
        world.save("", &user(true, password)).await.is(500, refused);
    }
    // Others may, and then can't be made administrators with it.
    world.save("", &user(false, "123456")).await.is(200, "");
    assert!(world.can_login("zoe", "123456").await);
    world.save("", &user(true, "")).await.is(500, refused);
    world
        .save("update_password=1&", &user(true, "123456"))
        .await
        .is(500, refused);
    world
        .save("update_password=1&", &user(true, "long and hard"))
        .await
        .is(200, "");
    assert!(world.can_login("zoe", "long and hard").await);
    // Without a password nobody gets in by any door.
    world.save("", &json!({"name": "nil"})).await.is(200, "");
    let secrets = world.store.user("nil").await.unwrap().unwrap().secrets;
    let empty = hex::encode(<md5::Md5 as md5::Digest>::digest("nil:ipchub:"));
    assert_ne!(secrets.ha1_given, empty);
}

/// Rights are those of the next request, also at another gateway.
#[tokio::test]
async fn rights_change_at_once() {
    let world = world().await;
    let token = world.token("guard").await;
    let other = Auth::new(
        world.store.clone(),
        Settings {
            anonymous_view: false,
            relay: RelaySecret::random(),
        },
    );
    let gate = StreamPath::parse("gate/a1").unwrap();
    let may = async |auth: &Auth| {
        let caller = auth.caller_by_token(Some(&token)).await;
        assert!(matches!(caller, Caller::Account(_)), "{caller:?}");
        auth.authorize(&caller, Action::Subscribe(&gate)).is_ok()
    };
    for n in 0..5 {
        for (pull, allowed) in [("/gate/*", true), ("/yard", false)] {
            world
                .save("", &json!({"name": "guard", "pull": pull}))
                .await
                .is(200, "");
            assert_eq!(
                (may(&world.auth).await, may(&other).await),
                (allowed, allowed),
                "{n} {pull}"
            );
        }
    }
    world
        .save("", &json!({"name": "guard", "admin": true}))
        .await
        .is(200, "");
    assert_eq!(
        world.get(&format!("/api/v1/users?token={token}")).await.status,
        200
    );
    world.store.delete_user("guard").await.unwrap();
    assert!(matches!(
        other.caller_by_token(Some(&token)).await,
        Caller::Deleted
    ));
}

/// Neither the reply nor the file has a password in it.
#[tokio::test]
async fn passwords_are_kept_nowhere() {
    let world = world().await;
    let user = json!({"name": "zoe", "password": "canary-zoe-4Tq"});
    world.save("", &user).await.is(200, "");
    world.store.close().await;
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(7).any(|window| window == b"canary-");
            assert!(!found, "{}", path.display());
        }
    }
}
