//! From effects to rows: the records of the ledger, the charges, the report's mail.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tracing::error;

use super::Shared;
use crate::billing::{Cdr, Charge, ChargeStatus, Span};
use crate::conference::{Conference, ConferenceView, Leg, Participant, Phase};
use crate::ids::{ConferenceId, LegId, ParticipantId};
use crate::pbx::Evidence;
use crate::storage::{self, RowChange};

/// What an owner needs for rows, beside the rules' state: fixed when the conference starts.
pub(super) struct Paperwork {
    /// The conference's row.
    pub(super) plan: storage::conferences::Conference,
    /// The convener's account.
    pub(super) account: storage::accounts::Account,
    /// The charges of the legs that have ended.
    pub(super) charges: Vec<Charge>,
    /// The keys of the events that this process has told.
    pub(super) told: HashSet<String>,
    /// The rows as this process has last written them.
    pub(super) written: Written,
}

/// Rows as they were last submitted. A batch that is refused ends the owner, and another begins without any.
#[derive(Default)]
pub(super) struct Written {
    participants: HashMap<ParticipantId, storage::participants::Participant>,
    legs: HashMap<LegId, storage::legs::Leg>,
}

impl Written {
    /// The row, unless it says what was written already: a microphone's state, for one, is in no row.
    pub(super) fn news(&mut self, row: RowChange) -> Option<RowChange> {
        let known = match &row {
            RowChange::Participant(row) => self.participants.insert(row.id, row.clone()).as_ref() == Some(row),
            RowChange::Leg(row) => self.legs.insert(row.id, (**row).clone()).as_ref() == Some(&**row),
            _ => false,
        };
        (!known).then_some(row)
    }
}

impl Paperwork {
    /// For a conference that starts, or goes on with these charges; this process has told and written nothing of it yet.
    pub(super) fn new(plan: storage::conferences::Conference, account: storage::accounts::Account, charges: Vec<Charge>) -> Self {
        Self { plan, account, charges, told: HashSet::new(), written: Written::default() }
    }

    /// The charges of a leg that has ended.
    pub(super) fn charge(&mut self, conference: &Conference, leg: &Leg, shared: &Shared, now: Timestamp) -> Vec<RowChange> {
        let tariff = self.plan.tariff.as_deref().or(self.account.tariff.as_deref());
        let charges = shared.prices.rate(&cdr(conference, leg), shared.prices.name(tariff));
        for charge in &charges {
            if matches!(charge.status, ChargeStatus::Unrated | ChargeStatus::Error) {
                metrics::counter!("sklic_charges_without_price_total", "status" => charge.status.word()).increment(1);
                error!(conference.id = %conference.id(), leg.id = %leg.id, component = charge.component.word(), status = charge.status.word(),
                    reason = charge.reason.map(crate::billing::ChargeReason::word),
                    "a leg has no price: check the tariff (sklic tariff show) and rate it again");
            }
        }
        self.charges.extend(charges.iter().cloned());
        charges.into_iter().map(|charge| RowChange::Charge { charge: Box::new(charge), at: now }).collect()
    }
}

/// The facts of a leg that lives, as if it ended now.
pub(super) fn cdr_until(conference: &Conference, leg: &Leg, now: Timestamp) -> Cdr {
    // The switch's clock may be ahead of ours.
    let span = |start: Option<Timestamp>, end: Option<Timestamp>| start.map(|start| Span { start, end: end.unwrap_or(now).max(start) });
    Cdr { call_time: span(leg.answered_at, leg.ended_at), conference_time: span(leg.joined_at, leg.left_at), ..cdr(conference, leg) }
}

/// The facts of an ended leg.
fn cdr(conference: &Conference, leg: &Leg) -> Cdr {
    let span = |start: Option<Timestamp>, end: Option<Timestamp>| Some(Span { start: start?, end: end? });
    Cdr {
        leg: leg.id,
        conference: conference.id(),
        account: conference.spec().account,
        way_of_entry: leg.way_of_entry,
        remote_number: priced_number(conference, leg),
        access_number: leg.dial_in.as_ref().map(|dial_in| dial_in.access_number.clone()),
        calling_line: leg.dial_in.as_ref().and_then(|dial_in| dial_in.calling_line.clone()),
        convener_pays: leg.dial_in.as_ref().is_some_and(|dial_in| dial_in.convener_pays),
        call_time: span(leg.answered_at, leg.ended_at),
        conference_time: span(leg.joined_at, leg.left_at),
        evidence: leg.evidence.unwrap_or(Evidence::Event),
    }
}

/// The number by which a leg is priced. Of a caller it is the line that the network vouches for, then what is shown of him;
/// who keeps his number private is priced by the one under which he is known.
fn priced_number(conference: &Conference, leg: &Leg) -> String {
    let line = leg.dial_in.as_ref().and_then(|dial_in| dial_in.calling_line.clone());
    let shown = Some(leg.number.clone()).filter(|number| !number.is_empty());
    let known = || conference.participant(leg.participant).map(|participant| participant.person.phone.clone());
    line.or(shown).or_else(known).unwrap_or_default()
}

/// The conference's own row.
pub(super) fn head(conference: &Conference, node: &str) -> RowChange {
    let (started_at, running_since) = conference.times();
    let phase = conference.phase();
    RowChange::Head(storage::conferences::ConferenceHead {
        id: conference.id(),
        state: phase.word(),
        reason: phase.reason().map(|reason| reason.word()),
        started_at,
        running_since,
        ended_at: match phase {
            Phase::Ended { at, .. } | Phase::Failed { at, .. } => Some(*at),
            _ => None,
        },
        node: Some(node.to_owned()),
    })
}

/// A participant's row.
pub(super) fn participant(conference: ConferenceId, participant: &Participant) -> RowChange {
    let row = storage::participants::Participant::of(conference, participant.position, participant.person.clone());
    RowChange::Participant(storage::participants::Participant { convener: participant.convener, removed: participant.removed, ..row })
}

/// The word used in the log and the database.
pub(super) fn evidence_word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Event => "event",
        Evidence::SwitchRecord => "switch_record",
        Evidence::Snapshot => "snapshot",
        Evidence::ProofOfLife => "proof_of_life",
    }
}

/// A leg's row.
pub(super) fn leg(conference: ConferenceId, leg: &Leg) -> RowChange {
    RowChange::Leg(Box::new(storage::legs::Leg {
        id: leg.id,
        conference,
        participant: leg.participant,
        number: leg.number.clone(),
        access_number: leg.dial_in.as_ref().map(|dial_in| dial_in.access_number.clone()),
        calling_line: leg.dial_in.as_ref().and_then(|dial_in| dial_in.calling_line.clone()),
        way_of_entry: leg.way_of_entry.word().to_owned(),
        phase: leg.phase.word().to_owned(),
        outcome: leg.outcome.map(|outcome| outcome.word().to_owned()),
        evidence: leg.evidence.map(|known| evidence_word(known).to_owned()),
        queued_at: leg.queued_at,
        dialled_at: leg.dialled_at,
        ringing_at: leg.ringing_at,
        early_media: leg.early_media,
        answered_at: leg.answered_at,
        joined_at: leg.joined_at,
        left_at: leg.left_at,
        ended_at: leg.ended_at,
        q850: leg.cause.q850.map(i32::from),
        sip: leg.cause.sip.map(i32::from),
        convener_pays: leg.dial_in.as_ref().is_some_and(|dial_in| dial_in.convener_pays),
    }))
}

/// The conference as shown.
pub(super) fn view(conference: &Conference, plan: &storage::conferences::Conference, seq: u64) -> ConferenceView {
    ConferenceView {
        id: conference.id(),
        title: conference.spec().title.clone(),
        convener_participant_id: conference.spec().convener.id,
        created_at: plan.created_at,
        scheduled_at: plan.scheduled_at,
        head: conference.head_view(),
        seq,
        participants: conference.participant_views(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conference::NewParticipant;

    fn row(removed: bool) -> RowChange {
        let person = NewParticipant {
            id: ParticipantId(uuid::Uuid::from_u128(1)),
            name: "Ana".into(),
            phone: "+38640100201".into(),
            email: None,
            contact: None,
        };
        let row = storage::participants::Participant::of(ConferenceId(uuid::Uuid::from_u128(2)), 1, person);
        RowChange::Participant(storage::participants::Participant { removed, ..row })
    }

    #[test]
    fn a_row_is_written_again_only_with_something_new() {
        let mut written = Written::default();
        let turns = [false, false, true, true, false].map(|removed| written.news(row(removed)).is_some());
        assert_eq!(turns, [true, false, true, false, true]);
    }
}
