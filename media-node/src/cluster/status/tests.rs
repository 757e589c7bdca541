use super::*;
use crate::ingest::TlsFault;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use weir_proto::media::codec::{aac, h264};

fn made(spec: &Value) -> Camera {
    serde_json::from_value(json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera",
        "metadata": {"name": "front", "namespace": "default", "generation": 3}, "spec": spec,
        "status": {"node": "n-0", "epoch": 7}}))
    .expect("a camera")
}

fn door() -> Value {
    json!({"source": {"rtsp": {"url": "rtsp://10.1.2.3:554/main?password=secret"}}, "credentials": {"secretName": "door"}})
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn said(spec: &Value, phase: &Phase) -> CameraStatus {
    of(&made(spec), phase, None, &[], None, at(100))
}

fn condition<'a>(status: &'a CameraStatus, kind: &str) -> (bool, &'a str, &'a str) {
    let c = condition::find(&status.conditions, kind).expect(kind);
    (c.is_true(), &c.reason, &c.message)
}

fn tracks() -> Tracks {
    let video = h264::Parameters {
        sps: Bytes::new(),
        pps: Bytes::new(),
        width: 1280,
        height: 720,
        frame_rate: None,
    };
    let audio = aac::Parameters {
        config: Bytes::new(),
        sample_rate: 48000,
        channels: 2,
    };
    Tracks::new([
        media::Track {
            codec: CodecParameters::H264(video),
            clock_rate: 90000,
        },
        media::Track {
            codec: CodecParameters::Aac(audio),
            clock_rate: 48000,
        },
    ])
}

#[test]
fn a_live_camera_shows_what_it_sends() {
    let live = Phase::Live {
        tracks: tracks(),
        since: at(50),
    };
    let status = said(&door(), &live);
    assert_eq!(
        serde_json::to_value(&status).expect("json"),
        json!({"path": "front", "source": "RTSP", "codec": "H264", "size": "1280x720",
            "liveSince": "1970-01-01T00:00:50Z", "observedGeneration": 3, "observedEpoch": 7,
            "tracks": [
                {"kind": "Video", "codec": "H264", "width": 1280, "height": 720, "clockRate": 90000},
                {"kind": "Audio", "codec": "AAC", "sampleRate": 48000, "channels": 2}],
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                    "lastTransitionTime": "1970-01-01T00:01:40Z", "observedGeneration": 3},
                {"type": "Connected", "status": "True", "reason": "Connected",
                    "message": "media arrives from rtsp://10.1.2.3:554/main",
                    "lastTransitionTime": "1970-01-01T00:01:40Z", "observedGeneration": 3},
                {"type": "Ready", "status": "True", "reason": "Live",
                    "message": "media arrives from rtsp://10.1.2.3:554/main",
                    "lastTransitionTime": "1970-01-01T00:01:40Z", "observedGeneration": 3}]})
    );
}

#[test]
fn every_failure_says_what_to_do_and_tells_no_secret() {
    for (reason, word, part, stalled) in [
        (Reason::Unreachable, "Unreachable", "check that it is on", false),
        (
            Reason::AuthFailed,
            "AuthFailed",
            "Secret door: check username and password",
            true,
        ),
        (Reason::NotFound, "NotFound", "check the path", true),
        (Reason::UnsupportedCodec, "UnsupportedCodec", "H.264", true),
        (Reason::NoData, "NoData", "check the camera", false),
        (
            Reason::AddressDenied,
            "AddressDenied",
            "spec.sourcePolicy.allow",
            true,
        ),
        (Reason::ProtocolError, "ProtocolError", "trying again", false),
        (Reason::Ended, "ClosedBySource", "trying again", false),
        (Reason::Closed, "ClosedBySource", "was closed", false),
    ] {
        let failed = Phase::Failed {
            reason,
            detail: "timed\nout".to_owned(),
        };
        let status = said(&door(), &failed);
        let (connected, why, message) = condition(&status, kind::CONNECTED);
        assert!(!connected && why == word, "{why}");
        assert!(
            message.contains(part) && message.contains("rtsp://10.1.2.3:554/main"),
            "{message}"
        );
        assert!(message.ends_with("(timedout)"), "{message}");
        assert_eq!(condition(&status, kind::READY), (false, word, message));
        let going = if stalled { kind::STALLED } else { kind::RECONCILING };
        assert_eq!(condition(&status, going), (true, word, message));
        assert_eq!(status.conditions.len(), 4);
        assert!(!serde_json::to_string(&status).expect("json").contains("secret"));
        assert!(status.live_since.is_none() && status.tracks.is_empty() && status.codec.is_none());
    }
    let open = json!({"source": {"rtsp": {"url": "rtsp://h/"}}});
    let failed = Phase::Failed {
        reason: Reason::AuthFailed,
        detail: String::new(),
    };
    assert!(
        condition(&said(&open, &failed), kind::READY)
            .2
            .contains("spec.credentials.secretName")
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_whole() {
    let fingerprint = "ab".repeat(32);
    let url = format!("rtsps://{}.example/main", "camera.".repeat(30));
    for (fault, word, part, stalled) in [
        (
            TlsFault::Untrusted,
            "TlsCertificateUntrusted",
            "tls.caSecretName",
            true,
        ),
        (TlsFault::Expired, "TlsCertificateExpired", "renew it", true),
        (TlsFault::OtherName, "TlsNameMismatch", "its names", true),
        (
            TlsFault::OtherFingerprint,
            "TlsFingerprintMismatch",
            "in between",
            true,
        ),
        (TlsFault::Failed, "TlsFailed", "one with TLS", false),
    ] {
        let failed = Phase::Failed {
            reason: Reason::Tls(fault),
            detail: format!("{url} shows {fingerprint}\n"),
        };
        let status = said(&json!({"source": {"rtsp": {"url": url}}}), &failed);
        let (connected, why, message) = condition(&status, kind::CONNECTED);
        assert!(!connected && why == word, "{why}");
        assert!(
            message.contains(part) && message.contains(&fingerprint),
            "{message}"
        );
        assert!(!message.contains('\n'));
        let going = if stalled { kind::STALLED } else { kind::RECONCILING };
        assert_eq!(condition(&status, going), (true, word, message));
    }
}

#[test]
fn the_other_phases() {
    let on_demand = json!({"connect": "OnDemand", "source": {"rtsp": {"url": "rtsp://h/"}}});
    let refusal = Phase::Refused(Refusal::new(reason::PATH_TAKEN, "taken"));
    let waiting = Phase::Waiting("the Secret can't be read".to_owned());
    for (spec, phase, connected, ready, going) in [
        (&door(), Phase::Disabled, "Disabled", (false, "Disabled"), None),
        (
            &door(),
            refusal.clone(),
            "PathTaken",
            (false, "PathTaken"),
            Some(kind::STALLED),
        ),
        (&on_demand, Phase::Idle, "Idle", (true, "Standby"), None),
        (
            &door(),
            Phase::Connecting,
            "Connecting",
            (false, "Progressing"),
            Some(kind::RECONCILING),
        ),
        (
            &on_demand,
            Phase::Connecting,
            "Connecting",
            (true, "Standby"),
            Some(kind::RECONCILING),
        ),
        (
            &door(),
            waiting,
            "Connecting",
            (false, "Progressing"),
            Some(kind::RECONCILING),
        ),
        (
            &door(),
            Phase::Finished,
            "ClosedBySource",
            (false, "ClosedBySource"),
            None,
        ),
        (
            &json!({"source": {"publish": {}}}),
            Phase::NoPublisher,
            "WaitingForPublisher",
            (false, "WaitingForPublisher"),
            Some(kind::RECONCILING),
        ),
    ] {
        let status = said(spec, &phase);
        let (is_connected, why, _) = condition(&status, kind::CONNECTED);
        assert!(!is_connected && why == connected, "{phase:?}: {why}");
        let (is_ready, why, _) = condition(&status, kind::READY);
        assert_eq!((is_ready, why), ready, "{phase:?}");
        for kind in [kind::STALLED, kind::RECONCILING] {
            let there = condition::find(&status.conditions, kind).is_some();
            assert_eq!(there, going == Some(kind), "{phase:?}: {kind}");
        }
        assert!(Phase::ALL.contains(&phase.label()));
    }
    assert_eq!(
        condition(&said(&door(), &refusal), kind::ACCEPTED),
        (false, "PathTaken", "taken")
    );
}

#[test]
fn times_change_with_the_status_alone() {
    let camera = made(&door());
    let failed = |detail: &str| Phase::Failed {
        reason: Reason::Unreachable,
        detail: detail.to_owned(),
    };
    let first = of(&camera, &failed("one"), None, &[], None, at(10));
    let second = of(&camera, &failed("two"), None, &first.conditions, None, at(20));
    assert!(first != second && same_but_words(&first, &second));
    let ready = |s: &CameraStatus| {
        condition::find(&s.conditions, kind::READY).map(|c| c.last_transition_time.clone())
    };
    assert_eq!(ready(&second), ready(&first));
    let live = Phase::Live {
        tracks: tracks(),
        since: at(30),
    };
    let third = of(&camera, &live, None, &second.conditions, None, at(30));
    assert!(ready(&third) != ready(&second) && !same_but_words(&second, &third));
}

#[test]
fn the_node_is_named_where_nobody_places() {
    let status = of(&made(&door()), &Phase::Connecting, None, &[], Some("here"), at(1));
    assert_eq!(status.node.as_deref(), Some("here"));
    assert_eq!(described(&tracks()), "H264 1280x720, AAC");
}
