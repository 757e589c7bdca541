use super::*;
use crate::rtcp::SenderReport;
use crate::rtp::Header;

const PEER: &str = "10.0.0.9";
const SSRC: u32 = 7;

fn receiver() -> Receiver {
    Receiver::new(PEER.parse().unwrap(), (5000, 5001), 96, 90_000, 1)
}

fn from(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn packet(sequence_number: u16, timestamp: u32) -> Bytes {
    packet_of(SSRC, sequence_number, timestamp)
}

fn packet_of(ssrc: u32, sequence_number: u16, timestamp: u32) -> Bytes {
    let header = Header {
        marker: false,
        payload_type: 96,
        sequence_number,
        timestamp,
        ssrc,
    };
    let mut out = BytesMut::new();
    header.write(&mut out);
    out.extend_from_slice(b"x");
    out.freeze()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn popped(receiver: &mut Receiver, now: Duration) -> Vec<u16> {
    std::iter::from_fn(|| receiver.pop(now))
        .map(|p| p.header.sequence_number)
        .collect()
}

fn block(receiver: &mut Receiver, now: Duration) -> (SocketAddr, ReportBlock) {
    let mut out = BytesMut::new();
    let to = receiver.report(now, &mut out).expect("something to report");
    match rtcp::parse(&out).unwrap().remove(0) {
        rtcp::Packet::ReceiverReport { ssrc: 1, reports } => (to, reports[0]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_are_ignored() {
    let mut r = receiver();
    assert!(!r.push(ms(0), from("10.0.0.8", 5000), packet(1, 0)));
    assert!(!r.push(ms(0), from("2001:db8::1", 5000), packet(1, 0)));
    assert!(r.push(ms(0), from(PEER, 5000), packet(2, 0)));
    // The same machine under another port, while the announced one sends.
    assert!(!r.push(ms(0), from(PEER, 6000), packet(3, 0)));
    // As a socket for both versions of IP tells it.
    assert!(r.push(ms(0), from("::ffff:10.0.0.9", 5000), packet(3, 0)));
    assert_eq!(popped(&mut r, ms(0)), [2, 3]);
    assert_eq!(r.ignored(), 3);
}

#[test]
fn behind_address_translation_the_first_that_can_be_read_counts() {
    let mut r = receiver();
    assert!(!r.push(ms(0), from(PEER, 6000), Bytes::from_static(b"probe")));
    let other_type = {
        let mut bytes = packet(1, 0).to_vec();
        bytes[1] = 97;
        bytes.into()
    };
    assert!(!r.push(ms(0), from(PEER, 6001), other_type));
    assert!(r.push(ms(0), from(PEER, 6002), packet(1, 0)));
    assert!(!r.push(ms(0), from(PEER, 6003), packet(2, 0)));
    assert!(r.push(ms(0), from(PEER, 6002), packet(2, 0)));
    // The announced port has the word, whenever it comes.
    assert!(r.push(ms(0), from(PEER, 5000), packet(3, 0)));
    assert!(!r.push(ms(0), from(PEER, 6002), packet(4, 0)));
    assert_eq!(popped(&mut r, ms(0)), [1, 2, 3]);
}

#[test]
fn packets_come_out_in_order_and_a_gap_is_waited_for() {
    let mut r = receiver();
    let mut arrive = |at: u64, number: u16| {
        r.push(ms(at), from(PEER, 5000), packet(number, 0));
        popped(&mut r, ms(at))
    };
    assert_eq!(arrive(0, 65_534), [65_534]);
    assert_eq!(arrive(1, 0), []);
    assert_eq!(arrive(2, 65_535), [65_535, 0]);
    assert_eq!(arrive(10, 2), []);
    assert_eq!(r.deadline(), Some(ms(210)));
    assert_eq!(popped(&mut r, ms(209)), []);
    assert_eq!(popped(&mut r, ms(210)), [2]);
    assert_eq!(r.deadline(), None);
    assert_eq!(r.lost(), 1);
}

#[test]
fn reports_tell_loss_since_the_last_and_in_all() {
    let mut r = receiver();
    let mut out = BytesMut::new();
    assert!(r.report(ms(0), &mut out).is_none() && out.is_empty());
    // One of four is missing.
    for number in (65_530..=u16::MAX).chain(0..6).filter(|n| n % 4 != 3) {
        r.push(ms(0), from(PEER, 5000), packet(number, 0));
    }
    let (to, first) = block(&mut r, ms(1000));
    assert_eq!(to, from(PEER, 5001));
    assert_eq!((first.ssrc, first.lost, first.fraction_lost), (SSRC, 3, 64));
    assert_eq!(first.highest, 0x1_0005);
    for number in 6..10 {
        r.push(ms(0), from(PEER, 5000), packet(number, 0));
    }
    let (_, second) = block(&mut r, ms(2000));
    assert_eq!((second.lost, second.fraction_lost), (3, 0));
    // What came twice counts against it.
    for _ in 0..5 {
        r.push(ms(0), from(PEER, 5000), packet(9, 0));
    }
    assert_eq!(block(&mut r, ms(3000)).1.lost, -2);
}

#[test]
fn jitter_is_that_of_the_standard() {
    let mut r = receiver();
    // 20 ms apart by their timestamps; they arrive so, and then 10 ms late.
    for number in 0..20u16 {
        let late = if number < 10 {
            0
        } else {
            10 * u64::from(number % 2)
        };
        let at = ms(u64::from(number) * 20 + late);
        r.push(at, from(PEER, 5000), packet(number, u32::from(number) * 1800));
        if number == 9 {
            assert_eq!(block(&mut r, ms(0)).1.jitter, 0);
        }
    }
    let jitter = block(&mut r, ms(0)).1.jitter;
    // Nine differences of 900 ticks, each counting a sixteenth.
    let expected = 900.0 * (1.0 - (15.0f64 / 16.0).powi(9));
    assert!(
        (f64::from(jitter) - expected).abs() < 10.0,
        "{jitter}, not {expected}"
    );
}

#[test]
fn sender_reports_are_answered_where_they_come_from() {
    let mut r = receiver();
    r.push(ms(0), from(PEER, 6000), packet(1, 0));
    let report = SenderReport {
        ssrc: SSRC,
        ntp: NtpTime(0x1234_5678_9abc_def0),
        rtp_timestamp: 0,
        packets: 1,
        payload_bytes: 1,
    };
    let mut bytes = BytesMut::new();
    report.write("x", &mut bytes);
    assert!(!r.push_report(ms(0), from("10.0.0.8", 5001), &bytes));
    assert!(!r.push_report(ms(0), from(PEER, 6009), b"probe"));
    assert!(r.push_report(ms(100), from(PEER, 6001), &bytes));
    let (to, told) = block(&mut r, ms(600));
    assert_eq!(to, from(PEER, 6001));
    assert_eq!(told.last_sender_report, 0x5678_9abc);
    assert_eq!(told.since_last_sender_report, 32_768);
}

#[test]
fn a_sender_that_starts_anew_is_counted_anew() {
    let mut r = receiver();
    for number in [100, 101, 40_000, 40_001, 40_003] {
        r.push(ms(0), from(PEER, 5000), packet(number, 0));
    }
    assert_eq!(block(&mut r, ms(0)).1.lost, 1);
    let anew = {
        let mut bytes = packet(5, 0).to_vec();
        bytes[11] = 8;
        bytes.into()
    };
    r.push(ms(0), from(PEER, 5000), anew);
    let (_, told) = block(&mut r, ms(0));
    assert_eq!((told.ssrc, told.lost, told.highest), (8, 0, 5));
}

#[test]
fn another_source_begins_at_once_and_what_waits_goes_before_it() {
    let mut r = receiver();
    let mut at = |time, ssrc, number| {
        assert!(r.push(ms(time), from(PEER, 5000), packet_of(ssrc, number, 0)));
        popped(&mut r, ms(time))
    };
    assert_eq!(at(0, SSRC, 100), [100]);
    assert_eq!(at(1, SSRC, 103), []);
    // Near enough to be taken for late, or for one behind a gap, were it the same source.
    assert_eq!(at(2, SSRC + 1, 90), [103, 90]);
    assert_eq!(at(3, SSRC + 1, 91), [91]);
    assert_eq!(at(4, SSRC + 2, 150), [150]);
    assert_eq!(at(5, SSRC + 2, 152), []);
    assert_eq!(at(6, SSRC + 2, 151), [151, 152]);
}
