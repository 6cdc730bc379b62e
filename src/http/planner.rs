//! From what a convener wants to the change of a plan that brings it about.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::auth::Caller;
use super::check::{Checks, zone_name};
use super::conferences::most_participants;
use super::messages::{Lack, Lacking, MessageChannel, check_channels, over_quota, quota};
use super::people::{PersonInput, check_people};
use super::plans::{CheckedOccurrence, PlanInput, PlanUpdate};
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::clock;
use crate::conference::NewParticipant;
use crate::delivery::{Purpose, Recipient, Scope, tell};
use crate::ids::{ConferenceId, ContactId, MessageId, ParticipantId, PlanId};
use crate::planning::{Occurrence, Repeat, RepeatEnd, Schedule, ScheduleError};
use crate::runtime::Limits;
use crate::storage::accounts::Account;
use crate::storage::conferences::NewConference;
use crate::storage::messages::NewMessage;
use crate::storage::participants::Participant;
use crate::storage::plans::RequestKey;
use crate::storage::series::{self, Addition, Apart, Change, Move, NoPlaces, Places, Plan, PlanFault, PlannedConference};
use crate::storage::{Connection, contacts, participants};

impl From<PlanFault> for Problem {
    fn from(fault: PlanFault) -> Self {
        match fault {
            PlanFault::Storage(error) => error.into(),
            PlanFault::OverQuota(over) => over_quota(over),
            PlanFault::NoPlaces(short) => short.into(),
            PlanFault::TooMany => Self::new(Kind::Conflict)
                .word("too_many_planned")
                .detail("More conferences would be planned than the account may have. Nothing was planned."),
            PlanFault::OtherRequest => key_is_taken(),
            // Whoever makes plans answers with it.
            PlanFault::Before(_) => Self::new(Kind::Internal),
            PlanFault::Changed => {
                Self::new(Kind::Conflict).word("changed").detail("The plan was changed, started or cancelled meanwhile. Look at it again.")
            }
        }
    }
}

impl From<NoPlaces> for Problem {
    fn from(short: NoPlaces) -> Self {
        let words = format!("At {} there are only {} free places. Nothing was planned.", short.at, short.free);
        Self::new(Kind::Conflict).word("no_places").detail(words)
    }
}

/// The problem of a request whose key was used for another one.
pub(super) fn key_is_taken() -> Problem {
    Problem::field("Idempotency-Key", "conflict", "this key was used for another request within the last 24 hours")
}

/// A time zone as the IANA database spells it; one that is not in it stays as it is, to be refused with the schedule.
fn spelt(name: String) -> String {
    zone_name(&name).unwrap_or(name)
}

/// What a change is made from: the account, and the plan as it is.
pub(super) struct Draft<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    account: Account,
    now: Timestamp,
    plan: Option<(Plan, Vec<PlannedConference>)>,
}

/// A change that was checked, and what is to be said about it.
pub(super) struct PlanDraft {
    pub(super) change: Change,
    pub(super) lacking: Vec<Lacking>,
    pub(super) occurrences: Vec<Occurrence>,
}

impl PlanDraft {
    /// How many people it has, and the room at each of its times beside what is not `apart`.
    pub(super) async fn room(&self, connection: &mut Connection, apart: Apart) -> Result<(u32, Vec<CheckedOccurrence>), Problem> {
        let Some(places) = self.change.places.clone() else { return Ok((0, Vec::new())) };
        let places = Places { apart, ..places };
        let free = series::free_at(connection, &places).await?;
        let checked = |(one, (scheduled_at, free_places)): (&Occurrence, (Timestamp, u32))| CheckedOccurrence {
            starts: one.starts,
            scheduled_at,
            free_places,
            enough: free_places >= places.people,
        };
        Ok((places.people, self.occurrences.iter().zip(free).map(checked).collect()))
    }
}

impl<'a> Draft<'a> {
    /// For a plan that is new.
    pub(super) async fn new(state: &'a AppState, caller: &'a Caller) -> Result<Self, Problem> {
        Ok(Self { state, caller, account: super::me::account_of(state, caller).await?, now: clock::now(), plan: None })
    }

    /// For a plan that is there and not cancelled.
    pub(super) async fn of(state: &'a AppState, caller: &'a Caller, id: PlanId) -> Result<Self, Problem> {
        let mut draft = Self::new(state, caller).await?;
        let mut connection = state.pool.get().await?;
        let plan = series::lookup(&mut connection, caller.account, id).await?.ok_or_else(Problem::not_found)?;
        let conferences = series::list_conferences(&mut connection, caller.account, id).await?;
        if plan.cancelled_at.is_some() {
            return Err(Problem::new(Kind::Conflict).word("wrong_phase").detail("the plan is cancelled"));
        }
        draft.plan = Some((plan, conferences));
        Ok(draft)
    }

    fn known(&self) -> Result<(&Plan, Vec<&PlannedConference>), Problem> {
        let (plan, conferences) = self.plan.as_ref().ok_or(Problem::new(Kind::Internal))?;
        Ok((plan, conferences.iter().filter(|one| one.state == "planned").collect()))
    }

    /// A new plan, made once under the key of its request.
    pub(super) async fn make(self, input: PlanInput, key: Option<RequestKey>) -> Result<PlanDraft, Problem> {
        let limits = Limits::of(&self.state.rules, &self.account);
        let convener_allowed = limits.allows(&self.account.phone);
        let mut checks = Checks::within(limits);
        let title = checks.name("title", &input.title);
        let agenda = checks.note("agenda", input.agenda.as_deref()).unwrap_or_default();
        let repeat = input.repeat.and_then(|repeat| match (repeat.count, repeat.until) {
            (Some(count), None) => Some(Repeat { every: repeat.every, end: RepeatEnd::Count(count) }),
            (None, Some(until)) => Some(Repeat { every: repeat.every, end: RepeatEnd::Until(until) }),
            _ => {
                checks.refuse("repeat", "invalid", "count or until, and not both");
                None
            }
        });
        let time_zone = input.time_zone.map_or_else(|| self.account.time_zone.clone(), spelt);
        let schedule = Schedule { starts: input.starts, time_zone, length_minutes: input.length_minutes, repeat };
        let occurrences = self.check_schedule(&mut checks, &schedule);
        let channels = self.check_telling(&mut checks, &input.channels, &input.reminders);
        if !convener_allowed {
            checks.refuse("", "not_allowed", "calls to the convener's own number are not allowed; change it in the account");
        }
        let people = self.check_members(&mut checks, &input.participants).await?;
        checks.done()?;
        let recipients = self.recipients(&people).await?;
        let lacking = self.lacking(&channels, &recipients, input.skip_lacking)?;
        let plan = Plan {
            id: PlanId::fresh(),
            account: self.caller.account,
            title,
            agenda,
            schedule,
            start_mode: input.start_mode.word().to_owned(),
            channels,
            reminders: sorted(&input.reminders),
            sequence: 0,
            left_out: Vec::new(),
            created_at: self.now,
            cancelled_at: None,
        };
        let add = occurrences.iter().zip(0..).map(|(one, index)| self.addition(&plan, one, index, &people)).collect();
        let whole = Scope::Whole { series: occurrences.clone(), moved: Vec::new() };
        let message = self.message(&plan, Purpose::Invitation, &whole, &self.with_convener(recipients));
        let places = self.places(&plan, occurrences.iter().map(|one| one.at).collect(), people.len());
        let change = Change { add, places: Some(places), key, ..self.no_change(plan, None, vec![message]) };
        Ok(PlanDraft { change, lacking, occurrences })
    }

    /// Another title, time, length, people.
    pub(super) async fn change(self, update: PlanUpdate) -> Result<PlanDraft, Problem> {
        let (old, open) = self.known()?;
        let (old, open): (Plan, Vec<PlannedConference>) = (old.clone(), open.into_iter().cloned().collect());
        let Some(first_open) = open.first().cloned() else {
            return Err(Problem::new(Kind::Conflict).word("wrong_phase").detail("all conferences of the plan have been started"));
        };
        let mut checks = Checks::within(Limits::of(&self.state.rules, &self.account));
        let title = update.title.map_or_else(|| old.title.clone(), |title| checks.name("title", &title));
        let agenda = update.agenda.map_or_else(|| old.agenda.clone(), |agenda| checks.note("agenda", Some(&agenda)).unwrap_or_default());
        let schedule = Schedule {
            starts: update.starts.unwrap_or(old.schedule.starts),
            time_zone: update.time_zone.map_or_else(|| old.schedule.time_zone.clone(), spelt),
            length_minutes: update.length_minutes.unwrap_or(old.schedule.length_minutes),
            repeat: old.schedule.repeat,
        };
        let in_time = schedule.starts != old.schedule.starts || schedule.time_zone != old.schedule.time_zone;
        let occurrences = if in_time { self.check_schedule(&mut checks, &schedule) } else { old.schedule.occurrences().unwrap_or_default() };
        if !(5..=1440).contains(&schedule.length_minutes) {
            checks.refuse("length_minutes", "out_of_range", "5 to 1440");
        }
        let reminders: Vec<u32> =
            update.reminders.unwrap_or_else(|| old.reminders.iter().filter_map(|minutes| u32::try_from(*minutes).ok()).collect());
        let channels = match &update.channels {
            Some(channels) => self.check_telling(&mut checks, channels, &reminders),
            None => {
                self.check_telling(&mut checks, &[], &reminders);
                old.channels.clone()
            }
        };
        let new_people = match &update.participants {
            Some(people) => Some(self.check_members(&mut checks, people).await?),
            None => None,
        };
        // What was cancelled one by one has its place in the series; elsewhere the series is another.
        let left_out: Vec<DateTime> = if in_time {
            let old_series = old.schedule.occurrences().unwrap_or_default();
            refuse_begun(&old, &old_series, &open)?;
            let place = |starts: &DateTime| old_series.iter().position(|one| one.starts == *starts);
            old.left_out.iter().filter_map(|starts| occurrences.get(place(starts)?).map(|one| one.starts)).collect()
        } else {
            old.left_out.clone()
        };
        let moves = open.iter().filter_map(|one| {
            let place = usize::try_from(one.plan_index?).ok()?;
            let there = occurrences.get(place);
            // Without another time for the series, what was moved by itself stays there.
            let at = if in_time { there.map(|there| there.at) } else { one.scheduled_at };
            Some((one.id, at, there.map(|there| there.starts)))
        });
        let mut checked = Vec::new();
        for (conference, at, starts) in moves {
            match (at, starts) {
                (Some(scheduled_at), Some(starts)) => checked.push(Move { conference, scheduled_at, starts }),
                _ => checks.refuse("starts", "out_of_range", "the series has fewer conferences from there on"),
            }
        }
        checks.done()?;
        let members = self.members(first_open.id).await?;
        let before = self.recipients(&members).await?;
        let people = new_people.clone().unwrap_or(members);
        let after = self.recipients(&people).await?;
        let lacking = self.lacking(&channels, &after, update.skip_lacking)?;
        let plan = Plan {
            title,
            agenda,
            schedule,
            start_mode: update.start_mode.map_or_else(|| old.start_mode.clone(), |mode| mode.word().to_owned()),
            channels,
            reminders: sorted(&reminders),
            sequence: old.sequence + 1,
            left_out,
            ..old.clone()
        };
        let moved = checked.iter().filter(|one| occurrences.iter().all(|there| there.starts != one.starts || there.at != one.scheduled_at));
        let scope = Scope::Whole { series: occurrences.clone(), moved: moved.map(|one| (one.starts, one.scheduled_at)).collect() };
        let is_in = |list: &[Recipient], person: &Recipient| list.iter().any(|one| (&one.email, &one.phone) == (&person.email, &person.phone));
        let (stay, new): (Vec<_>, Vec<_>) = after.into_iter().partition(|person| is_in(&before, person));
        let gone: Vec<Recipient> = before.iter().filter(|person| !is_in(&stay, person) && !is_in(&new, person)).cloned().collect();
        let says = |purpose, people: &[Recipient]| self.message(&plan, purpose, &scope, people);
        let mut told = vec![says(Purpose::Change, &self.with_convener(stay)), says(Purpose::Invitation, &new)];
        told.push(self.message(&Plan { channels: old.channels.clone(), ..plan.clone() }, Purpose::Cancellation, &scope, &gone));
        let rows = new_people.as_ref().map(|people| open.iter().map(|one| (one.id, rows(one.id, people))).collect());
        // What takes no more room than before is not refused for want of it: switches may have gone meanwhile.
        let takes_more = in_time || plan.schedule.length_minutes > old.schedule.length_minutes || people.len() > before.len();
        let places = takes_more.then(|| self.places(&plan, checked.iter().map(|one| one.scheduled_at).collect(), people.len()));
        let change = Change { moves: checked, people: rows.unwrap_or_default(), places, ..self.no_change(plan, Some(old.sequence), told) };
        Ok(PlanDraft { change, lacking, occurrences })
    }

    /// The whole plan is called off.
    pub(super) async fn cancel(self) -> Result<Change, Problem> {
        let (old, open) = self.known()?;
        let (remove, first): (Vec<ConferenceId>, _) = (open.iter().map(|one| one.id).collect(), open.first().map(|one| one.id));
        let plan = Plan { sequence: old.sequence + 1, cancelled_at: Some(self.now), ..old.clone() };
        let mut told = Vec::new();
        if let Some(first) = first {
            let people = self.recipients(&self.members(first).await?).await?;
            let scope = Scope::Whole { series: plan.schedule.occurrences().unwrap_or_default(), moved: Vec::new() };
            told.push(self.message(&plan, Purpose::Cancellation, &scope, &self.with_convener(people)));
        }
        Ok(Change { remove, ..self.no_change(plan, Some(old.sequence), told) })
    }

    /// One conference takes place at another time.
    pub(super) async fn move_one(self, conference: ConferenceId, starts: DateTime) -> Result<Change, Problem> {
        let (old, one, series_start) = self.one(conference)?;
        let mut checks = Checks::default();
        let single = Schedule { starts, repeat: None, ..old.schedule.clone() };
        let occurrences = self.check_schedule(&mut checks, &single);
        checks.done()?;
        let at = occurrences.first().map(|one| one.at).ok_or(Problem::new(Kind::Internal))?;
        let is_single = old.schedule.repeat.is_none();
        let schedule = if is_single { single } else { old.schedule.clone() };
        let plan = Plan { sequence: old.sequence + 1, schedule, ..old.clone() };
        let members = self.members(one.id).await?;
        let people = self.recipients(&members).await?;
        let series_start = if is_single { starts } else { series_start };
        let scope = Scope::One { starts: series_start, at };
        let message = self.message(&plan, Purpose::Change, &scope, &self.with_convener(people));
        // The others of the series are where they were.
        let places = Places { apart: Apart::Conference(one.id), ..self.places(&plan, vec![at], members.len()) };
        let moves = vec![Move { conference: one.id, scheduled_at: at, starts: series_start }];
        Ok(Change { moves, places: Some(places), ..self.no_change(plan, Some(old.sequence), vec![message]) })
    }

    /// One conference is called off.
    pub(super) async fn cancel_one(self, conference: ConferenceId) -> Result<Change, Problem> {
        let (old, one, series_start) = self.one(conference)?;
        if self.plan.as_ref().is_some_and(|(_, all)| all.len() == 1) {
            return self.cancel().await;
        }
        let at = one.scheduled_at.ok_or(Problem::new(Kind::Internal))?;
        let left_out = old.left_out.iter().copied().chain([series_start]).collect();
        let plan = Plan { sequence: old.sequence + 1, left_out, ..old.clone() };
        let people = self.recipients(&self.members(one.id).await?).await?;
        let message = self.message(&plan, Purpose::Cancellation, &Scope::One { starts: series_start, at }, &self.with_convener(people));
        Ok(Change { remove: vec![one.id], ..self.no_change(plan, Some(old.sequence), vec![message]) })
    }

    fn one(&self, conference: ConferenceId) -> Result<(Plan, PlannedConference, DateTime), Problem> {
        let (plan, all) = self.plan.as_ref().ok_or(Problem::new(Kind::Internal))?;
        let one = all.iter().find(|one| one.id == conference).ok_or_else(Problem::not_found)?;
        if one.state != "planned" {
            return Err(Problem::new(Kind::Conflict).word("wrong_phase").detail(format!("the conference is {}", one.state)));
        }
        let starts = one.plan_start.as_deref().and_then(|starts| starts.parse().ok()).ok_or(Problem::new(Kind::Internal))?;
        Ok((plan.clone(), one.clone(), starts))
    }

    fn no_change(&self, plan: Plan, sequence: Option<i32>, messages: Vec<NewMessage>) -> Change {
        Change {
            plan,
            sequence,
            add: Vec::new(),
            moves: Vec::new(),
            remove: Vec::new(),
            people: Vec::new(),
            messages: messages.into_iter().filter(|message| !message.deliveries.is_empty()).collect(),
            quota: quota(self.state),
            places: None,
            most_planned: i64::from(Limits::of(&self.state.rules, &self.account).max_planned),
            key: None,
        }
    }

    fn check_schedule(&self, checks: &mut Checks, schedule: &Schedule) -> Vec<Occurrence> {
        if !(5..=1440).contains(&schedule.length_minutes) {
            checks.refuse("length_minutes", "out_of_range", "5 to 1440");
        }
        match schedule.occurrences() {
            Ok(occurrences) => {
                let ahead = SignedDuration::from_hours(2 * 366 * 24);
                let is_ahead = |one: &Occurrence| one.at > self.now && one.at.duration_since(self.now) <= ahead * 2;
                if !occurrences.iter().all(is_ahead) || occurrences.first().is_some_and(|one| one.at.duration_since(self.now) > ahead) {
                    checks.refuse("starts", "out_of_range", "a time from now to two years ahead");
                }
                occurrences
            }
            Err(error) => {
                let (field, code) = match error {
                    ScheduleError::TimeZone(_) => ("time_zone", "invalid"),
                    ScheduleError::Count => ("repeat", "out_of_range"),
                    ScheduleError::Until => ("repeat.until", "out_of_range"),
                    ScheduleError::Range => ("starts", "out_of_range"),
                };
                checks.refuse(field, code, error.to_string());
                Vec::new()
            }
        }
    }

    fn check_telling(&self, checks: &mut Checks, channels: &[MessageChannel], reminders: &[u32]) -> Vec<String> {
        if !channels.is_empty() {
            check_channels(self.state, checks, "channels", channels);
        }
        if reminders.len() > 5 {
            checks.refuse("reminders", "too_many", "at most five");
        }
        for (at, minutes) in reminders.iter().enumerate() {
            if !(1..=10_080).contains(minutes) {
                checks.refuse(format!("reminders[{at}]"), "out_of_range", "1 to 10080 minutes");
            }
        }
        let word = |channel: &MessageChannel| if *channel == MessageChannel::Sms { "sms" } else { "email" };
        channels.iter().map(word).map(str::to_owned).collect()
    }

    async fn check_members(&self, checks: &mut Checks, people: &[PersonInput]) -> Result<Vec<NewParticipant>, Problem> {
        let most = most_participants(self.state, &self.account);
        if people.len() >= most {
            checks.refuse("participants", "too_many", format!("a conference holds at most {most} people, the convener included"));
            return Ok(Vec::new());
        }
        check_people(self.state, self.caller, checks, "participants", people).await
    }

    /// The people of a planned conference, the convener not among them.
    async fn members(&self, conference: ConferenceId) -> Result<Vec<NewParticipant>, Problem> {
        let people = participants::list(&mut *self.state.pool.get().await?, self.caller.account, conference).await?;
        let people = people.into_iter().filter(|person| !person.convener && !person.removed);
        Ok(people.map(Participant::person).collect())
    }

    async fn recipients(&self, people: &[NewParticipant]) -> Result<Vec<Recipient>, Problem> {
        let wanted: Vec<ContactId> = people.iter().filter_map(|person| person.contact).collect();
        let known =
            if wanted.is_empty() { Vec::new() } else { contacts::find(&mut *self.state.pool.get().await?, self.caller.account, &wanted).await? };
        let code = |contact: Option<ContactId>| known.iter().find(|one| Some(one.id) == contact).and_then(|one| one.code.clone());
        let recipient = |person: &NewParticipant| Recipient {
            id: person.id,
            name: person.name.clone(),
            phone: person.phone.clone(),
            email: person.email.clone(),
            code: code(person.contact),
            by_mail_only: false,
        };
        Ok(people.iter().map(recipient).collect())
    }

    /// The convener has the same in the calendar, by mail; nobody needs a short message about what he has just done.
    fn with_convener(&self, people: Vec<Recipient>) -> Vec<Recipient> {
        let convener = Recipient {
            id: ParticipantId::fresh(),
            name: self.account.name.clone(),
            phone: self.account.phone.clone(),
            email: Some(self.account.email.clone()),
            code: None,
            by_mail_only: true,
        };
        std::iter::once(convener).chain(people).collect()
    }

    fn lacking(&self, channels: &[String], people: &[Recipient], skip: bool) -> Result<Vec<Lacking>, Problem> {
        let wants = |word: &str| channels.iter().any(|channel| channel == word);
        let mut checks = Checks::default();
        let mut lacking = Vec::new();
        for (at, person) in people.iter().enumerate() {
            let mut lacks = Vec::new();
            if wants("sms") && !self.state.desk.can_text(person) {
                lacks.push(Lack::Phone);
                checks.refuse(format!("participants[{at}]"), "lacks_phone", format!("{} has no number for short messages", person.name));
            }
            if wants("email") && person.email.is_none() {
                lacks.push(Lack::Email);
                checks.refuse(format!("participants[{at}]"), "lacks_email", format!("{} has no e-mail address", person.name));
            }
            if !lacks.is_empty() {
                lacking.push(Lacking { participant_id: person.id, name: person.name.clone(), lacks });
            }
        }
        if !skip {
            checks.done()?;
        }
        Ok(lacking)
    }

    fn message(&self, plan: &Plan, purpose: Purpose, scope: &Scope, people: &[Recipient]) -> NewMessage {
        NewMessage {
            id: MessageId::fresh(),
            account: self.caller.account,
            conference: None,
            plan: Some(plan.id),
            purpose: purpose.word(),
            text: plan.title.clone(),
            created_at: self.now,
            deliveries: tell(&self.state.desk, plan, &self.account, purpose, scope, people, self.now),
        }
    }

    fn places(&self, plan: &Plan, starts: Vec<Timestamp>, others: usize) -> Places {
        let people = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let apart = Apart::Plan(plan.id);
        Places { switches: self.state.runtime.capacities(), starts, length_minutes: plan.schedule.length_minutes, people, apart }
    }

    fn addition(&self, plan: &Plan, one: &Occurrence, index: i32, people: &[NewParticipant]) -> Addition {
        let id = ConferenceId::fresh();
        let Account { name, phone, email, .. } = self.account.clone();
        let convener = NewParticipant { id: ParticipantId::fresh(), name, phone, email: Some(email), contact: None };
        let convener = Participant::of(id, 0, convener);
        let conference = NewConference {
            id,
            title: plan.title.clone(),
            scheduled_at: Some(one.at),
            settings: serde_json::json!({}),
            created_at: self.now,
            participants: std::iter::once(convener).chain(rows(id, people)).collect(),
        };
        Addition { conference, starts: one.starts, index }
    }
}

/// Refuses another time for a series of which a conference has taken place or goes on: people would be told of one in its place that there
/// is not. Each place must be open or called off; what has been erased meanwhile is neither.
fn refuse_begun(plan: &Plan, series: &[Occurrence], open: &[PlannedConference]) -> Result<(), Problem> {
    let is_open = |place: i32| open.iter().any(|one| one.plan_index == Some(place));
    if series.iter().zip(0..).all(|(one, place)| plan.left_out.contains(&one.starts) || is_open(place)) {
        return Ok(());
    }
    let words = "A conference of the plan has been started already, so the plan as a whole cannot move. \
        Move its conferences one by one, or cancel it and make a new plan.";
    Err(Problem::new(Kind::Conflict).word("wrong_phase").detail(words))
}

/// The rows of a conference's people, each with an identifier of its own.
fn rows(conference: ConferenceId, people: &[NewParticipant]) -> Vec<Participant> {
    let fresh = |person: &NewParticipant| NewParticipant { id: ParticipantId::fresh(), ..person.clone() };
    people.iter().zip(1..).map(|(person, place)| Participant::of(conference, place, fresh(person))).collect()
}

fn sorted(reminders: &[u32]) -> Vec<i32> {
    let mut minutes: Vec<i32> = reminders.iter().filter_map(|minutes| i32::try_from(*minutes).ok()).collect();
    minutes.sort_unstable();
    minutes.dedup();
    minutes
}
