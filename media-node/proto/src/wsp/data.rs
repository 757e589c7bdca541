//! The data socket: one request, JOIN, and packets ever after.

use super::ChannelId;
use super::message::{Command, Error, Request, Status, write_reply};
use bytes::{Bytes, BytesMut};

/// What a data socket's first message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// `None` if what it names can't be an id of ours.
    pub channel: Option<ChannelId>,
    seq: String,
}

impl Join {
    /// # Errors
    /// The socket is to be closed, without a reply.
    pub fn parse(message: &Bytes) -> Result<Self, Error> {
        let request = Request::parse(message)?;
        if request.command != Command::Join {
            return Err(Error::Unexpected(request.command));
        }
        Ok(Self {
            channel: request.header("channel").and_then(ChannelId::parse),
            seq: request.seq().to_owned(),
        })
    }

    /// The control socket is found. Packets may follow as soon as this is written.
    pub fn accept(&self, out: &mut BytesMut) {
        write_reply(out, Status::Ok, None, &self.seq, &[]);
    }

    /// There is no such channel; the socket is to be closed when this is written.
    pub fn not_found(&self, out: &mut BytesMut) {
        write_reply(out, Status::NotFound, None, &self.seq, &[]);
    }
}
