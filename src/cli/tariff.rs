//! `sklic tariff`: price lists.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::billing::{Currency, ImportOptions, TariffVersion, parse_tariff};
use crate::clock;
use crate::config::Config;
use crate::storage::tariffs;

/// What can be done with tariffs.
#[derive(Subcommand)]
pub(super) enum TariffCommand {
    /// Load a price list as a new version of a tariff: whole, or not at all.
    Import(Import),
    /// Say what is wrong with a price list, and load nothing.
    Check(Check),
    /// Print a tariff's versions and rates; without a name, which tariffs there are.
    Show {
        /// The tariff.
        #[arg(long)]
        name: Option<String>,
    },
}

/// A price list and when it comes into force.
#[derive(Args)]
pub(super) struct Import {
    #[command(flatten)]
    file: Check,
    /// The tariff; the configuration's `billing.tariff` without it.
    #[arg(long)]
    name: Option<String>,
}

/// A price list.
#[derive(Args)]
pub(super) struct Check {
    /// The CSV file; sql/tariffs/README.md explains its columns.
    file: PathBuf,
    /// When it comes into force: a date such as 2026-01-31, midnight in the time zone.
    #[arg(long, value_parser = date)]
    valid_from: Date,
    /// Time zone of the dates; `service.time_zone` without it.
    #[arg(long)]
    time_zone: Option<String>,
}

/// A date and nothing else: a time of day beside it would be lost.
fn date(text: &str) -> Result<Date, String> {
    let date = text.parse().ok().filter(|_| text.len() == 10);
    date.ok_or_else(|| "not a date such as 2026-01-31; a price list comes into force at midnight".to_owned())
}

/// Says what is wrong with a price list; `time_zone` is the service's.
pub(super) fn check(check: &Check, time_zone: &str) -> anyhow::Result<()> {
    let version = read(check, 1, time_zone)?.0;
    println!("{}: {} rates from {}, nothing wrong.", check.file.display(), version.rates().len(), version.valid_from());
    Ok(())
}

pub(super) async fn run(config: &Config, command: TariffCommand) -> anyhow::Result<()> {
    let pool = super::pool(config)?;
    let mut connection = pool.get().await?;
    match command {
        TariffCommand::Check(file) => check(&file, &config.service.time_zone)?,
        TariffCommand::Import(import) => {
            let name = import.name.unwrap_or_else(|| config.billing.tariff.clone());
            if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
                bail!("--name: a tariff's name has 1 to 100 characters");
            }
            let currency: Currency = config.billing.currency.parse()?;
            let number = tariffs::next_version(&mut connection, &name).await?;
            let (version, digest) = read(&import.file, number, &config.service.time_zone)?;
            // An older version of the same file does not count: importing it once more is how a price list is rolled back.
            if let Some(same) = tariffs::find_beginning(&mut connection, &name, version.valid_from()).await?
                && same.source_sha256 == digest
                && same.currency == currency.code()
                && Some(same.time_zone.as_str()) == version.time_zone().iana_name()
            {
                println!("Tariff {name}: this file is in force already as version {}.", same.version);
                return Ok(());
            }
            tariffs::add(&mut connection, &name, currency, &version, &digest, clock::now()).await?;
            println!("Tariff {name}, version {number}: {} rates from {}.", version.rates().len(), version.valid_from());
        }
        TariffCommand::Show { name: None } => {
            for tariff in tariffs::list(&mut connection).await? {
                println!("{}\tversion {}\t{}\tfrom {}", tariff.name, tariff.version, tariff.currency, tariff.valid_from);
            }
        }
        TariffCommand::Show { name: Some(name) } => {
            let tariff = tariffs::lookup(&mut connection, &name).await?.with_context(|| format!("there is no tariff {name:?}"))?;
            for version in tariff.versions() {
                println!(
                    "version {} from {}, midnights of {}",
                    version.number(),
                    version.valid_from(),
                    version.time_zone().iana_name().unwrap_or("UTC")
                );
                for rate in version.rates() {
                    let until = rate.valid_to.map(|end| format!(" until {end}")).unwrap_or_default();
                    println!(
                        "  {:<10} {:<10} connect {} a minute {} increments {}/{} free {} s VAT {} % split {} from {}{until}  {}",
                        rate.component.word(),
                        rate.prefix,
                        rate.connect_fee,
                        rate.price_per_minute,
                        rate.first_increment,
                        rate.next_increment,
                        rate.free_seconds,
                        rate.vat_percent,
                        rate.split.word(),
                        rate.valid_from,
                        rate.description
                    );
                }
            }
        }
    }
    Ok(())
}

/// The version in a file, and the file's SHA-256.
fn read(check: &Check, number: u32, time_zone: &str) -> anyhow::Result<(TariffVersion, [u8; 32])> {
    let time_zone = check.time_zone.as_deref().unwrap_or(time_zone);
    let time_zone = TimeZone::get(time_zone).map_err(|_| anyhow::anyhow!("--time-zone: there is no time zone {time_zone:?}"))?;
    let valid_from: Timestamp = check.valid_from.to_zoned(time_zone.clone())?.timestamp();
    let path: &Path = &check.file;
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let version = parse_tariff(&text, &ImportOptions { version: number, valid_from, time_zone })
        .map_err(|errors| anyhow::anyhow!("{} is refused, nothing is loaded:\n{errors}", path.display()))?;
    Ok((version, Sha256::digest(&text).into()))
}
