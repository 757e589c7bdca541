//! What outlives the process: account data and the index of recordings in SQL, recordings in the object store, and on
//! the disk until they are there.
//!
//! No rule about who may do what (that is `auth`), and no protocol.

pub mod object;
pub mod spool;
pub mod sql;
