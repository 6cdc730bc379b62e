//! Proof of life of the switches.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::{NullableTimestamp, ToDiesel};

use super::schema::switch_nodes;
use super::text::refuse_nul;
use super::{Connection, StorageResult};

/// When a switch was started and last heard.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = switch_nodes, check_for_backend(diesel::pg::Pg))]
pub struct SwitchNode {
    /// Its name in the configuration.
    pub name: String,
    /// When it was started, as it said at the last login.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub booted_at: Option<Timestamp>,
    /// When it was last heard.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub last_heard_at: Timestamp,
    /// The operator wants no new conferences on it.
    pub draining: bool,
}

/// Notes when a switch was heard; an earlier moment than the one that is known changes nothing, and no `booted_at` keeps the one that is known.
///
/// # Errors
/// A fault of the database.
pub async fn note(connection: &mut Connection, name: &str, booted_at: Option<Timestamp>, last_heard_at: Timestamp) -> StorageResult<()> {
    refuse_nul(&[("name", &name.to_owned())])?;
    diesel::insert_into(switch_nodes::table)
        .values((
            switch_nodes::name.eq(name),
            switch_nodes::booted_at.eq(booted_at.to_diesel()),
            switch_nodes::last_heard_at.eq(last_heard_at.to_diesel()),
        ))
        .on_conflict(switch_nodes::name)
        .do_update()
        .set((
            switch_nodes::booted_at.eq(diesel::dsl::case_when(excluded(switch_nodes::booted_at).is_not_null(), excluded(switch_nodes::booted_at))
                .otherwise(switch_nodes::booted_at)),
            switch_nodes::last_heard_at.eq(diesel::dsl::case_when(
                excluded(switch_nodes::last_heard_at).gt(switch_nodes::last_heard_at),
                excluded(switch_nodes::last_heard_at),
            )
            .otherwise(switch_nodes::last_heard_at)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Drains a switch, or takes that back; `false` when no service has ever heard it.
///
/// # Errors
/// A fault of the database.
pub async fn drain(connection: &mut Connection, name: &str, draining: bool) -> StorageResult<bool> {
    Ok(diesel::update(switch_nodes::table.find(name)).set(switch_nodes::draining.eq(draining)).execute(connection).await? == 1)
}

/// The switches that are drained.
///
/// # Errors
/// A fault of the database.
pub async fn drained(connection: &mut Connection) -> StorageResult<Vec<String>> {
    Ok(switch_nodes::table.filter(switch_nodes::draining).select(switch_nodes::name).load(connection).await?)
}

/// What is known of a switch.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, name: &str) -> StorageResult<Option<SwitchNode>> {
    Ok(switch_nodes::table.find(name).select(SwitchNode::as_select()).first(connection).await.optional()?)
}
