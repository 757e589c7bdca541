//! The streams of the whole pool, put together from what each pod says of its own.
//!
//! | file | holds |
//! |---|---|
//! | `door` | what a pod answers the others: `/pool/v1/` |
//! | `directory` | asking all pods, and making one of their answers |

mod directory;
mod door;

pub use directory::{LocalStreams, Pods, Pool};
pub(super) use door::router;
