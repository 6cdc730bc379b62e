//! Callers who are brought from one switch to another, until they have arrived there.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};
use jiff_diesel::ToDiesel;

use super::schema::passes;
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::ids::{AccountId, ConferenceId, ContactId, LegId, PassId};
use crate::pbx::Caller;

/// How long a pass may be used for: the other switch is called within seconds.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Who is brought, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The convener's account.
    pub account: AccountId,
    /// The conference; the convener finds his own.
    pub conference: Option<ConferenceId>,
    /// Who the caller is; none is the convener, who has keyed his PIN.
    pub contact: Option<ContactId>,
    /// The caller as he arrived at the first switch.
    pub caller: Caller,
    /// The switch to which he is brought.
    pub node: String,
}

/// Notes that a caller is brought, before the switch is told to.
///
/// # Errors
/// A fault of the database.
pub async fn issue(connection: &mut Connection, id: PassId, pass: &Pass, now: Timestamp) -> StorageResult<()> {
    let caller = serde_json::to_value(&pass.caller).map_err(|fault| StorageError::Invalid { what: fault.to_string() })?;
    refuse_nul(&[("caller", &caller)])?;
    diesel::insert_into(passes::table)
        .values((
            passes::id.eq(id),
            passes::account.eq(pass.account),
            passes::conference.eq(pass.conference),
            passes::contact.eq(pass.contact),
            passes::caller.eq(caller),
            passes::node.eq(&pass.node),
            passes::issued_at.eq(now.to_diesel()),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Whose pass this is, for the leg that has come with it to that switch. It is good for a minute and for one leg;
/// that leg may show it again, for the service may have been started anew. Crosses accounts: the switch names the pass.
///
/// # Errors
/// A fault of the database.
pub async fn show(connection: &mut Connection, id: PassId, (node, leg): (&str, LegId), now: Timestamp) -> StorageResult<Option<Pass>> {
    let fresh = passes::leg.is_null().and(passes::issued_at.gt((now - GOOD_FOR).to_diesel()));
    let valid = passes::table.find(id).filter(passes::node.eq(node)).filter(fresh.or(passes::leg.eq(leg).assume_not_null()));
    let found = diesel::update(valid)
        .set(passes::leg.eq(leg))
        .returning((passes::account, passes::conference, passes::contact, passes::caller))
        .get_result::<(AccountId, Option<ConferenceId>, Option<ContactId>, serde_json::Value)>(connection)
        .await
        .optional()?;
    let Some((account, conference, contact, caller)) = found else { return Ok(None) };
    let caller = serde_json::from_value(caller).map_err(|fault| StorageError::Invalid { what: fault.to_string() })?;
    Ok(Some(Pass { account, conference, contact, caller, node: node.to_owned() }))
}

/// The leg that has come with this pass, if one has.
///
/// # Errors
/// A fault of the database.
pub async fn used_by(connection: &mut Connection, id: PassId) -> StorageResult<Option<LegId>> {
    Ok(passes::table.find(id).select(passes::leg).first::<Option<LegId>>(connection).await.optional()?.flatten())
}

/// Drops passes of callers who were brought before then.
///
/// # Errors
/// A fault of the database.
pub async fn forget(connection: &mut Connection, before: Timestamp) -> StorageResult<usize> {
    Ok(diesel::delete(passes::table.filter(passes::issued_at.lt(before.to_diesel()))).execute(connection).await?)
}
