//! Planning a conference once: within the account's limit, and not again when a request is repeated under its key.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

use super::conferences::{self as conference_rows, NewConference};
use super::schema::{accounts, conferences, idempotency_keys};
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
}

/// Plans a conference if the account has fewer than `most` planned, and its request was not made before.
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
) -> StorageResult<Planned> {
    if let Some(key) = &key {
        refuse_nul(&[("key", &key.key)])?;
    }
    connection
        .transaction(async |connection| {
            let _: AccountId = accounts::table.find(account).select(accounts::id).for_update().first(connection).await?;
            let now: Timestamp = conference.created_at;
            if let Some(key) = &key {
                let old = idempotency_keys::table.filter(idempotency_keys::account.eq(account));
                diesel::delete(old.filter(idempotency_keys::created_at.lt((now - KEPT).to_diesel()))).execute(connection).await?;
                let known: Option<(Vec<u8>, ConferenceId)> = idempotency_keys::table
                    .find((account, &key.key))
                    .select((idempotency_keys::request_sha256, idempotency_keys::conference))
                    .first(connection)
                    .await
                    .optional()?;
                if let Some((digest, before)) = known {
                    return Ok(if digest == key.request_sha256 { Planned::Before(before) } else { Planned::OtherRequest });
                }
            }
            let planned = conferences::table.filter(conferences::account.eq(account).and(conferences::state.eq("planned")));
            if planned.count().get_result::<i64>(connection).await? >= most {
                return Ok(Planned::TooMany);
            }
            if let Some(key) = &key {
                diesel::insert_into(idempotency_keys::table)
                    .values((
                        idempotency_keys::account.eq(account),
                        idempotency_keys::key.eq(&key.key),
                        idempotency_keys::request_sha256.eq(&key.request_sha256[..]),
                        idempotency_keys::conference.eq(conference.id),
                        idempotency_keys::created_at.eq(now.to_diesel()),
                    ))
                    .execute(connection)
                    .await?;
            }
            conference_rows::add(connection, account, conference).await?;
            Ok(Planned::New)
        })
        .await
}
