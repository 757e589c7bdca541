//! RTSP as the tests speak it themselves, where a player would not tell what it was answered.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use md5::{Digest, Md5};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::wait::secs;

/// An RTSP response.
#[derive(Debug)]
pub struct Response {
    /// Code and reason.
    pub status: String,
    /// The lines after the first, up to the empty one.
    pub headers: String,
    /// What follows.
    pub body: String,
}

impl Response {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .with_context(|| format!("no response: {text}"))?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first
            .strip_prefix("RTSP/1.0 ")
            .with_context(|| format!("no response: {text}"))?;
        Ok(Self {
            status: status.to_owned(),
            headers: headers.to_owned(),
            body: body.to_owned(),
        })
    }

    /// A header's value.
    ///
    /// # Errors
    /// When it is not there.
    pub fn header(&self, name: &str) -> Result<&str> {
        let found = self
            .headers
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.with_context(|| format!("no {name}: {self:?}"))
    }

    /// Itself, if it is a 200.
    ///
    /// # Errors
    /// When it is another.
    pub fn ok(self) -> Result<Self> {
        ensure!(self.status == "200 OK", "{self:?}");
        Ok(self)
    }
}

/// A request as players build it.
pub(crate) fn request(method: &str, url: &str, sequence: u32, headers: &[&str], body: &str) -> String {
    let sequence = format!("CSeq: {sequence}");
    let length = format!("Content-Length: {}", body.len());
    let mut lines = vec![sequence.as_str(), "User-Agent: weir-tests"];
    lines.extend(headers);
    lines.extend((!body.is_empty()).then_some(length.as_str()));
    format!("{method} {url} RTSP/1.0\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// The `Transport` header for a track.
pub fn interleaved(track: u8, mode: &str) -> String {
    format!(
        "Transport: RTP/AVP/TCP;unicast;interleaved={}-{}{mode}",
        track * 2,
        track * 2 + 1
    )
}

/// A connection, over TCP unless another is given.
pub struct Connection<S = TcpStream> {
    socket: S,
    input: BytesMut,
    sequence: u32,
    /// Name and password, or its MD5.
    login: Option<(String, String)>,
    /// The server's newest challenge.
    nonce: String,
    /// Channels on which packets came.
    channels: BTreeSet<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(port: u16) -> Result<Self> {
        Self::open_at(&format!("127.0.0.1:{port}")).await
    }

    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open_at(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address).await;
        Ok(Self::over(
            socket.with_context(|| format!("connect to {address}"))?,
        ))
    }

    /// The same as somebody; `secret` is the password or its MD5. Learns the challenge by OPTIONS.
    ///
    /// # Errors
    /// When nobody listens, or there is no challenge.
    pub async fn open_as(address: &str, user: &str, secret: &str) -> Result<Self> {
        let mut connection = Self::open_at(address).await?;
        connection.ask("OPTIONS", "*", &[]).await?.ok()?;
        connection.log_in(user, secret);
        Ok(connection)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Speaks RTSP on an open connection.
    pub fn over(socket: S) -> Self {
        Self {
            socket,
            input: BytesMut::new(),
            sequence: 0,
            login: None,
            nonce: String::new(),
            channels: BTreeSet::new(),
        }
    }

    /// Answers the newest challenge of ipchub's realm with each request from now on.
    pub fn log_in(&mut self, user: &str, secret: &str) {
        self.login = Some((user.to_owned(), secret.to_owned()));
    }

    /// RFC 2069: without a quality of protection.
    fn authorization(&self, method: &str, url: &str) -> Option<String> {
        let (user, secret) = self.login.as_ref()?;
        let md5 = |text: String| format!("{:x}", Md5::digest(text));
        let nonce = &self.nonce;
        let (who, what) = (
            md5(format!("{user}:ipchub:{secret}")),
            md5(format!("{method}:{url}")),
        );
        let response = md5(format!("{who}:{nonce}:{what}"));
        Some(format!(
            "Authorization: Digest username=\"{user}\", realm=\"ipchub\", nonce=\"{nonce}\", uri=\"{url}\", \
             response=\"{response}\""
        ))
    }

    /// Sends a request, and awaits its response; packets before it are passed over.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ask(&mut self, method: &str, url: &str, headers: &[&str]) -> Result<Response> {
        self.send(method, url, headers, "").await
    }

    /// Describes a stream, sets these tracks up over the connection and plays them.
    ///
    /// # Errors
    /// When any of it is refused.
    pub async fn play(&mut self, url: &str, tracks: &[u8]) -> Result<()> {
        self.ask("DESCRIBE", url, &[]).await?.ok()?;
        for track in tracks {
            let of_track = format!("{url}/streamid={track}");
            self.ask("SETUP", &of_track, &[&interleaved(*track, "")])
                .await?
                .ok()?;
        }
        self.ask("PLAY", url, &[]).await?.ok().map(drop)
    }

    /// The channels on which packets have come before responses.
    pub fn channels(&self) -> Vec<u8> {
        self.channels.iter().copied().collect()
    }

    /// `ask` with a body.
    ///
    /// # Errors
    /// As `ask`.
    pub async fn send(&mut self, method: &str, url: &str, headers: &[&str], body: &str) -> Result<Response> {
        self.sequence += 1;
        let authorization = self.authorization(method, url);
        let headers: Vec<_> = headers.iter().copied().chain(authorization.as_deref()).collect();
        let request = request(method, url, self.sequence, &headers, body);
        self.socket.write_all(request.as_bytes()).await?;
        let response = timeout(secs(20), self.response())
            .await
            .context("no response comes")??;
        ensure!(
            response.header("CSeq")? == self.sequence.to_string(),
            "{response:?}"
        );
        let challenge = response.header("WWW-Authenticate").unwrap_or_default();
        if let Some((_, nonce)) = challenge.split_once("nonce=\"") {
            nonce.trim_end_matches('"').clone_into(&mut self.nonce);
        }
        Ok(response)
    }

    async fn response(&mut self) -> Result<Response> {
        loop {
            if let Some(length) = self.packet() {
                self.channels.insert(self.input[1]);
                self.input.advance(length);
                continue;
            }
            if let Some(length) = self.whole()? {
                let message = self.input.split_to(length);
                return Response::parse(std::str::from_utf8(&message)?);
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                bail!("the server has closed");
            }
        }
    }

    /// Length of the packet that comes next, if it is whole.
    fn packet(&self) -> Option<usize> {
        let [b'$', _, high, low, ..] = self.input[..] else {
            return None;
        };
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        (self.input.len() >= length).then_some(length)
    }

    /// Length of the response that comes next, if it is whole. Packets may follow it at once.
    fn whole(&self) -> Result<Option<usize>> {
        let Some(head) = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = head + 4;
        let response = Response::parse(std::str::from_utf8(&self.input[..head])?)?;
        let body = response
            .header("Content-Length")
            .ok()
            .map(str::parse)
            .transpose()?;
        let length = head + body.unwrap_or(0);
        Ok((self.input.len() >= length).then_some(length))
    }

    /// Waits until the server has closed it.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> Result<()> {
        let closing = async { while matches!(self.socket.read_buf(&mut self.input).await, Ok(1..)) {} };
        timeout(secs(20), closing)
            .await
            .context("the connection stays open")
    }
}
