//! Ended legs as rating sees them, for rating afterwards. Everything here crosses accounts: for the operator.

use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};

use super::charges::LACKS_PRICE;
use super::schema::{accounts, charges, conferences, legs};
use super::{Connection, Pool, StorageResult};
use crate::billing::{Cdr, Span, TariffName, WayOfEntry};
use crate::ids::{AccountId, ConferenceId, LegId};
use crate::pbx::Evidence;

/// Which legs.
#[derive(Clone, Debug, Default)]
pub struct LegFilter {
    /// Only those answered at this moment or later.
    pub from: Option<Timestamp>,
    /// Only those answered before this moment.
    pub to: Option<Timestamp>,
    /// Only this account's.
    pub account: Option<AccountId>,
    /// Only this conference's.
    pub conference: Option<ConferenceId>,
    /// Only those charged by a tariff of this name.
    pub tariff: Option<TariffFilter>,
    /// Only those that have no charge at all, or one without a price that stands.
    pub without_price: bool,
}

/// A tariff by name, and whether it is the one of accounts that have none of their own.
#[derive(Clone, Debug)]
pub struct TariffFilter {
    /// The name.
    pub name: String,
    /// Conferences without a tariff of their own are meant as well.
    pub is_default: bool,
}

/// An ended leg that was answered, with the tariff by which it is charged.
#[derive(Clone, Debug)]
pub struct RatedLeg {
    /// Its facts.
    pub cdr: Cdr,
    /// When it was answered: the order in which legs are read.
    pub answered_at: Timestamp,
    /// The conference's tariff, else the account's; `None`: the configuration's.
    pub tariff: Option<TariffName>,
    /// It may have charges; `false`: it was found for having none.
    pub may_have_charges: bool,
}

/// What legs are found for not having.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Any charge.
    Charges,
    /// A price in a charge that stands.
    Price,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = legs, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: LegId,
    conference: ConferenceId,
    number: String,
    access_number: Option<String>,
    calling_line: Option<String>,
    way_of_entry: WayOfEntry,
    convener_pays: bool,
    evidence: Option<String>,
    #[diesel(deserialize_as = NullableTimestamp)]
    answered_at: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    joined_at: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    left_at: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    ended_at: Option<Timestamp>,
}

impl Row {
    fn leg(self, account: AccountId, tariff: Option<TariffName>, lack: Option<Lack>) -> RatedLeg {
        let span = |start: Option<Timestamp>, end: Option<Timestamp>| Some(Span { start: start?, end: end? });
        let cdr = Cdr {
            leg: self.id,
            conference: self.conference,
            account,
            way_of_entry: self.way_of_entry,
            remote_number: self.number,
            access_number: self.access_number,
            calling_line: self.calling_line,
            convener_pays: self.convener_pays,
            call_time: span(self.answered_at, self.ended_at),
            conference_time: span(self.joined_at, self.left_at),
            evidence: match self.evidence.as_deref() {
                Some("switch_record") => Evidence::SwitchRecord,
                Some("snapshot") => Evidence::Snapshot,
                Some("proof_of_life") => Evidence::ProofOfLife,
                _ => Evidence::Event,
            },
        };
        RatedLeg { answered_at: self.answered_at.unwrap_or(Timestamp::MIN), cdr, tariff, may_have_charges: lack != Some(Lack::Charges) }
    }
}

/// The number of the lock under which one run at a time rates afterwards.
const RATING_LOCK: i64 = 7_365;

/// A connection of one's own that alone may rate afterwards, for as long as it lives; waits while another one does.
///
/// Two runs at once would both reverse the same rows. The legs are read over this connection, so that a run that has lost it ends.
///
/// # Errors
/// A fault of the database.
pub async fn exclusive(pool: &Pool) -> StorageResult<Connection> {
    let mut connection = pool.take().await?;
    connection.batch_execute("SET statement_timeout = 0").await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(RATING_LOCK).execute(&mut connection).await?;
    // Looking for legs without charges among those of years takes longer than a statement of the service may.
    connection.batch_execute("SET statement_timeout = '10min'; SET jit = off").await?;
    Ok(connection)
}

/// Lets the statements of the open transaction take as long as a chunk of legs needs.
///
/// # Errors
/// A fault of the database.
pub async fn take_time(connection: &mut Connection) -> StorageResult<()> {
    // Compiling a query takes longer than running it for some thousand legs.
    Ok(connection.batch_execute("SET LOCAL statement_timeout = '10min'; SET LOCAL jit = off").await?)
}

/// The ended and answered legs of ended conferences that fit, by the time of answer, at most `limit`, beginning after the given one.
///
/// # Errors
/// A fault of the database; [`StorageError::Unreadable`] when a row was not written by this service.
pub async fn list(connection: &mut Connection, filter: &LegFilter, after: Option<(Timestamp, LegId)>, limit: i64) -> StorageResult<Vec<RatedLeg>> {
    if !filter.without_price {
        return find(connection, filter, None, after, limit).await;
    }
    // Two questions, because each has an index of its own, and their union would be asked of every leg there is.
    let mut legs = find(connection, filter, Some(Lack::Charges), after, limit).await?;
    legs.extend(find(connection, filter, Some(Lack::Price), after, limit).await?);
    legs.sort_unstable_by_key(|leg| (leg.answered_at, leg.cdr.leg));
    legs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(legs)
}

async fn find(
    connection: &mut Connection,
    filter: &LegFilter,
    lack: Option<Lack>,
    after: Option<(Timestamp, LegId)>,
    limit: i64,
) -> StorageResult<Vec<RatedLeg>> {
    let mut found = legs::table
        .inner_join(conferences::table.on(conferences::id.eq(legs::conference)))
        .inner_join(accounts::table.on(accounts::id.eq(conferences::account)))
        .filter(legs::ended_at.is_not_null().and(legs::answered_at.is_not_null()))
        // Without its number an erased leg cannot be priced anew: its charges stand.
        .filter(conferences::erased_at.is_null())
        // Of one that runs the owner has the charges in hand, for its cost and its report.
        .filter(conferences::ended_at.is_not_null())
        .into_boxed();
    if let Some(from) = filter.from {
        found = found.filter(legs::answered_at.ge(Some(from).to_diesel()));
    }
    if let Some(to) = filter.to {
        found = found.filter(legs::answered_at.lt(Some(to).to_diesel()));
    }
    if let Some(account) = filter.account {
        found = found.filter(conferences::account.eq(account));
    }
    if let Some(conference) = filter.conference {
        found = found.filter(legs::conference.eq(conference));
    }
    if let Some(tariff) = &filter.tariff {
        let name = &tariff.name;
        let own = conferences::tariff.eq(name).or(conferences::tariff.is_null().and(accounts::tariff.eq(name)));
        if tariff.is_default {
            found = found.filter(own.or(conferences::tariff.is_null().and(accounts::tariff.is_null())).assume_not_null());
        } else {
            found = found.filter(own.assume_not_null());
        }
    }
    match lack {
        Some(Lack::Charges) => found = found.filter(not(exists(charges::table.filter(charges::leg.eq(legs::id))))),
        Some(Lack::Price) => {
            found = found.filter(sql::<Bool>(&format!("EXISTS (SELECT FROM charges WHERE charges.leg = legs.id AND {LACKS_PRICE})")));
        }
        None => {}
    }
    if let Some((at, leg)) = after {
        let at = Some(at).to_diesel();
        // The first condition is what the index can begin at.
        found = found.filter(legs::answered_at.ge(at).and(legs::answered_at.gt(at).or(legs::id.gt(leg))));
    }
    let rows: Vec<(Row, AccountId, Option<TariffName>, Option<TariffName>)> = found
        .order((legs::answered_at, legs::id))
        .limit(limit)
        .select((Row::as_select(), conferences::account, conferences::tariff, accounts::tariff))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(row, account, conference, own)| row.leg(account, conference.or(own), lack)).collect())
}

/// Has these conferences charged by another tariff from now on.
///
/// # Errors
/// A fault of the database.
pub async fn set_tariff(connection: &mut Connection, of: &[ConferenceId], tariff: &str) -> StorageResult<()> {
    let conferences = conferences::table.filter(conferences::id.eq_any(of));
    diesel::update(conferences).set(conferences::tariff.eq(tariff)).execute(connection).await?;
    Ok(())
}
