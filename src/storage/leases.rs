//! Which process of the service drives which switch: leases with an epoch, measured by the clock of the database alone.

use std::time::Duration;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Untyped, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::{Connection, StorageError, StorageResult};
use crate::ids::ServiceNodeId;

/// By which right something is written: the owner's epoch of a switch. A later owner's taking over makes it void.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The switch, by its name in the configuration.
    pub switch: String,
    /// The epoch of the one who writes.
    pub epoch: i64,
}

/// How a switch is owned.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Lease {
    /// The switch, by its name in the configuration.
    #[diesel(sql_type = Text)]
    pub switch: String,
    /// Its owner; nobody when it was given back.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner: Option<ServiceNodeId>,
    /// Grows with each change of the owner.
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    /// The owner's name, while its row is there.
    #[diesel(sql_type = Nullable<Text>)]
    pub owner_name: Option<String>,
    /// The owner has renewed its row within the time to live.
    #[diesel(sql_type = Bool)]
    pub alive: bool,
    /// As the owner says: the link is up and resynchronised.
    #[diesel(sql_type = Bool)]
    pub ready: bool,
    /// As the owner says: how many members more the switch takes.
    #[diesel(sql_type = Integer)]
    pub room: i32,
}

/// Says that a process lives. Nothing but the clock of the database counts.
///
/// # Errors
/// A fault of the database.
pub async fn renew(connection: &mut Connection, node: ServiceNodeId, name: &str) -> StorageResult<()> {
    let renewed = "INSERT INTO service_nodes (id, name, started_at, renewed_at) VALUES ($1, left($2, 300), clock_timestamp(), clock_timestamp()) \
        ON CONFLICT (id) DO UPDATE SET renewed_at = clock_timestamp()";
    diesel::sql_query(renewed).bind::<SqlUuid, _>(node).bind::<Text, _>(name).execute(connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many processes other than this one live.
///
/// # Errors
/// A fault of the database.
pub async fn others(connection: &mut Connection, node: ServiceNodeId, ttl: Duration) -> StorageResult<usize> {
    let living = "SELECT count(*) AS count FROM service_nodes WHERE id <> $1 AND renewed_at > clock_timestamp() - make_interval(secs => $2)";
    let found: Count = diesel::sql_query(living).bind::<SqlUuid, _>(node).bind::<Double, _>(ttl.as_secs_f64()).get_result(connection).await?;
    Ok(usize::try_from(found.count).unwrap_or(0))
}

/// The leases of these switches; those that nobody ever had are made.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, switches: &[String], ttl: Duration) -> StorageResult<Vec<Lease>> {
    let look = "SELECT l.switch, l.owner, l.epoch, n.name AS owner_name, l.ready, l.room, \
        coalesce(n.renewed_at > clock_timestamp() - make_interval(secs => $2), false) AS alive \
        FROM switch_leases l LEFT JOIN service_nodes n ON n.id = l.owner WHERE l.switch = ANY($1) ORDER BY l.switch";
    let ask = async |connection: &mut Connection| {
        diesel::sql_query(look).bind::<Array<Text>, _>(switches).bind::<Double, _>(ttl.as_secs_f64()).load::<Lease>(connection).await
    };
    let found = ask(connection).await?;
    if found.len() == switches.len() {
        return Ok(found);
    }
    let make = "INSERT INTO switch_leases (switch) SELECT unnest($1) ON CONFLICT DO NOTHING";
    diesel::sql_query(make).bind::<Array<Text>, _>(switches).execute(connection).await?;
    Ok(ask(connection).await?)
}

#[derive(QueryableByName)]
struct Epoch {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

/// Takes the lease of a switch that was seen as `seen`; gives the new epoch, or nothing when somebody was quicker, its owner lives after all,
/// or a write under the old epoch has not ended yet: nobody waits here, for all leases are looked after in turn.
///
/// With `again` an owner of the same name counts as dead: it is this process's own predecessor.
///
/// # Errors
/// A fault of the database.
pub async fn take(connection: &mut Connection, seen: &Lease, node: ServiceNodeId, again: bool, ttl: Duration) -> StorageResult<Option<i64>> {
    let take = "UPDATE switch_leases SET owner = $1, epoch = epoch + 1, taken_at = clock_timestamp(), ready = false, room = 0 \
        WHERE switch = (SELECT l.switch FROM switch_leases l WHERE l.switch = $2 AND l.epoch = $3 FOR NO KEY UPDATE SKIP LOCKED) AND NOT EXISTS (SELECT FROM service_nodes o WHERE o.id = owner AND o.id <> $1 \
            AND o.renewed_at > clock_timestamp() - make_interval(secs => $5) \
            AND NOT ($4 AND o.name = (SELECT m.name FROM service_nodes m WHERE m.id = $1))) \
        RETURNING epoch";
    let taken: Option<Epoch> = diesel::sql_query(take)
        .bind::<SqlUuid, _>(node)
        .bind::<Text, _>(&seen.switch)
        .bind::<BigInt, _>(seen.epoch)
        .bind::<Bool, _>(again)
        .bind::<Double, _>(ttl.as_secs_f64())
        .get_result(connection)
        .await
        .optional()?;
    Ok(taken.map(|taken| taken.epoch))
}

/// Says how an owned switch is.
///
/// # Errors
/// A fault of the database.
pub async fn note(connection: &mut Connection, fence: &Fence, ready: bool, room: i32) -> StorageResult<()> {
    let note = "UPDATE switch_leases SET ready = $3, room = $4 WHERE switch = $1 AND epoch = $2 AND (ready, room) IS DISTINCT FROM ($3, $4)";
    diesel::sql_query(note)
        .bind::<Text, _>(&fence.switch)
        .bind::<BigInt, _>(fence.epoch)
        .bind::<Bool, _>(ready)
        .bind::<Integer, _>(room)
        .execute(connection)
        .await?;
    Ok(())
}

/// Hands one switch to another process; `false` when that one is dead, or the epoch is over.
///
/// # Errors
/// A fault of the database.
pub async fn hand_over(connection: &mut Connection, fence: &Fence, to: ServiceNodeId, ttl: Duration) -> StorageResult<bool> {
    let hand = "UPDATE switch_leases SET owner = $3, epoch = epoch + 1, taken_at = clock_timestamp(), ready = false, room = 0 \
        WHERE switch = $1 AND epoch = $2 \
        AND EXISTS (SELECT FROM service_nodes n WHERE n.id = $3 AND n.renewed_at > clock_timestamp() - make_interval(secs => $4))";
    let handed = diesel::sql_query(hand)
        .bind::<Text, _>(&fence.switch)
        .bind::<BigInt, _>(fence.epoch)
        .bind::<SqlUuid, _>(to)
        .bind::<Double, _>(ttl.as_secs_f64())
        .execute(connection)
        .await?;
    Ok(handed == 1)
}

/// Gives one switch back; whoever is next takes it.
///
/// # Errors
/// A fault of the database.
pub async fn give_back(connection: &mut Connection, fence: &Fence) -> StorageResult<()> {
    let give = "UPDATE switch_leases SET owner = NULL, epoch = epoch + 1, ready = false, room = 0 WHERE switch = $1 AND epoch = $2";
    diesel::sql_query(give).bind::<Text, _>(&fence.switch).bind::<BigInt, _>(fence.epoch).execute(connection).await?;
    Ok(())
}

/// A process ends: all its switches are given back.
///
/// # Errors
/// A fault of the database.
pub async fn leave(connection: &mut Connection, node: ServiceNodeId) -> StorageResult<()> {
    let give = "UPDATE switch_leases SET owner = NULL, epoch = epoch + 1, ready = false, room = 0 WHERE owner = $1";
    diesel::sql_query(give).bind::<SqlUuid, _>(node).execute(connection).await?;
    diesel::sql_query("DELETE FROM service_nodes WHERE id = $1").bind::<SqlUuid, _>(node).execute(connection).await?;
    Ok(())
}

/// Drops the rows of processes that have been dead for a day.
///
/// # Errors
/// A fault of the database.
pub async fn forget_dead(connection: &mut Connection) -> StorageResult<()> {
    diesel::sql_query("DELETE FROM service_nodes WHERE renewed_at < clock_timestamp() - interval '1 day'").execute(connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Text)]
    switch: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

/// The leases of these switches, held until the end of the transaction. Every write asks: prepared once on each connection.
struct Hold<'a>(&'a [&'a str]);

impl Query for Hold<'_> {
    type SqlType = Untyped;
}

impl QueryId for Hold<'_> {
    type QueryId = Hold<'static>;
}

impl QueryFragment<Pg> for Hold<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT l.switch, l.epoch FROM switch_leases l WHERE l.switch = ANY(");
        out.push_bind_param::<Array<Text>, _>(self.0)?;
        // In one order, so that two transactions cannot wait for each other.
        out.push_sql(") ORDER BY l.switch FOR SHARE");
        Ok(())
    }
}

/// Holds these epochs until the end of the transaction: nobody takes these switches over before it is committed.
///
/// # Errors
/// [`StorageError::Fenced`] when one of them is over.
pub(super) async fn hold(connection: &mut Connection, fences: &[Fence]) -> StorageResult<()> {
    if fences.is_empty() {
        return Ok(());
    }
    let switches: Vec<&str> = fences.iter().map(|fence| fence.switch.as_str()).collect();
    let held: Vec<Held> = Hold(&switches).load(connection).await?;
    for fence in fences {
        if !held.iter().any(|held| held.switch == fence.switch && held.epoch == fence.epoch) {
            return Err(StorageError::Fenced { switch: fence.switch.clone() });
        }
    }
    Ok(())
}
