//! The operator: it gives every camera a node, and keeps the pods of every pool.
//!
//! ```text
//! watches -> snapshot -> plan (pure) -> controllers -> apply, status, events
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `runtime` | the process: client, watches, leader lease, when a namespace is due, shutdown |
//! | `snapshot` | a namespace as plain values |
//! | `plan` | what is to be done, as a pure function of a snapshot |
//! | `resources` | pure builders of the objects of a pool |
//! | `controllers` | one kind each: carry the plan out, say how it went |
//! | `apply` `status` `events` | the ways to the API server |

pub mod apply;
pub mod args;
pub mod controllers;
pub mod error;
pub mod events;
#[cfg(test)]
mod fixtures;
pub mod metrics;
pub mod plan;
pub mod resources;
pub mod runtime;
pub mod snapshot;
pub mod status;
