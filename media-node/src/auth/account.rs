//! Who calls, and what an account may do.

use super::path_mask::PathMasks;
use crate::store::sql::accounts::{Holder, Kind, User};
use std::sync::Arc;
use std::time::Duration;
use weir_proto::media::StreamPath;

/// Whoever wants something. It is asked anew for each request: rights may change between two.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Showed nothing.
    Anonymous,
    /// Showed something that opens nothing: wrong, expired, revoked.
    Unknown,
    /// Showed an account's token, or answered a Digest challenge with its password.
    Account(Arc<Account>),
    /// Showed a token for viewing only.
    Viewer(Arc<Account>),
    /// Showed a token for viewing this stream, which nobody in particular was given.
    Ticket(StreamPath),
    /// Showed a token that is valid still, of a user who has been deleted.
    Deleted,
    /// Another pod of the same pool.
    Relay,
    /// Has been wrong too often, and was not asked.
    Throttled(Duration),
    /// The account store could not be asked.
    Unverifiable,
}

impl Caller {
    /// The account's name, for logs.
    pub fn name(&self) -> &str {
        match self {
            Self::Account(account) | Self::Viewer(account) => &account.name,
            Self::Relay => "relay",
            Self::Ticket(_) => "ticket",
            Self::Deleted => "deleted",
            Self::Anonymous | Self::Unknown | Self::Throttled(_) | Self::Unverifiable => "anonymous",
        }
    }
}

/// A user as far as rights go.
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    admin: bool,
    push: PathMasks,
    pull: PathMasks,
}

impl Account {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An administrator may call everything, but has no path rights by that alone.
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    pub fn push(&self) -> &PathMasks {
        &self.push
    }

    pub fn pull(&self) -> &PathMasks {
        &self.pull
    }
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            admin: user.admin,
            push: PathMasks::parse(&user.push),
            pull: PathMasks::parse(&user.pull),
        }
    }
}

impl From<Holder> for Caller {
    fn from(holder: Holder) -> Self {
        match (holder.user.as_ref().map(Account::from), holder.kind) {
            (Some(account), Kind::Session) => Self::Account(account.into()),
            (Some(account), Kind::View) => Self::Viewer(account.into()),
            (None, Kind::Session) => Self::Deleted,
            (None, Kind::View) => Self::Unknown,
        }
    }
}
