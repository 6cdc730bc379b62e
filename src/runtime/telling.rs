//! What other systems are told of a running conference: events for webhooks, written with the rows that they are about.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rows::Paperwork;
use crate::conference::{Conference, Effect, Leg, Phase};
use crate::storage::RowChange;
use crate::storage::webhooks::NewEvent;

impl Paperwork {
    /// The events that follow from an effect. Each has a key of its own in the conference, so that it is told once,
    /// though a restart may write it again.
    pub(super) fn tell(&mut self, conference: &Conference, effect: &Effect, now: Timestamp) -> Vec<RowChange> {
        let found = match effect {
            Effect::SaveHead { phase } => self.told_of_head(conference, phase),
            Effect::SaveLeg { leg } if leg.joined_at.is_some() => Some((format!("in:{}", leg.id), "participant.in", told_of_leg(conference, leg))),
            Effect::LegEnded { leg } => conference.leg(*leg).map(|leg| match leg.joined_at {
                Some(_) => (format!("out:{}", leg.id), "participant.out", told_of_leg(conference, leg)),
                None => (format!("failed:{}", leg.id), "participant.failed", told_of_leg(conference, leg)),
            }),
            Effect::Finished => {
                let report = format!("/api/v1/conferences/{}/report", conference.id());
                Some((
                    "report".to_owned(),
                    "report.ready",
                    json!({"json": format!("{report}.json"), "html": format!("{report}.html"), "csv": format!("{report}.csv")}),
                ))
            }
            _ => None,
        };
        found.into_iter().filter_map(|(key, kind, data)| self.event(conference, key, kind, data, now)).collect()
    }

    /// The events of charges that are written.
    pub(super) fn tell_charges(&mut self, rows: &[RowChange], now: Timestamp) -> Vec<RowChange> {
        let charges = rows.iter().filter_map(|row| if let RowChange::Charge { charge, .. } = row { Some(charge) } else { None });
        let told: Vec<NewEvent> = charges.map(|charge| NewEvent::of_charge(charge, now)).collect();
        told.into_iter().filter_map(|event| self.told_once(event)).collect()
    }

    fn told_of_head(&self, conference: &Conference, phase: &Phase) -> Option<(String, &'static str, Value)> {
        let (started_at, running_since) = conference.times();
        let head = |ended_at: Option<Timestamp>| {
            json!({
                "title": conference.spec().title, "state": phase.word(), "reason": phase.reason().map(|reason| reason.word()),
                "scheduled_at": self.plan.scheduled_at, "started_at": started_at, "running_since": running_since, "ended_at": ended_at,
            })
        };
        match phase {
            Phase::Ended { at, .. } | Phase::Failed { at, .. } => Some(("ended".to_owned(), "conference.ended", head(Some(*at)))),
            _ if running_since.is_some() => Some(("started".to_owned(), "conference.started", head(None))),
            _ => None,
        }
    }

    fn event(&mut self, conference: &Conference, key: String, kind: &'static str, data: Value, now: Timestamp) -> Option<RowChange> {
        self.told_once(NewEvent { account: self.account.id, conference: conference.id(), key, kind, data, at: now })
    }

    /// What this process has told needs no second look at the database.
    fn told_once(&mut self, event: NewEvent) -> Option<RowChange> {
        self.told.insert(event.key.clone()).then_some(RowChange::Event(event))
    }
}

fn told_of_leg(conference: &Conference, leg: &Leg) -> Value {
    let person = conference.participants().find(|person| person.person.id == leg.participant);
    json!({
        "participant_id": leg.participant, "name": person.map(|person| person.person.name.as_str()),
        "convener": person.is_some_and(|person| person.convener), "leg_id": leg.id, "number": leg.number, "way_of_entry": leg.way_of_entry.word(),
        "outcome": leg.outcome.map(crate::conference::Outcome::word), "answered_at": leg.answered_at, "joined_at": leg.joined_at,
        "left_at": leg.left_at, "ended_at": leg.ended_at,
    })
}
