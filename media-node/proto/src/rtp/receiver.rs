//! One sender's packets by UDP: whose are taken, in which order they go on, and what is reported.
//!
//! Anybody can send a datagram to a port. Taken is what comes from the address of the session's
//! connection, and there from the port that the sender has announced. Behind address translation the
//! ports are others than it knows of: then it is the first that sends what can be read. Should the
//! announced port send later, it has the word again.
//!
//! Times are the caller's, from any start, as in [`super::JitterBuffer`].

use super::{JitterBuffer, Packet};
use crate::rtcp::{self, NtpTime, ReportBlock};
use bytes::{Bytes, BytesMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a packet behind a gap waits: longer than the ways of a network differ, shorter than who
/// watches notices.
const MAX_DELAY: Duration = Duration::from_millis(200);
/// Packets that wait behind a gap: a large keyframe.
const MAX_WAITING: usize = 1024;
/// A sequence number that is further ahead than this, or further behind, is a new beginning (RFC 3550
/// appendix A.1).
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;
/// Our name in reports.
const CNAME: &str = "weir";

/// One track's sender.
#[derive(Debug)]
pub struct Receiver {
    peer: IpAddr,
    rtp: Port,
    rtcp: Port,
    payload_type: u8,
    clock_rate: u32,
    /// Ours, in reports.
    ssrc: u32,
    buffer: JitterBuffer,
    source: Option<Source>,
    ignored: u64,
}

/// Where packets of one kind come from.
#[derive(Debug)]
struct Port {
    announced: u16,
    heard: Option<u16>,
}

impl Port {
    const fn new(announced: u16) -> Self {
        Self {
            announced,
            heard: None,
        }
    }

    fn takes(&mut self, port: u16) -> bool {
        if port == self.announced {
            self.heard = Some(port);
        }
        *self.heard.get_or_insert(port) == port
    }

    fn number(&self) -> u16 {
        self.heard.unwrap_or(self.announced)
    }
}

/// What is counted of a synchronization source (RFC 3550 appendix A).
#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// Extended sequence numbers: the first, and the highest.
    base: u32,
    highest: u32,
    received: u32,
    /// At the report before.
    expected_prior: u32,
    received_prior: u32,
    /// In sixteenths of a tick.
    jitter: u32,
    transit: Option<u32>,
    /// The newest sender report, and when it came.
    report: Option<(NtpTime, Duration)>,
}

impl Receiver {
    /// For packets of `payload_type` from `peer`, who has announced its ports for RTP and RTCP. `ssrc`
    /// is ours, and random.
    pub fn new(peer: IpAddr, ports: (u16, u16), payload_type: u8, clock_rate: u32, ssrc: u32) -> Self {
        Self {
            peer: peer.to_canonical(),
            rtp: Port::new(ports.0),
            rtcp: Port::new(ports.1),
            payload_type,
            clock_rate,
            ssrc,
            buffer: JitterBuffer::new(MAX_WAITING, MAX_DELAY),
            source: None,
            ignored: 0,
        }
    }

    /// Takes a datagram that came to the port for RTP; then [`Self::pop`] until there is nothing more.
    /// False if it is somebody else's, or no RTP of this track.
    pub fn push(&mut self, now: Duration, from: SocketAddr, data: Bytes) -> bool {
        let packet = (from.ip().to_canonical() == self.peer)
            .then(|| Packet::parse(data).ok())
            .flatten()
            .filter(|packet| packet.header.payload_type == self.payload_type);
        // The port is judged last, so that only what can be read decides which it is.
        let Some(packet) = packet.filter(|_| self.rtp.takes(from.port())) else {
            self.ignored += 1;
            return false;
        };
        let arrival = (now.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000) as u32;
        let header = &packet.header;
        let is_other = match &mut self.source {
            Some(source) if source.ssrc == header.ssrc => {
                source.count(header.sequence_number);
                false
            }
            other => other
                .replace(Source::new(header.ssrc, header.sequence_number))
                .is_some(),
        };
        if let Some(source) = &mut self.source {
            source.time(arrival.wrapping_sub(header.timestamp));
        }
        if is_other {
            self.buffer.push_other(now, packet);
        } else {
            self.buffer.push(now, packet);
        }
        true
    }

    /// The next packet whose turn it is.
    pub fn pop(&mut self, now: Duration) -> Option<Packet> {
        self.buffer.pop(now)
    }

    /// When [`Self::pop`] has something to give, if nothing more comes until then.
    pub fn deadline(&self) -> Option<Duration> {
        self.buffer.deadline()
    }

    /// Takes a datagram that came to the port for RTCP. False if it is somebody else's, or no RTCP.
    pub fn push_report(&mut self, now: Duration, from: SocketAddr, data: &[u8]) -> bool {
        let packets = (from.ip().to_canonical() == self.peer)
            .then(|| rtcp::parse(data).ok())
            .flatten()
            .filter(|packets| !packets.is_empty());
        let Some(packets) = packets.filter(|_| self.rtcp.takes(from.port())) else {
            self.ignored += 1;
            return false;
        };
        for packet in packets {
            if let rtcp::Packet::SenderReport(report, _) = packet
                && let Some(source) = self.source.as_mut().filter(|s| s.ssrc == report.ssrc)
            {
                source.report = Some((report.ntp, now));
            }
        }
        true
    }

    /// Appends a receiver report, and tells where it goes. None while nothing has come.
    pub fn report(&mut self, now: Duration, out: &mut BytesMut) -> Option<SocketAddr> {
        let block = self.source.as_mut()?.report(now);
        rtcp::write_receiver_report(self.ssrc, &block, CNAME, out);
        Some(SocketAddr::new(self.peer, self.rtcp.number()))
    }

    /// Packets that never came, as far as is known.
    pub fn lost(&self) -> u64 {
        self.source
            .as_ref()
            .map_or(0, |s| u64::from(s.expected().saturating_sub(s.received)))
    }

    /// Datagrams of others, and such as can't be read.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }
}

impl Source {
    fn new(ssrc: u32, sequence_number: u16) -> Self {
        Self {
            ssrc,
            base: sequence_number.into(),
            highest: sequence_number.into(),
            received: 1,
            expected_prior: 0,
            received_prior: 0,
            jitter: 0,
            transit: None,
            report: None,
        }
    }

    fn count(&mut self, sequence_number: u16) {
        let ahead = sequence_number.wrapping_sub(self.highest as u16);
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(ahead.into());
        } else if ahead <= u16::MAX - MAX_MISORDER {
            let report = self.report;
            *self = Self {
                report,
                ..Self::new(self.ssrc, sequence_number)
            };
            return;
        }
        self.received = self.received.wrapping_add(1);
    }

    /// RFC 3550 appendix A.8.
    fn time(&mut self, transit: u32) {
        if let Some(before) = self.transit.replace(transit) {
            let apart = (transit.wrapping_sub(before) as i32).unsigned_abs();
            let decay = self.jitter.saturating_add(8) >> 4;
            self.jitter = self.jitter.saturating_add(apart).saturating_sub(decay);
        }
    }

    const fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// RFC 3550 appendix A.3.
    fn report(&mut self, now: Duration) -> ReportBlock {
        let expected = self.expected();
        let expected_now = expected.wrapping_sub(self.expected_prior);
        let received_now = self.received.wrapping_sub(self.received_prior);
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let lost_now = u64::from(expected_now.saturating_sub(received_now));
        let fraction_lost = (lost_now << 8).checked_div(expected_now.into());
        let (last, since) = self.report.map_or((0, 0), |(ntp, at)| {
            let since = now.saturating_sub(at).as_nanos() * 65_536 / 1_000_000_000;
            ((ntp.0 >> 16) as u32, since as u32)
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction_lost.unwrap_or(0).min(255) as u8,
            lost: expected.wrapping_sub(self.received) as i32,
            highest: self.highest,
            jitter: self.jitter >> 4,
            last_sender_report: last,
            since_last_sender_report: since,
        }
    }
}

#[cfg(test)]
mod tests;
