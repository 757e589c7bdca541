//! Roles: what a process is made of. A role builds the parts, owns their tasks, and drains them on
//! shutdown; it has no logic of its own.

mod catalogue;
mod demo;
mod directory;
mod footage;
pub mod gateway;
pub mod index;
mod limits;
pub mod node;
mod ordinal;
mod pod;
mod pods;
mod ports;
pub mod probe;
mod recorder;
mod recording;
mod serving;
mod shutdown;
pub mod standalone;
mod stored;
mod tls;
