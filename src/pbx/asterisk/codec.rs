//! AMI on the wire: frames in, actions out. It knows no action and no event by name.
//!
//! A message is lines of `Key: value`, each ended by CR LF, and one empty line; the first line of a connection is a banner.
//! A message that is longer than anything honest does not end the connection, for the rest of the calls would be lost with it:
//! its lines are cut and the message goes on, marked as cut.

use std::io;

use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio_util::codec::{Decoder, Encoder};

use crate::pbx::wire::{self, HeaderBlock, LineEnd, MAX_HEADERS, MAX_KEPT_LINE, MAX_MESSAGE, UnsafeField};

/// Headers of one action: Asterisk 22 takes 128 (`include/asterisk/manager.h`).
const MAX_SENT_HEADERS: usize = 120;
/// Bytes of a banner; more than this is no AMI.
const MAX_BANNER: usize = 256;

/// What the socket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first line of a connection.
    Banner,
    /// A response or an event.
    Message {
        /// Its lines.
        headers: HeaderBlock,
        /// It was too long, and lines were cut or left out.
        cut: bool,
    },
}

/// What is wrong on the wire.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side is no Asterisk manager.
    #[error("the other side does not speak AMI")]
    NoBanner,
    /// Refused before anything was written.
    #[error(transparent)]
    Unsafe(#[from] UnsafeField),
}

/// An action to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Action {
    headers: Vec<(&'static str, String)>,
}

impl Action {
    /// An action by its name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { headers: vec![("Action", name.to_owned())] }
    }

    /// Adds a header; the same key may come again.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((key, value.into()));
        self
    }

    /// The action's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.headers.first().map_or("", |(_, name)| name)
    }

    /// Whether every value stays a value on the wire.
    ///
    /// # Errors
    /// [`UnsafeField`] names the first that would not.
    pub fn check(&self) -> Result<(), UnsafeField> {
        if self.headers.len() > MAX_SENT_HEADERS {
            return Err(UnsafeField::new(self.name(), "has too many headers"));
        }
        self.headers.iter().try_for_each(|(key, value)| wire::check_value(key, value))
    }
}

impl std::fmt::Debug for Action {
    // Values hold numbers and the secret: a debug print tells the name only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Action({})", self.name())
    }
}

/// The codec of one connection.
#[derive(Debug, Default)]
pub struct AmiCodec {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Banner,
    /// Looking for the end of a message; the first `scanned` bytes of the buffer hold none.
    Message { scanned: usize },
    /// Inside of a message that is too long.
    Overlong(Overlong),
}

/// What is kept of a message that is too long.
#[derive(Debug, Default)]
struct Overlong {
    kept: BytesMut,
    headers: usize,
    /// Bytes of the line being read, kept or not.
    line: usize,
}

impl Overlong {
    /// Takes in part of a line.
    fn take(&mut self, part: &[u8]) {
        if self.headers < MAX_HEADERS {
            let room = MAX_KEPT_LINE.saturating_sub(self.line).min(part.len());
            self.kept.extend_from_slice(&part[..room]);
        }
        self.line += part.len();
    }

    /// Ends a line; says whether it was the empty one that ends the message.
    fn end_line(&mut self) -> bool {
        if self.line == 0 {
            return true;
        }
        if self.headers < MAX_HEADERS {
            self.kept.extend_from_slice(b"\r\n");
        }
        self.headers += 1;
        self.line = 0;
        false
    }
}

impl Decoder for AmiCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        loop {
            match &mut self.state {
                State::Banner => {
                    let window = &buffer[..buffer.len().min(MAX_BANNER)];
                    let Some(at) = memmem::find(window, b"\r\n") else {
                        return if window.len() == MAX_BANNER { Err(CodecError::NoBanner) } else { Ok(None) };
                    };
                    if !window.starts_with(b"Asterisk Call Manager/") {
                        return Err(CodecError::NoBanner);
                    }
                    buffer.advance(at + 2);
                    self.state = State::Message { scanned: 0 };
                    return Ok(Some(Frame::Banner));
                }
                State::Message { scanned } => {
                    // An empty line where a message should begin is no message.
                    if *scanned == 0 && buffer.starts_with(b"\r\n") {
                        buffer.advance(2);
                        continue;
                    }
                    let window = &buffer[..buffer.len().min(MAX_MESSAGE)];
                    if let Some(at) = memmem::find(&window[*scanned..], b"\r\n\r\n") {
                        let end = *scanned + at + 4;
                        let bytes = buffer.split_to(end).freeze();
                        self.state = State::Message { scanned: 0 };
                        return Ok(Some(Frame::Message { headers: HeaderBlock::new(bytes, LineEnd::CrLf), cut: false }));
                    }
                    if window.len() < MAX_MESSAGE {
                        // The end may have come in part: look at its last three bytes again.
                        // Never 0 for a message that has begun, so that the test above sees only beginnings.
                        *scanned = window.len().saturating_sub(3);
                        return Ok(None);
                    }
                    self.state = State::Overlong(Overlong::default());
                }
                State::Overlong(overlong) => {
                    if let Some(at) = memmem::find(buffer, b"\r\n") {
                        overlong.take(&buffer[..at]);
                        buffer.advance(at + 2);
                        if overlong.end_line() {
                            let bytes = std::mem::take(&mut overlong.kept).freeze();
                            self.state = State::Message { scanned: 0 };
                            return Ok(Some(Frame::Message { headers: HeaderBlock::new(bytes, LineEnd::CrLf), cut: true }));
                        }
                    } else {
                        // A CR at the end may be half of a line's end.
                        let whole = buffer.len() - usize::from(buffer.ends_with(b"\r"));
                        overlong.take(&buffer[..whole]);
                        buffer.advance(whole);
                        return Ok(None);
                    }
                }
            }
        }
    }

    // Half a message at the end of the connection is nothing.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let frame = self.decode(buffer)?;
        if frame.is_none() {
            buffer.clear();
        }
        Ok(frame)
    }
}

impl Encoder<&Action> for AmiCodec {
    type Error = CodecError;

    fn encode(&mut self, action: &Action, buffer: &mut BytesMut) -> Result<(), CodecError> {
        action.check()?;
        for (key, value) in &action.headers {
            buffer.extend_from_slice(key.as_bytes());
            buffer.extend_from_slice(b": ");
            buffer.extend_from_slice(value.as_bytes());
            buffer.extend_from_slice(b"\r\n");
        }
        buffer.extend_from_slice(b"\r\n");
        Ok(())
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
