//! What shall run here, who says so, and telling how it stands.
//!
//! ```text
//! cluster's watch or folder -> World (stores) -> supervisor -> jobs (ingest)      node, standalone
//!                                             -> edge -> relay jobs               gateway
//! job state -> status -> report -> ResourceWriter -> status of Camera and Route
//! ```
//!
//! `resource` is the only place where a cluster and a folder differ. Protocols are unknown here:
//! jobs are started through [`crate::ingest::Launch`].

mod at_risk;
pub mod directory;
pub mod edge;
pub mod folder;
mod job_of;
pub mod kubernetes;
pub mod owner;
mod peers;
mod recorded;
pub mod recording;
mod report;
pub mod resource;
pub mod route_match;
mod status;
pub mod supervisor;
mod work;

#[cfg(test)]
mod fixtures;

pub use peers::{Identity, Peer, Peers};
