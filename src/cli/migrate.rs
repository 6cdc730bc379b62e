//! `sklic migrate`: the schema is brought up to date.

use clap::Args;

use crate::config::Config;
use crate::storage;

/// Bring the database's schema up to date.
#[derive(Args)]
pub(super) struct Migrate {
    /// A database that cannot be reached is no failure: whoever starts the service afterwards waits for it.
    #[arg(long)]
    if_reachable: bool,
}

pub(super) async fn run(config: &Config, migrate: &Migrate) -> anyhow::Result<()> {
    let applied = match storage::migrate(&super::pool(config)?).await {
        Err(fault) if migrate.if_reachable && fault.is_passing() => {
            eprintln!("The schema could not be looked at: {:#}", anyhow::Error::from(fault));
            return Ok(());
        }
        applied => applied?,
    };
    if applied.is_empty() {
        println!("The schema is up to date.");
    }
    for name in applied {
        println!("Applied {name}.");
    }
    Ok(())
}
