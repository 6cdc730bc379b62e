//! A caller who has said who he is: which conference is his, and how he comes into it.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use super::ControlError;
use super::bringing::Place;
use super::owner::Message;
use super::reception::{Guest, Next};
use super::start::Opening;
use crate::clock;
use crate::conference::{ConferenceView, NewCaller, NewParticipant, Refusal};
use crate::ids::{AccountId, ConferenceId, ContactId, ParticipantId};
use crate::pbx::Phrase;
use crate::reception::Input;
use crate::storage::dial_in::{self, Open, Waiting};
use crate::storage::{StorageError, accounts, conferences, contacts, participants};

/// A planned conference that has not been started takes callers for so long after its time.
const OPEN_AFTER: SignedDuration = SignedDuration::from_hours(4);
/// How long the conference is asked whether it takes a caller; the database may be slow, and he waits.
const DECIDES_WITHIN: Duration = Duration::from_secs(30);
/// A conference that is planned for no time takes callers for so long after it was made.
const DRAFT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Whether a conference has taken a caller: what waits for the database is decided, and goes out once it is written.
fn taken(answer: Result<ConferenceView, ControlError>) -> Result<(), ControlError> {
    match answer {
        Ok(_) | Err(ControlError::Queued) => Ok(()),
        Err(fault) => Err(fault),
    }
}

impl Guest {
    async fn open_conferences(&self, account: AccountId, contact: Option<ContactId>) -> Result<Vec<Open>, StorageError> {
        let now = clock::now();
        let before = SignedDuration::from_mins(i64::from(self.runtime.inner.rules.dial_in.open_before_minutes));
        let window = (now - OPEN_AFTER, now + before);
        dial_in::open_conferences(&mut *self.runtime.connection().await?, account, contact, window, now - DRAFT_FOR).await
    }

    /// Lets a participant into his convener's conference, or has him wait for it. `None`: a conference has him.
    pub(super) async fn enter(&mut self, account: AccountId, contact: ContactId) -> Result<Option<Input>, StorageError> {
        let open = self.open_conferences(account, Some(contact)).await?;
        let running = || open.iter().filter(|conference| conference.running);
        let expected = running().find(|conference| conference.expected).or_else(|| open.iter().find(|conference| conference.expected));
        // Of several conferences of one convener nobody is let into one in which he is not expected.
        let only = if running().count() == 1 { running().next() } else { None };
        let Some(place) = expected.or(only) else {
            metrics::counter!("sklic_callers_total", "result" => "no_conference").increment(1);
            return Ok(Some(Input::Refused(Phrase::NoConference)));
        };
        if place.running {
            return self.hand_over(account, place.id, contact).await;
        }
        let waiting = Waiting { account, conference: place.id, contact, since: clock::now() };
        dial_in::wait(&mut *self.runtime.connection().await?, self.caller.leg, &waiting).await?;
        let until = self.runtime.waits_until(waiting.since);
        self.waiting = Some((waiting, until));
        metrics::counter!("sklic_callers_total", "result" => "waits").increment(1);
        Ok(Some(Input::Waits))
    }

    async fn state_of(&self, waiting: &Waiting) -> Result<Option<String>, StorageError> {
        let mut connection = self.runtime.inner.shared.pool.get().await?;
        let plan = conferences::lookup(&mut connection, waiting.account, waiting.conference).await?;
        Ok(plan.map(|plan| plan.state))
    }

    /// Looks whether the conference that he waits for has begun.
    pub(super) async fn look(&mut self) -> Next {
        let Some((waiting, until)) = self.waiting.clone() else { return Next::Stays };
        let state = self.state_of(&waiting).await;
        let input = match state.as_ref().map(Option::as_deref) {
            // The database is away: he goes on waiting.
            Err(_) => return Next::Stays,
            Ok(Some("planned")) if Instant::now() < until => return Next::Stays,
            Ok(Some("planned")) => Input::Refused(Phrase::WaitedTooLong),
            Ok(Some("calling_convener" | "running")) => match self.hand_over(waiting.account, waiting.conference, waiting.contact).await {
                Ok(None) => return Next::Gone,
                Ok(Some(input)) => input,
                // The same, or the link to his switch is lost.
                Err(_) => return Next::Stays,
            },
            Ok(_) => Input::Refused(Phrase::NoConference),
        };
        self.waiting = None;
        let effects = self.dialogue.handle(input);
        self.carry(effects).await
    }

    /// He waits no more, in the books either.
    pub(super) async fn forget(&mut self) {
        let Ok(mut connection) = self.runtime.inner.shared.pool.get().await else { return };
        if let Err(fault) = dial_in::stop_waiting(&mut connection, self.caller.leg).await {
            warn!(leg.id = %self.caller.leg, %fault, "that a caller waits no more could not be written down");
        }
    }

    fn new_caller(&self, person: NewParticipant, convener: bool) -> NewCaller {
        let prices = self.runtime.prices();
        let (way, number) = (self.access.way_of_entry, &self.access.number);
        let needs_consent = self.identity.calling_line.is_none() && prices.caller_owes(way, number);
        NewCaller {
            leg: self.caller.leg,
            person,
            convener,
            way_of_entry: self.access.way_of_entry,
            access_number: self.access.number.clone(),
            calling_line: self.identity.calling_line.clone(),
            number: self.identity.number.clone(),
            needs_consent,
            convener_owes: needs_consent || prices.convener_owes(way, number),
            answered_at: self.caller.answered_at,
            waiting_since: self.waiting.as_ref().map(|(waiting, _)| waiting.since),
        }
    }

    /// Gives him to the conference, or has him brought to it. `None`: he is no longer the reception's.
    pub(super) async fn hand_over(
        &mut self,
        account: AccountId,
        conference: ConferenceId,
        contact: ContactId,
    ) -> Result<Option<Input>, StorageError> {
        match self.place_of(account, conference).await? {
            Place::Here => {}
            Place::There(switch) => return self.bring(&switch, account, Some((conference, contact))).await,
        }
        if !self.node.can_hold(0) {
            return Ok(Some(Input::Refused(Phrase::Full)));
        }
        let found = contacts::lookup(&mut *self.runtime.connection().await?, account, contact).await?;
        let Some(row) = found else { return Ok(Some(Input::Refused(Phrase::NoConference))) };
        let person = NewParticipant { id: ParticipantId::fresh(), name: row.name, phone: row.phone, email: row.email, contact: Some(contact) };
        Ok(match self.offer(account, conference, self.new_caller(person, false)).await {
            Ok(()) => {
                metrics::counter!("sklic_callers_total", "result" => "handed_over").increment(1);
                None
            }
            Err(ControlError::Refused(Refusal::WrongPhase { .. }) | ControlError::NotPlanned { .. } | ControlError::NotFound) => {
                Some(Input::Refused(Phrase::NoConference))
            }
            Err(ControlError::Refused(_)) => Some(Input::Refused(Phrase::NotPossible)),
            Err(fault) => {
                warn!(leg.id = %self.caller.leg, conference.id = %conference, %fault, "a caller could not be handed over");
                Some(Input::Refused(Phrase::Apology))
            }
        })
    }

    /// Offers the caller to a running conference.
    async fn offer(&self, account: AccountId, conference: ConferenceId, caller: NewCaller) -> Result<(), ControlError> {
        let Some(inbox) = self.runtime.inbox_of(account, conference).await else { return Err(ControlError::Unavailable { what: "conference" }) };
        if !self.node.holds(conference) {
            return Err(ControlError::Unavailable { what: "conference on this switch" });
        }
        let (reply, answer) = oneshot::channel();
        let sent = inbox.send(Message::Arrived { caller: Box::new(caller), reply }).is_ok();
        if !sent {
            return Err(ControlError::NotFound);
        }
        taken(super::await_reply_within(DECIDES_WITHIN, answer).await)
    }

    /// The convener comes into his conference, or starts the planned one, or one without a plan.
    pub(super) async fn convene(&mut self, account: AccountId) -> Result<Option<Input>, StorageError> {
        let open = self.open_conferences(account, None).await?;
        let row = accounts::lookup(&mut *self.runtime.connection().await?, account).await?;
        let Some(row) = row else { return Ok(Some(Input::Refused(Phrase::NotAllowed))) };
        let person = NewParticipant { id: ParticipantId::fresh(), name: row.name, phone: row.phone, email: Some(row.email), contact: None };
        let caller = self.new_caller(person.clone(), true);
        let mut hangs = false;
        for conference in open.iter().filter(|conference| conference.running) {
            match self.place_of(account, conference.id).await? {
                Place::There(switch) if !self.came_with_pass => return self.bring(&switch, account, None).await,
                Place::There(_) => {}
                Place::Here => match self.offer(account, conference.id, caller.clone()).await {
                    Ok(()) => return Ok(None),
                    Err(ControlError::Refused(Refusal::LineInside)) => hangs = true,
                    // It has just ended, or he is in it by another telephone and wants one more conference.
                    Err(ControlError::Refused(_) | ControlError::NotFound) => {}
                    Err(fault) => {
                        warn!(leg.id = %self.caller.leg, conference.id = %conference.id, %fault, "a convener could not be handed over");
                        return Ok(Some(Input::Refused(Phrase::Apology)));
                    }
                },
            }
        }
        if hangs {
            // His line of a moment ago still counts as inside. FreeSWITCH ends a room as soon as one convener's call in it ends,
            // so a second one would gain him nothing; and he has not asked for another conference beside the one that runs.
            return Ok(Some(Input::Refused(Phrase::NotPossible)));
        }
        let people = self.places_of(account, open.iter().find(|conference| !conference.running)).await?;
        // He himself is counted already.
        if !self.came_with_pass && (self.node.is_draining() || self.node.room_for(people - 1).is_none()) {
            // The conference that he starts is not to be here.
            let here = self.runtime.inner.nodes.with_room(people).map(|node| node.name.clone());
            let elsewhere = || self.runtime.inner.membership.switch_with_room(people).map(|switch| switch.name.clone());
            return match here.or_else(elsewhere) {
                Some(switch) => self.bring(&switch, account, None).await,
                None => Ok(Some(Input::Refused(Phrase::Full))),
            };
        }
        for conference in open.iter().filter(|conference| !conference.running) {
            match self.start(account, conference.id, caller.clone()).await {
                Ok(()) => return Ok(None),
                // Somebody has just started or deleted it.
                Err(ControlError::NotPlanned { .. } | ControlError::NotFound) => {}
                Err(fault) => return Ok(Some(self.not_started(&fault))),
            }
        }
        let (id, now) = (ConferenceId::fresh(), clock::now());
        let title = if row.language == "en" { "Conference by phone" } else { "Telekonferenca po telefonu" };
        let conference = conferences::NewConference {
            id,
            title: title.into(),
            scheduled_at: None,
            settings: serde_json::json!({}),
            created_at: now,
            participants: vec![participants::Participant::of(id, 0, person)],
        };
        conferences::add(&mut *self.runtime.connection().await?, account, conference).await?;
        Ok(match self.start(account, id, caller).await {
            Ok(()) => None,
            Err(fault) => {
                if let Ok(mut connection) = self.runtime.connection().await {
                    let _ = conferences::remove_planned(&mut connection, account, id).await;
                }
                Some(self.not_started(&fault))
            }
        })
    }

    /// How many places the conference needs that he is about to start; one without a plan has him alone.
    async fn places_of(&self, account: AccountId, planned: Option<&Open>) -> Result<usize, StorageError> {
        let Some(planned) = planned else { return Ok(1) };
        let people = participants::list(&mut *self.runtime.connection().await?, account, planned.id).await?;
        Ok(people.len().max(1))
    }

    async fn start(&self, account: AccountId, conference: ConferenceId, caller: NewCaller) -> Result<(), ControlError> {
        taken(self.runtime.start_with(account, conference, Opening::Phone(Box::new(caller), Arc::clone(&self.node))).await)
    }

    fn not_started(&self, fault: &ControlError) -> Input {
        warn!(leg.id = %self.caller.leg, %fault, "a convener could not start his conference by phone");
        match fault {
            ControlError::Unavailable { .. } | ControlError::Internal => Input::Refused(Phrase::Apology),
            _ => Input::Refused(Phrase::NotAllowed),
        }
    }
}
