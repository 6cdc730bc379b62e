//! The doctor's errand on Asterisk: a few Local channels through the context `sklic-check`, which ring nowhere.
//!
//! They show at once which events the account may read, whether the prompts and the profiles are there, and whether the database can be written.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::pbx::asterisk::client::{Client, ConnectError, Heard};
use crate::pbx::asterisk::codec::Action;
use crate::pbx::wire::HeaderBlock;

/// How long the whole errand may take on a busy switch.
const WITHIN: Duration = Duration::from_secs(8);
/// Announcements that one channel looks for: their names must fit into one line of the protocol.
const FILES: usize = 30;
/// The room that the errand opens; no conference has such a name, for theirs end in digits.
const ROOM: &[u8] = b"sklic-check";

/// What the errand has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Events of channels came: the account may read `call`.
    pub call: bool,
    /// Our user event came: the account may read `user`.
    pub user: bool,
    /// A key was heard: the account may read `dtmf`.
    pub keys: bool,
    /// Parts that the switch has still to tell what it found about files and database.
    pub to_look: usize,
    /// Events carry their time.
    pub timed: bool,
    /// The room opened with our profiles.
    pub room: bool,
    /// ConfBridge refused our profiles.
    pub room_refused: bool,
    /// Where the switch looks for announcements.
    pub sounds: String,
    /// The switch can look at files (`func_env.so`).
    pub can_look: bool,
    /// Announcements that are not there.
    pub missing: Vec<String>,
    /// What the switch's database gave back of what was written.
    pub kept: bool,
}

impl Seen {
    fn is_whole(&self) -> bool {
        self.call && self.to_look == 0 && self.keys && (self.room || self.room_refused)
    }
}

/// Runs the errand; what does not come in time is not seen.
///
/// # Errors
/// When the connection is lost.
pub async fn run(client: &mut Client, prompts: &[String]) -> Result<Seen, ConnectError> {
    let nonce = Uuid::new_v4().simple().to_string();
    let parts: Vec<String> = prompts.chunks(FILES).map(|files| files.join(":")).collect();
    let looks = parts.iter().map(|files| ("look", "idle", files.as_str()));
    let errands = [("room", "idle", ""), ("keys", "press", "")].into_iter().chain(looks);
    for (part, other_half, files) in errands {
        let action = Action::new("Originate")
            .with("Channel", format!("Local/{part}@sklic-check/n"))
            .with("Context", "sklic-check")
            .with("Exten", other_half)
            .with("Priority", "1")
            .with("Async", "true")
            .with("Variable", format!("SKLIC_NONCE={nonce}"))
            .with("Variable", format!("SKLIC_FILES={files}"));
        // Nobody needs the reply: what comes of it is in the events.
        drop(client.submit(action)?);
    }
    let deadline = Instant::now() + WITHIN;
    let mut seen = Seen { kept: true, to_look: parts.len(), ..Seen::default() };
    while !seen.is_whole() {
        match timeout_at(deadline, client.hear()).await {
            Ok(Heard::Event(event)) => note(&event, &nonce, client, &mut seen)?,
            Ok(Heard::Life) => {}
            Ok(Heard::Lost(reason)) => return Err(ConnectError::Lost(reason)),
            Err(_) => break,
        }
    }
    // The parts are told in any order.
    seen.missing.sort_by_key(|name| prompts.iter().position(|prompt| prompt == name));
    Ok(seen)
}

fn note(event: &HeaderBlock, nonce: &str, client: &mut Client, seen: &mut Seen) -> Result<(), ConnectError> {
    let name = event.get("Event").unwrap_or_default();
    let is_ours = event.text("Context").is_some_and(|context| context == "sklic-check") || event.get("Conference") == Some(ROOM);
    match name {
        b"UserEvent" if event.text("Nonce").is_some_and(|its| its == nonce) => {
            seen.user = true;
            seen.timed = event.get("Timestamp").is_some();
            match event.text("Step").as_deref() {
                Some("look") => {
                    seen.to_look = seen.to_look.saturating_sub(1);
                    seen.sounds = event.text("Sounds").unwrap_or_default().into_owned();
                    seen.can_look = event.get("Stat") == Some(b"1");
                    seen.kept &= event.text("Kept").is_some_and(|kept| kept == nonce);
                    let missing = event.text("Missing").unwrap_or_default();
                    seen.missing.extend(missing.split(':').filter(|name| !name.is_empty()).map(str::to_owned));
                }
                Some("room") => seen.room_refused = true,
                _ => {}
            }
        }
        b"DTMFEnd" if is_ours => seen.keys = true,
        b"ConfbridgeJoin" if is_ours => {
            (seen.call, seen.room) = (true, true);
            if let Some(channel) = event.text("Channel") {
                drop(client.submit(Action::new("Hangup").with("Channel", channel))?);
            }
        }
        b"Newchannel" | b"Newstate" | b"Newexten" if is_ours => seen.call = true,
        _ => {}
    }
    Ok(())
}
