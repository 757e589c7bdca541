//! The media node: ingests, relays and serves streams. One binary, three roles.

pub mod api;
pub mod auth;
pub mod cluster;
pub mod hub;
pub mod ingest;
pub mod store;
