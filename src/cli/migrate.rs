//! `sklic migrate`: the schema is brought up to date.

use crate::config::Config;
use crate::storage;

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let applied = storage::migrate(&super::pool(config)?).await?;
    if applied.is_empty() {
        println!("The schema is up to date.");
    }
    for name in applied {
        println!("Applied {name}.");
    }
    Ok(())
}
