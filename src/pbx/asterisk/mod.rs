//! Asterisk over its manager interface (AMI), with ConfBridge as the room.
//!
//! One TCP connection carries all; what must work without it is in `dialplan/asterisk/`.
//! `codec` frames the bytes, `client` is one connection, `translate` reads events, `legs` knows the living legs,
//! `snapshot` asks for everything, `actions` writes what is sent, `callers`, `keying` and `spoken` are about dial-in, `link` makes a session, `adapter` holds it together.

mod actions;
mod adapter;
mod callers;
pub mod client;
pub mod codec;
mod kept;

mod legs;
mod link;
mod snapshot;
mod spoken;
pub mod translate;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::wire::{self, UnsafeField};
use super::{EventSender, Pbx, jobs};

/// How to reach one Asterisk and how to dial through it.
#[derive(Clone, Debug)]
pub struct AsteriskConfig {
    /// Name of this switch, for logs.
    pub name: String,
    /// `host:port` of the manager interface.
    pub address: String,
    /// Account of `manager.conf`.
    pub username: String,
    /// Its secret.
    pub secret: SecretString,
    /// Dial string with `{number}` where the number goes, as `PJSIP/{number}@trunk`.
    pub dial: String,
    /// Dial string to another switch of the service, with `{number}` and `{address}`, as `PJSIP/switches/sip:{number}@{address}`;
    /// empty: callers cannot be brought to another one.
    pub dial_switch: String,
    /// Number that the called people see; empty leaves it to the trunk.
    pub caller_id: String,
    /// Calls placed in a second, at most.
    pub calls_per_second: u32,
    /// How often the switch is asked for a sign of life.
    pub ping_interval: Duration,
    /// Silence after which the link is taken for lost.
    pub silence_limit: Duration,
    /// How long an action waits for its reply.
    pub reply_within: Duration,
}

impl AsteriskConfig {
    /// A configuration with the usual times: a ping every 2 s, lost after 6 s of silence, 5 s for a reply.
    #[must_use]
    pub fn new(name: &str, address: &str, username: &str, secret: SecretString, dial: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            username: username.to_owned(),
            secret,
            dial: dial.to_owned(),
            dial_switch: String::new(),
            caller_id: String::new(),
            calls_per_second: 50,
            ping_interval: Duration::from_secs(2),
            silence_limit: Duration::from_secs(6),
            reply_within: Duration::from_secs(5),
        }
    }

    /// Whether the dial string and the caller's number may be sent as they are.
    ///
    /// # Errors
    /// [`UnsafeField`] names what is wrong.
    pub fn check(&self) -> Result<(), UnsafeField> {
        wire::check_value("username", &self.username)?;
        wire::check_value("dial", &self.dial)?;
        if self.dial.matches("{number}").count() != 1 {
            return Err(UnsafeField::new("dial", "does not hold {number} exactly once"));
        }
        if self.dial.contains([',', '&', ' ']) {
            return Err(UnsafeField::new("dial", "holds a comma, an ampersand or a space"));
        }
        if !self.dial_switch.is_empty() {
            wire::check_dial_switch(&self.dial_switch)?;
        }
        if self.calls_per_second == 0 {
            return Err(UnsafeField::new("calls_per_second", "is 0"));
        }
        if self.caller_id.is_empty() { Ok(()) } else { wire::check_number("caller_id", &self.caller_id) }
    }
}

/// Starts the adapter and returns at once; the link and its losses come as events.
///
/// It lives until [`Pbx::close`] or until the returned adapter is dropped.
#[must_use]
pub fn connect(config: AsteriskConfig, events: EventSender) -> Arc<dyn Pbx> {
    adapter::start(config, events)
}

/// Whether the switch takes our login now. The session is dropped: nothing is driven.
pub async fn reaches(config: AsteriskConfig) -> bool {
    jobs::reached(link::establish(config, 0)).await
}
