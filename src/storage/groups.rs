//! Groups of contacts in an account's directory.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::schema::{group_members, groups};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::ids::{AccountId, ContactId, GroupId};

/// A group with its contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Its contacts in the order in which they were given.
    pub contacts: Vec<ContactId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = groups, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: GroupId,
    name: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    updated_at: Timestamp,
}

/// The account's group.
///
/// # Errors
/// A fault of the database.
pub async fn lookup(connection: &mut Connection, account: AccountId, group: GroupId) -> StorageResult<Option<Group>> {
    let found = groups::table.find(group).filter(groups::account.eq(account)).select(Row::as_select());
    let rows = found.load(connection).await?;
    Ok(with_contacts(connection, account, rows).await?.pop())
}

/// The account's groups by name.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId) -> StorageResult<Vec<Group>> {
    let rows = groups::table.filter(groups::account.eq(account)).order(groups::name).select(Row::as_select()).load(connection).await?;
    with_contacts(connection, account, rows).await
}

async fn with_contacts(connection: &mut Connection, account: AccountId, rows: Vec<Row>) -> StorageResult<Vec<Group>> {
    let ids: Vec<GroupId> = rows.iter().map(|row| row.id).collect();
    let members: Vec<(GroupId, ContactId)> = group_members::table
        .filter(group_members::account.eq(account))
        .filter(group_members::group_id.eq_any(ids))
        .order((group_members::group_id, group_members::position))
        .select((group_members::group_id, group_members::contact))
        .load(connection)
        .await?;
    let contacts_of = |group| members.iter().filter(move |(of, _)| *of == group).map(|(_, contact)| *contact).collect();
    let group =
        |row: Row| Group { contacts: contacts_of(row.id), id: row.id, name: row.name, created_at: row.created_at, updated_at: row.updated_at };
    Ok(rows.into_iter().map(group).collect())
}

/// Adds a group.
///
/// # Errors
/// [`StorageError::Conflict`](super::StorageError::Conflict) of `groups_account_name_key` when the account has a group of this name;
/// [`StorageError::Missing`](super::StorageError::Missing) of `group_members_contact_fkey` when a contact is not the account's.
pub async fn add(
    connection: &mut Connection,
    account: AccountId,
    group: GroupId,
    name: &str,
    contacts: &[ContactId],
    now: Timestamp,
) -> StorageResult<()> {
    refuse_nul(&[("name", &name.to_owned())])?;
    connection
        .transaction(async |connection| {
            diesel::insert_into(groups::table)
                .values((
                    groups::id.eq(group),
                    groups::account.eq(account),
                    groups::name.eq(name),
                    groups::created_at.eq(now.to_diesel()),
                    groups::updated_at.eq(now.to_diesel()),
                ))
                .execute(connection)
                .await?;
            fill(connection, account, group, contacts).await
        })
        .await
}

/// Changes a group's name and contacts; `false` when the account has no such group.
///
/// # Errors
/// As [`add`].
pub async fn change(
    connection: &mut Connection,
    account: AccountId,
    group: GroupId,
    name: &str,
    contacts: &[ContactId],
    now: Timestamp,
) -> StorageResult<bool> {
    refuse_nul(&[("name", &name.to_owned())])?;
    connection
        .transaction(async |connection| {
            let changed = diesel::update(groups::table.find(group).filter(groups::account.eq(account)))
                .set((groups::name.eq(name), groups::updated_at.eq(now.to_diesel())))
                .execute(connection)
                .await?;
            if changed == 0 {
                return Ok(false);
            }
            let old = group_members::table.filter(group_members::account.eq(account)).filter(group_members::group_id.eq(group));
            diesel::delete(old).execute(connection).await?;
            fill(connection, account, group, contacts).await?;
            Ok(true)
        })
        .await
}

/// Puts contacts into a group; one that is given twice counts once.
async fn fill(connection: &mut Connection, account: AccountId, group: GroupId, contacts: &[ContactId]) -> StorageResult<()> {
    let rows: Vec<_> = (0_i32..)
        .zip(contacts)
        .map(|(position, contact)| {
            (
                group_members::account.eq(account),
                group_members::group_id.eq(group),
                group_members::contact.eq(contact),
                group_members::position.eq(position),
            )
        })
        .collect();
    for part in rows.chunks(10_000) {
        diesel::insert_into(group_members::table).values(part).on_conflict_do_nothing().execute(connection).await?;
    }
    Ok(())
}

/// Deletes a group, not its contacts; `false` when the account has no such group.
///
/// # Errors
/// A fault of the database.
pub async fn remove(connection: &mut Connection, account: AccountId, group: GroupId) -> StorageResult<bool> {
    Ok(diesel::delete(groups::table.find(group).filter(groups::account.eq(account))).execute(connection).await? == 1)
}
