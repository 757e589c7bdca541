//! RTSP playback by multicast: one sender of a stream for all viewers of a network (ipchub contract,
//! section 6).
//!
//! A group has its address from the first SETUP until the last session that knows it ends. Its sender
//! runs while it has members, the sessions that play.

use super::form::rtp::{Layout, MOST_TRACKS, channel};
use super::rtsp::watch;
use super::viewing::Counted;
use crate::hub::{Datagrams, Departure, Stream, Visitor};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Weak};
use tokio::net::UdpSocket;
use tokio::sync::watch as news;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span};
use weir_proto::media::{StreamPath, TrackKind};
use weir_proto::rtsp::server::{self, MULTICAST_TTL};

/// Addresses are taken from 235.0.0.0/8, one after the other.
const FIRST_ADDRESS: u32 = 235 << 24;
const ADDRESSES: u32 = 1 << 24;
/// Ports are taken from here, four in a row: video, its RTCP, audio, its RTCP.
const PORTS: std::ops::Range<u16> = 16_666..39_998;
const PORTS_OF_A_GROUP: u16 = 4;

/// All groups of a process.
#[derive(Default)]
pub struct Multicast {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Groups made so far.
    made: u32,
    /// By stream, and by our address: a sender reaches one network.
    groups: HashMap<(StreamPath, Ipv4Addr), Weak<Group>>,
}

/// A stream's packets on one network.
pub struct Group {
    stream: Arc<Stream>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    first_port: u16,
    socket: Arc<UdpSocket>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    count: usize,
    sender: Option<Sender>,
}

/// A task that sends.
struct Sender {
    stop: CancellationToken,
    is_over: news::Receiver<bool>,
}

/// A session that plays.
pub struct Member {
    group: Arc<Group>,
    is_over: news::Receiver<bool>,
}

impl Multicast {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The stream's group, of those viewers that reach us at `local`.
    ///
    /// # Errors
    /// When packets can't be sent to groups from there.
    pub fn group(&self, stream: &Arc<Stream>, local: IpAddr) -> io::Result<Arc<Group>> {
        let IpAddr::V4(source) = local.to_canonical() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let mut table = self.table.lock();
        let key = (stream.path().clone(), source);
        if let Some(group) = table.groups.get(&key).and_then(Weak::upgrade)
            && Arc::ptr_eq(&group.stream, stream)
        {
            return Ok(group);
        }
        table.groups.retain(|_, group| group.strong_count() > 0);
        let (destination, first_port) = place(table.made);
        table.made = table.made.wrapping_add(1);
        let group = Arc::new(Group {
            stream: stream.clone(),
            source,
            destination,
            first_port,
            socket: Arc::new(open(source, destination)?),
            members: Mutex::default(),
        });
        table.groups.insert(key, Arc::downgrade(&group));
        Ok(group)
    }
}

/// Address and first port of the group that is made after so many others.
fn place(made: u32) -> (Ipv4Addr, u16) {
    let rows = u32::from((PORTS.end - PORTS.start) / PORTS_OF_A_GROUP);
    let destination = Ipv4Addr::from(FIRST_ADDRESS + made % ADDRESSES);
    (destination, PORTS.start + (made % rows) as u16 * PORTS_OF_A_GROUP)
}

/// A socket for sending to groups from `source`.
fn open(source: Ipv4Addr, destination: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_multicast_if_v4(&source)?;
    socket.set_multicast_ttl_v4(MULTICAST_TTL)?;
    // Whether there is a way to the group; connecting sends nothing.
    let trial = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    trial.set_multicast_if_v4(&source)?;
    trial.connect(&SocketAddrV4::new(destination, PORTS.start).into())?;
    UdpSocket::from_std(socket.into())
}

impl Group {
    /// Where a track's packets go; none if it has no place: there is one for video and one for audio.
    pub fn of_track(&self, track: u8) -> Option<server::Group> {
        let tracks = self.stream.tracks();
        let kind = tracks.get(track)?.kind();
        let (first, _) = tracks.first(kind)?;
        let rtp = match kind {
            TrackKind::Video => self.first_port,
            TrackKind::Audio => self.first_port + 2,
        };
        (first == track).then_some(server::Group {
            destination: self.destination,
            ports: (rtp, rtp + 1),
            source: self.source,
        })
    }

    /// Begins to send, if nobody has begun yet.
    pub fn join(self: Arc<Self>) -> Member {
        let mut members = self.members.lock();
        members.count += 1;
        let running = members.sender.as_ref().filter(|sender| !*sender.is_over.borrow());
        let is_over = if let Some(sender) = running {
            sender.is_over.clone()
        } else {
            let sender = self.send();
            let is_over = sender.is_over.clone();
            members.sender = Some(sender);
            is_over
        };
        drop(members);
        Member { group: self, is_over }
    }

    /// Starts a task that sends.
    fn send(&self) -> Sender {
        let visitor = Visitor {
            protocol: "rtsp-multicast",
            detail: self.destination.to_string(),
        };
        let seat = watch(
            &self.stream,
            Layout::Datagrams,
            Box::new(self.datagrams()),
            visitor,
        );
        let stop = CancellationToken::new();
        let (over, is_over) = news::channel(false);
        let stopped = stop.clone();
        let span = info_span!("egress", stream = %self.stream.path(), protocol = "rtsp-multicast");
        let sending = async move {
            let counted = Counted::new("rtsp-multicast").seated(&seat);
            let departure = stopped.run_until_cancelled(seat.run()).await;
            drop(counted);
            drop(seat);
            if let Some(departure) = departure {
                debug!(reason = %departure, "the group is given up");
            }
            over.send_replace(true);
        };
        tokio::spawn(sending.instrument(span));
        Sender { stop, is_over }
    }

    fn datagrams(&self) -> Datagrams {
        let mut to = vec![None; MOST_TRACKS * 2];
        for track in 0..MOST_TRACKS as u8 {
            let Some(group) = self.of_track(track) else {
                continue;
            };
            for (port, rtcp) in [(group.ports.0, false), (group.ports.1, true)] {
                let address = SocketAddr::from((group.destination, port));
                to[usize::from(channel(track, rtcp))] = Some((self.socket.clone(), address));
            }
        }
        Datagrams::new(to)
    }
}

impl Member {
    /// Waits until nothing is sent any more.
    pub async fn over(&mut self) -> Departure {
        // An error means that the task was cut, which is as good.
        let _ = self.is_over.wait_for(|is_over| *is_over).await;
        Departure::Ended
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.group.members.lock();
        members.count -= 1;
        if members.count == 0
            && let Some(sender) = members.sender.take()
        {
            sender.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, Provenance, Publisher, Segmentation};
    use std::time::Duration;
    use weir_proto::testing::{Clip, h264_aac};

    fn publish(hub: &Arc<Hub>, path: &str, clip: &Clip) -> Publisher {
        let from = Provenance {
            protocol: "file",
            address: String::new(),
            session: 7,
        };
        let path = StreamPath::parse(path).unwrap();
        let every = Segmentation::Own(Duration::from_secs(2));
        hub.publish(&path, clip.tracks.clone(), from, every)
    }

    #[test]
    fn each_group_gets_the_next_place() {
        assert_eq!(place(0), (Ipv4Addr::new(235, 0, 0, 0), 16_666));
        assert_eq!(place(1), (Ipv4Addr::new(235, 0, 0, 1), 16_670));
        let rows = (u32::from(PORTS.end) - u32::from(PORTS.start)) / 4;
        assert_eq!(place(rows - 1).1, 39_994);
        assert_eq!(place(rows).1, 16_666);
        assert_eq!(place(ADDRESSES - 1).0, Ipv4Addr::new(235, 255, 255, 255));
        assert_eq!(place(ADDRESSES).0, Ipv4Addr::new(235, 0, 0, 0));
    }

    #[tokio::test]
    async fn one_sender_while_there_are_members() {
        let (hub, clip) = (Hub::new(), h264_aac());
        let mut publisher = publish(&hub, "a", &clip);
        let stream = publisher.stream().clone();
        let multicast = Multicast::new();
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let group = multicast.group(&stream, local).unwrap();
        assert!(Arc::ptr_eq(&group, &multicast.group(&stream, local).unwrap()));
        let other = publish(&hub, "b", &clip);
        let of_other = multicast.group(other.stream(), local).unwrap();
        assert_eq!(group.of_track(0).unwrap().ports, (16_666, 16_667));
        assert_eq!(group.of_track(1).unwrap().ports, (16_668, 16_669));
        assert_eq!(group.of_track(2), None);
        assert_eq!(of_other.of_track(0).unwrap().ports, (16_670, 16_671));

        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 16_666)).await.unwrap();
        receiver
            .join_multicast_v4(group.destination, Ipv4Addr::LOCALHOST)
            .unwrap();
        assert_eq!(stream.viewers(), 0);
        let (first, mut second) = (group.clone().join(), group.clone().join());
        assert_eq!(stream.viewers(), 1);
        assert_eq!(stream.views()[0].visitor.detail, "235.0.0.0");
        for unit in &clip.access_units[..10] {
            publisher.push(unit.clone());
        }
        publisher.flush();
        let mut packet = [0; 2048];
        let received = tokio::time::timeout(Duration::from_secs(10), receiver.recv(&mut packet));
        assert!(received.await.unwrap().unwrap() > 12);
        assert_eq!(packet[0], 0x80, "RTP");

        drop(first);
        assert_eq!(stream.viewers(), 1, "the second member is still there");
        drop(publisher);
        assert!(matches!(second.over().await, Departure::Ended));
        drop(second);
        assert_eq!(stream.viewers(), 0);
        // A newcomer under this path is another stream, with another group.
        let newcomer = publish(&hub, "a", &clip);
        assert!(!Arc::ptr_eq(
            &group,
            &multicast.group(newcomer.stream(), local).unwrap()
        ));
        assert!(
            multicast
                .group(newcomer.stream(), "::1".parse().unwrap())
                .is_err()
        );
    }

    #[tokio::test]
    async fn the_last_member_stops_the_sender_and_the_next_starts_it() {
        let (hub, clip) = (Hub::new(), h264_aac());
        let publisher = publish(&hub, "a", &clip);
        let stream = publisher.stream();
        let group = Multicast::new()
            .group(stream, Ipv4Addr::LOCALHOST.into())
            .unwrap();
        for _ in 0..2 {
            let member = group.clone().join();
            assert_eq!(stream.viewers(), 1);
            let mut news = member.is_over.clone();
            drop(member);
            news.wait_for(|is_over| *is_over).await.unwrap();
            assert_eq!(stream.viewers(), 0);
        }
    }
}
