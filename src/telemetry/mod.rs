//! Logs, metrics and traces.
//!
//! A log line is one JSON object, or text on a terminal; its level follows `SKLIC_LOG` (`info` without it).
//! Lines hold identifiers, outcomes and causes, never a password, PIN, code or full telephone number.

pub mod calls;
mod log;
pub mod names;
pub mod traces;

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Bounds of what takes milliseconds, in seconds.
const QUICK: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Bounds of what takes seconds.
const SLOW: [f64; 10] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 40.0];
/// Bounds of how many things go together.
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Starts the log on standard error.
///
/// # Errors
/// When `SKLIC_LOG` is no filter.
pub fn start_log() -> anyhow::Result<()> {
    let filter = match std::env::var("SKLIC_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| anyhow::anyhow!("SKLIC_LOG={text:?} is no filter: {error}"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.event_format(log::Lines::text()).init();
    } else {
        builder.event_format(log::Lines::json()).init();
    }
    Ok(())
}

/// A recorder with our names and bounds; `/metrics` is what its handle renders.
///
/// # Errors
/// When the bounds are refused.
pub fn metrics() -> anyhow::Result<PrometheusBuilder> {
    let mut builder = PrometheusBuilder::new();
    for metric in names::ALL {
        let bounds: &[f64] = match metric.kind {
            names::Kind::Quick => &QUICK,
            names::Kind::Slow => &SLOW,
            names::Kind::Counts => &COUNTS,
            names::Kind::Counter | names::Kind::Gauge => continue,
        };
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
    }
    Ok(builder)
}

/// How often what histograms were told is sorted into their buckets.
const UPKEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts the metrics; the handle renders them for `/metrics`.
///
/// # Errors
/// When a recorder is installed already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = metrics()?.install_recorder()?;
    // What histograms are told lies in memory until somebody sorts it into their buckets; Prometheus, which does, may never ask.
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            upkeep.run_upkeep();
        }
    });
    names::describe();
    names::begin();
    ::metrics::gauge!("sklic_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
