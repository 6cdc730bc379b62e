//! What is told of a conference whose personal data were erased: its rows, with people who have no names and no numbers any more.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::start::spec;
use super::{ControlError, Runtime, rows};
use crate::billing::WayOfEntry;
use crate::conference::{Conference, ConferenceView, ParticipantState, Settings};
use crate::ids::AccountId;
use crate::report::{ConferenceState, LegInput, ParticipantInput, Report, ReportInput, Words};
use crate::storage::{Connection, accounts, charges, conferences, legs, participants};

impl Runtime {
    /// The report of an erased conference: times, outcomes and charges, and that the rest was erased.
    pub(super) async fn erased_report(&self, connection: &mut Connection, plan: conferences::Conference) -> Result<Report, ControlError> {
        let owner = accounts::lookup(connection, plan.account).await?.ok_or(ControlError::NotFound)?;
        let language = owner.language.parse().unwrap_or_default();
        let calls = legs::list(connection, plan.account, plan.id).await?;
        let people = participants::list(connection, plan.account, plan.id).await?;
        let charges = charges::list_of_conference(connection, plan.id).await?;
        let named = |position: usize| Words::of(language).with("report-erased-person", &[("number", (position + 1).into())]);
        let participants = people.into_iter().filter(|person| !person.removed).enumerate().map(|(position, person)| ParticipantInput {
            name: named(position),
            number: String::new(),
            convener: person.convener,
            legs: calls.iter().filter(|leg| leg.participant == person.id).map(leg).collect(),
        });
        Ok(Report::of(ReportInput {
            conference: plan.id,
            title: plan.title,
            state: if plan.state == "failed" { ConferenceState::Failed } else { ConferenceState::Ended },
            reason: plan.reason,
            convener: owner.name,
            language,
            time_zone: owner.time_zone,
            started_at: plan.started_at,
            running_since: plan.running_since,
            ended_at: plan.ended_at,
            erased_at: plan.erased_at,
            currency: self.inner.shared.prices.currency(),
            participants: participants.collect(),
            charges,
        }))
    }

    /// An erased conference as shown.
    pub(super) async fn erased_view(
        &self,
        connection: &mut Connection,
        plan: conferences::Conference,
        account: AccountId,
        seq: u64,
    ) -> Result<ConferenceView, ControlError> {
        let people = participants::list(connection, account, plan.id).await?;
        let calls = legs::list(connection, account, plan.id).await?;
        let state = spec(&plan, people, Settings::default()).ok_or(ControlError::Internal)?;
        let mut view = rows::view(&Conference::open(plan.created_at, state), &plan, seq);
        view.head.state = plan.state;
        view.head.reason = plan.reason;
        view.head.started_at = plan.started_at;
        view.head.running_since = plan.running_since;
        view.head.ended_at = plan.ended_at;
        for person in &mut view.participants {
            let own = || calls.iter().filter(|leg| leg.participant == person.id);
            person.outcome = own().next_back().and_then(|leg| word(leg.outcome.as_deref()));
            if own().any(|leg| leg.joined_at.is_some()) {
                person.state = ParticipantState::Left;
            }
        }
        Ok(view)
    }
}

fn leg(leg: &legs::Leg) -> LegInput {
    LegInput {
        leg: leg.id,
        way_of_entry: WayOfEntry::from_word(&leg.way_of_entry).unwrap_or(WayOfEntry::WebOut),
        number: String::new(),
        access_number: leg.access_number.clone(),
        dialled_at: leg.dialled_at,
        answered_at: leg.answered_at,
        joined_at: leg.joined_at,
        left_at: leg.left_at,
        ended_at: leg.ended_at,
        outcome: word(leg.outcome.as_deref()),
        evidence: word(leg.evidence.as_deref()),
    }
}

/// A word of the database as the value that it stands for.
fn word<T: DeserializeOwned>(word: Option<&str>) -> Option<T> {
    serde_json::from_value(Value::String(word?.to_owned())).ok()
}
