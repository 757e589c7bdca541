//! Chunks into messages.

use super::{DEFAULT_BYTES, Error, Header, MAX_COMMAND_BYTES, MAX_STREAMS, Message};
use crate::rtmp::message::kind;
use bytes::{Buf, BytesMut};

/// A message's buffer is not made larger than this for what is only claimed to come; most access
/// units fit.
const FIRST_RESERVE: usize = 8 << 10;
const EXTENDED: u32 = 0xff_ffff;

/// Puts messages together. It holds unfinished messages only, of at most twice the bytes of the
/// longest message that is taken; of `input` it leaves less than a chunk's header.
#[derive(Debug)]
pub struct Reader {
    chunk_bytes: usize,
    limit: usize,
    streams: Vec<Stream>,
    /// Index of the stream whose chunk is being read, and what is still to come of the chunk.
    current: Option<(usize, usize)>,
    /// Of all unfinished messages.
    held_bytes: usize,
    offset: u64,
}

/// What a chunk stream's last chunk said, which the next one may leave out.
#[derive(Debug)]
struct Stream {
    header: Header,
    /// What a message without a timestamp of its own adds to the last one.
    delta: u32,
    /// The extended timestamp, if the last one did not fit.
    extended: Option<u32>,
    length: usize,
    body: Vec<u8>,
    unfinished: bool,
}

/// A chunk's headers.
#[derive(Clone, Copy, Debug)]
struct Head {
    fmt: u8,
    chunk_stream: u32,
    /// Of all headers but the extended timestamp.
    bytes: usize,
    time: u32,
    /// With fmt 0 and 1.
    length: usize,
    kind: u8,
    /// With fmt 0.
    message_stream: u32,
}

impl Reader {
    /// `offset` is that of the first chunk in the connection. Messages of up to
    /// [`MAX_COMMAND_BYTES`] are taken.
    pub const fn new(offset: u64) -> Self {
        Self {
            chunk_bytes: DEFAULT_BYTES,
            limit: MAX_COMMAND_BYTES,
            streams: Vec::new(),
            current: None,
            held_bytes: 0,
            offset,
        }
    }

    /// Changes the length of the longest message that is taken, for those that begin from now on.
    pub const fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Where in the connection the next byte stands.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next message in `input`, which loses what was read. None: more bytes are needed. Set
    /// Chunk Size and Abort Message are obeyed, and not returned.
    ///
    /// # Errors
    /// See [`Error`]; the connection can't be read any further.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let (index, left) = match self.current.take() {
                Some(current) => current,
                None => match self.begin_chunk(input)? {
                    Some(current) => current,
                    None => return Ok(None),
                },
            };
            let stream = &mut self.streams[index];
            let here = left.min(input.len());
            stream.reserve(here);
            stream.body.extend_from_slice(&input[..here]);
            input.advance(here);
            self.offset += here as u64;
            self.held_bytes += here;
            if here < left {
                self.current = Some((index, left - here));
                return Ok(None);
            }
            if stream.body.len() < stream.length {
                continue;
            }
            stream.unfinished = false;
            self.held_bytes -= stream.length;
            let message = Message {
                header: stream.header,
                body: std::mem::take(&mut stream.body).into(),
            };
            match message.header.kind {
                kind::SET_CHUNK_SIZE => self.set_chunk_size(&message.body)?,
                kind::ABORT => self.abort(&message.body)?,
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads a chunk's headers, once they are whole: the stream's index, and the bytes to come.
    fn begin_chunk(&mut self, input: &mut BytesMut) -> Result<Option<(usize, usize)>, Error> {
        let Some(head) = Head::parse(input) else {
            return Ok(None);
        };
        let offset = self.offset;
        let known = self
            .streams
            .iter()
            .position(|stream| stream.header.chunk_stream == head.chunk_stream);
        let known = known.map(|index| (index, &self.streams[index]));
        if head.fmt != 3 && known.is_some_and(|(_, stream)| stream.unfinished) {
            return Err(Error::NotContinued {
                offset,
                chunk_stream: head.chunk_stream,
            });
        }
        // With fmt 1, librtmp begins a chunk stream, too: it counts from 0.
        if head.fmt > 1 && known.is_none() {
            return Err(Error::NoHeader {
                offset,
                chunk_stream: head.chunk_stream,
            });
        }
        if head.fmt < 2 && head.length > self.limit {
            return Err(Error::MessageTooLong {
                offset,
                length: head.length,
                limit: self.limit,
            });
        }
        let repeated = known.and_then(|(_, stream)| stream.extended);
        let mut extended = None;
        let mut bytes = head.bytes;
        if (head.fmt == 3 && repeated.is_some()) || (head.fmt != 3 && head.time == EXTENDED) {
            let Some(found) = input[head.bytes..].first_chunk::<4>() else {
                return Ok(None);
            };
            let found = u32::from_be_bytes(*found);
            // Older librtmp and ffmpeg leave it out of fmt 3, against section 5.3.1.3.
            if head.fmt != 3 || repeated == Some(found) {
                bytes += 4;
            }
            extended = Some(found);
        }
        let index = match known {
            Some((index, _)) => index,
            None if self.streams.len() == MAX_STREAMS => return Err(Error::TooManyStreams { offset }),
            None => {
                self.streams.push(Stream::new(head.chunk_stream));
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        stream.begin_chunk(&head, extended);
        if stream.length > self.limit && stream.body.is_empty() {
            // Of fmt 2 or 3, after the limit was lowered.
            return Err(Error::MessageTooLong {
                offset,
                length: stream.length,
                limit: self.limit,
            });
        }
        let left = (stream.length - stream.body.len()).min(self.chunk_bytes);
        if self.held_bytes + left > 2 * self.limit {
            return Err(Error::TooMuchUnfinished {
                offset,
                limit: 2 * self.limit,
            });
        }
        input.advance(bytes);
        self.offset += bytes as u64;
        Ok(Some((index, left)))
    }

    /// Section 5.4.1.
    fn set_chunk_size(&mut self, body: &[u8]) -> Result<(), Error> {
        let size = self.first_u32(body)?;
        if size == 0 || size > i32::MAX as u32 {
            return Err(Error::ChunkSize {
                offset: self.offset,
                size,
            });
        }
        self.chunk_bytes = size as usize;
        Ok(())
    }

    /// Section 5.4.2. The chunk stream's unfinished message is dropped.
    fn abort(&mut self, body: &[u8]) -> Result<(), Error> {
        let chunk_stream = self.first_u32(body)?;
        let aborted = self
            .streams
            .iter_mut()
            .find(|stream| stream.header.chunk_stream == chunk_stream);
        if let Some(stream) = aborted {
            self.held_bytes -= stream.body.len();
            stream.body = Vec::new();
            stream.unfinished = false;
        }
        Ok(())
    }

    fn first_u32(&self, body: &[u8]) -> Result<u32, Error> {
        let found = body
            .first_chunk::<4>()
            .ok_or(Error::Truncated { offset: self.offset })?;
        Ok(u32::from_be_bytes(*found))
    }

    /// Panics if the state contradicts itself.
    pub(crate) fn check_invariants(&self) {
        let held: usize = self.streams.iter().map(|stream| stream.body.len()).sum();
        assert_eq!(held, self.held_bytes);
        assert!(self.streams.len() <= MAX_STREAMS);
        for stream in &self.streams {
            assert!(stream.unfinished || stream.body.is_empty());
            assert!(stream.body.len() <= stream.length);
        }
    }
}

impl Stream {
    fn new(chunk_stream: u32) -> Self {
        Self {
            header: Header {
                chunk_stream,
                timestamp_ms: 0,
                kind: 0,
                message_stream: 0,
            },
            delta: 0,
            extended: None,
            length: 0,
            body: Vec::new(),
            unfinished: false,
        }
    }

    fn begin_chunk(&mut self, head: &Head, extended: Option<u32>) {
        if self.unfinished {
            return;
        }
        self.unfinished = true;
        if head.fmt < 3 {
            self.extended = extended;
            self.delta = extended.unwrap_or(head.time);
        }
        if head.fmt < 2 {
            self.length = head.length;
            self.header.kind = head.kind;
        }
        if head.fmt == 0 {
            self.header.message_stream = head.message_stream;
            self.header.timestamp_ms = self.delta;
        } else {
            // After fmt 0, the delta of fmt 3 is the timestamp itself (section 5.3.1.2.4).
            self.header.timestamp_ms = self.header.timestamp_ms.wrapping_add(self.delta);
        }
    }

    /// Makes room in steps that what has come justifies, and never for more than the message.
    fn reserve(&mut self, here: usize) {
        let wanted = self.body.len() + here;
        if wanted > self.body.capacity() {
            let capacity = (2 * wanted).max(FIRST_RESERVE).min(self.length);
            self.body.reserve_exact(capacity - self.body.len());
        }
    }
}

impl Head {
    fn parse(input: &[u8]) -> Option<Self> {
        let [first, rest @ ..] = input else {
            return None;
        };
        let fmt = first >> 6;
        let (chunk_stream, rest) = match (first & 0x3f, rest) {
            (0, [id, rest @ ..]) => (64 + u32::from(*id), rest),
            (1, [low, high, rest @ ..]) => (64 + u32::from(u16::from_le_bytes([*low, *high])), rest),
            (0 | 1, _) => return None,
            (id, rest) => (u32::from(id), rest),
        };
        let basic_bytes = input.len() - rest.len();
        let u24 = |at: usize| {
            Some(u32::from_be_bytes([
                0,
                *rest.get(at)?,
                *rest.get(at + 1)?,
                *rest.get(at + 2)?,
            ]))
        };
        let mut head = Self {
            fmt,
            chunk_stream,
            bytes: basic_bytes,
            time: 0,
            length: 0,
            kind: 0,
            message_stream: 0,
        };
        if fmt < 3 {
            head.time = u24(0)?;
            head.bytes += 3;
        }
        if fmt < 2 {
            head.length = u24(3)? as usize;
            head.kind = *rest.get(6)?;
            head.bytes += 4;
        }
        if fmt == 0 {
            head.message_stream = u32::from_le_bytes(*rest.get(7..)?.first_chunk()?);
            head.bytes += 4;
        }
        Some(head)
    }
}
