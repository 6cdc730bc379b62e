//! One connection to an event socket: login, requests with their replies, events handed on in order.
//!
//! It knows how the socket answers, not what an answer means for a leg.
//! Two tasks own the two halves of the socket and never wait for anything else:
//! the reader puts what it hears in a queue, the writer sends what lies in its queue.
//! [`Client`] itself belongs to the adapter's task, which takes the replies out of the stream.
//! Replies have no names: they come in the order of the requests. The line of those who wait is therefore kept here,
//! and one who goes away leaves his place in it empty, so that nobody gets the reply of another.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::task::AbortOnDropHandle;

use super::codec::{CodecError, EslCodec, Frame, Request};
use super::fields::Fields;
use crate::pbx::CommandFailure;
use crate::pbx::wire::UnsafeField;

/// Bytes of the switch's words that are kept for a message.
const MAX_WORDS: usize = 200;

/// What the switch answers to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer, however it came.
    pub body: Bytes,
}

impl Reply {
    /// The answer as text, without blanks around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// Whether the switch took the request: anything but `+OK` is a refusal, usage texts too.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.body.starts_with(b"+OK")
    }

    /// The switch's answer as the port's.
    ///
    /// # Errors
    /// [`CommandFailure::Gone`] when the leg, member or conference is not there; otherwise the switch's own words.
    pub fn accepted(self) -> Result<(), CommandFailure> {
        if self.is_success() {
            return Ok(());
        }
        let words = self.words();
        // "Skipping moderator" alone: nobody but the convener was there to be muted.
        if words.starts_with("Skipping moderator") {
            return Ok(());
        }
        // The switch's words for what is not there (FreeSWITCH 1.10.12; the spelling is its own).
        let gone = words.starts_with("No such channel")
            || words.starts_with("Non-Existant member")
            || (words.starts_with("Conference") && words.ends_with("not found"));
        Err(if gone { CommandFailure::Gone } else { CommandFailure::Refused(words) })
    }

    /// The first line of the switch's own words.
    #[must_use]
    pub fn words(&self) -> String {
        let text = self.text();
        let line = text.lines().next().unwrap_or_default();
        line.trim_start_matches("-ERR ").chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
    }
}

/// What comes out of the connection and is no reply.
#[derive(Debug)]
pub enum Heard {
    /// An event.
    Event(Fields),
    /// A reply, or something else that only proves life.
    Life,
    /// The connection is over, with the reason.
    Lost(String),
}

/// Why no session came to be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection failed or was closed.
    #[error("{0}")]
    Lost(String),
    /// The switch refused the password, or us.
    #[error("the switch refused the login: {0}")]
    Login(String),
    /// The switch did not answer in time.
    #[error("no answer while {0}")]
    Silent(&'static str),
    /// Configured values that may not be sent.
    #[error(transparent)]
    Unsafe(#[from] UnsafeField),
}

/// One connection, logged in or not.
pub struct Client {
    waiting: VecDeque<oneshot::Sender<Reply>>,
    /// Requests, and `None` for a wake-up.
    outgoing: mpsc::UnboundedSender<Option<Request>>,
    incoming: mpsc::UnboundedReceiver<Result<Frame, String>>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Client {
    /// Connects; nothing is sent yet.
    ///
    /// # Errors
    /// When the connection cannot be made in time.
    pub async fn connect(address: &str, within: Duration) -> Result<Self, ConnectError> {
        let stream = tokio::time::timeout(within, TcpStream::connect(address))
            .await
            .map_err(|_| ConnectError::Silent("connecting"))?
            .map_err(|error| ConnectError::Lost(error.to_string()))?;
        // Requests are small and each waits for its answer.
        stream.set_nodelay(true).map_err(|error| ConnectError::Lost(error.to_string()))?;
        let (read, write) = stream.into_split();
        let (to_actor, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut to_send) = mpsc::unbounded_channel::<Option<Request>>();
        let reader = tokio::spawn(async move {
            let mut frames = FramedRead::with_capacity(read, EslCodec::default(), 64 * 1024);
            while let Some(frame) = frames.next().await {
                let over = frame.is_err();
                if to_actor.send(frame.map_err(|error| error.to_string())).is_err() || over {
                    return;
                }
            }
            // Nobody listens any more when this fails.
            let _ = to_actor.send(Err("the switch closed the connection".into()));
        });
        let writer = tokio::spawn(async move {
            let mut sink = FramedWrite::new(write, EslCodec::default());
            while let Some(next) = to_send.recv().await {
                // Whatever else is in line goes out with it. The reader sees a broken connection, too, and tells.
                let sent = match &next {
                    Some(request) => sink.feed(request).await.is_ok() && (!to_send.is_empty() || flush(&mut sink).await.is_ok()),
                    None => flush(&mut sink).await.is_ok() && sink.get_mut().write_all(b"\n").await.is_ok(),
                };
                if !sent {
                    return;
                }
            }
        });
        Ok(Self { waiting: VecDeque::new(), outgoing, incoming, _tasks: [AbortOnDropHandle::new(reader), AbortOnDropHandle::new(writer)] })
    }

    /// Logs in: with the password of the event socket, or as `user@domain` of the directory.
    ///
    /// # Errors
    /// When the login is refused or the switch does not answer in time.
    pub async fn login(&mut self, username: &str, secret: &SecretString, within: Duration) -> Result<(), ConnectError> {
        let deadline = Instant::now() + within;
        loop {
            let frame = timeout_at(deadline, self.incoming.recv()).await.map_err(|_| ConnectError::Silent("the switch greets"))?;
            let frame = frame.ok_or_else(|| ConnectError::Lost("the reader has ended".into()))?.map_err(ConnectError::Lost)?;
            match frame.headers.get("Content-Type") {
                Some(b"auth/request") => break,
                // The address is in no access list of the switch.
                Some(b"text/rude-rejection") => return Err(ConnectError::Login("connections from here are not allowed".into())),
                _ => {}
            }
        }
        let secret = secret.expose_secret();
        let line = if username.is_empty() { format!("auth {secret}") } else { format!("userauth {username}:{secret}") };
        let reply = self.ask(Request::new(line), within, &mut Vec::new()).await?;
        if reply.is_success() { Ok(()) } else { Err(ConnectError::Login(reply.words())) }
    }

    /// Sends a request and waits for its reply; events meanwhile are added to `events`.
    ///
    /// # Errors
    /// When the connection is lost or the answer does not come in time.
    pub async fn ask(&mut self, request: Request, within: Duration, events: &mut Vec<Fields>) -> Result<Reply, ConnectError> {
        let deadline = Instant::now() + within;
        let mut reply = self.submit(request)?;
        loop {
            match timeout_at(deadline, self.hear()).await.map_err(|_| ConnectError::Silent("logging in"))? {
                Heard::Event(event) => events.push(event),
                Heard::Life => {}
                Heard::Lost(reason) => return Err(ConnectError::Lost(reason)),
            }
            if let Ok(reply) = reply.try_recv() {
                return Ok(reply);
            }
        }
    }

    /// Puts a request in line. Requests are sent in the order of the calls, whether or not anybody waits for the reply.
    ///
    /// The receiver yields the reply, or fails when the connection is lost.
    ///
    /// # Errors
    /// [`UnsafeField`] when a value may not be sent; nothing is sent then.
    pub fn submit(&mut self, request: Request) -> Result<oneshot::Receiver<Reply>, UnsafeField> {
        request.check()?;
        let (reply, receiver) = oneshot::channel();
        // When the writer is gone the reader tells that the connection is lost, and the receiver fails with it.
        if self.outgoing.send(Some(request)).is_ok() {
            self.waiting.push_back(reply);
        }
        Ok(receiver)
    }

    /// Has the switch send now what it has to tell.
    ///
    /// `mod_event_socket` sleeps for up to 20 ms at a time and wakes for what is sent to it, not for events that it is to send;
    /// an empty line before a request wakes it and has no answer (1.10.12, `read_packet`).
    pub fn wake(&self) {
        // Of a lost connection the reader tells.
        let _ = self.outgoing.send(None);
    }

    /// The next thing that the switch says. Replies are given to those who wait; cancelling loses nothing.
    pub async fn hear(&mut self) -> Heard {
        match self.incoming.recv().await {
            Some(Ok(frame)) => self.sort(frame),
            Some(Err(reason)) => Heard::Lost(reason),
            None => Heard::Lost("the reader has ended".into()),
        }
    }

    /// Takes a reply to whom it belongs.
    fn sort(&mut self, frame: Frame) -> Heard {
        match frame.headers.get("Content-Type") {
            Some(b"text/event-json") => match Fields::parse(&frame.body) {
                Some(fields) => Heard::Event(fields),
                None => {
                    tracing::warn!(bytes = frame.body.len(), cut = frame.cut, "an event of the switch could not be read");
                    Heard::Life
                }
            },
            Some(b"api/response") => self.reply(frame.body),
            Some(b"command/reply") => {
                let text = frame.headers.get("Reply-Text").map(Bytes::copy_from_slice).unwrap_or_default();
                self.reply(text)
            }
            Some(b"text/disconnect-notice") => Heard::Lost("the switch said goodbye".into()),
            Some(b"text/rude-rejection") => Heard::Lost("the switch does not want connections from here".into()),
            _ => Heard::Life,
        }
    }

    fn reply(&mut self, body: Bytes) -> Heard {
        let Some(waiting) = self.waiting.pop_front() else {
            // From here on nobody could tell whose reply is whose.
            return Heard::Lost("the switch answered what nobody asked".into());
        };
        // Nobody waits for it any more when this fails.
        let _ = waiting.send(Reply { body });
        Heard::Life
    }
}

type Sink = FramedWrite<tokio::net::tcp::OwnedWriteHalf, EslCodec>;

/// `Sink::flush` cannot name its item type by itself: the encoder takes references.
async fn flush(sink: &mut Sink) -> Result<(), CodecError> {
    SinkExt::<&Request>::flush(sink).await
}
