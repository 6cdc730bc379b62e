//! `sklic replay`: a conference's states and effects, from its journal.

use std::io::BufRead as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::conference::{Conference, Entry};
use crate::config::Config;
use crate::ids::ConferenceId;
use crate::storage::journal;

/// Which journal, and how to print it.
#[derive(Args)]
pub(super) struct Replay {
    /// The conference, from the database.
    #[arg(required_unless_present = "file")]
    conference: Option<ConferenceId>,
    /// A journal from a file instead, one entry a line, as `--journal` prints it.
    #[arg(long, conflicts_with = "conference")]
    pub(super) file: Option<PathBuf>,
    /// Print the journal itself: the format of the tests and of `--file`.
    #[arg(long)]
    journal: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    seq: i64,
    at: Timestamp,
    entry: Entry,
}

pub(super) async fn run(config: Option<Config>, replay: Replay) -> anyhow::Result<()> {
    let lines = match (&replay.file, replay.conference, config) {
        (Some(file), _, _) => from_file(file)?,
        (None, Some(conference), Some(config)) => from_database(&config, conference).await?,
        _ => anyhow::bail!("name a conference, or a file with --file"),
    };
    if replay.journal {
        for line in &lines {
            println!("{}", serde_json::to_string(line)?);
        }
        return Ok(());
    }
    let inputs: Vec<String> = lines.iter().map(|line| serde_json::to_string(&line.entry)).collect::<Result<_, _>>()?;
    let times: Vec<Timestamp> = lines.iter().map(|line| line.at).collect();
    let entries = lines.into_iter().map(|line| (line.at, line.entry));
    Conference::replay(entries, |seq, conference, effects| {
        let place = seq - 1;
        println!("{seq} {} {}", times[place], inputs[place]);
        for effect in effects {
            // Effects are plain data with text keys.
            println!("    {}", serde_json::to_string(effect).unwrap_or_default());
        }
        println!("    => {}", conference.phase());
    })?;
    Ok(())
}

fn from_file(path: &PathBuf) -> anyhow::Result<Vec<Line>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = Vec::new();
    for (number, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        lines.push(serde_json::from_str(&line).with_context(|| format!("{} line {}", path.display(), number + 1))?);
    }
    Ok(lines)
}

async fn from_database(config: &Config, conference: ConferenceId) -> anyhow::Result<Vec<Line>> {
    let pool = super::pool(config)?;
    let entries = journal::list_all(&mut *pool.get().await?, conference).await?;
    anyhow::ensure!(!entries.is_empty(), "conference {conference} has no journal: it was never started, or there is no such conference");
    let read = |line: journal::JournalEntry| {
        let entry = serde_json::from_value(line.entry).with_context(|| format!("entry {} cannot be read", line.seq))?;
        Ok(Line { seq: line.seq, at: line.at, entry })
    };
    entries.into_iter().map(read).collect()
}
