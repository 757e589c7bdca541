//! The media node: ingests, relays and serves streams. One binary, three roles.

pub mod api;
pub mod args;
pub mod auth;
pub mod cluster;
pub mod dial;
pub mod egress;
pub mod hub;
pub mod ingest;
pub mod listen;
pub mod peer;
pub mod record;
pub mod role;
pub mod socket;
pub mod store;
pub mod telemetry;
pub mod udp;
pub mod worker;
