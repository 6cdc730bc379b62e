//! What every request handler is given.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::auth::Touched;
use super::config::HttpConfig;
use super::limits::Limiters;
use super::live::Streams;
use super::lockout::Lockout;
use crate::config::ConferenceConfig;
use crate::delivery::{Bell, Desk, WebhooksConfig};
use crate::ids::ConferenceId;
use crate::numbers::Numbering;
use crate::runtime::Runtime;
use crate::storage::Pool;

/// What every request handler is given. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub(super) inner: Arc<Inner>,
}

/// What handlers reach through [`AppState`].
pub struct Inner {
    pub(super) pool: Pool,
    pub(super) runtime: Runtime,
    pub(super) config: HttpConfig,
    pub(super) numbering: Numbering,
    pub(super) rules: ConferenceConfig,
    pub(super) metrics: Option<PrometheusHandle>,
    pub(super) limiters: Limiters,
    pub(super) lockout: Lockout,
    pub(super) hashing: Semaphore,
    pub(super) touched: Touched,
    pub(super) streams: Streams,
    /// Puts messages together.
    pub(super) desk: Desk,
    /// What conveners' webhooks may be.
    pub(super) webhooks: WebhooksConfig,
    /// Wakes the workers of the outbox.
    pub(super) bell: Bell,
    /// Ends the streams of live changes.
    pub(super) shutdown: CancellationToken,
}

impl AppState {
    /// The state from its parts. `metrics` is what `/metrics` shows; without it that page is empty.
    #[must_use]
    pub fn new(
        pool: Pool,
        runtime: Runtime,
        config: HttpConfig,
        numbering: Numbering,
        rules: ConferenceConfig,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        // A hash takes 19 MiB and a core for tens of milliseconds: never more at once than there are cores.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let inner = Inner {
            limiters: Limiters::new(&config),
            lockout: Lockout::new(config.login_failures),
            hashing: Semaphore::new(cores),
            touched: Touched::default(),
            streams: Streams::default(),
            desk: Desk::default(),
            webhooks: WebhooksConfig::default(),
            bell: Bell::default(),
            shutdown: CancellationToken::new(),
            pool,
            runtime,
            config,
            numbering,
            rules,
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same with what messages are put together with, and what wakes those who send them. To be called before it is cloned.
    #[must_use]
    pub fn with_messages(mut self, desk: Desk, webhooks: WebhooksConfig, bell: Bell) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            (inner.desk, inner.webhooks, inner.bell) = (desk, webhooks, bell);
        }
        self
    }
}

impl AppState {
    /// Tells windows that a planned conference was edited.
    pub(super) fn was_edited(&self, conference: ConferenceId) {
        self.runtime.was_edited(conference);
    }
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}
