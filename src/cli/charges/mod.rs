//! `sklic charges`: priced rows.

mod export;
mod rating;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::ids::{AccountId, ConferenceId};
use crate::storage::charges::{self, ChargeFilter};
use crate::storage::{Connection, accounts};

/// How many charges are read at once.
const PAGE: i64 = 5_000;

/// What can be done with charges.
#[derive(Subcommand)]
pub(super) enum ChargesCommand {
    /// Print charges, one JSON object a line.
    List {
        /// The conference.
        #[arg(long, conflicts_with = "account", required_unless_present = "account")]
        conference: Option<ConferenceId>,
        /// The account's user number.
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        period: Period,
    },
    /// Write the charges of ended legs that have none, and rate again what had no price; what has one keeps it.
    Rate(rating::Which),
    /// Rate ended legs again: what comes out differently is reversed and written anew.
    Rerate(rating::Rerate),
    /// Hand charges over to the billing system: numbered batches as CSV and JSON Lines with a manifest.
    Export(export::Export),
    /// List the batches that were handed over.
    Batches,
}

/// A stretch of time: dates (midnight in `service.time_zone`) or moments such as 2026-01-31T12:00:00+01:00.
#[derive(Args, Clone, Default)]
pub(super) struct Period {
    /// Only what began at this time or later.
    #[arg(long)]
    from: Option<String>,
    /// Only what began before this time.
    #[arg(long)]
    to: Option<String>,
}

impl Period {
    fn times(&self, config: &Config) -> anyhow::Result<(Option<Timestamp>, Option<Timestamp>)> {
        let read = |option: &str, text: &Option<String>| text.as_deref().map(|text| moment(option, text, config)).transpose();
        Ok((read("--from", &self.from)?, read("--to", &self.to)?))
    }
}

/// A moment that was typed: a date is its midnight in the service's time zone.
fn moment(option: &str, text: &str, config: &Config) -> anyhow::Result<Timestamp> {
    let zone = TimeZone::get(&config.service.time_zone).context("service.time_zone")?;
    let date = text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(|date| date.to_zoned(zone).ok());
    match date {
        Some(midnight) => Ok(midnight.timestamp()),
        None => text
            .parse()
            .map_err(|_| anyhow::anyhow!("{option}: {text:?} is neither a date such as 2026-01-31 nor a moment such as 2026-01-31T12:00:00+01:00")),
    }
}

/// The account with this user number.
async fn account(connection: &mut Connection, user_number: &str) -> anyhow::Result<AccountId> {
    let found = accounts::find_by_user_number(connection, user_number).await?;
    Ok(found.with_context(|| format!("--account: there is no account with the user number {user_number}"))?.id)
}

pub(super) async fn run(config: &Config, command: ChargesCommand) -> anyhow::Result<()> {
    match command {
        ChargesCommand::List { conference, account, period } => list(config, conference, account, &period).await,
        ChargesCommand::Rate(which) => rating::rate(config, which).await,
        ChargesCommand::Rerate(rerate) => rating::rerate(config, rerate).await,
        ChargesCommand::Export(export) => export::run(config, export).await,
        ChargesCommand::Batches => export::list(config).await,
    }
}

async fn list(config: &Config, conference: Option<ConferenceId>, of: Option<String>, period: &Period) -> anyhow::Result<()> {
    let pool = super::pool(config)?;
    let mut connection = pool.get().await?;
    let (from, to) = period.times(config)?;
    let within = |start: Timestamp| from.is_none_or(|from| from <= start) && to.is_none_or(|to| start < to);
    if let Some(conference) = conference {
        for charge in charges::list_of_conference(&mut connection, conference).await? {
            if within(charge.started_at) {
                println!("{}", serde_json::to_string(&charge)?);
            }
        }
    }
    let Some(user_number) = of else { return Ok(()) };
    let account = account(&mut connection, &user_number).await?;
    let mut filter = ChargeFilter { from, to, ..ChargeFilter::default() };
    loop {
        let page = charges::list(&mut connection, account, &filter, PAGE).await?;
        for charge in &page {
            println!("{}", serde_json::to_string(charge)?);
        }
        match page.last() {
            Some(last) if i64::try_from(page.len()).is_ok_and(|count| count == PAGE) => filter.after = Some((last.started_at, last.id)),
            _ => return Ok(()),
        }
    }
}
