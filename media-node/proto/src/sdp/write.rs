//! The description of a stream, as DESCRIBE answers.
//!
//! Made from the tracks, so that it says what is sent: the packets are ours, whoever published.

use crate::media::codec::g711;
use crate::media::{CodecParameters, Track, TrackKind, Tracks};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// The payload type that track `index` is sent with: static for mono G.711 at 8 kHz, else 96 and
/// up, one for each track.
pub fn payload_type(index: u8, track: &Track) -> u8 {
    match &track.codec {
        CodecParameters::G711(p) if p.channels == 1 && track.clock_rate == 8000 => match p.law {
            g711::Law::A => 8,
            g711::Law::Mu => 0,
        },
        _ => 96 + index % 32,
    }
}

/// The `a=control` value of track `index`.
pub fn control(index: u8) -> String {
    format!("streamid={index}")
}

/// Writes a description. `name` is the stream's, for people.
pub fn write(name: &str, tracks: &Tracks) -> String {
    let mut out = String::with_capacity(1024);
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // RFC 8866 section 5.3: a description without a name says so with a dash.
    let name = if name.trim().is_empty() { "-" } else { name.trim() };
    let _ = write!(
        out,
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns={name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    );
    for (index, track) in (0..=u8::MAX).zip(tracks) {
        media(&mut out, index, track);
    }
    out
}

fn media(out: &mut String, index: u8, track: &Track) {
    let kind = match track.kind() {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
    };
    let pt = payload_type(index, track);
    let rate = track.clock_rate;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let _ = write!(out, "m={kind} 0 RTP/AVP {pt}\r\n");
    // Writing to a String can't fail.
    let _ = match &track.codec {
        CodecParameters::H264(p) => {
            let profile = p.sps.get(1..4).map(hex::encode).unwrap_or_default();
            write!(
                out,
                "a=rtpmap:{pt} H264/{rate}\r\na=fmtp:{pt} packetization-mode=1;\
                 profile-level-id={profile};sprop-parameter-sets={},{}\r\n",
                base64(&p.sps),
                base64(&p.pps),
            )
        }
        CodecParameters::H265(p) => write!(
            out,
            "a=rtpmap:{pt} H265/{rate}\r\na=fmtp:{pt} sprop-vps={};sprop-sps={};sprop-pps={}\r\n",
            base64(&p.vps),
            base64(&p.sps),
            base64(&p.pps),
        ),
        CodecParameters::Aac(p) => write!(
            out,
            "a=rtpmap:{pt} mpeg4-generic/{rate}/{}\r\na=fmtp:{pt} streamtype=5;profile-level-id=1;\
             mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={}\r\n",
            p.channels,
            hex::encode(&p.config),
        ),
        CodecParameters::G711(p) => {
            let name = match p.law {
                g711::Law::A => "PCMA",
                g711::Law::Mu => "PCMU",
            };
            match p.channels {
                0 | 1 => write!(out, "a=rtpmap:{pt} {name}/{rate}\r\n"),
                channels => write!(out, "a=rtpmap:{pt} {name}/{rate}/{channels}\r\n"),
            }
        }
    };
    let frame_rate = match &track.codec {
        CodecParameters::H264(p) => p.frame_rate,
        CodecParameters::H265(p) => p.frame_rate,
        CodecParameters::Aac(_) | CodecParameters::G711(_) => None,
    };
    if let Some((numerator, denominator)) = frame_rate.filter(|(n, d)| *n > 0 && *d > 0) {
        let rate = f64::from(numerator) / f64::from(denominator);
        // Two digits tell 29.97 from 30; whole numbers are written as such.
        let rate = format!("{rate:.2}");
        let rate = rate.trim_end_matches('0').trim_end_matches('.');
        let _ = write!(out, "a=framerate:{rate}\r\n");
    }
    let _ = write!(out, "a=control:{}\r\n", control(index));
}

#[cfg(test)]
mod tests;
