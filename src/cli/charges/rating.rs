//! `sklic charges rate` and `rerate`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use super::Period;
use crate::accounting::{Outcome, Prices, Rerating};
use crate::config::Config;
use crate::ids::{ConferenceId, LegId};
use crate::storage::rated_legs::{LegFilter, TariffFilter};
use crate::storage::{Pool, tariffs};

/// Which ended legs. Those that were never answered cost nothing and are left out.
#[derive(Args)]
pub(in crate::cli) struct Which {
    #[command(flatten)]
    period: Period,
    /// Only those of this account, by its user number.
    #[arg(long)]
    account: Option<String>,
    /// Only those of this conference.
    #[arg(long)]
    conference: Option<ConferenceId>,
    /// Only those charged by this tariff.
    #[arg(long)]
    tariff: Option<String>,
    /// Begin after this leg: what a run that was broken off has printed last.
    #[arg(long)]
    after: Option<String>,
    /// Only tell what would be written.
    #[arg(long)]
    dry_run: bool,
}

/// Which ended legs, and by what.
#[derive(Args)]
pub(in crate::cli) struct Rerate {
    #[command(flatten)]
    which: Which,
    /// Charge their conferences by this tariff from now on, instead of the one that was the account's at their start.
    #[arg(long = "by")]
    by: Option<String>,
}

pub(super) async fn rate(config: &Config, which: Which) -> anyhow::Result<()> {
    run(config, which, None, true).await
}

pub(super) async fn rerate(config: &Config, rerate: Rerate) -> anyhow::Result<()> {
    run(config, rerate.which, rerate.by, false).await
}

async fn run(config: &Config, which: Which, by: Option<String>, without_price: bool) -> anyhow::Result<()> {
    let pool = crate::cli::pool(config)?;
    let prices = Arc::new(prices(config, &pool).await?);
    let (from, to) = which.period.times(config)?;
    let mut connection = pool.get().await?;
    for (option, name) in [("--tariff", &which.tariff), ("--by", &by)] {
        if let Some(name) = name
            && !tariffs::exists(&mut connection, name).await?
        {
            bail!("{option}: there is no tariff {name:?}; `sklic tariff show` lists them");
        }
    }
    let account = match &which.account {
        Some(user_number) => Some(super::account(&mut connection, user_number).await?),
        None => None,
    };
    drop(connection);
    let tariff = which.tariff.map(|name| TariffFilter { is_default: name == config.billing.tariff, name });
    let filter = LegFilter { from, to, account, conference: which.conference, tariff, without_price };
    let after = which.after.as_deref().map(read_place).transpose()?;
    let rerating = Rerating { filter, tariff: by, dry_run: which.dry_run, prices };
    let outcome = rerating.run(&pool, after, |so_far| eprintln!("{}", progress(so_far))).await?;
    report(&outcome, which.dry_run, config.billing.currency.as_str());
    Ok(())
}

/// The price lists that are in force.
async fn prices(config: &Config, pool: &Pool) -> anyhow::Result<Prices> {
    let payers = config.billing.payers(&config.numbering).map_err(anyhow::Error::msg)?;
    let prices = Prices::new(config.billing.tariff.clone(), payers, config.billing.currency().map_err(anyhow::Error::msg)?, config.numbering.clone());
    prices.refresh(pool, &mut None).await.context("cannot read the tariffs")?;
    Ok(prices)
}

/// How far a run is, with the place from which another one can go on.
fn progress(outcome: &Outcome) -> String {
    let place = outcome.last.map(|(at, leg)| format!(", at --after {at}_{leg}")).unwrap_or_default();
    format!("{} legs, {} differ{place}", outcome.legs, outcome.changed)
}

fn read_place(text: &str) -> anyhow::Result<(Timestamp, LegId)> {
    let place = text.split_once('_').and_then(|(at, leg)| Some((at.parse().ok()?, leg.parse().ok()?)));
    place.with_context(|| format!("--after: {text:?} is not a place that a run has printed"))
}

fn report(outcome: &Outcome, dry_run: bool, currency: &str) {
    let would = if dry_run { "would be " } else { "" };
    println!("{} legs looked at, {} came out differently or had no charge or price.", outcome.legs, outcome.changed);
    println!("{} rows {would}reversed, {} rows {would}written.", outcome.reversed, outcome.written);
    if let Some(difference) = outcome.difference(currency) {
        println!("Net difference in money: {difference} {currency}.");
    }
    if outcome.without_price > 0 {
        println!("{} components have no price: `sklic charges list` names the reason; import what is missing and rate again.", outcome.without_price);
    }
}
