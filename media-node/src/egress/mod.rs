//! Media out. `form` packages a stream once for all viewers of a form; the other files are the
//! protocols by which viewers ask for one, or by which we push it to other servers ([`forward`]).

mod direct_body;
pub mod form;
pub mod forward;
mod gate;
pub mod hls;
pub mod http;
mod http_live;
mod live;
pub mod multicast;
pub mod relay;
pub mod relay_push;
pub mod rtmp;
mod rtmp_push;
pub mod rtsp;
mod rtsp_push;
mod viewing;
pub mod web_socket;
mod ws_live;
pub mod wsp;

pub use gate::Gate;
pub use viewing::{Counted, Refusal, Viewing, viewer_span};
