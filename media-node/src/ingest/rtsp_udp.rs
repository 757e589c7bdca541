//! What an RTSP publisher sends by UDP: datagrams into a [`Publication`], and reports back.
//!
//! Whose datagrams count and in which order they go on is `proto::rtp::Receiver`'s.

use super::rtsp_publish::{Error, Publication};
use crate::udp::UdpPorts;
use bytes::{Bytes, BytesMut};
use rand::RngExt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::{Duration, Instant};
use tracing::debug;
use weir_proto::rtp::Receiver;
use weir_proto::rtsp::server::{Delivery, Setup};
use weir_proto::sdp::Description;

/// The largest datagram there is.
const MOST_BYTES: usize = 65_535;
/// Datagrams of one port that are taken in a row, before others have their turn.
const AT_ONCE: usize = 512;
/// Between receiver reports, on average (RFC 3550 section 6.2).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The ports of a publisher, and what comes to them.
pub struct UdpInputs {
    tracks: Vec<Track>,
    began: Instant,
    report_at: Instant,
    /// Where a datagram is read to.
    room: BytesMut,
}

struct Track {
    /// Of the description's media.
    index: u8,
    ports: UdpPorts,
    receiver: Receiver,
}

impl UdpInputs {
    /// None if the publisher's packets come interleaved. `ports` are those that were opened for its
    /// tracks, of which only those are kept that were set up.
    pub fn new(
        peer: IpAddr,
        description: &Description,
        setups: &[Setup],
        mut ports: Vec<(u8, UdpPorts)>,
    ) -> Option<Self> {
        let mut tracks = Vec::new();
        for setup in setups {
            let Delivery::Udp { client_ports, .. } = setup.delivery else {
                continue;
            };
            let media = description.media.get(usize::from(setup.track));
            let at = ports.iter().position(|(track, _)| *track == setup.track);
            if let (Some(media), Some(at)) = (media, at) {
                let ports = ports.swap_remove(at).1;
                ports.expect_media();
                let ssrc = rand::random();
                let receiver = Receiver::new(peer, client_ports, media.payload_type, media.clock_rate, ssrc);
                tracks.push(Track {
                    index: setup.track,
                    ports,
                    receiver,
                });
            }
        }
        let now = Instant::now();
        (!tracks.is_empty()).then(|| Self {
            tracks,
            began: now,
            report_at: now + pause() / 2,
            room: BytesMut::new(),
        })
    }

    /// Completes when there is something to [`Self::take`]: datagrams, a gap that is waited for no
    /// longer, or a report that is due. Cancel-safe.
    pub async fn ready(&self) {
        let gap = self.tracks.iter().filter_map(|t| t.receiver.deadline()).min();
        let until = gap.map_or(self.report_at, |gap| self.report_at.min(self.began + gap));
        let arrival = poll_fn(|cx| {
            let mut any = false;
            for track in &self.tracks {
                for socket in [&track.ports.rtp, &track.ports.rtcp] {
                    any |= socket.poll_recv_ready(cx).is_ready();
                }
            }
            if any { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = arrival => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }

    /// Takes what has come. True if any of it is media of this publisher.
    ///
    /// # Errors
    /// When this can't become a stream.
    pub fn take(&mut self, publication: &mut Publication) -> Result<bool, Error> {
        let mut heard = false;
        for track in &mut self.tracks {
            let index = track.index;
            // Reports first: they tell where the packets at hand belong.
            for _ in 0..AT_ONCE {
                let Some((data, from)) = receive(&track.ports.rtcp, &mut self.room) else {
                    break;
                };
                if track.receiver.push_report(self.began.elapsed(), from, &data) {
                    publication.report(index, &data);
                }
            }
            for _ in 0..AT_ONCE {
                let datagram = receive(&track.ports.rtp, &mut self.room);
                let now = self.began.elapsed();
                let is_over = datagram.is_none();
                if let Some((data, from)) = datagram {
                    heard |= track.receiver.push(now, from, data);
                }
                while let Some(packet) = track.receiver.pop(now) {
                    publication.rtp(index, &packet)?;
                }
                if is_over {
                    break;
                }
            }
        }
        if self.report_at <= Instant::now() {
            self.report_at = Instant::now() + pause();
            self.report();
        }
        Ok(heard)
    }

    fn report(&mut self) {
        let mut out = BytesMut::new();
        for track in &mut self.tracks {
            out.clear();
            if let Some(to) = track.receiver.report(self.began.elapsed(), &mut out) {
                // One that can't be sent is lost, as datagrams are.
                let _ = track.ports.rtcp.try_send_to(&out, to);
            }
        }
    }
}

impl Drop for UdpInputs {
    fn drop(&mut self) {
        for track in &self.tracks {
            let lost = track.receiver.lost();
            metrics::counter!("weir_ingest_lost_packets_total").increment(lost);
            debug!(
                track = track.index,
                lost,
                ignored = track.receiver.ignored(),
                "datagrams of a publisher"
            );
        }
    }
}

fn receive(socket: &tokio::net::UdpSocket, room: &mut BytesMut) -> Option<(Bytes, std::net::SocketAddr)> {
    room.reserve(MOST_BYTES);
    room.clear();
    match socket.try_recv_buf_from(room) {
        Ok((_, from)) => Some((Bytes::copy_from_slice(room), from)),
        // Also the answer of a peer that has closed its port, which says nothing of what it sends.
        Err(_) => None,
    }
}

/// Until the next report: spread, so that those of many sessions don't come in step.
fn pause() -> Duration {
    REPORT_EVERY.mul_f64(rand::rng().random_range(0.5..1.5))
}
