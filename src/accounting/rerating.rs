//! Rating afterwards: legs that have no charge or no price yet, and legs that may cost something else now (R12, point 8).
//!
//! Rows are never changed: what comes out differently is reversed and written anew with the next revision.
//! The legs are read in order over one connection; chunks of them are rated and written over several others at once, each in one transaction.
//! Rating the same again adds nothing, so a run that was broken off is continued by running it again, or from where it says it was.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use diesel_async::AsyncConnection as _;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::Prices;
use crate::billing::{Charge, ChargeStatus, Component, Money, NotCorrectable, Tariff, TariffName, current, rerate_into};
use crate::clock;
use crate::ids::{ConferenceId, LegId};
use crate::storage::rated_legs::{LegFilter, RatedLeg};
use crate::storage::{Pool, StorageError, charges, rated_legs, webhooks};

/// How many legs are rated in one transaction.
const CHUNK: i64 = 5_000;

/// Why rating stopped. What was done before stays.
#[derive(Debug, thiserror::Error)]
pub enum RerateError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A row that cannot be reversed.
    #[error("leg {leg}: {why}")]
    NotCorrectable {
        /// Whose.
        leg: LegId,
        /// Why.
        why: NotCorrectable,
    },
    /// A chunk's task broke.
    #[error("rating broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl From<diesel::result::Error> for RerateError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What is to be rated, and how.
#[derive(Clone)]
pub struct Rerating {
    /// Which legs.
    pub filter: LegFilter,
    /// Another tariff by which these conferences are charged from now on; each one's own without it.
    pub tariff: Option<String>,
    /// Only tell what would change.
    pub dry_run: bool,
    /// The price lists.
    pub prices: Arc<Prices>,
}

/// What a run has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Legs looked at.
    pub legs: u64,
    /// Legs that came out differently, or had no charge or no price yet.
    pub changed: u64,
    /// Reversing rows written.
    pub reversed: u64,
    /// New rows written.
    pub written: u64,
    /// Components that have no price now: `unrated` or `error`.
    pub without_price: u64,
    /// By how much money differs: net amounts of the rated rows written, by currency code.
    pub net: BTreeMap<String, i128>,
    /// The last leg looked at: its answer and identifier.
    pub last: Option<(Timestamp, LegId)>,
}

impl Outcome {
    fn count(&mut self, rows: &[Charge]) {
        self.changed += u64::from(!rows.is_empty());
        for row in rows {
            *(if row.reverses.is_some() { &mut self.reversed } else { &mut self.written }) += 1;
            if row.status == ChargeStatus::Rated {
                *self.net.entry(row.currency.to_string()).or_default() += i128::from(row.net.0);
            }
        }
    }

    /// Adds what was done after this.
    fn add(&mut self, next: Self) {
        self.legs += next.legs;
        self.changed += next.changed;
        self.reversed += next.reversed;
        self.written += next.written;
        self.without_price += next.without_price;
        for (currency, net) in next.net {
            *self.net.entry(currency).or_default() += net;
        }
        self.last = next.last.or(self.last);
    }

    /// The difference in a currency, if it is small enough to be shown as an amount.
    #[must_use]
    pub fn difference(&self, currency: &str) -> Option<Money> {
        i64::try_from(self.net.get(currency).copied().unwrap_or(0)).ok().map(Money)
    }
}

/// How many chunks are in work at once: enough to keep the database busy while others are rated.
fn workers(pool: &Pool) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One connection stays for whoever else has a question.
    (2 * cores).min(pool.connections().saturating_sub(1)).max(1)
}

impl Rerating {
    /// Rates from the leg after `after` on, and tells `progress` after each chunk. Waits while another run is under way.
    ///
    /// # Errors
    /// See [`RerateError`]; what was told to `progress` stays written, and chunks after it may be: rating them again adds nothing.
    pub async fn run(&self, pool: &Pool, after: Option<(Timestamp, LegId)>, mut progress: impl FnMut(&Outcome)) -> Result<Outcome, RerateError> {
        let mut reader = rated_legs::exclusive(pool).await?;
        let mut outcome = Outcome { last: after, ..Outcome::default() };
        let mut conferences = BTreeSet::new();
        let (workers, mut read, mut more) = (workers(pool), after, true);
        let mut in_work: VecDeque<JoinHandle<Result<Outcome, RerateError>>> = VecDeque::new();
        let result = loop {
            if more && in_work.len() < workers {
                let legs = match rated_legs::list(&mut reader, &self.filter, read, CHUNK).await {
                    Ok(legs) => legs,
                    Err(fault) => break Err(fault.into()),
                };
                more = i64::try_from(legs.len()).is_ok_and(|count| count == CHUNK);
                read = legs.last().map(|leg| (leg.answered_at, leg.cdr.leg)).or(read);
                if self.tariff.is_some() {
                    conferences.extend(legs.iter().map(|leg| leg.cdr.conference));
                }
                let (rerating, pool) = (self.clone(), pool.clone());
                in_work.push_back(tokio::spawn(async move { rerating.chunk(&pool, &legs).await }));
                continue;
            }
            // In their order, so that everything before what is told is done.
            let Some(first) = in_work.pop_front() else { break Ok(()) };
            match first.await.map_err(RerateError::from).flatten() {
                Ok(done) => outcome.add(done),
                Err(fault) => break Err(fault),
            }
            progress(&outcome);
        };
        for others in in_work {
            // Their fault, if any, is that of the first, or is found again with the next run.
            let _ = others.await;
        }
        result?;
        // At the end, so that a run that is broken off finds the same legs again when it is repeated.
        if let Some(tariff) = self.tariff.as_deref().filter(|_| !self.dry_run) {
            let conferences: Vec<ConferenceId> = conferences.into_iter().collect();
            for part in conferences.chunks(10_000) {
                rated_legs::set_tariff(&mut reader, part, tariff).await?;
            }
        }
        Ok(outcome)
    }

    /// Rates the legs of one chunk and writes what differs.
    async fn chunk(&self, pool: &Pool, legs: &[RatedLeg]) -> Result<Outcome, RerateError> {
        let mut connection = pool.get().await?;
        connection
            .transaction(async |connection| {
                rated_legs::take_time(connection).await?;
                let ids: Vec<LegId> = legs.iter().filter(|leg| leg.may_have_charges).map(|leg| leg.cdr.leg).collect();
                let issued = if ids.is_empty() { Vec::new() } else { charges::list_of_legs(connection, &ids).await? };
                let (rows, outcome) = self.rows(legs, issued)?;
                if !self.dry_run {
                    let now = clock::now();
                    charges::add(connection, &rows, now).await?;
                    webhooks::tell_of_charges(connection, &rows, now).await?;
                }
                Ok(outcome)
            })
            .await
    }

    /// The rows to be added for these legs, of which all rows so far are given.
    fn rows(&self, legs: &[RatedLeg], mut issued: Vec<Charge>) -> Result<(Vec<Charge>, Outcome), RerateError> {
        issued.sort_unstable_by_key(|charge| charge.leg);
        let issued: HashMap<LegId, &[Charge]> = issued.chunk_by(|one, other| one.leg == other.leg).map(|rows| (rows[0].leg, rows)).collect();
        let mut tariffs: HashMap<Option<&TariffName>, Arc<Tariff>> = HashMap::new();
        let mut outcome = Outcome { last: legs.last().map(|leg| (leg.answered_at, leg.cdr.leg)), ..Outcome::default() };
        let (mut rows, mut fresh) = (Vec::new(), Vec::new());
        for leg in legs {
            let tariff = tariffs.entry(leg.tariff.as_ref()).or_insert_with_key(|own| {
                let name = self.tariff.as_deref().or(own.map(TariffName::as_str));
                self.prices.tariff(self.prices.name(name))
            });
            fresh.clear();
            self.prices.rate_into(&leg.cdr, tariff, &mut fresh);
            let mut issued = issued.get(&leg.cdr.leg).copied().unwrap_or_default();
            let unpriced;
            if self.filter.without_price && !issued.is_empty() {
                // The other component keeps its price, whatever it would cost now.
                unpriced = without_price(issued, &mut fresh);
                issued = &unpriced;
            }
            outcome.without_price += u64::try_from(fresh.iter().filter(|charge| lacks_price(charge)).count()).unwrap_or(u64::MAX);
            let before = rows.len();
            rerate_into(issued, &fresh, &mut rows).map_err(|why| RerateError::NotCorrectable { leg: leg.cdr.leg, why })?;
            outcome.legs += 1;
            outcome.count(&rows[before..]);
        }
        Ok((rows, outcome))
    }
}

fn lacks_price(charge: &Charge) -> bool {
    matches!(charge.status, ChargeStatus::Unrated | ChargeStatus::Error)
}

/// The rows so far of those components of a leg that have no price; `fresh` keeps no others either.
fn without_price(issued: &[Charge], fresh: &mut Vec<Charge>) -> Vec<Charge> {
    let components: BTreeSet<Component> = current(issued).filter(|row| lacks_price(row)).map(|row| row.component).collect();
    fresh.retain(|row| components.contains(&row.component));
    issued.iter().filter(|row| components.contains(&row.component)).cloned().collect()
}
