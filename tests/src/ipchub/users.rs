//! Section 3: users.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Place,
    place::{Entry, Reply, USERS_PASSWORD},
};

const KEYS: [&str; 4] = ["name", "admin", "push", "pull"];

/// Asserts what a user is at both entries.
async fn user_is(place: &Place, name: &str, user: Value) -> Result<()> {
    for entry in place.entries() {
        let reply = place
            .admin(entry, Method::GET, &format!("users/{name}"), "")
            .await?;
        let found = reply.json(&KEYS)?;
        ensure!(found == user, "{found}, not {user}");
    }
    Ok(())
}

/// What a login is answered.
async fn login(place: &Place, entry: &Entry, name: &str, password: &str) -> Result<Reply> {
    let body = json!({"username": name, "password": password}).to_string();
    place.call(entry, Method::POST, "/api/v1/login", &body).await
}

/// Pages in the order of names; `total` is of all; the token of an empty page is the one that was given.
pub async fn ipchub_users_list(place: &Place) -> Result<()> {
    let list = async |query: &str| -> Result<Value> {
        let reply = place
            .admin(&place.second, Method::GET, &format!("users{query}"), "")
            .await?;
        reply.json(&["total", "next_page_token", "users"])
    };
    place.guard().await?;
    let before = list("").await?["total"].as_u64().unwrap_or_default();
    ensure!(before >= 2, "admin and a guard at least");
    for name in ["Lister-B", "lister-c", "lister-a"] {
        place
            .save(
                "users",
                json!({"name": name, "password": "x", "pull": "/a/*; /b"}),
            )
            .await?;
    }
    let mut after = "lister-".to_owned();
    for name in ["lister-a", "lister-b", "lister-c"] {
        let page = list(&format!("?page_size=1&page_token={after}")).await?;
        let user = json!({"name": name, "admin": false, "push": "", "pull": "/a/*; /b"});
        ensure!(
            page == json!({"total": before + 3, "next_page_token": name, "users": [user]}),
            "{page}"
        );
        after = name.to_owned();
    }
    // The item of a token need not be there any more.
    place.delete("users/lister-b").await?;
    let page = list("?page_size=1&page_token=lister-b").await?;
    ensure!(
        page["users"][0]["name"] == "lister-c" && page["total"] == before + 2,
        "{page}"
    );
    for (query, token) in [
        ("?page_token=~~", "~~"),
        ("?page_size=0&page_token=x", "x"),
        ("?page_size=0", ""),
    ] {
        let page = list(query).await?;
        ensure!(
            page == json!({"total": before + 2, "next_page_token": token, "users": []}),
            "{page}"
        );
    }
    for query in ["", "?page_size=", "?page_size=99999999"] {
        let all = list(query).await?;
        let names: Vec<_> = all["users"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|u| u["name"].as_str())
            .collect();
        ensure!(
            names.is_sorted() && names.contains(&"admin") && names.contains(&"lister-a"),
            "{all}"
        );
        ensure!(!all.to_string().contains("password"), "{all}");
    }
    refuses_sizes(place, "users").await?;
    for name in ["lister-a", "lister-c"] {
        place.delete(&format!("users/{name}")).await?;
    }
    place.needs_admin(Method::GET, "users", "").await
}

/// Sizes of pages that are none.
pub(super) async fn refuses_sizes(place: &Place, list: &str) -> Result<()> {
    for (size, text) in [
        ("abc", r#"strconv.Atoi: parsing "abc": invalid syntax"#),
        ("1.5", r#"strconv.Atoi: parsing "1.5": invalid syntax"#),
        ("-1", "invalid page_size"),
    ] {
        let sized = format!("{list}?page_size={size}");
        let reply = place.admin(&place.second, Method::GET, &sized, "").await?;
        reply.is(500, text)?;
    }
    Ok(())
}

/// A user in any case of the name, without the password.
pub async fn ipchub_users_get(place: &Place) -> Result<()> {
    place
        .save(
            "users",
            json!({"name": "Getter", "password": "canary-getter-1aB", "push": "/x"}),
        )
        .await?;
    for name in ["getter", "GETTER", "%67etter"] {
        user_is(
            place,
            name,
            json!({"name": "getter", "admin": false, "push": "/x", "pull": ""}),
        )
        .await?;
    }
    for entry in place.entries() {
        for unknown in ["users/absent", "users/", "users/getter/x"] {
            place
                .admin(entry, Method::GET, unknown, "")
                .await?
                .is(404, "404 page not found")?;
        }
    }
    place.needs_admin(Method::GET, "users/getter", "").await?;
    // Who may not ask is not told who there is.
    place.needs_admin(Method::GET, "users/absent", "").await?;
    place.delete("users/getter").await
}

/// Gone everywhere at once. A token of the user's is still one, and opens nothing that wants a right.
pub async fn ipchub_users_delete(place: &Place) -> Result<()> {
    let tokens = place.user("leaver", "*", "*").await?;
    for entry in place.entries() {
        login(place, entry, "leaver", USERS_PASSWORD).await?.json(&[])?;
    }
    place.needs_admin(Method::DELETE, "users/leaver", "").await?;
    user_is(
        place,
        "leaver",
        json!({"name": "leaver", "admin": false, "push": "*", "pull": "*"}),
    )
    .await?;
    place.delete("users/Leaver").await?;
    for entry in place.entries() {
        place
            .admin(entry, Method::GET, "users/leaver", "")
            .await?
            .is(404, "404 page not found")?;
        login(place, entry, "leaver", USERS_PASSWORD)
            .await?
            .is(403, "用户名或密码错误")?;
        let with_token =
            async |path: &str| place.get(entry, &format!("{path}?token={}", tokens.access)).await;
        with_token("/api/v1/streams").await?.json(&["total"])?;
        with_token("/api/v1/users")
            .await?
            .is(403, "访问被拒绝，请用管理员登录")?;
        with_token("/streams/absent.flv").await?.is(403, "Forbidden")?;
    }
    place.delete("users/leaver").await?;
    place.delete("users/never-was").await
}

/// Creates, or replaces all but the password, which `update_password=1` replaces; rights hold everywhere at once.
pub async fn ipchub_users_save(place: &Place) -> Result<()> {
    let saved =
        json!({"name": "Saver", "password": "canary-one-7Yt", "push": "/in/*", "pull": "/out", "more": 1});
    place.save("users", saved).await?;
    user_is(
        place,
        "saver",
        json!({"name": "saver", "admin": false, "push": "/in/*", "pull": "/out"}),
    )
    .await?;
    let token = place.login("saver", "canary-one-7Yt").await?.access;
    let may = async |entry: &Entry, path: &str| -> Result<bool> {
        // Rights are looked at before streams, of which there is none of that name.
        let reply = place
            .get(entry, &format!("/streams{path}.flv?token={token}"))
            .await?;
        ensure!([403, 404].contains(&reply.status), "{reply:?}");
        Ok(reply.status == 404)
    };
    for (n, pull) in ["/other", "/out", "", "/o+;/*", "/yard"].into_iter().enumerate() {
        // Not saying anything of the password keeps it, and so does saying it without the parameter.
        let user = if n % 2 == 0 {
            json!({"name": "saver", "pull": pull})
        } else {
            json!({"name": "SAVER", "password": "canary-not-8Uu", "PULL": pull})
        };
        place.save("users", user).await?;
        user_is(
            place,
            "saver",
            json!({"name": "saver", "admin": false, "push": "", "pull": pull}),
        )
        .await?;
        for entry in place.entries() {
            let found = may(entry, "/out").await?;
            ensure!(found == ["/out", "/o+;/*"].contains(&pull), "{pull}: {found}");
        }
    }
    for entry in place.entries() {
        login(place, entry, "saver", "canary-one-7Yt").await?.json(&[])?;
    }
    let user = json!({"name": "saver", "password": "canary-two-5Pq"});
    place.save("users?update_password=0", user.clone()).await?;
    login(place, &place.second, "saver", "canary-two-5Pq")
        .await?
        .is(403, "用户名或密码错误")?;
    place.save("users?update_password=1", user).await?;
    for entry in place.entries() {
        login(place, entry, "saver", "canary-two-5Pq").await?.json(&[])?;
        login(place, entry, "saver", "canary-one-7Yt")
            .await?
            .is(403, "用户名或密码错误")?;
        // Earlier tokens stay.
        let streams = place
            .get(entry, &format!("/api/v1/streams?token={token}"))
            .await?;
        streams.json(&["total"])?;
    }
    // Administrators may do what they are not told of. The documents call `admin` a string.
    for (admin, push) in [(json!(true), ""), (json!("true"), "/only")] {
        place
            .save("users", json!({"name": "saver", "admin": admin, "push": push}))
            .await?;
        let push = if push.is_empty() { "*" } else { push };
        user_is(
            place,
            "saver",
            json!({"name": "saver", "admin": true, "push": push, "pull": "*"}),
        )
        .await?;
        for entry in place.entries() {
            place
                .get(entry, &format!("/api/v1/users?token={token}"))
                .await?
                .json(&["total"])?;
        }
    }
    place
        .save("users", json!({"name": "saver", "admin": "false"}))
        .await?;
    for entry in place.entries() {
        let users = place.get(entry, &format!("/api/v1/users?token={token}")).await?;
        users.is(403, "访问被拒绝，请用管理员登录")?;
        let save = async |body: &str| place.admin(entry, Method::POST, "users", body).await;
        save("").await?.is(500, "EOF")?;
        save(r#"{"name":"cut"#).await?.is(500, "unexpected EOF")?;
        for wrong in [
            "name=x",
            "[]",
            r#"{"name":7}"#,
            r#"{"name":"x","admin":"perhaps"}"#,
        ] {
            save(wrong).await?.is_error(500)?;
        }
        save("{}").await?.is(500, "user name required")?;
    }
    place
        .needs_admin(Method::POST, "users", r#"{"name":"intruder","admin":true}"#)
        .await?;
    place
        .admin(&place.second, Method::GET, "users/intruder", "")
        .await?
        .is(404, "404 page not found")?;
    place.delete("users/saver").await
}
