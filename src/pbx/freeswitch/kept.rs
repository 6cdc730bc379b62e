//! What the dialplan has written down and nobody has had dropped.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::adapter::{Actor, LISTS_WITHIN, Outcome, Work};
use super::client::{Client, Reply};
use super::codec::Request;
use super::requests::{self, room_of};
use super::snapshot;
use crate::ids::{LegId, Room};
use crate::pbx::jobs::{Answer, CALLERS_KEPT};

/// The number under which the ends of callers are who were never let in: no conference has it.
const NO_ROOM: Room = Room(0);
/// Bytes of the longest answer to a list (`mod_db`, FreeSWITCH 1.10.12), as near as matters: it is cut there, anywhere in a name.
const LIST_BYTES: usize = 4_090;
/// So often at most are the records of one room asked for and dropped; each time it is about a hundred.
const MOST_ROUNDS: u32 = 200;

/// Dropping the records of a room: the list of them comes in parts.
pub struct Forgetting {
    room: Room,
    /// What was in the list the last time.
    last: Vec<LegId>,
    rounds: u32,
}

/// Asks for the realms of the switch's database, or for some of them: the answer has a size.
fn ask_realms() -> Request {
    Request::new("api db list")
}

/// Reads of which conferences something is written down.
///
/// A name that was cut is left out; its turn comes when others are gone.
fn rooms(reply: &Reply) -> BTreeSet<Room> {
    let text = reply.text();
    let mut names: Vec<&str> = text.split(',').map(str::trim).collect();
    if text.len() >= LIST_BYTES {
        names.pop();
    }
    let room = |name: &str| room_of(&format!("sklic-{}", name.strip_prefix("sklic-room-")?)).filter(|room| *room != NO_ROOM);
    names.into_iter().filter_map(room).collect()
}

/// Whether the record of a caller who was never let in is so old that nobody asks for it any more. `now` is the switch's time.
fn is_old(record: &Reply, now: Timestamp) -> bool {
    snapshot::end_record(record).is_some_and(|record| now.duration_since(record.at) > CALLERS_KEPT)
}

impl Actor {
    /// Tells of which conferences records are kept, and looks through those of callers who were never let in.
    pub(super) fn kept_rooms(&self, client: &mut Client, work: &mut Work, answer: Answer<Vec<Room>>) {
        let realms = self.submit(client, ask_realms(), LISTS_WITHIN);
        let callers = self.submit(client, requests::ask_room_legs(NO_ROOM), LISTS_WITHIN);
        work.push(Box::pin(async move {
            let rooms = realms.await.map(|reply| rooms(&reply).into_iter().collect());
            // Whoever does not wait any more does not want to know.
            let _ = answer.send(rooms);
            // The database gives those first that were written down first.
            Outcome::Callers(callers.await.map(|reply| snapshot::room_legs(&reply)).unwrap_or_default())
        }));
    }

    /// Finds which of the callers' records are old.
    pub(super) fn look_for_old(&self, client: &mut Client, work: &mut Work, callers: Vec<LegId>) {
        let now = self.now();
        let records: Vec<_> = callers.into_iter().map(|leg| (leg, self.submit(client, requests::ask_end(leg), LISTS_WITHIN))).collect();
        work.push(Box::pin(async move {
            let mut old = Vec::new();
            for (leg, record) in records {
                // One that cannot be read now is looked at again by the next sweep.
                if record.await.is_ok_and(|record| is_old(&record, now)) {
                    old.push(leg);
                }
            }
            Outcome::Old(old)
        }));
    }

    /// Drops the records of these legs.
    pub(super) fn drop_records(client: &mut Client, room: Room, legs: &[LegId]) {
        for request in legs.iter().flat_map(|leg| requests::drop_record(room, *leg)) {
            // A record that stays costs a line of the switch's database and nothing else.
            drop(client.submit(request));
        }
    }

    /// Drops the old records of callers who were never let in.
    pub(super) fn forget_callers(client: &mut Client, old: &[LegId]) {
        Self::drop_records(client, NO_ROOM, old);
    }

    /// Drops the records of a room.
    pub(super) fn forget(&self, client: &mut Client, work: &mut Work, room: Room, answer: Answer<()>) {
        self.ask_forgotten(client, work, Forgetting { room, last: Vec::new(), rounds: 0 }, Some(answer));
    }

    fn ask_forgotten(&self, client: &mut Client, work: &mut Work, forgetting: Forgetting, answer: Option<Answer<()>>) {
        let reply = self.submit(client, requests::ask_room_legs(forgetting.room), self.config.reply_within);
        work.push(Box::pin(async move {
            let reply = reply.await;
            if let Some(answer) = answer {
                // That there is nothing to drop is no failure.
                let _ = answer.send(reply.as_ref().map(drop).map_err(Clone::clone));
            }
            let legs = reply.map(|reply| snapshot::room_legs(&reply)).unwrap_or_default();
            Outcome::ToForget(forgetting, legs)
        }));
    }

    /// Drops what is in the list, and asks for what is left of it.
    pub(super) fn go_on_forgetting(&self, client: &mut Client, work: &mut Work, forgetting: Forgetting, legs: Vec<LegId>) {
        if legs.is_empty() {
            return;
        }
        // A switch that does not drop them would be asked for ever; the sweep comes again.
        if legs == forgetting.last || forgetting.rounds >= MOST_ROUNDS {
            tracing::warn!(pbx = %self.config.name, room = %forgetting.room, "the switch does not drop its records of a conference");
            return;
        }
        Self::drop_records(client, forgetting.room, &legs);
        self.ask_forgotten(client, work, Forgetting { last: legs, rounds: forgetting.rounds + 1, ..forgetting }, None);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn reply(text: String) -> Reply {
        Reply { body: Bytes::from(text) }
    }

    #[test]
    fn rooms_of_which_records_are_kept() {
        let list = "others,sklic-end,sklic-room-0,sklic-room-1001,sklic-room-1002,sklic-room-,sklic-room-x,sklic-roomy-3";
        assert_eq!(rooms(&reply(list.into())), BTreeSet::from([Room(1001), Room(1002)]));
        for nothing in ["", "-ERR no reply\n", "!err!"] {
            assert_eq!(rooms(&reply(nothing.into())), BTreeSet::new(), "{nothing}");
        }
    }

    #[test]
    fn a_name_that_was_cut_is_no_room() {
        let mut list: String = (0..200).map(|number| format!("sklic-room-{},", 100_000_000 + number)).collect();
        list.truncate(4_094);
        let found = rooms(&reply(list));
        assert_eq!(found.len(), 194);
        assert!(found.iter().all(|room| room.0 >= 100_000_000), "{found:?}");
    }

    #[test]
    fn ends_of_callers_are_dropped_when_they_are_old() {
        let now = Timestamp::from_second(1_795_364_582).expect("a time");
        let record = |ended: i64| reply(format!("1|1795366281337785|||{ended}|16|||NORMAL_CLEARING|recv_bye|"));
        let days = |days: i64| (1_795_364_582 - days * 86_400) * 1_000_000;
        assert!(is_old(&record(days(8)), now));
        assert!(!is_old(&record(days(6)), now) && !is_old(&record(0), now) && !is_old(&reply(String::new()), now));
    }
}
