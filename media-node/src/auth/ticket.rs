//! Tickets: tokens that open one stream for viewing and nothing else, for pages that anybody may open. They are not stored.

use super::sealed::Seal;
use super::{Auth, Caller, recorder};
use std::time::Duration;
use weir_proto::Redacted;
use weir_proto::media::StreamPath;

impl Auth {
    /// A token for viewing this stream.
    pub fn ticket(&self, path: &StreamPath, lifetime: Duration) -> Redacted<String> {
        let expires = recorder::now() + lifetime.as_secs();
        Redacted::new(self.ticket_seal().close(path.as_str(), expires))
    }

    /// Another ticket for the stream of one that is good still.
    pub fn renew_ticket(&self, ticket: &str, lifetime: Duration) -> Option<Redacted<String>> {
        let path = self.ticket_seal().open(ticket, recorder::now()).ok()?;
        Some(self.ticket(&StreamPath::parse(&path)?, lifetime))
    }

    /// Who shows this, if it looks like a ticket: other tokens have no dot.
    pub(super) fn caller_by_ticket(&self, token: &str) -> Option<Caller> {
        token.contains('.').then(|| {
            let opened = self.ticket_seal().open(token, recorder::now()).ok();
            let path = opened.and_then(|path| StreamPath::parse(&path));
            path.map_or(Caller::Unknown, Caller::Ticket)
        })
    }

    fn ticket_seal(&self) -> Seal {
        Seal::new(&self.settings.relay, "stream ticket")
    }
}
