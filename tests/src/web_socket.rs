//! RTSP over a WebSocket and WSP over two, spoken as players in web pages speak them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    rtsp::{Response, interleaved, request},
    tls,
    wait::secs,
};

/// How long an answer may take.
const PATIENCE: Duration = secs(20);

/// What a WebSocket is on: a connection, encrypted or not.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// Opens a WebSocket, by `ws` or `wss`, with a sub-protocol if one is given.
///
/// # Errors
/// When the server refuses: with the status that it answers.
pub async fn open(url: &str, sub_protocol: Option<&str>) -> Result<WebSocketStream<Box<dyn Carrier>>> {
    let mut request = url.into_client_request()?;
    if let Some(name) = sub_protocol {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_str(name)?);
    }
    let uri = request.uri();
    let host = uri.host().context("a host")?;
    let port = uri.port_u16().context("a port")?;
    let opened = async {
        let carrier: Box<dyn Carrier> = match uri.scheme_str() {
            Some("wss") => Box::new(tls::connect(host, port).await?),
            _ => Box::new(TcpStream::connect((host, port)).await?),
        };
        Ok(tokio_tungstenite::client_async(request.clone(), carrier).await?.0)
    };
    let opened = timeout(PATIENCE, opened).await.context("no answer").flatten();
    opened.with_context(|| format!("open {url}"))
}

/// An open socket.
pub struct Socket(WebSocketStream<Box<dyn Carrier>>);

impl Socket {
    /// Opens a socket, with a sub-protocol that the server must take if one is given.
    ///
    /// # Errors
    /// When the server refuses: with the status that it answers.
    pub async fn open(url: &str, sub_protocol: Option<&str>) -> Result<Self> {
        open(url, sub_protocol).await.map(Self)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn text(&mut self, text: &str) -> Result<()> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn binary(&mut self, data: Bytes) -> Result<()> {
        Ok(self.0.send(Message::Binary(data)).await?)
    }

    /// The next text or binary message; none when the server has closed.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.context("nothing came")? {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(Some(message)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Waits until the server has closed it, whatever comes before.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> Result<()> {
        let closing = async {
            while self.next().await?.is_some() {}
            Ok(())
        };
        timeout(PATIENCE, closing)
            .await
            .context("the socket stays open")?
    }
}

/// An interleaved packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The channel; even ones are RTP's here.
    pub channel: u8,
    /// Prefix and packet, as they came.
    pub whole: Bytes,
}

impl Packet {
    fn parse(message: &Bytes) -> Result<Self> {
        ensure!(
            message.len() > 4 && message[0] == b'$',
            "no packet: {:x?}",
            &message[..message.len().min(8)]
        );
        let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
        ensure!(
            length + 4 == message.len(),
            "{length} bytes in a message of {}",
            message.len()
        );
        Ok(Self {
            channel: message[1],
            whole: message.clone(),
        })
    }

    /// The sequence number, of RTP.
    pub fn sequence_number(&self) -> u16 {
        u16::from_be_bytes([self.whole[6], self.whole[7]])
    }
}

/// Asserts that the packets of each RTP channel follow one another without a gap, and returns how many there are.
///
/// # Errors
/// Where one is missing.
pub fn count(packets: &[Packet]) -> Result<BTreeMap<u8, usize>> {
    let mut last = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for packet in packets {
        *counts.entry(packet.channel).or_insert(0) += 1;
        if packet.channel % 2 == 0 {
            let number = packet.sequence_number();
            if let Some(before) = last.insert(packet.channel, number) {
                ensure!(
                    number == before.wrapping_add(1),
                    "packet {number} after {before} on {}",
                    packet.channel
                );
            }
        }
    }
    Ok(counts)
}

/// RTSP over a WebSocket.
pub struct Rtsp {
    /// The socket.
    pub socket: Socket,
    sequence: u32,
    /// Packets that came while a response was awaited.
    packets: Vec<Packet>,
}

impl Rtsp {
    /// What players put into request lines: the socket's path tells the stream.
    pub const URL: &str = "rtsp://placehold/";

    /// Opens the socket.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn open(url: &str) -> Result<Self> {
        let socket = Socket::open(url, Some("rtsp")).await?;
        Ok(Self {
            socket,
            sequence: 0,
            packets: Vec::new(),
        })
    }

    /// Sends a request, every other one as a text message, and awaits its response.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ask(&mut self, method: &str, url: &str, headers: &[&str], body: &str) -> Result<Response> {
        self.sequence += 1;
        let request = request(method, url, self.sequence, headers, body);
        if self.sequence.is_multiple_of(2) {
            self.socket.text(&request).await?;
        } else {
            self.socket.binary(request.into()).await?;
        }
        loop {
            match self.socket.next().await?.context("the server has closed")? {
                Message::Binary(data) if data.starts_with(b"$") => self.packets.push(Packet::parse(&data)?),
                Message::Binary(data) => {
                    let response = Response::parse(std::str::from_utf8(&data)?)?;
                    let sequence = format!("CSeq: {}", self.sequence);
                    ensure!(response.headers.contains(&sequence), "{response:?}");
                    return Ok(response);
                }
                other => bail!("{other:?}"),
            }
        }
    }

    /// Plays `tracks`; returns the description.
    ///
    /// # Errors
    /// When any of its requests is refused.
    pub async fn play(&mut self, tracks: &[u8]) -> Result<String> {
        self.ask("OPTIONS", Self::URL, &[], "").await?.ok()?;
        let description = self
            .ask("DESCRIBE", Self::URL, &["Accept: application/sdp"], "")
            .await?
            .ok()?;
        for track in tracks {
            let url = format!("{}streamid={track}", Self::URL);
            self.ask("SETUP", &url, &[&interleaved(*track, "")], "")
                .await?
                .ok()?;
        }
        self.ask("PLAY", Self::URL, &["Range: npt=0.000-"], "")
            .await?
            .ok()?;
        Ok(description.body)
    }

    /// Publishes to `url` what has this description.
    ///
    /// # Errors
    /// When any of its requests is refused.
    pub async fn record(&mut self, url: &str, description: &str, tracks: &[u8]) -> Result<()> {
        self.ask("ANNOUNCE", url, &["Content-Type: application/sdp"], description)
            .await?
            .ok()?;
        for track in tracks {
            let url = format!("{url}/streamid={track}");
            self.ask("SETUP", &url, &[&interleaved(*track, ";mode=record")], "")
                .await?
                .ok()?;
        }
        self.ask("RECORD", url, &[], "").await?.ok()?;
        Ok(())
    }

    /// The next packet.
    ///
    /// # Errors
    /// When none comes.
    pub async fn packet(&mut self) -> Result<Packet> {
        if !self.packets.is_empty() {
            return Ok(self.packets.remove(0));
        }
        match self.socket.next().await?.context("the server has closed")? {
            Message::Binary(data) => Packet::parse(&data),
            other => bail!("{other:?}"),
        }
    }

    /// The next so many packets.
    ///
    /// # Errors
    /// When they don't come.
    pub async fn packets(&mut self, number: usize) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        while packets.len() < number {
            packets.push(self.packet().await?);
        }
        Ok(packets)
    }
}

/// A player of WSP.
pub struct Wsp {
    /// The socket of requests.
    pub control: Socket,
    /// The socket of packets.
    pub data: Socket,
    /// The channel id.
    pub channel: String,
    sequence: u32,
}

/// A WSP message.
fn message(command: &str, headers: &[(&str, &str)], payload: &str) -> String {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    format!("WSP/1.1 {command}\r\n{headers}\r\n{payload}")
}

/// Sends a WSP message; the reply's status, headers and payload.
///
/// # Errors
/// When the server closes instead.
pub async fn ask(
    socket: &mut Socket,
    command: &str,
    headers: &[(&str, &str)],
    payload: &str,
) -> Result<(String, BTreeMap<String, String>, String)> {
    socket.text(&message(command, headers, payload)).await?;
    let Message::Text(reply) = socket.next().await?.context("the server has closed")? else {
        bail!("a reply is no text");
    };
    let (head, payload) = reply.split_once("\r\n\r\n").context("an empty line")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("WSP/1.1 "))
        .context("a status")?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.to_owned()));
    Ok((status.to_owned(), headers.collect(), payload.to_owned()))
}

impl Wsp {
    /// Opens both sockets of `url` and joins them.
    ///
    /// # Errors
    /// When the server refuses any of it.
    pub async fn open(url: &str) -> Result<Self> {
        let mut control = Socket::open(url, Some("control")).await?;
        let whom = [
            ("proto", "rtsp"),
            ("host", "h"),
            ("port", "1554"),
            ("client", "x"),
        ];
        control
            .text(&message("GET_INFO", &[&whom[..], &[("seq", "1")]].concat(), ""))
            .await?;
        let init = [&whom[..], &[("seq", "2")]].concat();
        let (status, headers, payload) = ask(&mut control, "INIT", &init, "").await?;
        ensure!(
            status == "200 OK" && headers["seq"] == "2" && payload.is_empty(),
            "{status} {headers:?}"
        );
        let channel = headers["channel"].clone();
        let mut data = Socket::open(url, Some("data")).await?;
        let join = [("channel", channel.as_str()), ("seq", "1")];
        let (status, headers, _) = ask(&mut data, "JOIN", &join, "").await?;
        ensure!(
            status == "200 OK" && headers["seq"] == "1" && headers.len() == 1,
            "{status} {headers:?}"
        );
        Ok(Self {
            control,
            data,
            channel,
            sequence: 2,
        })
    }

    /// Wraps a request, and unwraps its response.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ask(&mut self, method: &str, url: &str, headers: &[&str]) -> Result<Response> {
        self.sequence += 1;
        let sequence = self.sequence.to_string();
        let request = request(method, url, self.sequence, headers, "");
        let length = request.len().to_string();
        let head = [("contentLength", length.as_str()), ("seq", &sequence)];
        let (status, headers, payload) = ask(&mut self.control, "WRAP", &head, &request).await?;
        ensure!(
            status == "200 OK" && headers["seq"] == sequence && headers["channel"] == self.channel,
            "{status} {headers:?}"
        );
        let response = Response::parse(&payload)?;
        ensure!(
            response.headers.contains(&format!("CSeq: {sequence}")),
            "{response:?}"
        );
        Ok(response)
    }

    /// Plays `tracks`; returns the description.
    ///
    /// # Errors
    /// When any of its requests is refused.
    pub async fn play(&mut self, tracks: &[u8]) -> Result<String> {
        self.ask("OPTIONS", Rtsp::URL, &[]).await?.ok()?;
        let description = self
            .ask("DESCRIBE", Rtsp::URL, &["Accept: application/sdp"])
            .await?
            .ok()?;
        for track in tracks {
            let url = format!("{}streamid={track}", Rtsp::URL);
            self.ask("SETUP", &url, &[&interleaved(*track, "")]).await?.ok()?;
        }
        self.ask("PLAY", Rtsp::URL, &[]).await?.ok()?;
        Ok(description.body)
    }

    /// The next so many packets.
    ///
    /// # Errors
    /// When they don't come.
    pub async fn packets(&mut self, number: usize) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        while packets.len() < number {
            match self.data.next().await?.context("the server has closed")? {
                Message::Binary(data) => packets.push(Packet::parse(&data)?),
                other => bail!("{other:?}"),
            }
        }
        Ok(packets)
    }
}
