//! What callers key: codes of contacts, user numbers and PINs of accounts, lock-outs, and those who wait for a planned conference.

use std::collections::BTreeSet;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::upsert::excluded;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;
use rand::RngExt as _;

use super::schema::{accounts, conferences, contacts, lock_outs, participants, waiting_callers};
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::ids::{AccountId, ConferenceId, ContactId, LegId};
use crate::reception::{Counter, Found, LockOutRules, Subject};

/// How many digits a code has.
const CODE_DIGITS: usize = 8;
/// A code that is taken is drawn anew, at most so often.
const MOST_DRAWS: usize = 20;
/// Contacts that get their first code in one go.
const FILL_CHUNK: i64 = 500;

/// Codes that nobody has: neither as a contact's code nor as an account's user number. Another connection may take one meanwhile;
/// the constraint `contacts_code_key` says so then.
///
/// # Errors
/// A fault of the database.
pub(super) async fn draw_codes(connection: &mut Connection, count: usize) -> StorageResult<Vec<String>> {
    let mut codes = BTreeSet::new();
    for _ in 0..MOST_DRAWS {
        while codes.len() < count {
            codes.insert(format!("{:0width$}", rand::rng().random_range(0..10_u32.pow(8)), width = CODE_DIGITS));
        }
        let wanted: Vec<&String> = codes.iter().collect();
        let mut taken: Vec<Option<String>> = contacts::table.filter(contacts::code.eq_any(&wanted)).select(contacts::code).load(connection).await?;
        let numbers: Vec<String> =
            accounts::table.filter(accounts::user_number.eq_any(&wanted)).select(accounts::user_number).load(connection).await?;
        taken.extend(numbers.into_iter().map(Some));
        if taken.is_empty() {
            return Ok(codes.into_iter().collect());
        }
        for code in taken.into_iter().flatten() {
            codes.remove(&code);
        }
    }
    Err(StorageError::Conflict { what: "contacts_code_key".into() })
}

/// Gives a contact another code; `None` when the account has no such contact. The old one leads nowhere from now on.
///
/// # Errors
/// A fault of the database.
pub async fn renew_code(connection: &mut Connection, account: AccountId, contact: ContactId, now: Timestamp) -> StorageResult<Option<String>> {
    let code = draw_codes(connection, 1).await?.pop();
    let changed = diesel::update(contacts::table.find(contact).filter(contacts::account.eq(account)))
        .set((contacts::code.eq(code), contacts::updated_at.eq(now.to_diesel())))
        .returning(contacts::code)
        .get_result::<Option<String>>(connection)
        .await
        .optional()?;
    Ok(changed.flatten())
}

/// Gives codes to contacts that have none yet: those of an earlier release. Crosses accounts: for the service's start.
///
/// # Errors
/// A fault of the database.
pub async fn fill_codes(connection: &mut Connection) -> StorageResult<usize> {
    let mut filled = 0;
    loop {
        let without: Vec<ContactId> =
            contacts::table.filter(contacts::code.is_null()).select(contacts::id).limit(FILL_CHUNK).load(connection).await?;
        if without.is_empty() {
            return Ok(filled);
        }
        for (contact, code) in without.iter().zip(draw_codes(connection, without.len()).await?) {
            let empty = contacts::table.find(contact).filter(contacts::code.is_null());
            filled += diesel::update(empty).set(contacts::code.eq(code)).execute(connection).await?;
        }
    }
}

/// Whose number somebody has keyed; accounts that are disabled have none. Crosses accounts: a caller says by it who he is.
///
/// # Errors
/// A fault of the database.
pub async fn find_code(connection: &mut Connection, digits: &str) -> StorageResult<Found> {
    let convener = accounts::table
        .filter(accounts::user_number.eq(digits).and(accounts::disabled_at.is_null()))
        .select(accounts::id)
        .first::<AccountId>(connection)
        .await
        .optional()?;
    if let Some(account) = convener {
        return Ok(Found::Convener { account });
    }
    let participant = contacts::table
        .inner_join(accounts::table.on(accounts::id.eq(contacts::account)))
        .filter(contacts::code.eq(digits).and(accounts::disabled_at.is_null()))
        .select((contacts::account, contacts::id))
        .first::<(AccountId, ContactId)>(connection)
        .await
        .optional()?;
    Ok(participant.map_or(Found::Nobody, |(account, contact)| Found::Participant { account, contact }))
}

/// The hash of the account's PIN, if it has one and is not disabled.
///
/// # Errors
/// A fault of the database.
pub async fn pin_hash(connection: &mut Connection, account: AccountId) -> StorageResult<Option<String>> {
    let found = accounts::table.find(account).filter(accounts::disabled_at.is_null()).select(accounts::pin_hash);
    Ok(found.first::<Option<String>>(connection).await.optional()?.flatten())
}

/// Sets the PIN's hash, or takes the PIN away; `false` when there is no such account.
///
/// # Errors
/// A fault of the database.
pub async fn set_pin(connection: &mut Connection, account: AccountId, pin_hash: Option<&str>) -> StorageResult<bool> {
    Ok(diesel::update(accounts::table.find(account)).set(accounts::pin_hash.eq(pin_hash)).execute(connection).await? == 1)
}

/// The counter of a line, user number or access number.
///
/// # Errors
/// A fault of the database.
pub async fn lock_out(connection: &mut Connection, subject: Subject, key: &str) -> StorageResult<Counter> {
    type Row = (i32, jiff_diesel::Timestamp, jiff_diesel::NullableTimestamp, jiff_diesel::NullableTimestamp);
    let found = lock_outs::table
        .find((subject.word(), key))
        .select((lock_outs::failures, lock_outs::last_failed_at, lock_outs::leaked_at, lock_outs::locked_until))
        .first::<Row>(connection)
        .await
        .optional()?;
    Ok(found.map_or_else(Counter::default, |(failures, last, leaked, until)| Counter {
        failures: u32::try_from(failures).unwrap_or(0),
        last_failed_at: Some(last.into()),
        leaked_at: leaked.into(),
        locked_until: until.into(),
    }))
}

/// Counts one more failure and gives the counter after it. Of failures at the same moment, by whatever service node, each counts:
/// a lock in the database lets one go after the other.
///
/// # Errors
/// A fault of the database.
pub async fn count_failure(connection: &mut Connection, subject: Subject, key: &str, rules: &LockOutRules, now: Timestamp) -> StorageResult<Counter> {
    change_lock_out(connection, (subject, key), rules, now, false).await
}

/// A right code or PIN came from a line: its failures are let off sooner, see [`Counter::relieve`].
///
/// # Errors
/// A fault of the database.
pub async fn relieve(connection: &mut Connection, subject: Subject, key: &str, rules: &LockOutRules, now: Timestamp) -> StorageResult<()> {
    // Hardly ever is there a counter at all.
    if lock_out(connection, subject, key).await?.failures == 0 {
        return Ok(());
    }
    change_lock_out(connection, (subject, key), rules, now, true).await.map(drop)
}

/// Changes a counter after something right or wrong, one change after the other.
async fn change_lock_out(
    connection: &mut Connection,
    (subject, key): (Subject, &str),
    rules: &LockOutRules,
    now: Timestamp,
    right: bool,
) -> StorageResult<Counter> {
    connection
        .transaction(async |connection| {
            let lock = diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7364))");
            lock.bind::<Text, _>(format!("{} {key}", subject.word())).execute(connection).await?;
            let before = lock_out(connection, subject, key).await?;
            let counter = if right { before.relieve(subject, rules, now) } else { before.fail(subject, rules, now) };
            if counter.failures == 0 {
                forgive(connection, subject, key).await?;
            } else {
                save_lock_out(connection, subject, key, counter, now).await?;
            }
            Ok(counter)
        })
        .await
}

/// Writes a counter down.
async fn save_lock_out(connection: &mut Connection, subject: Subject, key: &str, counter: Counter, now: Timestamp) -> StorageResult<()> {
    refuse_nul(&[("key", &key.to_owned())])?;
    diesel::insert_into(lock_outs::table)
        .values((
            lock_outs::subject.eq(subject.word()),
            lock_outs::key.eq(key),
            lock_outs::failures.eq(i32::try_from(counter.failures).unwrap_or(i32::MAX)),
            lock_outs::last_failed_at.eq(counter.last_failed_at.unwrap_or(now).to_diesel()),
            lock_outs::locked_until.eq(counter.locked_until.to_diesel()),
            lock_outs::leaked_at.eq(counter.leaked_at.to_diesel()),
        ))
        .on_conflict((lock_outs::subject, lock_outs::key))
        .do_update()
        .set((
            lock_outs::failures.eq(excluded(lock_outs::failures)),
            lock_outs::last_failed_at.eq(excluded(lock_outs::last_failed_at)),
            lock_outs::locked_until.eq(excluded(lock_outs::locked_until)),
            lock_outs::leaked_at.eq(excluded(lock_outs::leaked_at)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgives the failures of a line or user number.
///
/// # Errors
/// A fault of the database.
pub async fn forgive(connection: &mut Connection, subject: Subject, key: &str) -> StorageResult<()> {
    diesel::delete(lock_outs::table.find((subject.word(), key))).execute(connection).await?;
    Ok(())
}

/// Drops counters without a failure or a lock-out since then; says how many.
///
/// # Errors
/// A fault of the database.
pub async fn forget_lock_outs(connection: &mut Connection, before: Timestamp) -> StorageResult<usize> {
    let open = lock_outs::locked_until.is_null().or(lock_outs::locked_until.lt(Some(before).to_diesel()).assume_not_null());
    let old = lock_outs::table.filter(lock_outs::last_failed_at.lt(before.to_diesel()).and(open));
    Ok(diesel::delete(old).execute(connection).await?)
}

/// A conference into which a caller may be let.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The conference.
    pub id: ConferenceId,
    /// It runs, or its convener is being called.
    pub running: bool,
    /// The person is on its roster.
    pub expected: bool,
}

/// The account's conferences that run, and those planned ones that take callers: planned for a time between `from` and `until`,
/// or for none and made after `made_after`. The running ones first, then by time, then the newest.
///
/// # Errors
/// A fault of the database.
pub async fn open_conferences(
    connection: &mut Connection,
    account: AccountId,
    contact: Option<ContactId>,
    (from, until): (Timestamp, Timestamp),
    made_after: Timestamp,
) -> StorageResult<Vec<Open>> {
    let expected = exists(
        participants::table
            .filter(participants::conference.eq(conferences::id).and(participants::removed.eq(false)).and(participants::contact.eq(contact))),
    );
    let timely = conferences::scheduled_at
        .between(Some(from).to_diesel(), Some(until).to_diesel())
        .or(conferences::scheduled_at.is_null().and(conferences::created_at.gt(made_after.to_diesel())));
    let planned = conferences::state.eq("planned").and(timely.assume_not_null());
    let rows: Vec<(ConferenceId, String, bool)> = conferences::table
        .filter(conferences::account.eq(account))
        .filter(conferences::state.eq_any(["calling_convener", "running"]).or(planned))
        .order((conferences::state.eq("planned"), conferences::scheduled_at.asc().nulls_last(), conferences::created_at.desc()))
        .select((conferences::id, conferences::state, expected))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(id, state, expected)| Open { id, running: state != "planned", expected }).collect())
}

/// A caller who waits for a planned conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose conference.
    pub account: AccountId,
    /// Which.
    pub conference: ConferenceId,
    /// Who waits.
    pub contact: ContactId,
    /// Since when.
    pub since: Timestamp,
}

/// Notes that a caller waits.
///
/// # Errors
/// A fault of the database.
pub async fn wait(connection: &mut Connection, leg: LegId, waiting: &Waiting) -> StorageResult<()> {
    diesel::insert_into(waiting_callers::table)
        .values((
            waiting_callers::leg.eq(leg),
            waiting_callers::account.eq(waiting.account),
            waiting_callers::conference.eq(waiting.conference),
            waiting_callers::contact.eq(waiting.contact),
            waiting_callers::since.eq(waiting.since.to_diesel()),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(())
}

/// What is known of a caller who was waiting. Crosses accounts: the switch names the leg.
///
/// # Errors
/// A fault of the database.
pub async fn waiting(connection: &mut Connection, leg: LegId) -> StorageResult<Option<Waiting>> {
    let found = waiting_callers::table
        .find(leg)
        .select((waiting_callers::account, waiting_callers::conference, waiting_callers::contact, waiting_callers::since))
        .first::<(AccountId, ConferenceId, ContactId, jiff_diesel::Timestamp)>(connection)
        .await
        .optional()?;
    Ok(found.map(|(account, conference, contact, since)| Waiting { account, conference, contact, since: since.into() }))
}

/// A caller does not wait any more.
///
/// # Errors
/// A fault of the database.
pub async fn stop_waiting(connection: &mut Connection, leg: LegId) -> StorageResult<()> {
    diesel::delete(waiting_callers::table.find(leg)).execute(connection).await?;
    Ok(())
}

/// Drops notes of callers who began to wait before then.
///
/// # Errors
/// A fault of the database.
pub async fn forget_waiting(connection: &mut Connection, before: Timestamp) -> StorageResult<usize> {
    let old = waiting_callers::table.filter(waiting_callers::since.lt(before.to_diesel()));
    Ok(diesel::delete(old).execute(connection).await?)
}
