//! This API's description in `OpenAPI`, `/api/openapi.json`, which has the cloud recorder's in it as well. What the endpoints take and give stands
//! beside the functions that answer them; here is what they share.

// What the macros make of these functions and types is public.
#![allow(unreachable_pub)]

use super::super::recorder;
use super::{login, routes, runtime, server, streams, users, wire};
use axum::response::Response;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, PathItem, ResponseBuilder, Type};
use utoipa::{Modify, OpenApi, ToSchema};

pub(super) fn tell() -> Response {
    wire::json(&Document::openapi().merge_from(recorder::description()))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ipchub API",
        description = "The documented HTTP API of ipchub. Replies are JSON, though they call themselves text. \
                       Paths of streams and patterns of routes keep their slashes.",
    ),
    paths(
        login::login,
        login::refresh,
        server::tell,
        runtime::tell,
        users::list,
        users::one,
        users::delete,
        users::save,
        routes::list,
        routes::one,
        routes::delete,
        routes::save,
        streams::list,
        streams::one,
        streams::delete,
        streams::stop_consumer,
        crossdomain,
        preflight,
    ),
    modifiers(&Shared)
)]
struct Document;

/// What is so for all endpoints.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = ApiKey::Query(ApiKeyValue::with_description(
            "token",
            "The access token of a login; `admin` wants that of an administrator.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::ApiKey(token));
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                describe_refusals(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete]
        .into_iter()
        .flatten()
}

/// Statuses that mean the same everywhere.
fn describe_refusals(operation: &mut Operation) {
    let is_login = matches!(
        operation.operation_id.as_deref(),
        Some("ipchub.login" | "ipchub.refreshtoken")
    );
    let mut describe = |status: &str, description: &str| {
        let text = ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
            .build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("text/plain", text)
            .build();
        let responses = &mut operation.responses.responses;
        responses.entry(status.into()).or_insert_with(|| response.into());
    };
    let scopes = operation.security.as_ref().map(serde_json::to_value);
    if let Some(Ok(scopes)) = scopes {
        describe("401", "No token, or one that opens nothing");
        if scopes[0]["token"][0] == "admin" {
            describe("403", "For administrators only");
        }
    }
    if operation.request_body.is_some() {
        describe("413", "The body is longer than any that is meant");
    }
    let tag = operation
        .tags
        .as_ref()
        .and_then(|tags| tags.first())
        .map(String::as_str);
    // Operations whose input can be wrong say so themselves, and begin with these words: "Wrong input".
    if matches!(tag, Some("users" | "routes")) || is_login {
        describe("500", "A failure of the store");
    }
    if tag != Some("browsers") {
        describe(
            "503",
            "Overloaded, or the store of accounts is away: try again after `Retry-After`",
        );
    }
}

/// Login, as it is sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand, because keys come in any case")]
pub(super) struct Login {
    username: String,
    /// Plain, or its MD5 as 32 hexadecimal digits.
    #[schema(format = Password)]
    password: String,
}

/// User, as it is saved. What is left out is empty or false.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand, because keys come in any case")]
pub(super) struct SavedUser {
    name: String,
    /// Taken for a new user, and else as `update_password` says.
    #[schema(format = Password)]
    password: Option<String>,
    admin: Option<bool>,
    /// Path masks joined by `;`.
    push: Option<String>,
    pull: Option<String>,
}

/// Route, as it is saved.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand, because keys come in any case")]
pub(super) struct SavedRoute {
    /// A stream's path, or a folder that ends with `/`; all paths if it is missing.
    pattern: Option<String>,
    /// With credentials, if the source wants some.
    url: String,
    keepalive: Option<bool>,
}

#[utoipa::path(
    get,
    path = "/api/{path}/crossdomain.xml",
    operation_id = "ipchub.crossdomain.api",
    tag = "browsers",
    summary = "Lets pages of other origins in, for Flash",
    params(("path" = String, Path, description = "Any")),
    responses((status = 200, description = "The policy", body = String, content_type = "application/xml"))
)]
#[expect(dead_code, reason = "answered before routes are looked at")]
fn crossdomain() {}

#[utoipa::path(
    options,
    path = "/api/{path}",
    operation_id = "ipchub.preflight",
    tag = "browsers",
    summary = "Lets pages of other origins in",
    params(("path" = String, Path, description = "Any")),
    responses((status = 204, description = "In headers: what may be sent"))
)]
#[expect(dead_code, reason = "answered before routes are looked at")]
fn preflight() {}

#[cfg(test)]
mod tests {
    use super::Document;
    use serde_json::Value;
    use std::collections::BTreeSet;
    use utoipa::OpenApi;

    /// The endpoints that the contract counts.
    const CONTRACT: &str = include_str!("../../../../docs/ref/contracts/ipchub.tsv");

    /// Id, method, path, and names in the query.
    type Endpoint = (String, String, String, BTreeSet<String>);

    fn of_the_contract() -> BTreeSet<Endpoint> {
        let rows = CONTRACT
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect::<Vec<_>>());
        rows.filter(|row| row[2].starts_with("/api/"))
            .map(|row| {
                let (path, query) = row[2].split_once('?').unwrap_or((row[2], ""));
                // `/api/{**} and /streams/{**}`: the other half is not this API's.
                let (path, query) = match path.split_once(' ') {
                    Some((path, _)) => (path, ""),
                    // `{path=**}:consumer?cid={cid}`
                    None => (path, query),
                };
                let path = path.replace("=**}", "}").replace("{**}", "{path}");
                let names = query.split('&').filter(|pair| !pair.is_empty());
                let names = names.map(|pair| pair.split('=').next().unwrap().to_owned());
                (row[0].to_owned(), row[1].to_owned(), path, names.collect())
            })
            .collect()
    }

    fn of_the_document(document: &Value) -> BTreeSet<Endpoint> {
        let mut endpoints = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array();
                let query = parameters.into_iter().flatten().filter(|p| p["in"] == "query");
                endpoints.insert((
                    operation["operationId"].as_str().unwrap().to_owned(),
                    method.to_uppercase(),
                    path.clone(),
                    query.map(|p| p["name"].as_str().unwrap().to_owned()).collect(),
                ));
            }
        }
        endpoints
    }

    #[test]
    fn every_endpoint_of_the_contract_is_described_and_no_other() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let contract = of_the_contract();
        assert_eq!(contract.len(), 18, "{contract:?}");
        assert_eq!(of_the_document(&document), contract);
    }

    #[test]
    fn what_wants_a_token_says_so() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        assert_eq!(document["components"]["securitySchemes"]["token"]["in"], "query");
        let auth = CONTRACT
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let auth = |id: &str| auth.clone().find(|row| row[0] == id).unwrap()[3].to_owned();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                let expected = match auth(id).as_str() {
                    "admin" => serde_json::json!([{"token": ["admin"]}]),
                    "token" => serde_json::json!([{"token": []}]),
                    _ => Value::Null,
                };
                assert_eq!(operation["security"], expected, "{id}");
                let refused = operation["responses"].get("401").is_some();
                assert!(refused || expected.is_null(), "{id}");
            }
        }
    }
}
