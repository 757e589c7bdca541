//! Where lines of the contract are checked, and what the checks have in common.

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, header::HeaderMap};
use serde_json::Value;

use crate::{
    camera::{Auth, Camera, Make, PASSWORD, USER},
    eventually,
    wait::secs,
};

/// A place: two entries to one system.
pub struct Place {
    /// `host:port` of HTTP, where things are done.
    pub first: String,
    /// Where they show.
    pub second: String,
    /// A camera that can be dialled from there; it wants a digest.
    pub camera: Camera,
    /// What lets clients in.
    pub unionid: String,
    /// Their token.
    pub token: String,
    client: Client,
}

/// How the parameters of a call are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `?name=value`
    Query,
    /// `/name/value`
    Path,
}

/// Both ways.
pub const FORMS: [Form; 2] = [Form::Query, Form::Path];

/// Names and values.
pub type Parameters<'a> = &'a [(&'a str, &'a str)];

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Reply {
    /// A header's value; empty without one.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// The path of a call, with its query if it has one.
pub fn address(interface: &str, parameters: Parameters<'_>, form: Form) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut path = format!("/api/v1/{interface}");
    for (at, (name, value)) in parameters.iter().enumerate() {
        let (before, between) = match (form, at) {
            (Form::Path, _) => ("/", "/"),
            (Form::Query, 0) => ("?", "="),
            (Form::Query, _) => ("&", "="),
        };
        path = format!("{path}{before}{name}{between}{}", encoded(value));
    }
    path
}

impl Place {
    /// A place with these entries. `machine` is this machine's address as seen from there.
    ///
    /// # Errors
    /// When the camera does not start, or the credential lets nobody in.
    pub async fn new(first: &str, second: &str, machine: &str, unionid: &str) -> Result<Self> {
        let mut place = Self {
            first: first.to_owned(),
            second: second.to_owned(),
            camera: Camera::start_at(Make::Go, Auth::Digest, machine, 0).await?,
            unionid: unionid.to_owned(),
            token: String::new(),
            client: Client::builder().no_proxy().timeout(secs(40)).build()?,
        };
        let told = place
            .call(&place.first, "access_token", &[("unionid", unionid)], Form::Query)
            .await?;
        let token = told["token"].as_str().with_context(|| told.to_string())?;
        token.clone_into(&mut place.token);
        Ok(place)
    }

    /// Both entries.
    pub fn entries(&self) -> [&str; 2] {
        [&self.first, &self.second]
    }

    /// Asks for a path as it is given.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn http(&self, entry: &str, method: Method, path: &str, body: &str) -> Result<Reply> {
        self.with_headers(entry, method, path, body, &[]).await
    }

    /// The same with headers.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn with_headers(
        &self,
        entry: &str,
        method: Method,
        path: &str,
        body: &str,
        headers: Parameters<'_>,
    ) -> Result<Reply> {
        let url = format!("http://{entry}{path}");
        let mut request = self.client.request(method, &url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.with_context(|| url.clone())?;
        Ok(Reply {
            status: reply.status().as_u16(),
            headers: reply.headers().clone(),
            text: reply.text().await.with_context(|| url)?,
        })
    }

    /// Calls an interface without a token.
    ///
    /// # Errors
    /// When the answer is no JSON with status 200.
    pub async fn call(
        &self,
        entry: &str,
        interface: &str,
        parameters: Parameters<'_>,
        form: Form,
    ) -> Result<Value> {
        let path = address(interface, parameters, form);
        let reply = self.http(entry, Method::GET, &path, "").await?;
        ensure!(reply.status == 200, "{path}: {reply:?}");
        ensure!(
            reply.header("content-type") == "application/json; charset=utf-8"
                && reply.header("cache-control") == "no-store",
            "{path}: {reply:?}"
        );
        serde_json::from_str(&reply.text).with_context(|| format!("{path}: {}", reply.text))
    }

    /// Calls an interface with a token.
    ///
    /// # Errors
    /// As `call`.
    pub async fn ask(
        &self,
        entry: &str,
        interface: &str,
        parameters: Parameters<'_>,
        form: Form,
    ) -> Result<Value> {
        let mut all = vec![("token", self.token.as_str())];
        all.extend(parameters);
        self.call(entry, interface, &all, form).await
    }

    /// Has something done at the first entry.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn done(&self, interface: &str, parameters: Parameters<'_>, form: Form) -> Result<Value> {
        let told = self.ask(&self.first, interface, parameters, form).await?;
        ensure!(
            told["err_code"] == 0 && told["err_msg"] == "OK",
            "{interface} {parameters:?}: {told}"
        );
        Ok(told)
    }

    /// Has something made at the first entry, and gives its number.
    ///
    /// # Errors
    /// When it is refused, or has no number.
    pub async fn made(
        &self,
        interface: &str,
        parameters: Parameters<'_>,
        form: Form,
        id: &str,
    ) -> Result<String> {
        let told = self.done(interface, parameters, form).await?;
        let id = told[id].as_i64().with_context(|| told.to_string())?;
        Ok(id.to_string())
    }

    /// Asserts that a call is refused by this code, in both forms and at both entries.
    ///
    /// # Errors
    /// What it is answered instead.
    pub async fn refuses(&self, interface: &str, parameters: Parameters<'_>, code: u64) -> Result<Value> {
        let mut last = Value::Null;
        for entry in self.entries() {
            for form in FORMS {
                let told = self.ask(entry, interface, parameters, form).await?;
                ensure!(
                    told["err_code"] == code,
                    "not {code}: {interface} {parameters:?} {form:?}: {told}"
                );
                let fields = told.as_object().context("an object")?;
                ensure!(fields.len() == 2, "an error has two fields: {told}");
                last = told;
            }
        }
        Ok(last)
    }

    /// Asserts what a call says of tokens, before anything else.
    ///
    /// # Errors
    /// Who is let in.
    pub async fn needs_token(&self, interface: &str) -> Result<()> {
        let mut forged = self.token.clone();
        let last = if forged.ends_with('A') { "B" } else { "A" };
        forged.replace_range(forged.len() - 5..forged.len() - 4, last);
        let wrong = [
            (None, 1004),
            (Some(""), 1006),
            (Some("x"), 1006),
            (Some(&*forged), 1006),
        ];
        for entry in self.entries() {
            for (token, code) in wrong {
                if token.is_some_and(|token| token == self.token) {
                    continue;
                }
                let parameters: Vec<_> = token.into_iter().map(|token| ("token", token)).collect();
                let told = self.call(entry, interface, &parameters, Form::Query).await?;
                ensure!(
                    told["err_code"] == code,
                    "not {code}: {interface} {parameters:?}: {told}"
                );
            }
            // In a path, what is empty is not there.
            let told = self.call(entry, interface, &[("token", "")], Form::Path).await?;
            ensure!(told["err_code"] == 1004, "{told}");
        }
        Ok(())
    }

    /// A page of a list, the same in both forms and at both entries. Numbers of pages are texts or not, as `texts` says.
    ///
    /// # Errors
    /// When they are not.
    pub async fn list(&self, interface: &str, parameters: Parameters<'_>, texts: bool) -> Result<Value> {
        let mut all = vec![("per", "1000")];
        all.extend(parameters);
        let told = self.ask(&self.first, interface, &all, Form::Query).await?;
        ensure!(told["err_code"] == 0, "{interface}: {told}");
        let number = |value: &Value, wanted: &str| {
            if texts {
                *value == *wanted
            } else {
                is(value, wanted)
            }
        };
        ensure!(
            number(&told["cur_page"], "1") && number(&told["per_page"], "1000"),
            "{interface}: {told}"
        );
        let total = told["total_num"].as_u64().with_context(|| told.to_string())?;
        let rows = told["data"].as_array().with_context(|| told.to_string())?;
        ensure!(
            rows.len() as u64 == total.min(1000) && told["max_page"] == total.div_ceil(1000),
            "{interface}: {told}"
        );
        // Past the end there is nothing, and what makes no sense is the default.
        let past = self
            .ask(
                &self.second,
                interface,
                &[parameters, &[("cur", "999"), ("per", "0")]].concat(),
                Form::Path,
            )
            .await?;
        ensure!(
            past["data"].as_array().is_some_and(Vec::is_empty)
                && number(&past["cur_page"], "999")
                && number(&past["per_page"], "10"),
            "{interface}: {past}"
        );
        let mut mixed = vec![("token", self.token.as_str()), ("per", "2"), ("cur", "-1")];
        mixed.extend(parameters);
        let path = format!("{}?per=1", address(interface, &mixed, Form::Path));
        let mixed = self.http(&self.second, Method::GET, &path, "").await?;
        let mixed: Value = serde_json::from_str(&mixed.text)?;
        ensure!(
            number(&mixed["per_page"], "1") && number(&mixed["cur_page"], "1"),
            "{interface}: {mixed}"
        );
        Ok(told)
    }

    /// The row of a list, at either entry, whose `id` is this.
    ///
    /// # Errors
    /// When it is not listed at one of them.
    pub async fn row(
        &self,
        interface: &str,
        parameters: Parameters<'_>,
        id: &str,
        wanted: &str,
    ) -> Result<Value> {
        let mut row = Value::Null;
        for entry in self.entries() {
            let found = self.find(entry, interface, parameters, id, wanted).await?;
            row = found.with_context(|| format!("{interface} at {entry} has no {id} {wanted}"))?;
        }
        Ok(row)
    }

    /// Asserts that it is listed at neither entry.
    ///
    /// # Errors
    /// When it is.
    pub async fn absent(
        &self,
        interface: &str,
        parameters: Parameters<'_>,
        id: &str,
        gone: &str,
    ) -> Result<()> {
        for entry in self.entries() {
            if let Some(row) = self.find(entry, interface, parameters, id, gone).await? {
                bail!("{interface} at {entry} has it still: {row}");
            }
        }
        Ok(())
    }

    async fn find(
        &self,
        entry: &str,
        interface: &str,
        parameters: Parameters<'_>,
        id: &str,
        wanted: &str,
    ) -> Result<Option<Value>> {
        let all = [parameters, &[("per", "1000")]].concat();
        let told = self.ask(entry, interface, &all, Form::Query).await?;
        let rows = told["data"].as_array().with_context(|| told.to_string())?;
        let is_it = |row: &&Value| match &row[id] {
            Value::String(text) => text == wanted,
            other => is(other, wanted),
        };
        Ok(rows.iter().find(is_it).cloned())
    }

    /// The number of a gather that is online.
    ///
    /// # Errors
    /// When there is none.
    pub async fn gather(&self) -> Result<String> {
        eventually(secs(30), "a gather to be online", async || {
            let told = self.ask(&self.first, "list_gather", &[], Form::Query).await?;
            let rows = told["data"].as_array().with_context(|| told.to_string())?;
            let online = rows.iter().find(|row| row["status"] == 1);
            let row = online.with_context(|| told.to_string())?;
            Ok(row["gather_id"].to_string())
        })
        .await
    }

    /// The camera's URL with credentials.
    pub fn upstream(&self) -> String {
        self.camera
            .url("h264")
            .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"))
    }

    /// A channel that relays the camera, and its number.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn channel(&self, name: &str) -> Result<String> {
        let (gather, url) = (self.gather().await?, self.upstream());
        let parameters = [
            ("camera_name", name),
            ("gather_id", &gather),
            ("grade_id", "2"),
            ("stream_prop", "2"),
            ("stream_url", &url),
        ];
        self.made("add_camera", &parameters, Form::Path, "camera_id")
            .await
    }

    /// Waits until a channel has that status at both entries.
    ///
    /// # Errors
    /// When it has not.
    pub async fn until_status(&self, camera_id: &str, status: i64) -> Result<()> {
        for entry in self.entries() {
            eventually(
                secs(30),
                &format!("channel {camera_id} to be {status}"),
                async || {
                    let parameters = [("camera_id", camera_id)];
                    let told = self
                        .ask(entry, "get_camera_status", &parameters, Form::Query)
                        .await?;
                    ensure!(told["err_code"] == 0 && told["status"] == status, "{told}");
                    Ok(())
                },
            )
            .await?;
        }
        Ok(())
    }
}

/// Whether a value is this number.
pub fn is(value: &Value, number: &str) -> bool {
    value.as_i64().is_some_and(|value| number.parse() == Ok(value))
}

/// Asserts that a row has these fields and values.
///
/// # Errors
/// What differs.
pub fn has(row: &Value, fields: &Value) -> Result<()> {
    for (name, wanted) in fields.as_object().context("fields")? {
        ensure!(row[name] == *wanted, "{name} is not {wanted}: {row}");
    }
    Ok(())
}

/// Asserts that a command reached its gather; `told` has the field `transmit`.
///
/// # Errors
/// What it says.
pub fn reached(told: &Value, command: u64) -> Result<()> {
    let text = told["transmit"].as_str().with_context(|| told.to_string())?;
    let inner: Value = serde_json::from_str(text)?;
    has(
        &inner,
        &serde_json::json!({"err_code": 0, "err_cmd": command, "err_msg": "ok"}),
    )
}
