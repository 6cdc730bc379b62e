//! `sklic switches`: which switches the services have heard, and draining one before maintenance.

use clap::Subcommand;

use crate::config::Config;
use crate::storage::{operator, switch_nodes};

/// What is to be done.
#[derive(Subcommand)]
pub(super) enum SwitchesCommand {
    /// Every switch that a service has driven.
    List,
    /// Place no new conferences on a switch; those that run there finish, and people still call in to them.
    Drain {
        /// Its name in the configuration.
        name: String,
    },
    /// Place conferences on it again.
    Resume {
        /// Its name in the configuration.
        name: String,
    },
}

pub(super) async fn run(config: &Config, command: SwitchesCommand) -> anyhow::Result<()> {
    let pool = super::pool(config)?;
    let mut connection = pool.get().await?;
    let (name, draining) = match command {
        SwitchesCommand::List => {
            for switch in operator::switches(&mut connection).await? {
                let drained = if switch.draining { "  drained: no new conferences" } else { "" };
                println!("{}  last heard {}{drained}", switch.name, switch.last_heard_at);
            }
            return Ok(());
        }
        SwitchesCommand::Drain { name } => (name, true),
        SwitchesCommand::Resume { name } => (name, false),
    };
    anyhow::ensure!(
        switch_nodes::drain(&mut connection, &name, draining).await?,
        "no service has ever heard a switch of the name {name:?}; `sklic switches list` shows those that were"
    );
    if draining {
        println!("{name} gets no new conferences within two seconds; those that run there finish.");
        if config.pbx.iter().all(|pbx| pbx.name == name) {
            println!("There is no other switch in the configuration: until `sklic switches resume {name}` no conference can be started.");
        }
    } else {
        println!("{name} gets conferences again within two seconds.");
        if config.pbx.iter().any(|pbx| pbx.name == name && pbx.drain) {
            println!("But the configuration says `drain = true`: take that away and start the service anew.");
        }
    }
    Ok(())
}
