//! Sklic: self-service telephone conferencing on the operator's own PBX.
//!
//! The map; ARCHITECTURE.md walks through it.

/// Rating from the ledger and handing over to the billing system.
pub mod accounting;
/// The priced side, pure: CDR, payer, tariff, rating, charge.
pub mod billing;
/// The commands of the binary.
pub mod cli;
/// The only place that reads the clock.
pub mod clock;
/// The conference's rules, pure: inputs, effects, the state machine.
pub mod conference;
/// `sklic.toml` and its environment overrides.
pub mod config;
/// Outbox workers: mail, SMS, webhooks.
pub mod delivery;
/// The API, authentication, live push.
pub mod http;
/// One identifier type for each thing.
pub mod ids;
/// The operator's inventory of lines, which says who is eligible.
pub mod lines;
/// Telephone numbers: the normal form and what may be dialled.
pub mod numbers;
/// The switch: the port and its adapters.
pub mod pbx;
/// Planned conferences, pure: schedules, iCalendar, free places.
pub mod planning;
/// The dialogue with callers before a conference takes them, pure: codes, PINs, lock-outs, identity.
pub mod reception;
/// The report of an ended conference as data, HTML, CSV and picture.
pub mod report;
/// The imperative shell: owner tasks, switch links, timers.
pub mod runtime;
/// All SQL.
pub mod storage;
/// Logs and metrics.
pub mod telemetry;
