//! The tables as SeaORM sees them. What the columns mean is said here, how they are made in `migration`.

// What the macros make of these types is public.
#![allow(unreachable_pub)]

pub(super) mod account_revision;
pub(super) mod gateway;
pub(super) mod object_trash;
pub(super) mod retention;
pub(super) mod segment;
pub(super) mod token;
pub(super) mod user;
