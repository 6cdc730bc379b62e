//! What the switch holds now: the lists that are asked for, and how they become a snapshot. The reading is pure.
//!
//! The lists are taken one after the other while events go on, so for a leg that has changed since the first was asked for,
//! what the events told is newer than any list.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use tokio::time::Instant;

use super::callers;
use super::client::Reply;
use super::codec::Action;
use super::legs::{CHANNEL_WITHIN, Legs};
use super::translate::{is_yes, parse_epoch, room, room_name, room_of};
use crate::ids::{LegId, Room};
use crate::pbx::wire::HeaderBlock;
use crate::pbx::{Caller, EndCause, EndRecord, LegSnapshot, LegSnapshotPhase};

/// Q.850 cause 16: normal clearing.
const NORMAL: u16 = 16;
/// Q.850 cause 19: user alerting, no answer.
const NO_ANSWER: u16 = 19;

/// Asks for every channel, with the variables that tell its conference, its answer, its joining and its leaving.
pub fn ask_channels() -> Action {
    let variables = ["CONF_NO", "SKLIC_ANSWERED", "SKLIC_JOINED", "SKLIC_LEFT", callers::STATE].into_iter().chain(callers::WHO);
    Action::new("Status").with("Variables", variables.collect::<Vec<_>>().join(","))
}

/// Asks for every conference.
pub fn ask_rooms() -> Action {
    Action::new("ConfbridgeListRooms")
}

/// Asks for the members of a conference.
pub fn ask_members(room: Room) -> Action {
    Action::new("ConfbridgeList").with("Conference", room_name(room))
}

/// Asks for the records that the dialplan wrote at the end of each leg.
pub fn ask_ends() -> Action {
    Action::new("DBGetTree").with("Family", "sklic-end")
}

/// A channel of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The leg.
    pub leg: LegId,
    /// The channel's full name.
    pub name: String,
    /// How far it is; a member is only `Answered` here.
    pub phase: LegSnapshotPhase,
    /// Its conference.
    pub room: Option<Room>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it went into the room.
    pub joined_at: Option<Timestamp>,
    /// When it came out again.
    pub left_at: Option<Timestamp>,
    /// Who called in, and his channel's id.
    pub caller: Option<(Caller, String)>,
}

/// Reads the list of channels; those of others are left out.
pub fn channels(reply: &Reply, switch: &str) -> Vec<Channel> {
    reply.items.iter().filter_map(|event| channel(event, switch)).collect()
}

fn channel(event: &HeaderBlock, switch: &str) -> Option<Channel> {
    let uniqueid = event.text("Uniqueid")?;
    let dialled = LegId::from_channel_id(&uniqueid);
    let caller = match dialled {
        Some(_) => None,
        None => {
            // "(null)" stands for a variable that is not set.
            let pieces = callers::WHO.iter().filter_map(|name| variable(event, name)).filter(|piece| piece != "(null)");
            Some(callers::who(callers::leg_of(switch, &uniqueid), &pieces.collect::<String>())?)
        }
    };
    let phase = match event.get("ChannelState")? {
        b"6" if caller.is_some() => match variable(event, callers::STATE).as_deref() {
            Some(callers::HELD) => LegSnapshotPhase::Held,
            Some(callers::BROUGHT) => LegSnapshotPhase::Brought,
            _ => LegSnapshotPhase::Answered,
        },
        b"6" => LegSnapshotPhase::Answered,
        b"5" => LegSnapshotPhase::Ringing,
        _ => LegSnapshotPhase::Dialling,
    };
    Some(Channel {
        leg: dialled.or(caller.as_ref().map(|caller| caller.leg))?,
        name: event.text("Channel")?.into_owned(),
        phase,
        room: variable(event, "CONF_NO").and_then(|number| number.parse().ok()).filter(|number| *number > 0).map(Room),
        answered_at: variable(event, "SKLIC_ANSWERED").and_then(|text| parse_epoch(&text)),
        joined_at: variable(event, "SKLIC_JOINED").and_then(|text| parse_epoch(&text)),
        left_at: variable(event, "SKLIC_LEFT").and_then(|text| parse_epoch(&text)),
        caller: caller.map(|caller| (caller, uniqueid.into_owned())),
    })
}

fn variable(event: &HeaderBlock, name: &str) -> Option<String> {
    event.iter().filter(|(key, _)| *key == b"Variable").find_map(|(_, pair)| {
        let (key, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// Reads the list of conferences: ours, and whether each is locked.
pub fn rooms(reply: &Reply) -> BTreeMap<Room, bool> {
    reply.items.iter().filter_map(|event| Some((room(event)?, is_yes(event, "Locked")))).collect()
}

/// Reads the list of a conference's members: our legs, each with its channel's name and whether it is muted.
pub fn members(reply: &Reply, channels: &[Channel]) -> Vec<(LegId, Room, bool, String)> {
    let callers: HashMap<&str, LegId> = channels.iter().filter_map(|channel| Some((channel.caller.as_ref()?.1.as_str(), channel.leg))).collect();
    let member = |event: &HeaderBlock| {
        let uniqueid = event.text("Uniqueid")?;
        let leg = LegId::from_channel_id(&uniqueid).or_else(|| callers.get(&*uniqueid).copied())?;
        Some((leg, room_of(&event.text("Conference")?)?, is_yes(event, "Muted"), event.text("Channel")?.into_owned()))
    };
    reply.items.iter().filter_map(member).collect()
}

/// Reads the records of ended legs.
pub fn ends(reply: &Reply, switch: &str) -> BTreeMap<LegId, EndRecord> {
    let record = |event: &HeaderBlock| {
        let key = event.text("Key")?;
        let name = key.rsplit('/').next()?;
        // Who was not let in has no leg's name in the dialplan, only his channel's.
        let caller = || name.contains('.').then(|| callers::leg_of(switch, name));
        let leg = LegId::from_channel_id(&format!("sklic-{name}")).or_else(caller)?;
        Some((leg, end_record(&event.text("Val")?)?))
    };
    reply.items.iter().filter_map(record).collect()
}

/// Reads one record: `1|answered|joined|left|ended|cause|SIP status|refused`, see `dialplan/asterisk/README.md`.
fn end_record(text: &str) -> Option<EndRecord> {
    let fields: Vec<&str> = text.split('|').collect();
    let [version, answered, joined, left, ended, cause, sip, refused] = fields[..] else { return None };
    if version != "1" {
        return None;
    }
    let at = parse_epoch(ended)?;
    let answered_at = parse_epoch(answered);
    let joined_at = parse_epoch(joined);
    let told = cause.parse().ok().filter(|cause| *cause != 0);
    // Asterisk 22.10 has 0 for a far end's goodbye during an announcement.
    let q850 = told.or(answered_at.map(|_| NORMAL));
    // What is below 300 is no final refusal: the phone was ringing when the time was over.
    let sip = sip.parse().ok().filter(|status| answered_at.is_none() && *status >= 300);
    let ring_timeout = answered_at.is_none() && sip.is_none() && q850 == Some(NO_ANSWER);
    Some(EndRecord {
        cause: EndCause { q850, sip, ring_timeout, join_refused: refused == "1" },
        answered_at,
        joined_at,
        left_at: joined_at.and(parse_epoch(left).or(Some(at))),
        at,
    })
}

/// The lists of one snapshot.
#[derive(Debug, Default)]
pub struct Lists {
    /// The number of the last change of a leg when the first list was asked for.
    pub begun: u64,
    /// Our channels.
    pub channels: Vec<Channel>,
    /// Our rooms on the switch, and whether each is locked.
    pub rooms: BTreeMap<Room, bool>,
    /// Our members; `None` when they were not asked for.
    pub members: Option<Vec<(LegId, Room, bool, String)>>,
}

/// Puts the lists and what the events told together, and corrects `legs` by the lists.
///
/// `waiting` are legs that are to be dialled and have not been sent to the switch; `asked` is when the first list was asked for.
pub fn merge(
    lists: &Lists,
    legs: &mut Legs,
    waiting: impl Iterator<Item = LegId>,
    asked: Instant,
) -> (BTreeMap<LegId, LegSnapshot>, BTreeMap<Room, bool>) {
    let members: BTreeMap<LegId, _> = lists.members.iter().flatten().map(|(leg, room, muted, name)| (*leg, (*room, *muted, name))).collect();
    let mut listed = BTreeSet::new();
    for channel in &lists.channels {
        listed.insert(channel.leg);
        let over = legs.has_ended(channel.leg) && !legs.lives_on(channel.leg, asked);
        if over || legs.get(channel.leg).is_some_and(|leg| leg.changed > lists.begun) {
            continue;
        }
        let member = members.get(&channel.leg);
        let name = member.map_or(&channel.name, |(_, _, name)| *name);
        let leg = match &channel.caller {
            Some((caller, uniqueid)) => legs.found_caller(caller.clone(), uniqueid, name),
            None => legs.found(channel.leg, channel.room, name),
        };
        leg.room = leg.room.or(channel.room);
        leg.phase = match member {
            Some((room, muted, _)) => LegSnapshotPhase::Inside { room: *room, muted: *muted },
            // Who was inside is believed to be until the members are known.
            None if lists.members.is_none() && matches!(leg.phase, LegSnapshotPhase::Inside { .. }) => leg.phase,
            None => channel.phase,
        };
        // The event is what counts where there was one; the dialplan's time lies some milliseconds beside it.
        leg.answered_at = leg.answered_at.or(channel.answered_at);
        leg.joined_at = leg.joined_at.or(channel.joined_at.filter(|_| member.is_some() || channel.left_at.is_some()));
        leg.left_at = leg.left_at.or(channel.left_at);
    }
    let lost: Vec<LegId> = legs
        .iter()
        .filter(|(id, leg)| {
            let young = leg.asked.is_some_and(|dialled| asked.saturating_duration_since(dialled) < CHANNEL_WITHIN);
            !listed.contains(id) && leg.changed <= lists.begun && (leg.is_created() || !young)
        })
        .map(|(id, _)| id)
        .collect();
    for id in lost {
        tracing::info!(leg.id = %id, "the switch no longer has a leg");
        legs.drop_silently(id);
    }
    let dialling = LegSnapshot { phase: LegSnapshotPhase::Dialling, answered_at: None, joined_at: None, left_at: None };
    let mut living: BTreeMap<_, _> = waiting.map(|id| (id, dialling)).collect();
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
