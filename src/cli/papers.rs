//! `sklic papers`: the manual pages and the completions of shells, made from the commands themselves; packages carry them.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Write manual pages and shell completions into a folder.
#[derive(Args)]
pub(super) struct Papers {
    /// The folder; it is made.
    folder: PathBuf,
}

pub(super) fn run(papers: &Papers) -> anyhow::Result<()> {
    let mut command = super::Arguments::command();
    let pages = papers.folder.join("man1");
    let completions = papers.folder.join("completions");
    for folder in [&pages, &completions] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    clap_mangen::generate_to(command.clone(), &pages).context("cannot write the manual pages")?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "sklic", &completions).context("cannot write the completions")?;
    }
    Ok(())
}
