//! Media in. Each file turns one protocol into access units for the hub.
//!
//! We dial: `rtsp_pull`, `file`, `relay` (another pod); they dial: `rtsp_publish`. Placement,
//! demand and when to start or stop are the supervisor's; how to reconnect is `retry`'s.

mod job;

pub use job::{Credentials, Job, Launch, Reason, Reporter, Source, State, Transport};
