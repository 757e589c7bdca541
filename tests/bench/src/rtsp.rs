//! As much of an RTSP client as publishing and playing need, and RTP packets for the source.

use crate::media::Clip;
use crate::stamp::Stamp;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Client {
    pub socket: TcpStream,
    /// Read but not yet used.
    pub pending: Vec<u8>,
    url: String,
    session: Option<String>,
    sequence: u32,
    /// User name and password of the URL, and the challenge that they answered last.
    user: Option<(String, String)>,
    challenge: Option<String>,
}

pub struct Reply {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn code(&self) -> &str {
        self.status.split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// `host:port` of a URL, with the scheme's usual port where it names none.
pub fn authority(url: &str) -> Result<(String, &str)> {
    let (scheme, rest) = url.split_once("://").with_context(|| format!("not a URL: {url}"))?;
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit('@').next().unwrap_or(host);
    let port = match scheme {
        "rtsp" => 554,
        "rtmp" => 1935,
        _ => 80,
    };
    let host = if host.contains(':') { host.into() } else { format!("{host}:{port}") };
    Ok((host, path))
}

/// The URL without user name and password, and these.
fn credentials(url: &str) -> (String, Option<(String, String)>) {
    let found = url.split_once("://").and_then(|(scheme, rest)| {
        let (user, rest) = rest.split_once('@')?;
        let (name, password) = user.split_once(':')?;
        Some((format!("{scheme}://{rest}"), (name.to_owned(), password.to_owned())))
    });
    found.map_or((url.to_owned(), None), |(url, user)| (url, Some(user)))
}

/// The header that answers a Digest challenge, as in RFC 2617 without qop.
fn digest(challenge: &str, name: &str, password: &str, method: &str, url: &str) -> String {
    let field = |key: &str| {
        let rest = challenge.split(&format!("{key}=\"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default()
    };
    let md5 = |text: String| -> String {
        Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (realm, nonce) = (field("realm"), field("nonce"));
    let (secret, request) =
        (md5(format!("{name}:{realm}:{password}")), md5(format!("{method}:{url}")));
    let response = md5(format!("{secret}:{nonce}:{request}"));
    format!(
        "Authorization: Digest username=\"{name}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{url}\", response=\"{response}\"\r\n"
    )
}

impl Client {
    pub async fn connect(url: &str) -> Result<Self> {
        let (address, _) = authority(url)?;
        let socket = TcpStream::connect(&address).await.with_context(|| format!("to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self::over(socket, url))
    }

    pub fn over(socket: TcpStream, url: &str) -> Self {
        let (url, user) = credentials(url);
        Self { socket, pending: vec![], url, session: None, sequence: 0, user, challenge: None }
    }

    async fn ask(&mut self, method: &str, url: &str, headers: &str, body: &str) -> Result<Reply> {
        let mut reply = self.ask_once(method, url, headers, body).await?;
        if reply.code() == "401"
            && self.user.is_some()
            && let Some(challenge) = reply.header("www-authenticate").map(str::to_owned)
        {
            self.challenge = Some(challenge);
            reply = self.ask_once(method, url, headers, body).await?;
        }
        ensure!(reply.code() == "200", "{method} {url}: answered {}", reply.status);
        if let Some(session) = reply.header("session") {
            self.session = session.split(';').next().map(str::to_owned);
        }
        Ok(reply)
    }

    async fn ask_once(
        &mut self,
        method: &str,
        url: &str,
        headers: &str,
        body: &str,
    ) -> Result<Reply> {
        self.sequence += 1;
        let answer = match (&self.user, &self.challenge) {
            (Some((name, password)), Some(challenge)) => {
                digest(challenge, name, password, method, url)
            }
            _ => String::new(),
        };
        let session =
            self.session.as_ref().map(|s| format!("Session: {s}\r\n")).unwrap_or_default();
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: weir-bench\r\n{session}{answer}{headers}{length}\r\n{body}",
            self.sequence
        );
        self.socket.write_all(text.as_bytes()).await?;
        self.reply().await.with_context(|| format!("{method} {url}"))
    }

    async fn reply(&mut self) -> Result<Reply> {
        loop {
            // Media may already flow between the requests.
            if self.pending.first() == Some(&b'$') && self.pending.len() >= 4 {
                let len = 4 + usize::from(u16::from_be_bytes([self.pending[2], self.pending[3]]));
                if self.pending.len() >= len {
                    self.pending.drain(..len);
                    continue;
                }
            } else if let Some(end) = memchr::memmem::find(&self.pending, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
                let mut lines = head.split("\r\n");
                let status = lines.next().unwrap_or_default().to_owned();
                let headers: Vec<_> = lines
                    .filter_map(|l| l.split_once(':'))
                    .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
                    .collect();
                let mut reply = Reply { status, headers, body: String::new() };
                let length: usize =
                    reply.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
                if self.pending.len() >= end + 4 + length {
                    reply.body =
                        String::from_utf8_lossy(&self.pending[end + 4..end + 4 + length]).into();
                    self.pending.drain(..end + 4 + length);
                    return Ok(reply);
                }
            }
            ensure!(self.socket.read_buf(&mut self.pending).await? > 0, "closed by the server");
        }
    }

    /// ANNOUNCE to RECORD, interleaved: video on channel 0, audio on 2.
    pub async fn publish(&mut self, clip: &Clip) -> Result<()> {
        let url = self.url.clone();
        self.ask("OPTIONS", &url, "", "").await?;
        let sdp = describe(clip);
        self.ask("ANNOUNCE", &url, "Content-Type: application/sdp\r\n", &sdp).await?;
        for (track, channel) in [(0, 0), (1, 2)] {
            let transport = format!(
                "Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{};mode=record\r\n",
                channel + 1
            );
            self.ask("SETUP", &format!("{url}/trackID={track}"), &transport, "").await?;
        }
        self.ask("RECORD", &url, "Range: npt=0.000-\r\n", "").await?;
        Ok(())
    }

    /// DESCRIBE to PLAY. Each track is set up with `transport(track number)`, the video track
    /// first, so the first UDP pair is video. Returns the interleaved channel of video, which a
    /// server may choose otherwise than it was asked.
    pub async fn play(&mut self, transport: impl Fn(usize) -> String) -> Result<u8> {
        let url = self.url.clone();
        let reply = self.ask("DESCRIBE", &url, "Accept: application/sdp\r\n", "").await?;
        let base = reply.header("content-base").unwrap_or(&url).trim_end_matches('/').to_owned();
        let mut tracks = controls(&reply.body);
        ensure!(!tracks.is_empty(), "no media in the SDP");
        tracks.sort_by_key(|(kind, _)| kind != "video");
        let mut video = 0;
        for (number, (_, control)) in tracks.iter().enumerate() {
            let target = match control {
                c if c.starts_with("rtsp://") => c.clone(),
                c => format!("{base}/{c}"),
            };
            let header = format!("Transport: {}\r\n", transport(number));
            let reply = self.ask("SETUP", &target, &header, "").await?;
            let chosen = reply.header("transport").unwrap_or_default();
            let channel =
                chosen.split(';').find_map(|part| part.trim().strip_prefix("interleaved="));
            if number == 0 {
                video = channel.and_then(|c| c.split('-').next()?.parse().ok()).unwrap_or(0);
            }
        }
        self.ask("PLAY", &url, "Range: npt=0.000-\r\n", "").await?;
        Ok(video)
    }
}

fn describe(clip: &Clip) -> String {
    let base64 = |b: &[u8]| base64::engine::general_purpose::STANDARD.encode(b);
    let level: String = clip.sps[1..4].iter().map(|b| format!("{b:02X}")).collect();
    let config: String = clip.audio_config.iter().map(|b| format!("{b:02X}")).collect();
    format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=weir-bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;sprop-parameter-sets={},{};profile-level-id={level}\r\n\
         a=control:trackID=0\r\n\
         m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/{}/2\r\n\
         a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
         indexdeltalength=3;config={config}\r\na=control:trackID=1\r\n",
        base64(&clip.sps),
        base64(&clip.pps),
        clip.audio_rate
    )
}

/// Kind and control of each medium in an SDP.
fn controls(sdp: &str) -> Vec<(String, String)> {
    let mut media: Vec<(String, String)> = vec![];
    for line in sdp.lines() {
        if let Some(kind) = line.strip_prefix("m=") {
            media.push((kind.split(' ').next().unwrap_or_default().into(), String::new()));
        } else if let (Some(control), Some(last)) =
            (line.strip_prefix("a=control:"), media.last_mut())
        {
            last.1 = control.trim().into();
        }
    }
    media
}

/// Cuts frames into interleaved RTP packets of one stream.
pub struct Packets {
    sequence: [u16; 2],
    stream: u16,
}

const PAYLOAD: usize = 1400;

impl Packets {
    pub fn new(stream: u16) -> Self {
        Self { sequence: [0; 2], stream }
    }

    fn packet(
        &mut self,
        out: &mut Vec<u8>,
        track: usize,
        last: bool,
        time: u32,
        parts: [&[u8]; 2],
    ) {
        let len = 12 + parts[0].len() + parts[1].len();
        let sequence = self.sequence[track];
        self.sequence[track] = sequence.wrapping_add(1);
        out.extend([b'$', track as u8 * 2]);
        out.extend((len as u16).to_be_bytes());
        out.extend([0x80, (last as u8) << 7 | (96 + track as u8)]);
        out.extend(sequence.to_be_bytes());
        out.extend(time.to_be_bytes());
        out.extend(self.ssrc(track).to_be_bytes());
        out.extend(parts[0]);
        out.extend(parts[1]);
    }

    fn ssrc(&self, track: usize) -> u32 {
        0x5757_0000 | u32::from(self.stream) << 1 | track as u32
    }

    pub fn video(
        &mut self,
        out: &mut Vec<u8>,
        clip: &Clip,
        picture: usize,
        stamp: Stamp,
        time: u32,
    ) {
        let picture = &clip.pictures[picture];
        if picture.key {
            self.packet(out, 0, false, time, [&clip.sps, &[]]);
            self.packet(out, 0, false, time, [&clip.pps, &[]]);
        }
        self.packet(out, 0, false, time, [&stamp.to_sei(), &[]]);
        for (n, slice) in picture.slices.iter().enumerate() {
            let last_slice = n + 1 == picture.slices.len();
            if slice.len() <= PAYLOAD {
                self.packet(out, 0, last_slice, time, [slice, &[]]);
                continue;
            }
            let pieces = slice[1..].chunks(PAYLOAD - 2);
            let count = pieces.len();
            for (m, piece) in pieces.enumerate() {
                let (first, last) = (m == 0, m + 1 == count);
                let indicator = slice[0] & 0xe0 | 28;
                let header = (first as u8) << 7 | (last as u8) << 6 | slice[0] & 0x1f;
                self.packet(out, 0, last && last_slice, time, [&[indicator, header], piece]);
            }
        }
    }

    pub fn audio(&mut self, out: &mut Vec<u8>, frame: &[u8], time: u32) {
        let size = (frame.len() as u16) << 3;
        let [high, low] = size.to_be_bytes();
        self.packet(out, 1, true, time, [&[0, 16, high, low], frame]);
    }

    /// An RTCP sender report that ties `time` to the wall clock.
    pub fn report(&self, out: &mut Vec<u8>, track: usize, micros: u64, time: u32) {
        const NTP_OFFSET: u64 = 2_208_988_800;
        out.extend([b'$', track as u8 * 2 + 1, 0, 28, 0x80, 200, 0, 6]);
        out.extend(self.ssrc(track).to_be_bytes());
        out.extend(((micros / 1_000_000 + NTP_OFFSET) as u32).to_be_bytes());
        out.extend((((micros % 1_000_000) << 32) / 1_000_000).to_be_bytes()[4..].iter());
        out.extend(time.to_be_bytes());
        out.extend(u32::from(self.sequence[track]).to_be_bytes());
        out.extend([0; 4]);
    }
}

pub fn interleaved(track: usize) -> String {
    format!("RTP/AVP/TCP;unicast;interleaved={}-{}", track * 2, track * 2 + 1)
}

/// Keeps a publisher's receive side empty; ends when the server closes.
pub async fn discard(mut from: tokio::net::tcp::OwnedReadHalf) -> Result<()> {
    let mut scratch = [0; 2048];
    while from.read(&mut scratch).await? > 0 {}
    bail!("closed by the server")
}
