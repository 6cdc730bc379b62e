//! Planning single conferences: within the account's limit and the switches' room, and not again when a request is repeated under its key.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;
use uuid::Uuid;

use super::conferences::{self as conference_rows, NewConference};
use super::participants::Participant;
use super::schema::{accounts, conferences, idempotency_keys, participants};
use super::series::{NoPlaces, Places, lock_places, short_of_places};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ConferenceId};

/// How long a key is remembered.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The key of a request and what it asked for.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// As the sender chose it.
    pub key: String,
    /// The SHA-256 of the request's body.
    pub request_sha256: [u8; 32],
}

/// What became of a request to plan a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It is planned.
    New,
    /// The same request has been made before; this is its conference.
    Before(ConferenceId),
    /// The key was used for another request.
    OtherRequest,
    /// The account has planned as many as it may.
    TooMany,
    /// There is not enough room at its time.
    NoPlaces(NoPlaces),
}

/// What is known of a request's key.
pub(super) enum Known {
    /// The same request has planned this.
    Before(Uuid),
    /// It was used for another request.
    OtherRequest,
}

/// What was planned under a key, a conference or a plan, the account being locked; forgets those that are old.
pub(super) async fn known(connection: &mut Connection, account: AccountId, key: &RequestKey, now: Timestamp) -> StorageResult<Option<Known>> {
    refuse_nul(&[("key", &key.key)])?;
    let old = idempotency_keys::table.filter(idempotency_keys::account.eq(account));
    diesel::delete(old.filter(idempotency_keys::created_at.lt((now - KEPT).to_diesel()))).execute(connection).await?;
    let known: Option<(Vec<u8>, Uuid)> = idempotency_keys::table
        .find((account, &key.key))
        .select((idempotency_keys::request_sha256, idempotency_keys::conference))
        .first(connection)
        .await
        .optional()?;
    Ok(known.map(|(digest, before)| if digest == key.request_sha256 { Known::Before(before) } else { Known::OtherRequest }))
}

/// Remembers what is planned under a key.
pub(super) async fn remember(connection: &mut Connection, account: AccountId, key: &RequestKey, planned: Uuid, now: Timestamp) -> StorageResult<()> {
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::account.eq(account),
            idempotency_keys::key.eq(&key.key),
            idempotency_keys::request_sha256.eq(&key.request_sha256[..]),
            idempotency_keys::conference.eq(planned),
            idempotency_keys::created_at.eq(now.to_diesel()),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Plans a conference if the account has fewer than `most` planned, its request was not made before, and there is the room that is wanted.
///
/// Requests of one account are taken one after the other, so that two at the same time plan no more than one would.
///
/// # Errors
/// As [`conferences::add`](super::conferences::add).
pub async fn plan(
    connection: &mut Connection,
    account: AccountId,
    conference: NewConference,
    most: i64,
    key: Option<RequestKey>,
    places: Option<Places>,
) -> StorageResult<Planned> {
    connection
        .transaction(async |connection| {
            let _: AccountId = accounts::table.find(account).select(accounts::id).for_update().first(connection).await?;
            let now: Timestamp = conference.created_at;
            if let Some(key) = &key {
                match known(connection, account, key, now).await? {
                    Some(Known::Before(before)) => return Ok(Planned::Before(ConferenceId(before))),
                    Some(Known::OtherRequest) => return Ok(Planned::OtherRequest),
                    None => {}
                }
            }
            let planned = conferences::table.filter(conferences::account.eq(account).and(conferences::state.eq("planned")));
            if planned.count().get_result::<i64>(connection).await? >= most {
                return Ok(Planned::TooMany);
            }
            if let Some(places) = &places
                && let Some(short) = short_of_places(connection, places).await?
            {
                return Ok(Planned::NoPlaces(short));
            }
            if let Some(key) = &key {
                remember(connection, account, key, conference.id.0, now).await?;
            }
            conference_rows::add(connection, account, conference).await?;
            Ok(Planned::New)
        })
        .await
}

/// Changes title and time of a planned conference if there is the room that is wanted; `false` when the account has no such conference.
///
/// # Errors
/// As [`conferences::change_plan`](super::conferences::change_plan).
pub async fn change(
    connection: &mut Connection,
    account: AccountId,
    conference: ConferenceId,
    (title, scheduled_at): (&str, Option<Timestamp>),
    places: Option<Places>,
) -> StorageResult<Result<bool, NoPlaces>> {
    connection
        .transaction(async |connection| {
            if let Some(places) = &places
                && let Some(short) = short_of_places(connection, places).await?
            {
                return Ok(Err(short));
            }
            conference_rows::change_plan(connection, account, conference, title, scheduled_at).await.map(Ok)
        })
        .await
}

/// What became of a request to add a person to a planned conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// He is on the roster.
    Yes,
    /// The account has no such conference that is still planned.
    NotPlanned,
    /// The conference has as many people as it may.
    Full,
    /// There is not enough room at its time.
    NoPlaces(NoPlaces),
}

/// Adds a person to the account's planned conference if it has fewer than `most` people and there is room for one more;
/// how many people `places` names is not looked at.
///
/// # Errors
/// As [`participants::add`](super::participants::add).
pub async fn add_person(
    connection: &mut Connection,
    account: AccountId,
    person: Participant,
    most: i64,
    places: Option<Places>,
) -> StorageResult<Added> {
    connection
        .transaction(async |connection| {
            if places.is_some() {
                lock_places(connection).await?;
            }
            let planned = conferences::table.find(person.conference).filter(conferences::account.eq(account).and(conferences::state.eq("planned")));
            if planned.select(conferences::id).for_update().first::<ConferenceId>(connection).await.optional()?.is_none() {
                return Ok(Added::NotPlanned);
            }
            let others = participants::table.filter(participants::conference.eq(person.conference).and(participants::removed.eq(false)));
            let people: i64 = others.count().get_result(connection).await?;
            if people >= most {
                return Ok(Added::Full);
            }
            if let Some(places) = places {
                let wanted = Places { people: u32::try_from(people + 1).unwrap_or(u32::MAX), ..places };
                if let Some(short) = short_of_places(connection, &wanted).await? {
                    return Ok(Added::NoPlaces(short));
                }
            }
            let added = super::participants::add(connection, account, person).await?;
            Ok(if added.is_some() { Added::Yes } else { Added::NotPlanned })
        })
        .await
}
