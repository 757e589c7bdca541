//! The tables as SeaORM sees them. What the columns mean is said here, how they are made in `migration`.

pub(super) mod token;
pub(super) mod user;
