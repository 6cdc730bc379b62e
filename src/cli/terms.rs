//! What the operator sets about an account, as options of `sklic account add` and `sklic account set`.

use anyhow::bail;
use clap::Args;

use crate::billing::Money;
use crate::conference::AtCap;
use crate::config::Config;
use crate::lines::{Lines, Standing};
use crate::storage::accounts::Terms;
use crate::storage::{Connection, tariffs};

/// What stands for "as the configuration says".
const AS_CONFIGURED: &str = "-";

/// The operator's terms for an account; `-` gives a setting back to the configuration.
#[derive(Args, Default)]
pub(super) struct TermsOptions {
    /// The tariff by which its conferences are charged from their next start on.
    #[arg(long)]
    tariff: Option<String>,
    /// The line in the operator's network that makes it eligible, looked up in the inventory of `[lines]`; `-` is its telephone as it is now, as is nothing for a new account.
    #[arg(long)]
    line: Option<String>,
    /// Beginnings of numbers that it may call instead of `conference.allowed_prefixes`, separated by commas.
    #[arg(long)]
    allowed_prefixes: Option<String>,
    /// Conferences at once.
    #[arg(long)]
    max_conferences: Option<String>,
    /// Length of a conference, in seconds.
    #[arg(long)]
    max_length_seconds: Option<String>,
    /// What it may cost a day, with VAT, such as 50.00.
    #[arg(long)]
    daily_spend_cap: Option<String>,
    /// What happens at the cap: `no_new_calls` or `end`.
    #[arg(long)]
    at_cap: Option<String>,
    /// Days after which the personal data of its conferences are erased; 0 keeps them.
    #[arg(long)]
    retention_days: Option<String>,
}

impl TermsOptions {
    /// The terms of an account with this telephone, checked against what is there.
    pub(super) async fn checked(self, config: &Config, connection: &mut Connection, phone: &str) -> anyhow::Result<Terms> {
        let tariff = self.tariff.map(given);
        if let Some(Some(name)) = &tariff
            && !tariffs::exists(connection, name).await?
        {
            bail!("--tariff: there is no tariff {name:?}; `sklic tariff show` lists them");
        }
        let line = read("--line", self.line, |typed| config.numbering.normalise(typed).map_err(|why| why.to_string()))?;
        let allowed_prefixes = read("--allowed-prefixes", self.allowed_prefixes, prefixes)?;
        let max_conferences = read("--max-conferences", self.max_conferences, |text| whole(text, 0, 10_000))?;
        let max_length_seconds = read("--max-length-seconds", self.max_length_seconds, |text| whole(text, 60, 604_800))?;
        let daily_spend_cap = read("--daily-spend-cap", self.daily_spend_cap, |text| match text.parse::<Money>() {
            Ok(cap) if cap >= Money::ZERO => Ok(cap.0),
            Ok(_) => Err("is negative".to_owned()),
            Err(why) => Err(why.to_string()),
        })?;
        let at_cap = read("--at-cap", self.at_cap, |text| {
            AtCap::from_word(text).map(|at_cap| at_cap.word().to_owned()).ok_or_else(|| "neither no_new_calls nor end".to_owned())
        })?;
        let retention_days = read("--retention-days", self.retention_days, |text| whole(text, 0, 36_500))?;
        Ok(Terms {
            tariff,
            // Written down rather than left open: the telephone is his to change, the line is not.
            line: line.map(|line| line.unwrap_or_else(|| phone.to_owned())),
            allowed_prefixes,
            max_participants: None,
            max_conferences,
            max_length_seconds,
            daily_spend_cap,
            at_cap,
            retention_days,
        })
    }
}

/// Refuses a line that the inventory does not know; says it when nothing could be checked.
pub(super) async fn check_line(config: &Config, line: &str) -> anyhow::Result<()> {
    let Some(lines) = config.lines.clone() else {
        eprintln!("The line is not checked: no inventory is configured ([lines]).");
        return Ok(());
    };
    match Lines::new(lines, config.numbering.clone())?.standing(line).await? {
        Standing::Owned => Ok(()),
        Standing::Gone => bail!("the line {line} is not in the operator's inventory of lines ([lines])"),
    }
}

/// A value, or none for "as the configuration says".
fn given(text: String) -> Option<String> {
    (text != AS_CONFIGURED).then_some(text)
}

/// An option's value, read; the option is named when that fails.
fn read<T>(option: &str, text: Option<String>, read: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Option<Option<T>>> {
    let Some(text) = text else { return Ok(None) };
    given(text).map(|text| read(&text).map_err(|why| anyhow::anyhow!("{option}: {text:?}: {why}"))).transpose().map(Some)
}

fn whole(text: &str, least: i32, most: i32) -> Result<i32, String> {
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| format!("not between {least} and {most}"))
}

fn prefixes(text: &str) -> Result<serde_json::Value, String> {
    let prefixes: Vec<&str> = text.split(',').map(str::trim).collect();
    match prefixes.iter().find(|prefix| !crate::config::is_prefix(prefix)) {
        Some(bad) => Err(format!("{bad:?} is not + and digits, + alone for every number, or a short number")),
        None => Ok(prefixes.into()),
    }
}
