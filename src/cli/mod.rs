//! The commands of the binary.

mod account;
mod charges;
/// `sklic check`: the integrator's doctor.
pub mod check;
mod migrate;
mod papers;
mod replay;
mod serve;
mod switches;
mod tariff;
mod terms;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::storage::{Pool, PoolOptions};

/// Self-service telephone conferencing on the operator's own PBX.
#[derive(Parser)]
#[command(name = "sklic", version, about)]
struct Arguments {
    /// The configuration.
    #[arg(long, short, global = true, default_value = "/etc/sklic/sklic.toml", env = "SKLIC_CONFIG")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve,
    Migrate(migrate::Migrate),
    /// Subscribers of the service.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Price lists.
    #[command(subcommand)]
    Tariff(tariff::TariffCommand),
    /// Priced rows.
    #[command(subcommand)]
    Charges(charges::ChargesCommand),
    /// The switches: which there are, and which get no new conferences.
    #[command(subcommand)]
    Switches(switches::SwitchesCommand),
    Check(check::Check),
    #[command(hide = true)]
    Papers(papers::Papers),
    /// Print a conference's states and effects from its journal.
    Replay(replay::Replay),
}

/// Runs the command that was asked for.
///
/// # Errors
/// What could not be done, in words for the one who typed the command.
pub fn run() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    crate::delivery::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let load = || Config::load(&arguments.config);
        match arguments.command {
            Command::Papers(papers) => papers::run(&papers),
            Command::Check(check) => return check::run(&arguments.config, &check).await,
            Command::Serve => serve::run(load()?).await,
            Command::Migrate(migrate) => migrate::run(&load()?, &migrate).await,
            Command::Account(command) => account::run(&load()?, command).await,
            // A price list can be read where no service is set up.
            Command::Tariff(tariff::TariffCommand::Check(check)) => {
                let service = load().map(|config| config.service).unwrap_or_default();
                tariff::check(&check, &service.time_zone)
            }
            Command::Tariff(command) => tariff::run(&load()?, command).await,
            Command::Switches(command) => switches::run(&load()?, command).await,
            Command::Charges(command) => charges::run(&load()?, command).await,
            Command::Replay(replay) if replay.file.is_some() => replay::run(None, replay).await,
            Command::Replay(replay) => replay::run(Some(load()?), replay).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
}

/// Connections for a command, which may read or write files within a transaction.
fn pool(config: &Config) -> anyhow::Result<Pool> {
    connections(config, PoolOptions { idle_in_transaction: None, ..PoolOptions::default() })
}

/// Connections for `serve`.
fn service_pool(config: &Config) -> anyhow::Result<Pool> {
    connections(config, PoolOptions::default())
}

fn connections(config: &Config, options: PoolOptions) -> anyhow::Result<Pool> {
    let url = config.database_url().map_err(anyhow::Error::msg)?;
    let connections = NonZeroUsize::new(config.database.connections).context("database.connections: must be at least 1")?;
    Ok(Pool::new(&url, PoolOptions { connections, ..options })?)
}
