//! The event socket on the wire: frames in, requests out. It knows no command and no event by name.
//!
//! A frame is lines of `Key: value`, each ended by LF, one empty line, and a body when `Content-Length` says so.
//! A request is one line, lines of headers, and one empty line: a line break in a value would be another request.
//! A body that is longer than anything honest does not end the connection, for the rest of the calls would be lost with it:
//! it is passed over, and the frame comes without it, marked as cut.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use tokio_util::codec::{Decoder, Encoder};

use crate::pbx::wire::{HeaderBlock, LineEnd, MAX_MESSAGE, UnsafeField};

/// Bytes of a body that are read: the list of a conference of 400 members has about 300,000.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
/// A body longer than this is no body: the stream has lost its beat.
const MAX_CLAIMED: usize = 1024 * 1024 * 1024;
/// Bytes of one request that are sent; FreeSWITCH 1.10 takes more.
pub const MAX_SENT: usize = 4_000;

/// What the socket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header lines.
    pub headers: HeaderBlock,
    /// Its body, empty when there is none.
    pub body: Bytes,
    /// The body was too long and has been left out.
    pub cut: bool,
}

/// What is wrong on the wire.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side is no event socket.
    #[error("the other side does not speak as an event socket does")]
    NoFrame,
    /// Refused before anything was written.
    #[error(transparent)]
    Unsafe(#[from] UnsafeField),
}

/// A request to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    line: String,
    headers: Vec<(&'static str, String)>,
}

impl Request {
    /// A request by its line.
    #[must_use]
    pub fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((key, value.into()));
        self
    }

    /// The first two words, which hold no data.
    #[must_use]
    pub fn name(&self) -> String {
        let words = if self.line.starts_with("api ") || self.line.starts_with("bgapi ") { 2 } else { 1 };
        self.line.split(' ').take(words).collect::<Vec<_>>().join(" ")
    }

    /// Whether it stays one request on the wire.
    ///
    /// # Errors
    /// [`UnsafeField`] names the request or the header that would not.
    pub fn check(&self) -> Result<(), UnsafeField> {
        if self.line.trim() != self.line || self.line.is_empty() {
            return Err(UnsafeField::new(&self.name(), "begins or ends with a blank"));
        }
        let parts = std::iter::once((self.name(), &self.line)).chain(self.headers.iter().map(|(key, value)| ((*key).to_owned(), value)));
        let mut length = 0;
        for (name, value) in parts {
            if value.chars().any(char::is_control) {
                return Err(UnsafeField::new(&name, "holds a control character"));
            }
            length += value.len();
            if length > MAX_SENT {
                return Err(UnsafeField::new(&name, "is too long"));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Request {
    // The line holds numbers and the password: a debug print tells the name only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({})", self.name())
    }
}

/// The codec of one connection.
#[derive(Debug, Default)]
pub struct EslCodec {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Looking for the end of the headers; the first `scanned` bytes of the buffer hold none.
    Headers { scanned: usize },
    /// The body is to come.
    Body { headers: HeaderBlock, length: usize },
    /// The body is too long: so many bytes of it are still to be passed over.
    Overlong { headers: HeaderBlock, left: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Headers { scanned: 0 }
    }
}

impl Decoder for EslCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        loop {
            match &mut self.state {
                State::Headers { scanned } => {
                    // Empty lines between frames are no frames.
                    if *scanned == 0 && buffer.starts_with(b"\n") {
                        buffer.advance(1);
                        continue;
                    }
                    let window = &buffer[..buffer.len().min(MAX_MESSAGE)];
                    let Some(at) = memmem::find(&window[*scanned..], b"\n\n") else {
                        if window.len() == MAX_MESSAGE {
                            return Err(CodecError::NoFrame);
                        }
                        // The end may have come in half: look at its last byte again.
                        // Never 0 for headers that have begun, so that the test above sees only beginnings.
                        *scanned = window.len().saturating_sub(1).max(usize::from(!window.is_empty()));
                        return Ok(None);
                    };
                    let end = *scanned + at + 2;
                    let headers = HeaderBlock::new(buffer.split_to(end).freeze(), LineEnd::Lf);
                    let length = match headers.get("Content-Length") {
                        None => 0,
                        Some(_) => headers.number("Content-Length").filter(|length| *length <= MAX_CLAIMED).ok_or(CodecError::NoFrame)?,
                    };
                    self.state = if length > MAX_BODY { State::Overlong { headers, left: length } } else { State::Body { headers, length } };
                }
                State::Body { headers, length } => {
                    if buffer.len() < *length {
                        buffer.reserve(*length - buffer.len());
                        return Ok(None);
                    }
                    let frame = Frame { headers: headers.clone(), body: buffer.split_to(*length).freeze(), cut: false };
                    self.state = State::default();
                    return Ok(Some(frame));
                }
                State::Overlong { headers, left } => {
                    let passed = buffer.len().min(*left);
                    buffer.advance(passed);
                    *left -= passed;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let frame = Frame { headers: headers.clone(), body: Bytes::new(), cut: true };
                    self.state = State::default();
                    return Ok(Some(frame));
                }
            }
        }
    }

    // Half a frame at the end of the connection is nothing.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let frame = self.decode(buffer)?;
        if frame.is_none() {
            buffer.clear();
        }
        Ok(frame)
    }
}

impl Encoder<&Request> for EslCodec {
    type Error = CodecError;

    fn encode(&mut self, request: &Request, buffer: &mut BytesMut) -> Result<(), CodecError> {
        request.check()?;
        buffer.extend_from_slice(request.line.as_bytes());
        buffer.extend_from_slice(b"\n");
        for (key, value) in &request.headers {
            buffer.extend_from_slice(key.as_bytes());
            buffer.extend_from_slice(b": ");
            buffer.extend_from_slice(value.as_bytes());
            buffer.extend_from_slice(b"\n");
        }
        buffer.extend_from_slice(b"\n");
        Ok(())
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
