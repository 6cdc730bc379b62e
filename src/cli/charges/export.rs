//! `sklic charges export` and `batches`.

use std::path::PathBuf;

use clap::Args;

use crate::accounting::{Exported, Exporter, MOST_CHARGES};
use crate::config::Config;
use crate::storage::charge_batches;

/// Where to, and how much. A batch lies whole in the folder when its manifest does; without one, take nothing of it.
#[derive(Args)]
pub(in crate::cli) struct Export {
    /// The folder that takes the files.
    #[arg(long)]
    to: PathBuf,
    /// Write this batch again, byte for byte, instead of making new ones.
    #[arg(long, conflicts_with_all = ["before", "limit"])]
    batch: Option<i64>,
    /// Only what began before this time: a date (midnight in `service.time_zone`) or a moment.
    #[arg(long)]
    before: Option<String>,
    /// The most charges of one batch.
    #[arg(long, default_value_t = MOST_CHARGES, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    limit: i64,
}

pub(super) async fn run(config: &Config, export: Export) -> anyhow::Result<()> {
    let pool = crate::cli::pool(config)?;
    let before = export.before.as_deref().map(|text| super::moment("--before", text, config)).transpose()?;
    let exporter = Exporter { pool: &pool, folder: &export.to, limit: export.limit, before };
    if let Some(number) = export.batch {
        tell(&exporter.again(number).await?);
        return Ok(());
    }
    let mut batches = 0;
    exporter
        .run(|exported| {
            batches += 1;
            tell(exported);
        })
        .await?;
    if batches == 0 {
        println!("Nothing waits to be handed over.");
    }
    Ok(())
}

fn tell(exported: &Exported) {
    let manifest = &exported.manifest;
    let again = if exported.again { ", written again" } else { "" };
    println!("Batch {}: {} charges{again}.", manifest.batch, manifest.charges);
    for sums in &manifest.sums {
        println!("  {} charges in {}: net {}, VAT {}, gross {}", sums.charges, sums.currency, sums.net, sums.vat, sums.gross);
    }
    for file in &manifest.files {
        println!("  {}  {}", file.sha256, file.name);
    }
}

pub(super) async fn list(config: &Config) -> anyhow::Result<()> {
    let pool = crate::cli::pool(config)?;
    for batch in charge_batches::list(&mut *pool.get().await?, false).await? {
        let state = batch.handed_over_at.map_or_else(|| "its files may be missing".to_owned(), |at| format!("handed over {at}"));
        println!("{}\t{} charges\tmade {}\t{state}", batch.number, batch.charges, batch.created_at);
    }
    Ok(())
}
