//! WSP 1.1: RTSP for players in web pages, over two sockets of one URL (ipchub contract, 7.1).
//! Both are WebSocket connections.
//!
//! - [`message`]: what one WebSocket message holds, into a request, and replies into bytes.
//! - [`control`]: the state machine of the first socket. RTSP requests come wrapped; the session
//!   that answers them is [`crate::rtsp::Session`] with [`crate::rtsp::server::Carrier::Wsp`].
//! - [`data`]: how the second socket joins the first. After that each binary message there is one
//!   interleaved packet.
//! - [`channel`]: the number by which it does.
//!
//! ```text
//! player                        server        player                 server
//!   | -- GET_INFO ----------------> |            |                       |
//!   | -- INIT --------------------> |            |                       |
//!   | <-------- 200, channel: 42 -- |            |                       |
//!   |           control             | - - - - -  | -- JOIN channel: 42 -> |
//!   |                               |            | <-------------- 200 -- |
//!   | -- WRAP DESCRIBE -----------> |            |         data          |
//!   | <- 200 (RTSP/1.0 200, SDP) -- |            |                       |
//!   | -- WRAP SETUP, PLAY --------> |            |                       |
//!   | <------ 200 (RTSP/1.0 200) -- |            | <- $ channel packet - |
//! ```
//!
//! A message that breaks the rules ends its socket, without a word. Sockets, rights, streams and
//! the 90 s after which a silent control socket is given up are the driver's.

pub mod channel;
pub mod control;
pub mod data;
pub mod message;

pub use channel::ChannelId;
pub use control::{Control, Event};
pub use data::Join;
pub use message::{Command, Error, Request};

#[cfg(test)]
mod tests;
