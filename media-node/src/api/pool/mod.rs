//! The streams of the whole pool, put together from what each pod says of its own.
//!
//! | file | holds |
//! |---|---|
//! | `index` | what nodes say of what they have stored |
//! | `door` | what a pod answers the others: `/pool/v1/` |
//! | `directory` | asking all pods, and making one of their answers |

mod directory;
mod door;
mod index;

pub use directory::{LocalStreams, Pods, Pool};
pub(super) use door::router;
pub(crate) use index::INDEX;
pub(super) use index::router as index_router;
