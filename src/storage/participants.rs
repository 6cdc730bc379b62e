//! Participants: people in a conference.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{conferences, participants};
use super::text::refuse_nul;
use super::{Connection, StorageResult};
use crate::conference::NewParticipant;
use crate::ids::{AccountId, ConferenceId, ContactId, ParticipantId};

/// A person in a conference, as called then.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = participants, check_for_backend(diesel::pg::Pg))]
pub struct Participant {
    /// The person.
    pub id: ParticipantId,
    /// The conference.
    pub conference: ConferenceId,
    /// Place on the roster, from 0.
    pub position: i32,
    /// The name.
    pub name: String,
    /// The number in normal form.
    pub phone: String,
    /// Where messages go.
    pub email: Option<String>,
    /// The contact from which the person was taken; it may be gone.
    pub contact: Option<ContactId>,
    /// Whether this is the convener: one in each conference.
    pub convener: bool,
    /// Taken off the roster before ever being called.
    pub removed: bool,
}

impl Participant {
    /// The row of a person at this place of a conference's roster; the convener's is the first, 0.
    #[must_use]
    pub fn of(conference: ConferenceId, place: u32, person: NewParticipant) -> Self {
        let NewParticipant { id, name, phone, email, contact } = person;
        Self { id, conference, position: i32::try_from(place).unwrap_or(i32::MAX), name, phone, email, contact, convener: place == 0, removed: false }
    }

    /// The person of this row.
    #[must_use]
    pub fn person(self) -> NewParticipant {
        NewParticipant { id: self.id, name: self.name, phone: self.phone, email: self.email, contact: self.contact }
    }

    pub(super) fn check(&self) -> StorageResult<()> {
        refuse_nul(&[("name", &self.name), ("phone", &self.phone), ("email", &self.email)])
    }
}

/// The participants of the account's conference, in roster order, those taken off it included.
///
/// # Errors
/// A fault of the database.
pub async fn list(connection: &mut Connection, account: AccountId, conference: ConferenceId) -> StorageResult<Vec<Participant>> {
    let found = participants::table
        .inner_join(conferences::table.on(conferences::id.eq(participants::conference)))
        .filter(participants::conference.eq(conference).and(conferences::account.eq(account)))
        .order((participants::position, participants::id))
        .select(Participant::as_select());
    Ok(found.load(connection).await?)
}

/// How many people the account's conferences have, those taken off the roster not counted.
///
/// # Errors
/// A fault of the database.
pub async fn count(connection: &mut Connection, account: AccountId, wanted: &[ConferenceId]) -> StorageResult<Vec<(ConferenceId, i64)>> {
    let found = participants::table
        .inner_join(conferences::table.on(conferences::id.eq(participants::conference)))
        .filter(participants::conference.eq_any(wanted).and(conferences::account.eq(account)))
        .filter(participants::removed.eq(false))
        .group_by(participants::conference)
        .select((participants::conference, diesel::dsl::count_star()));
    Ok(found.load(connection).await?)
}

/// What became of a person who was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// He is on the roster.
    New(Participant),
    /// There are as many as may be.
    Full,
    /// The account has no such conference, or it has been started: then its owner adds people.
    NotPlanned,
}

/// Adds a person to the account's planned conference, which may hold at most `most` people, the convener included: at the end of the roster;
/// the `position` given is not looked at.
///
/// # Errors
/// [`StorageError::Invalid`](super::StorageError::Invalid) when a value does not fit.
pub async fn add(connection: &mut Connection, account: AccountId, mut participant: Participant, most: usize) -> StorageResult<Added> {
    use diesel_async::AsyncConnection as _;
    participant.check()?;
    connection
        .transaction(async |connection| {
            // Locked, so that it is not started, nor somebody else put at the same place or at the last free one, meanwhile.
            let planned = conferences::table
                .find(participant.conference)
                .filter(conferences::account.eq(account).and(conferences::state.eq("planned")))
                .select(conferences::id)
                .for_update();
            if planned.first::<ConferenceId>(connection).await.optional()?.is_none() {
                return Ok(Added::NotPlanned);
            }
            let have: i64 = participants::table
                .filter(participants::conference.eq(participant.conference).and(participants::removed.eq(false)))
                .count()
                .get_result(connection)
                .await?;
            if usize::try_from(have).is_ok_and(|have| have >= most) {
                return Ok(Added::Full);
            }
            let last: Option<i32> = participants::table
                .filter(participants::conference.eq(participant.conference))
                .select(diesel::dsl::max(participants::position))
                .first(connection)
                .await?;
            participant.position = last.map_or(0, |last| last + 1);
            let added = diesel::insert_into(participants::table).values(participant).returning(Participant::as_returning());
            Ok(Added::New(added.get_result(connection).await?))
        })
        .await
}

/// Takes a person off the roster of the account's planned conference; `false` when there is no such person who could be.
///
/// # Errors
/// A fault of the database.
pub async fn remove(connection: &mut Connection, account: AccountId, conference: ConferenceId, participant: ParticipantId) -> StorageResult<bool> {
    let planned = conferences::table.filter(conferences::account.eq(account).and(conferences::state.eq("planned"))).select(conferences::id);
    let found = participants::table
        .find(participant)
        .filter(participants::conference.eq(conference).and(participants::convener.eq(false)))
        .filter(participants::conference.eq_any(planned));
    Ok(diesel::delete(found).execute(connection).await? == 1)
}

/// Writes rows whose conference is there, new or changed, each identifier once.
pub(super) async fn save(connection: &mut Connection, rows: Vec<Participant>) -> StorageResult<()> {
    for row in &rows {
        row.check()?;
    }
    for part in rows.chunks(2_000) {
        diesel::insert_into(participants::table)
            .values(part)
            .on_conflict(participants::id)
            .do_update()
            .set((
                participants::position.eq(excluded(participants::position)),
                participants::name.eq(excluded(participants::name)),
                participants::phone.eq(excluded(participants::phone)),
                participants::email.eq(excluded(participants::email)),
                participants::contact.eq(excluded(participants::contact)),
                participants::removed.eq(excluded(participants::removed)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}
