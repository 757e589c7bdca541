//! What outlives the process: account data in SQL.
//!
//! No rule about who may do what (that is `auth`), and no protocol.

pub mod sql;
