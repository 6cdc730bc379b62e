//! From nothing to a session: connect, log in, ask for the events, learn which run of the switch this is and since when.

use jiff::{SignedDuration, Timestamp};

use super::FreeswitchConfig;
use super::callers;
use super::client::{Client, ConnectError};
use super::fields::Fields;
use super::requests;
use super::translate::parse_micros;
use crate::pbx::far_clock::FarClock;
use crate::pbx::jobs::pause;

/// A connection that is ready for commands.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// The switch's name for its present run: another one means that all its legs are gone.
    pub core: String,
    /// When the switch was started, to about a second, and the same at every asking.
    pub booted_at: Timestamp,
    /// The switch's clock.
    pub(super) clock: FarClock,
    /// Where the prompts lie on the switch; empty or words when it does not say.
    pub sounds: String,
    /// The waiting music, as the switch names it; empty when it does not say.
    pub music: String,
    /// What has been told since the events were asked for, in order.
    pub events: Vec<Fields>,
}

/// Makes a session; after failures it waits first, longer each time and never twice the same.
pub async fn establish(config: FreeswitchConfig, failures: u32) -> Result<Session, ConnectError> {
    tokio::time::sleep(pause(failures, rand::random())).await;
    config.check()?;
    let within = config.reply_within;
    let mut client = Client::connect(&config.address, within).await?;
    client.login(&config.username, &config.secret, within).await?;
    // First the events, then whatever is asked: nothing falls between the two.
    let mut events = Vec::new();
    let subscribed = client.ask(requests::subscribe(), within, &mut events).await?;
    if !subscribed.is_success() {
        return Err(ConnectError::Login(format!("it may not have the events: {}", subscribed.words())));
    }
    let core = client.ask(requests::ask_core(), within, &mut events).await?.text();
    let uptime = client.ask(requests::ask_uptime(), within, &mut events).await?.text();
    let told = client.ask(requests::ask_clock(), within, &mut events).await?.text();
    // The socket answers before the modules with these commands are there.
    let (Ok(uptime), Some(switch_now), 36) = (uptime.parse::<i64>(), parse_micros(&told), core.len()) else {
        return Err(ConnectError::Login("it does not tell its clock; it may be starting, or the commands are not allowed".into()));
    };
    let clock = FarClock::says(switch_now);
    let mut noted = client.ask(requests::ask_boot(), within, &mut events).await?.text();
    if parse_micros(&noted).is_none() {
        let booted_at = switch_now.checked_sub(SignedDuration::from_secs(uptime)).unwrap_or(switch_now);
        client.ask(requests::note_boot(booted_at.as_microsecond()), within, &mut events).await?;
        // Another service may have been quicker, or it may not be allowed: what is there now counts for all.
        noted = client.ask(requests::ask_boot(), within, &mut events).await?.text();
        noted = parse_micros(&noted).map_or_else(|| booted_at.as_microsecond().to_string(), |_| noted);
    }
    let booted_at = parse_micros(&noted).unwrap_or(switch_now);
    let sounds = client.ask(callers::ask_sounds(), within, &mut events).await?.text();
    let music = callers::music(&client.ask(callers::ask_music(), within, &mut events).await?.text());
    Ok(Session { client, core, booted_at, sounds, music, clock, events })
}
