//! Control sockets by channel id, so that data sockets find them.
//!
//! Both are in one process here: packets are written from the stream's task straight to the data socket.
//! One that came to another gateway is brought by that ([`super::between`]), and is a data socket like any
//! other.

use crate::listen::Place;
use crate::socket::Socket;
use bytes::BytesMut;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tokio::sync::mpsc;
use weir_proto::media::StreamPath;
use weir_proto::wsp::ChannelId;

/// Channels at once. Each has a connection, so this only bounds the table by itself.
const MOST: usize = 1 << 16;

/// The channels of a process.
pub struct Channels {
    gateway: u16,
    open: Mutex<HashMap<ChannelId, Known>>,
}

struct Known {
    path: StreamPath,
    /// Leads to the task of the control socket.
    to_control: mpsc::Sender<DataSocket>,
    has_data: bool,
}

/// A data socket on its way to its control socket.
pub(super) struct DataSocket {
    pub(super) socket: Arc<Socket>,
    /// What was read from it after JOIN.
    pub(super) input: BytesMut,
    /// What another gateway has brought takes a connection's place; the place of a player's own socket is
    /// that of its control socket.
    pub(super) place: Option<Place>,
}

/// A channel, held by the task of its control socket.
pub(super) struct Channel {
    channels: Arc<Channels>,
    id: ChannelId,
    joins: mpsc::Receiver<DataSocket>,
}

/// A data socket's right to join, to be used when it has been told so.
pub(super) struct Joining {
    channels: Arc<Channels>,
    id: ChannelId,
    permit: Option<mpsc::OwnedPermit<DataSocket>>,
}

impl Channels {
    /// `gateway` tells this process from all others of its pool.
    pub fn new(gateway: u16) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            open: Mutex::default(),
        })
    }

    /// A new channel for a control socket of this path; none when there are too many.
    pub(super) fn open(self: &Arc<Self>, path: &StreamPath) -> Option<Channel> {
        let (to_control, joins) = mpsc::channel(1);
        let mut open = self.open.lock();
        if open.len() >= MOST {
            return None;
        }
        let id = loop {
            let id = ChannelId::new(self.gateway, rand::random());
            if let Entry::Vacant(entry) = open.entry(id) {
                entry.insert(Known {
                    path: path.clone(),
                    to_control,
                    has_data: false,
                });
                break id;
            }
        };
        Some(Channel {
            channels: self.clone(),
            id,
            joins,
        })
    }

    /// The channel of this id, if it has no data socket yet and is of the same path: so nobody sees
    /// what they may not watch, whatever id they know.
    pub(super) fn join(self: &Arc<Self>, id: ChannelId, path: &StreamPath) -> Option<Joining> {
        let mut open = self.open.lock();
        let known = open.get_mut(&id).filter(|k| k.path == *path && !k.has_data)?;
        let permit = known.to_control.clone().try_reserve_owned().ok()?;
        known.has_data = true;
        Some(Joining {
            channels: self.clone(),
            id,
            permit: Some(permit),
        })
    }

    fn data_is_gone(&self, id: ChannelId) {
        if let Some(known) = self.open.lock().get_mut(&id) {
            known.has_data = false;
        }
    }
}

impl Joining {
    /// Hands the socket over.
    pub(super) fn send(mut self, data: DataSocket) {
        if let Some(permit) = self.permit.take() {
            permit.send(data);
        }
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.channels.data_is_gone(self.id);
        }
    }
}

impl Channel {
    pub(super) const fn id(&self) -> ChannelId {
        self.id
    }

    /// The next data socket. Cancel-safe.
    pub(super) async fn joined(&mut self) -> DataSocket {
        match self.joins.recv().await {
            Some(data) => data,
            // Not while the channel is open: the table holds a sender.
            None => std::future::pending().await,
        }
    }

    /// The data socket has ended; another one may join.
    pub(super) fn data_is_gone(&self) {
        self.channels.data_is_gone(self.id);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channels.open.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    async fn data() -> DataSocket {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        DataSocket {
            socket: Arc::new(socket.into()),
            input: BytesMut::from("x"),
            place: None,
        }
    }

    #[tokio::test]
    async fn one_data_socket_at_a_time_and_of_the_same_path() {
        let channels = Channels::new(7);
        let path = |text| StreamPath::parse(text).unwrap();
        let mut channel = channels.open(&path("a")).unwrap();
        let id = channel.id();
        assert_eq!(id.gateway(), 7);
        assert!(channels.join(id, &path("b")).is_none());
        assert!(channels.join(ChannelId::new(7, 1), &path("a")).is_none());
        assert!(Channels::new(8).join(id, &path("a")).is_none());

        let joining = channels.join(id, &path("A")).unwrap();
        assert!(channels.join(id, &path("a")).is_none(), "one is on its way");
        drop(joining);
        let joining = channels.join(id, &path("a")).unwrap();
        joining.send(data().await);
        assert!(channels.join(id, &path("a")).is_none(), "one is there");
        assert_eq!(channel.joined().await.input, "x");
        channel.data_is_gone();
        channels.join(id, &path("a")).unwrap().send(data().await);
        assert!(channels.join(id, &path("a")).is_none());

        drop(channel);
        assert!(channels.join(id, &path("a")).is_none());
        assert!(channels.open.lock().is_empty());
    }
}
