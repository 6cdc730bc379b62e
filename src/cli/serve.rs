//! `sklic serve`: the parts are put together here, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, PbxConfig, PbxKind};
use crate::delivery::sms::{Gateways, SmsChannel};
use crate::delivery::{Desk, Mailer, Pace, Patience, WebhookChannel, Workers};
use crate::http::{self, AppState};
use crate::lines::Lines;
use crate::pbx::asterisk::{self, AsteriskConfig};
use crate::pbx::freeswitch::{self, FreeswitchConfig};
use crate::pbx::simulator::{self, Exchange, SimulatorConfig};
use crate::runtime::{Opener, Reach, Rules, Runtime, Switch};
use crate::storage::{SchemaState, Writer, WriterOptions};
use crate::{storage, telemetry};

/// How long a stop waits for writes that are under way.
const WRITES_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start_log()?;
    let metrics = telemetry::start_metrics()?;
    let stop = CancellationToken::new();
    telemetry::traces::start(&config.telemetry, &config.service.name, stop.clone());
    let pool = super::service_pool(&config)?;
    check_schema(&pool).await?;
    // The address first: when it is taken, nothing has been touched yet.
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {}: is another service running there? (http.listen)", config.http.listen))?;
    if config.pbx.is_empty() {
        warn!("no switch is configured ([[pbx]]): conferences cannot be started");
    }
    let exchange = Exchange::default();
    let switches = config.pbx.iter().map(|pbx| switch(pbx, &exchange)).collect::<anyhow::Result<Vec<_>>>()?;
    let jobs_due = Arc::new(Notify::new());
    let writer = Writer::start(pool.clone(), WriterOptions::default(), Arc::clone(&jobs_due));
    let rules = Rules {
        conference: config.conference.clone(),
        access_numbers: config.access_number.clone(),
        dial_in: config.dial_in.clone(),
        numbering: config.numbering.clone(),
        payers: config.billing.payers(&config.numbering).map_err(anyhow::Error::msg)?,
        tariff: config.billing.tariff.clone(),
        currency: config.billing.currency.parse()?,
        branding: config.branding.clone(),
        lines: lines(&config)?,
    };
    tokio::spawn(end_by_signal(stop.clone()));
    let runtime = Runtime::launch(node_name(&config), pool.clone(), writer.clone(), rules, switches, stop.clone()).await?;
    let operators = config.webhooks.operators(crate::clock::now()).map_err(anyhow::Error::msg)?;
    if let Err(fault) = async { storage::webhooks::set_operators(&mut *pool.get().await?, &operators).await }.await {
        warn!(%fault, "the operator's webhooks could not be written down; those of the last start stay in force");
    }
    let mut workers = Workers::new();
    let gateways = start_workers(&config, &pool, &mut workers, &stop)?;
    tokio::spawn(workers.bell.clone().follow(jobs_due, stop.clone()));
    let desk = Desk {
        has_mail: config.mail.is_some(),
        gateways,
        limits: config.messages.clone(),
        branding: config.branding.clone(),
        numbering: config.numbering.clone(),
        access_numbers: config.access_number.iter().map(|access| (access.way_of_entry, access.number.clone())).collect(),
    };
    let state = AppState::new(pool, runtime.clone(), config.http.clone(), config.numbering.clone(), config.conference.clone(), Some(metrics))
        .with_messages(desk.clone(), config.webhooks.clone(), workers.bell.clone());
    tokio::spawn(runtime.clone().follow_plans(desk.clone(), workers.bell.clone()));
    tokio::spawn(runtime.clone().keep_retention(config.retention));
    info!(http.listen = %config.http.listen, version = env!("CARGO_PKG_VERSION"), "sklic is ready");
    http::serve(listener, state, stop.clone()).await.context("cannot serve requests")?;
    runtime.close().await;
    if tokio::time::timeout(WRITES_WITHIN, writer.close()).await.is_err() {
        warn!("the database is away: what could not be written is found again by the next start's snapshot");
    }
    workers.finish().await;
    info!("sklic has stopped; calls go on");
    Ok(())
}

/// Starts what sends: mail and SMS, as far as they are configured.
fn start_workers(config: &Config, pool: &storage::Pool, workers: &mut Workers, stop: &CancellationToken) -> anyhow::Result<Gateways> {
    let mut domain = "sklic.invalid".to_owned();
    match &config.mail {
        Some(mail) => {
            let mailer = Mailer::new(mail)?;
            mailer.domain().clone_into(&mut domain);
            workers.add(pool, mailer, Pace { at_once: 8, per_second: u32::MAX }, Patience::with_timeout(mail.timeout_seconds), stop);
        }
        None => warn!("no mail server is configured ([mail]): reports wait in the outbox"),
    }
    let channel = WebhookChannel::new(pool.clone(), &config.webhooks, domain.clone())?;
    let pace = Pace { at_once: 32, per_second: u32::MAX };
    workers.add(pool, channel, pace, Patience::with_timeout(config.webhooks.timeout_seconds), stop);
    let gateways = Gateways::new(&config.sms_gateway, &config.http.public_url).map_err(anyhow::Error::msg)?;
    if !gateways.is_empty() {
        let channel = SmsChannel::new(gateways.clone(), domain);
        let pace = Pace { at_once: 16, per_second: config.messages.sms_per_second };
        workers.add(pool, channel, pace, Patience::with_timeout(gateways.timeout_seconds()), stop);
    }
    Ok(gateways)
}

/// The inventory of lines, if there is one; what is not limited is said.
fn lines(config: &Config) -> anyhow::Result<Option<Arc<Lines>>> {
    if config.conference.allowed_prefixes.is_empty() {
        warn!("conference.allowed_prefixes is empty: every number in the world may be called; name what may be, such as \"+386\"");
    }
    let Some(lines) = config.lines.clone() else {
        warn!("no inventory of lines is configured ([lines]): it is not checked whether accounts own a line");
        return Ok(None);
    };
    Ok(Some(Arc::new(Lines::new(lines, config.numbering.clone())?)))
}

/// A schema that is too old is refused with the remedy; a database that is away is waited for later.
async fn check_schema(pool: &storage::Pool) -> anyhow::Result<()> {
    match storage::schema_state(pool).await {
        Ok(SchemaState::Current) => Ok(()),
        Ok(SchemaState::Behind { missing }) => {
            anyhow::bail!("the database lacks {} migrations, from {}: run `sklic migrate`", missing.len(), missing[0])
        }
        Ok(SchemaState::Ahead { unknown }) => {
            warn!(migrations = ?unknown, "the database is of a later release; this one keeps working with it");
            Ok(())
        }
        Err(fault) if fault.is_passing() => {
            warn!(%fault, "the schema could not be looked at");
            Ok(())
        }
        Err(fault) => Err(fault).context("cannot look at the schema"),
    }
}

/// The name of this service node among those that share the database: where it listens, on which machine.
fn node_name(config: &Config) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} on {} at {}", config.service.name, machine.trim(), config.http.listen)
}

/// One switch; its adapter connects by itself as soon as this service node drives it. Simulated ones call each other by the exchange.
fn switch(config: &PbxConfig, exchange: &Exchange) -> anyhow::Result<Switch> {
    let (open, reach): (Opener, Reach) = match config.kind {
        PbxKind::Asterisk => {
            let secret = config.secret().map_err(|why| anyhow::anyhow!("pbx {}: {why}", config.name))?;
            let mut asterisk = AsteriskConfig::new(&config.name, &config.address, &config.username, secret, config.dial());
            asterisk.caller_id.clone_from(&config.caller_id);
            asterisk.dial_switch.clone_from(&config.dial_switch);
            asterisk.calls_per_second = config.calls_per_second;
            asterisk.check().with_context(|| format!("pbx {}", config.name))?;
            let tried = asterisk.clone();
            let reach: Reach = Box::new(move || -> BoxFuture<'static, bool> { Box::pin(asterisk::reaches(tried.clone())) });
            let open: Opener = Box::new(move |sender| asterisk::connect(asterisk.clone(), sender));
            (open, reach)
        }
        PbxKind::Freeswitch => {
            let secret = config.secret().map_err(|why| anyhow::anyhow!("pbx {}: {why}", config.name))?;
            let mut freeswitch = FreeswitchConfig::new(&config.name, &config.address, &config.username, secret, config.dial());
            freeswitch.caller_id.clone_from(&config.caller_id);
            freeswitch.dial_switch.clone_from(&config.dial_switch);
            freeswitch.calls_per_second = config.calls_per_second;
            freeswitch.check().with_context(|| format!("pbx {}", config.name))?;
            let tried = freeswitch.clone();
            let reach: Reach = Box::new(move || -> BoxFuture<'static, bool> { Box::pin(freeswitch::reaches(tried.clone())) });
            let open: Opener = Box::new(move |sender| freeswitch::connect(freeswitch.clone(), sender));
            (open, reach)
        }
        PbxKind::Simulator => {
            let sip_address = config.sip_address.clone().unwrap_or_default();
            let simulated = SimulatorConfig { exchange: exchange.clone(), sip_address, ..SimulatorConfig::default() };
            // Each service node makes up a switch of its own.
            let reach: Reach = Box::new(|| -> BoxFuture<'static, bool> { Box::pin(std::future::ready(false)) });
            let open: Opener = Box::new(move |sender| simulator::connect(simulated.clone(), sender));
            (open, reach)
        }
    };
    Ok(Switch {
        name: config.name.clone(),
        open,
        reach,
        calls_per_second: config.calls_per_second,
        max_members: config.max_members,
        sip_address: config.sip_address.clone(),
        drain: config.drain,
    })
}

/// Ends the service on SIGTERM or SIGINT.
async fn end_by_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        warn!("signals cannot be listened to; the service ends by SIGKILL only");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping: calls go on, and the next start takes over");
    stop.cancel();
}
