//! From nothing to a session: connect, log in, wait until the switch has booted, learn when that was and what it holds.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::AsteriskConfig;
use super::callers;
use super::client::{Client, ConnectError, Reply};
use super::codec::Action;
use super::snapshot::{self, Channel};
use super::translate::timestamp;
use crate::pbx::far_clock::FarClock;
use crate::pbx::jobs::pause;
use crate::pbx::wire::HeaderBlock;

/// How long a switch may need to boot once it takes logins.
const BOOT_WITHIN: Duration = Duration::from_secs(120);
/// Time zones differ by multiples of this.
const ZONE_STEP: i64 = 15 * 60;

/// A connection that is ready for commands.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// When the switch was started.
    pub booted_at: Timestamp,
    /// The switch's clock.
    pub(super) clock: FarClock,
    /// Where the prompts lie on the switch; empty when it does not say.
    pub sounds: String,
    /// Our channels.
    pub channels: Vec<Channel>,
    /// What has been told since the login, in order.
    pub events: Vec<HeaderBlock>,
}

/// Makes a session; after failures it waits first, longer each time and never twice the same.
pub async fn establish(config: AsteriskConfig, failures: u32) -> Result<Session, ConnectError> {
    tokio::time::sleep(pause(failures, rand::random())).await;
    config.check()?;
    let mut events = Vec::new();
    let mut client = Client::connect(&config.address, config.reply_within).await?;
    let booted = client.login(&config.username, &config.secret, BOOT_WITHIN, &mut events).await?;
    let pong = client.ask(Action::new("Ping"), config.reply_within, &mut events).await?;
    let clock = timestamp(&pong.response).map_or_else(FarClock::unheard, FarClock::says);
    let switch_now = clock.now();
    let core = client.ask(Action::new("CoreStatus"), config.reply_within, &mut events).await?;
    let channels = client.ask(snapshot::ask_channels(), config.reply_within, &mut events).await?;
    if !channels.is_success() {
        return Err(ConnectError::Login(format!("it may not list channels: {}", channels.words())));
    }
    let sounds = client.ask(callers::ask_sounds(), config.reply_within, &mut events).await?;
    let uptime = booted.number("Uptime").unwrap_or(0);
    Ok(Session {
        client,
        booted_at: booted_at(&core, switch_now, uptime),
        clock,
        sounds: sounds
            .response
            .text("Value")
            .filter(|folder| !folder.is_empty())
            .map_or_else(|| callers::SOUNDS.to_owned(), |folder| folder.into_owned()),
        channels: snapshot::channels(&channels, &config.name),
        events,
    })
}

/// When the switch was started, the same at every asking.
///
/// `CoreStatus` tells it to the second in the switch's local time and without its zone;
/// the uptime tells it roughly, which is enough to see the zone.
fn booted_at(core: &Reply, switch_now: Timestamp, uptime_seconds: i64) -> Timestamp {
    let roughly = switch_now.checked_sub(SignedDuration::from_secs(uptime_seconds)).unwrap_or(switch_now);
    let local = || {
        let date: Date = core.response.text("CoreStartupDate")?.parse().ok()?;
        let time: Time = core.response.text("CoreStartupTime")?.parse().ok()?;
        Some(date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let Some(local) = local() else { return roughly };
    let difference = local.duration_since(roughly).as_secs();
    let zone = (difference + ZONE_STEP / 2).div_euclid(ZONE_STEP) * ZONE_STEP;
    local.checked_sub(SignedDuration::from_secs(zone)).unwrap_or(roughly)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pbx::wire::LineEnd;

    #[test]
    fn the_start_is_the_same_at_every_asking_and_in_every_zone() {
        let started: Timestamp = "2026-11-22T13:52:36Z".parse().expect("a time");
        for (date, time) in [("2026-11-22", "13:52:36"), ("2026-11-22", "14:52:36"), ("2026-11-22", "19:22:36"), ("2026-11-21", "23:52:36")] {
            let lines = format!("Response: Success\r\nCoreStartupDate: {date}\r\nCoreStartupTime: {time}\r\n\r\n");
            let core = Reply { response: HeaderBlock::new(Bytes::from(lines), LineEnd::CrLf), items: Vec::new() };
            for uptime in [0, 1, 61, 864_000] {
                for late in [-1, 0, 1] {
                    let now = started + SignedDuration::from_secs(uptime + late);
                    assert_eq!(booted_at(&core, now, uptime), started, "{date} {time} {uptime} {late}");
                }
            }
        }
    }
}
