//! RTSP 1.0 (RFC 2326): the server's side, and that of a client who publishes.
//!
//! - [`message`]: bytes into requests, responses and interleaved packets, and responses into bytes.
//! - [`transport`]: the `Transport` header.
//! - [`auth`]: credentials and challenges (RFC 2617). Who may do what is decided elsewhere.
//! - [`url`]: stream paths and tokens out of RTSP URLs.
//! - [`server`], [`client`]: the state machine of one session, from either end.
//! - [`introduction`]: between a client and a server that know the server by different URLs.
//!
//! Session descriptions are in [`crate::sdp`], the packets themselves in [`crate::rtp`].

pub mod auth;
pub mod client;
pub mod introduction;
pub mod message;
pub mod server;
pub mod status;
pub mod transport;
pub mod url;

pub use message::{Error, Headers, Interleaved, Message, Parser, Request, Response};
pub use server::{Event, Session};
pub use status::Status;
