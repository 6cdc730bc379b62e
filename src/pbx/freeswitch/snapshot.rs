//! What the switch holds now: how its lists are read, and how they become a snapshot. Pure.
//!
//! The lists are taken one after the other while events go on, so for a leg that has changed since the first was asked for,
//! what the events told is newer than any list.
//! The list of channels comes from the switch's own database and lags behind; the list of conferences does not.
//! A leg that one side knows and the other does not is therefore asked for by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::callers;
use super::client::Reply;
use super::fields::Fields;
use super::legs::Legs;
use super::requests::{leg_of_channel, room_of};
use super::translate::{Ending, cause, left, leg_of, micros, parse_micros, room_number};
use crate::ids::{LegId, Room};
use crate::pbx::{Caller, EndRecord, LegSnapshot, LegSnapshotPhase};

/// All about one channel, as the switch tells it when asked for it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// How far it is; a member is only `Answered` here.
    pub phase: LegSnapshotPhase,
    /// Its conference.
    pub room: Option<Room>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it came into the room.
    pub joined_at: Option<Timestamp>,
    /// The room that it has left, and when.
    pub left: Option<(Room, Timestamp)>,
    /// Who called in.
    pub caller: Option<Box<Caller>>,
    /// How long the others wait for the convener, in seconds.
    pub grace_seconds: u32,
    /// A convener, as was asked for when he was dialled or let in.
    pub convener: bool,
}

/// A member of a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The conference.
    pub room: Room,
    /// Its microphone is closed.
    pub muted: bool,
    /// The room's number for the member.
    pub member: Option<u32>,
    /// A convener.
    pub convener: bool,
}

/// The lists of one snapshot.
#[derive(Debug, Default)]
pub struct Lists {
    /// The number of the last change of a leg when the first list was asked for.
    pub begun: u64,
    /// Our channels, and how far each is.
    pub channels: BTreeMap<LegId, LegSnapshotPhase>,
    /// Our rooms on the switch, and whether each is locked.
    pub rooms: BTreeMap<Room, bool>,
    /// Our members.
    pub members: BTreeMap<LegId, Member>,
    /// The legs that were asked for by themselves and are there.
    pub dumps: BTreeMap<LegId, Dump>,
}

#[derive(Deserialize)]
struct ChannelList {
    #[serde(default)]
    rows: Vec<ChannelRow>,
}

#[derive(Deserialize)]
struct ChannelRow {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    callstate: String,
    #[serde(default)]
    context: String,
}

/// Reads the list of channels; those of others are left out. `None` when it is no such list.
pub fn channels(reply: &Reply) -> Option<BTreeMap<LegId, LegSnapshotPhase>> {
    // A name that a phone sent may hold bytes that are no text.
    let list: ChannelList = serde_json::from_str(&String::from_utf8_lossy(&reply.body)).ok()?;
    let phase = |row: &ChannelRow| match row.callstate.as_str() {
        "RINGING" | "EARLY" => LegSnapshotPhase::Ringing,
        "DOWN" | "DIALING" => LegSnapshotPhase::Dialling,
        _ => LegSnapshotPhase::Answered,
    };
    // A name that is not ours is a caller's when the call is in our dialplan.
    let leg =
        |row: &ChannelRow| LegId::from_channel_id(&row.uuid).or_else(|| leg_of_channel(&row.uuid).filter(|_| row.context.starts_with("sklic-")));
    Some(list.rows.iter().filter_map(|row| Some((leg(row)?, phase(row)))).collect())
}

#[derive(Deserialize)]
struct RoomRow {
    #[serde(default)]
    conference_name: String,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    members: Vec<MemberRow>,
}

#[derive(Deserialize)]
struct MemberRow {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    id: Option<u32>,
    #[serde(default)]
    flags: MemberFlags,
}

#[derive(Default, Deserialize)]
struct MemberFlags {
    #[serde(default)]
    can_speak: bool,
    #[serde(default)]
    is_moderator: bool,
}

/// Reads the list of conferences: our rooms and our members. `None` when it is no such list.
pub fn rooms(reply: &Reply) -> Option<(BTreeMap<Room, bool>, BTreeMap<LegId, Member>)> {
    let text = String::from_utf8_lossy(&reply.body);
    // Older versions say this instead of an empty list.
    if text.starts_with("-ERR") && text.contains("No active conferences") || text.starts_with("+OK No active conferences") {
        return Some((BTreeMap::new(), BTreeMap::new()));
    }
    let list: Vec<RoomRow> = serde_json::from_str(&text).ok()?;
    let (mut rooms, mut members) = (BTreeMap::new(), BTreeMap::new());
    for row in list {
        let Some(room) = room_of(&row.conference_name) else { continue };
        rooms.insert(room, row.locked);
        for member in row.members {
            if let Some(leg) = leg_of_channel(&member.uuid) {
                members.insert(leg, Member { room, muted: !member.flags.can_speak, member: member.id, convener: member.flags.is_moderator });
            }
        }
    }
    Some((rooms, members))
}

/// Reads what the switch tells about one channel; `None` when it is not there.
pub fn dump(reply: &Reply) -> Option<(LegId, Dump)> {
    let fields = Fields::parse(&reply.body)?;
    let answered_at = micros(&fields, "Caller-Channel-Answered-Time");
    // `Answer-State` is "ringing" from the beginning on; only this tells that the far end alerts.
    let progress_at = micros(&fields, "Caller-Channel-Progress-Time");
    let caller = callers::who(&fields).map(Box::new);
    let phase = match (answered_at, progress_at) {
        (Some(_), _) if caller.is_some() => callers::hands(&fields).unwrap_or(LegSnapshotPhase::Answered),
        (Some(_), _) => LegSnapshotPhase::Answered,
        (None, Some(_)) => LegSnapshotPhase::Ringing,
        (None, None) => LegSnapshotPhase::Dialling,
    };
    let (room, joined_at, left) = (room_number(&fields), micros(&fields, "variable_SKLIC_JOINED"), left(&fields));
    let grace_seconds = fields.number("variable_SKLIC_GRACE").unwrap_or(0);
    let convener = fields.get("variable_SKLIC_ROLE") == Some("convener");
    Some((leg_of(&fields)?, Dump { phase, room, answered_at, joined_at, left, caller, grace_seconds, convener }))
}

/// Reads the record of a leg's end; `None` when there is none.
///
/// `2|answered|joined|left|ended|Q.850|SIP status|refused|cause|disposition|protocol's cause|reply's port`, see `dialplan/freeswitch/README.md`;
/// a record of version 1, from before an upgrade, has no port.
pub fn end_record(reply: &Reply) -> Option<EndRecord> {
    let text = reply.text();
    let fields: Vec<&str> = text.split('|').collect();
    let (fields, port) = match fields.split_first()? {
        (&"1", fields) => (fields, ""),
        (&"2", [fields @ .., port]) => (fields, *port),
        _ => return None,
    };
    let &[answered, joined, left, ended, q850, sip, refused, word, disposition, specific] = fields else { return None };
    let at = parse_micros(ended)?;
    let answered_at = parse_micros(answered);
    let joined_at = parse_micros(joined);
    Some(EndRecord {
        cause: cause(&Ending { answered: answered_at.is_some(), q850, sip, refused, word, disposition, specific, port }),
        answered_at,
        joined_at,
        left_at: joined_at.and(parse_micros(left).or(Some(at))),
        at,
    })
}

/// The legs of a room in the switch's database.
pub fn room_legs(reply: &Reply) -> Vec<LegId> {
    reply
        .text()
        .split(',')
        .map(str::trim)
        .filter_map(|name| LegId::from_channel_id(&format!("sklic-{name}")).or_else(|| leg_of_channel(name)))
        .collect()
}

impl Lists {
    /// The legs on which our knowledge and the lists differ: each is to be asked for by itself. After a gap so is each that is
    /// answered and in no room, for it may have been in one meanwhile.
    pub fn doubtful(&self, legs: &Legs, expected: &[LegId], after_gap: bool) -> BTreeSet<LegId> {
        let on_switch = |id: &LegId| self.channels.contains_key(id);
        let known = legs.iter().filter(|(_, leg)| leg.created).map(|(id, _)| id);
        let missing = known.chain(expected.iter().copied()).chain(self.members.keys().copied()).filter(|id| !on_switch(id));
        let strange = |id: &LegId| legs.get(*id).is_none_or(|leg| leg.room.is_none() && leg.caller.is_none());
        let answered = |phase| matches!(phase, LegSnapshotPhase::Answered | LegSnapshotPhase::Inside { .. });
        let unseen = |id: &LegId| after_gap && !self.members.contains_key(id) && legs.get(*id).is_some_and(|leg| answered(leg.phase));
        missing
            .chain(self.channels.keys().copied().filter(|id| strange(id) || unseen(id)))
            .filter(|id| !legs.has_ended(*id) || expected.contains(id))
            .collect()
    }
}

/// Puts the lists and what the events told together, and corrects `legs` by the lists.
///
/// `waiting` are legs of which the switch cannot know yet, or of which it has told nothing.
pub fn merge(lists: &Lists, legs: &mut Legs, waiting: &BTreeSet<LegId>) -> (BTreeMap<LegId, LegSnapshot>, BTreeMap<Room, bool>) {
    let listed: BTreeSet<LegId> = lists.channels.keys().chain(lists.dumps.keys()).chain(lists.members.keys()).copied().collect();
    for id in &listed {
        let newer = legs.get(*id).is_some_and(|leg| leg.changed > lists.begun);
        if newer || legs.has_ended(*id) {
            continue;
        }
        let dump = lists.dumps.get(id);
        let told = dump.map(|dump| dump.phase).or(lists.channels.get(id).copied()).unwrap_or(LegSnapshotPhase::Answered);
        let leg = legs.found(*id);
        leg.phase = match (lists.members.get(id), leg.phase, told) {
            (Some(member), _, _) => LegSnapshotPhase::Inside { room: member.room, muted: member.muted },
            (None, LegSnapshotPhase::Inside { .. }, _) => LegSnapshotPhase::Answered,
            // Whether a caller is in our hands the dump tells, or what we did with him.
            (None, LegSnapshotPhase::Held, _) if dump.is_none() => LegSnapshotPhase::Held,
            (None, LegSnapshotPhase::Held | LegSnapshotPhase::Dialling, LegSnapshotPhase::Held) => LegSnapshotPhase::Held,
            // Where he was brought the dump tells, or what we did with him.
            (None, LegSnapshotPhase::Brought, _) | (None, _, LegSnapshotPhase::Brought) => LegSnapshotPhase::Brought,
            // The list lags: what the events have told does not go back.
            (None, LegSnapshotPhase::Answered, _) | (None, _, LegSnapshotPhase::Answered) => LegSnapshotPhase::Answered,
            (None, LegSnapshotPhase::Ringing, _) => LegSnapshotPhase::Ringing,
            (None, LegSnapshotPhase::Dialling | LegSnapshotPhase::Held, told) => told,
        };
        if let Some(member) = lists.members.get(id) {
            leg.member = member.member.or(leg.member);
            leg.convener |= member.convener;
        }
        if let Some(dump) = dump {
            leg.room = leg.room.or(dump.room);
            leg.grace_seconds = leg.grace_seconds.max(dump.grace_seconds);
            leg.convener |= dump.convener;
            leg.caller = leg.caller.take().or_else(|| dump.caller.clone());
            leg.answered_at = leg.answered_at.or(dump.answered_at);
            leg.joined_at = leg.joined_at.or(dump.joined_at);
            leg.left_at = leg.left_at.or(dump.left.map(|(_, at)| at));
        }
    }
    let lost: Vec<LegId> = legs
        .iter()
        .filter(|(id, leg)| !listed.contains(id) && leg.changed <= lists.begun && (leg.created || !waiting.contains(id)))
        .map(|(id, _)| id)
        .collect();
    for id in lost {
        tracing::info!(leg.id = %id, "the switch no longer has a leg");
        legs.drop_silently(id);
    }
    let dialling = LegSnapshot { phase: LegSnapshotPhase::Dialling, answered_at: None, joined_at: None, left_at: None };
    let mut living: BTreeMap<_, _> = waiting.iter().filter(|id| !legs.has_ended(**id)).map(|id| (*id, dialling)).collect();
    let mut rooms = BTreeMap::new();
    for (id, leg) in legs.iter() {
        let left_at = leg.left_at.filter(|_| leg.phase == LegSnapshotPhase::Answered && leg.joined_at.is_some());
        living.insert(id, LegSnapshot { phase: leg.phase, answered_at: leg.answered_at, joined_at: leg.joined_at, left_at });
        if let LegSnapshotPhase::Inside { room, .. } = leg.phase {
            rooms.insert(room, lists.rooms.get(&room).copied().unwrap_or(false));
        }
    }
    (living, rooms)
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
