//! One AMI connection: login, actions with their replies, lists put together, events handed on in order.
//!
//! It knows how AMI answers, not what an answer means for a leg.
//! Two tasks own the two halves of the socket and never wait for anything else:
//! the reader puts what it hears in a queue, the writer sends what lies in its queue.
//! [`Client`] itself belongs to the adapter's task, which gives each action its ActionID and takes the replies out of the stream.
//! A caller who goes away drops his end of a channel and nothing else: replies find their action by its ActionID, not by their order.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::codec::{Action, AmiCodec, CodecError, Frame};
use crate::pbx::CommandFailure;
use crate::pbx::wire::{HeaderBlock, UnsafeField};

/// Items of one list that are kept; a switch has fewer channels.
const MAX_LIST: usize = 100_000;
/// Actions without an answer that are remembered before those that nobody waits for are dropped.
const TIDY_AT: usize = 4_096;

/// What the switch answers to one action.
#[derive(Debug)]
pub struct Reply {
    /// The response.
    pub response: HeaderBlock,
    /// The list that followed, without its last event.
    pub items: Vec<HeaderBlock>,
}

impl Reply {
    /// Whether the switch took the action.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.response.get("Response"), Some(b"Success" | b"Goodbye"))
    }

    /// The switch's own words.
    #[must_use]
    pub fn words(&self) -> String {
        self.response.text("Message").unwrap_or_default().into_owned()
    }
}

/// What comes out of the connection and is no reply.
#[derive(Debug)]
pub enum Heard {
    /// An event.
    Event(HeaderBlock),
    /// A reply or part of one, or the banner: only a sign of life.
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
    /// The switch refused the account.
    #[error("the switch refused the login: {0}")]
    Login(String),
    /// The switch did not answer in time.
    #[error("no answer while {0}")]
    Silent(&'static str),
    /// Configured values that may not be sent.
    #[error(transparent)]
    Unsafe(#[from] UnsafeField),
}

struct Waiting {
    reply: oneshot::Sender<Reply>,
    /// The list's response, once it has come.
    list: Option<Reply>,
}

/// One connection, logged in or not.
pub struct Client {
    prefix: String,
    next: u64,
    waiting: HashMap<String, Waiting>,
    outgoing: mpsc::UnboundedSender<Action>,
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
        // Actions are small and each waits for its answer.
        stream.set_nodelay(true).map_err(|error| ConnectError::Lost(error.to_string()))?;
        let (read, write) = stream.into_split();
        let (to_actor, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut to_send) = mpsc::unbounded_channel::<Action>();
        let reader = tokio::spawn(async move {
            let mut frames = FramedRead::with_capacity(read, AmiCodec::default(), 64 * 1024);
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
            let mut sink = FramedWrite::new(write, AmiCodec::default());
            while let Some(action) = to_send.recv().await {
                // Whatever else is in line goes out with it. The reader sees a broken connection, too, and tells.
                if sink.feed(&action).await.is_err() || (to_send.is_empty() && flush(&mut sink).await.is_err()) {
                    return;
                }
            }
        });
        Ok(Self {
            // Unique over connections: an OriginateResponse comes to the next connection with the ActionID of the old one.
            prefix: Uuid::new_v4().simple().to_string(),
            next: 0,
            waiting: HashMap::new(),
            outgoing,
            incoming,
            _tasks: [AbortOnDropHandle::new(reader), AbortOnDropHandle::new(writer)],
        })
    }

    /// Logs in and waits until the switch has booted; the events of this time are added to `events`.
    ///
    /// Returns the event `FullyBooted`.
    ///
    /// # Errors
    /// When the login is refused or the switch does not answer in time.
    pub async fn login(
        &mut self,
        username: &str,
        secret: &SecretString,
        boot_within: Duration,
        events: &mut Vec<HeaderBlock>,
    ) -> Result<HeaderBlock, ConnectError> {
        let login = Action::new("Login").with("Username", username).with("Secret", secret.expose_secret()).with("Events", "on");
        let reply = self.ask(login, Duration::from_secs(5), events).await?;
        if !reply.is_success() {
            return Err(ConnectError::Login(reply.words()));
        }
        // Login works before the modules are there; before FullyBooted a dial fails with "Extension does not exist".
        let deadline = Instant::now() + boot_within;
        let booted = |event: &HeaderBlock| event.get("Event") == Some(b"FullyBooted");
        if let Some(at) = events.iter().position(booted) {
            return Ok(events.remove(at));
        }
        loop {
            match timeout_at(deadline, self.hear()).await.map_err(|_| ConnectError::Silent("the switch boots"))? {
                Heard::Event(event) if booted(&event) => return Ok(event),
                Heard::Event(event) => events.push(event),
                Heard::Life => {}
                Heard::Lost(reason) => return Err(ConnectError::Lost(reason)),
            }
        }
    }

    /// Sends an action and waits for its reply; events meanwhile are added to `events`.
    ///
    /// # Errors
    /// When the connection is lost or the answer does not come in time.
    pub async fn ask(&mut self, action: Action, within: Duration, events: &mut Vec<HeaderBlock>) -> Result<Reply, ConnectError> {
        let deadline = Instant::now() + within;
        let mut reply = self.submit(action)?;
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

    /// Puts an action in line. Actions are sent in the order of the calls, whether or not anybody waits for the reply.
    ///
    /// The receiver yields the reply, or fails when the connection is lost.
    ///
    /// # Errors
    /// [`UnsafeField`] when a value may not be sent; nothing is sent then.
    pub fn submit(&mut self, action: Action) -> Result<oneshot::Receiver<Reply>, UnsafeField> {
        action.check()?;
        self.next += 1;
        let id = format!("{}-{}", self.prefix, self.next);
        if self.waiting.len() >= TIDY_AT {
            self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        }
        let (reply, receiver) = oneshot::channel();
        self.waiting.insert(id.clone(), Waiting { reply, list: None });
        // When the writer is gone the reader tells that the connection is lost, and the receiver fails with it.
        let _ = self.outgoing.send(action.with("ActionID", id));
        Ok(receiver)
    }

    /// The next thing that the switch says. Replies are given to those who wait; cancelling loses nothing.
    pub async fn hear(&mut self) -> Heard {
        match self.incoming.recv().await {
            Some(Ok(Frame::Banner)) => Heard::Life,
            Some(Ok(Frame::Message { headers, cut })) => {
                if cut {
                    tracing::warn!(event = ?headers.text("Event"), "a message of the switch was too long and has been cut");
                }
                self.sort(headers)
            }
            Some(Err(reason)) => Heard::Lost(reason),
            None => Heard::Lost("the reader has ended".into()),
        }
    }

    /// Takes a reply to whom it belongs; anything else is an event.
    fn sort(&mut self, message: HeaderBlock) -> Heard {
        let Some(id) = message.text("ActionID").map(|id| id.into_owned()) else { return Heard::Event(message) };
        // An event may hold `Response:` too (OriginateResponse does): what a message is, its first header says.
        let is_response = message.iter().next().is_some_and(|(key, _)| key.eq_ignore_ascii_case(b"Response"));
        if is_response {
            let Some(waiting) = self.waiting.get_mut(&id) else { return Heard::Life };
            let reply = Reply { response: message, items: Vec::new() };
            if reply.response.get("EventList").is_some_and(|list| list.eq_ignore_ascii_case(b"start")) {
                waiting.list = Some(reply);
            } else if let Some(waiting) = self.waiting.remove(&id) {
                // Nobody waits for it any more when this fails.
                let _ = waiting.reply.send(reply);
            }
            return Heard::Life;
        }
        let Some(list) = self.waiting.get_mut(&id).and_then(|waiting| waiting.list.as_mut()) else {
            return Heard::Event(message);
        };
        let end = message.get("EventList").map(<[u8]>::to_ascii_lowercase);
        if end.as_deref() == Some(b"complete") || end.as_deref() == Some(b"cancelled") {
            if let Some(Waiting { reply, list: Some(list) }) = self.waiting.remove(&id) {
                // As above.
                let _ = reply.send(list);
            }
        } else if list.items.len() < MAX_LIST {
            list.items.push(message);
        }
        Heard::Life
    }
}

type Sink = FramedWrite<tokio::net::tcp::OwnedWriteHalf, AmiCodec>;

/// `Sink::flush` cannot name its item type by itself: the encoder takes references.
async fn flush(sink: &mut Sink) -> Result<(), CodecError> {
    SinkExt::<&Action>::flush(sink).await
}

/// Reads the switch's answer to an action.
///
/// # Errors
/// Why the switch did not do it.
pub fn accepted(reply: Reply) -> Result<(), CommandFailure> {
    listed(reply).map(drop)
}

/// The same for an action whose list is of use.
///
/// # Errors
/// As [`accepted`].
pub fn listed(reply: Reply) -> Result<Reply, CommandFailure> {
    if reply.is_success() {
        return Ok(reply);
    }
    let words = reply.words();
    // The switch's words for what is not there (Asterisk 22, `main/manager.c`, `apps/app_confbridge.c`).
    let gone = ["No such channel", "No Channel by that name", "No Conference by that name", "No active conferences", "Channel does not exist"];
    if gone.iter().any(|start| words.starts_with(start)) { Err(CommandFailure::Gone) } else { Err(CommandFailure::Refused(words)) }
}
