//! `sklic check`: looks at everything that a running service needs, and says for each fault what to do.
//!
//! Each check is a small function with an id of its own; `docs/operator.md` lists the ids.
//! Nothing is changed but a probe in the switch's database, which is removed at once, and no telephone rings.

mod asterisk;
mod database;
mod errand;
mod finding;
mod freeswitch;
mod listening;
mod mail;
mod money;
mod prompts;
mod secrets;
mod settings;
mod sms;
mod switch;
mod trunk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

pub use finding::{Finding, Outcome, Report, Severity};

use crate::config::{Config, PbxConfig, PbxKind};

/// Try configuration, database, switches, trunk and mail, and say what to do about each fault.
///
/// The exit status is 0 when all is right, 1 with warnings, 2 with errors.
#[derive(Args)]
pub(super) struct Check {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// The machine that the service runs on, as far as checks look at it.
pub struct Machine {
    /// Where the kernel tells which ports are open: `/proc`.
    pub proc: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Self { proc: "/proc".into() }
    }
}

pub(super) async fn run(path: &Path, check: &Check) -> anyhow::Result<ExitCode> {
    let report = examine(path, &Machine::default()).await;
    if check.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.exit_status()))
}

/// Looks at everything that the configuration at `path` names.
///
/// A configuration that cannot be read is the only finding then, for nothing else can be looked at.
pub async fn examine(path: &Path, machine: &Machine) -> Report {
    let outcome = |subject: &str, findings| Outcome { subject: subject.to_owned(), findings };
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(fault) => return Report::new(vec![outcome("configuration", vec![settings::explain(&fault)])]),
    };
    let mut checks = vec![outcome("configuration", settings::examine(&config, path)), outcome("secrets", secrets::examine(&config, path))];
    // The rest waits for others: all at once.
    let (database, mail, sms, switches) = tokio::join!(
        database::examine(&config),
        mail::examine(&config),
        sms::examine(&config),
        futures_util::future::join_all(config.pbx.iter().map(|pbx| examine_switch(pbx, machine))),
    );
    checks.push(outcome("database", database));
    checks.extend(config.pbx.iter().zip(switches).map(|(pbx, findings)| outcome(&format!("switch {}", pbx.name), findings)));
    checks.push(outcome("mail", mail));
    if !config.sms_gateway.is_empty() {
        checks.push(outcome("sms", sms));
    }
    Report::new(checks)
}

async fn examine_switch(pbx: &PbxConfig, machine: &Machine) -> Vec<Finding> {
    let mut findings = match pbx.kind {
        PbxKind::Asterisk => asterisk::examine(pbx).await,
        PbxKind::Freeswitch => freeswitch::examine(pbx).await,
        PbxKind::Simulator => Vec::new(),
    };
    if pbx.kind != PbxKind::Simulator {
        findings.extend(listening::control_port(pbx, machine));
    }
    findings
}
