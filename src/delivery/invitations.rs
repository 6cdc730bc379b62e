//! What people are told about a plan: invitations, changes, cancellations, reminders.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::desk::{Desk, Recipient, When};
use super::letter::Letter;
use super::mail::MailCalendar;
use super::wording::{Values, Wording};
use crate::pbx::Language;
use crate::planning::{Calendar, Event, Every, Method, Occurrence, Person, render};
use crate::report::Words;
use crate::storage::accounts::Account;
use crate::storage::messages::NewDelivery;
use crate::storage::series::Plan;

/// Why people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// They are invited.
    Invitation,
    /// Something has changed.
    Change,
    /// It does not take place, or no more with them.
    Cancellation,
    /// It begins soon.
    Reminder,
}

impl Purpose {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Change => "change",
            Self::Cancellation => "cancellation",
            Self::Reminder => "reminder",
        }
    }
}

/// Of what they are told.
#[derive(Clone, Debug)]
pub enum Scope {
    /// The whole plan, as the schedule says, and of these moved conferences: where the series has them, and when they take place.
    Whole {
        /// The conferences of the series, moved and cancelled ones included.
        series: Vec<Occurrence>,
        /// Those at another time.
        moved: Vec<(DateTime, Timestamp)>,
    },
    /// One conference of a series.
    One {
        /// Where the series has it.
        starts: DateTime,
        /// When it takes place.
        at: Timestamp,
    },
}

impl Scope {
    /// The first start that people hear of: of a series under way the next one.
    fn first(&self, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::One { at, .. } => Some(*at),
            Self::Whole { series, moved } => {
                let kept = series.iter().filter(|one| !plan.left_out.contains(&one.starts));
                let starts = kept.map(|one| moved.iter().find(|(starts, _)| *starts == one.starts).map_or(one.at, |(_, at)| *at));
                starts.min_by_key(|at| (*at < now, *at))
            }
        }
    }
}

/// Tells people of a plan by its channels; who cannot be reached by one is left out there. `stamp` is now.
#[must_use]
pub fn tell(
    desk: &Desk,
    plan: &Plan,
    account: &Account,
    purpose: Purpose,
    scope: &Scope,
    people: &[Recipient],
    stamp: Timestamp,
) -> Vec<NewDelivery> {
    let language: Language = account.language.parse().unwrap_or_default();
    let Some(at) = scope.first(plan, stamp) else { return Vec::new() };
    let when = When::beside(at, &plan.schedule.time_zone, &account.time_zone, language);
    let teller = Teller { desk, plan, account, purpose, scope, language, words: Words::of(language), when, stamp };
    let mut deliveries = Vec::new();
    for person in people {
        if plan.channels.iter().any(|channel| channel == "sms") && desk.can_text(person) {
            deliveries.push(teller.sms(person));
        }
        if plan.channels.iter().any(|channel| channel == "email") {
            deliveries.extend(teller.mail(person));
        }
    }
    // What is said of a plan reaches each person in the order in which it was said.
    for delivery in &mut deliveries {
        delivery.ordering_key = Some(format!("plan:{}:{}", plan.id, delivery.address.chars().take(150).collect::<String>()));
    }
    deliveries
}

struct Teller<'a> {
    desk: &'a Desk,
    plan: &'a Plan,
    account: &'a Account,
    purpose: Purpose,
    scope: &'a Scope,
    language: Language,
    words: &'static Words,
    when: When,
    stamp: Timestamp,
}

impl Teller<'_> {
    fn words(&self, kind: &str) -> String {
        let arguments = [
            ("title", self.plan.title.as_str().into()),
            ("convener", self.account.name.as_str().into()),
            ("date", self.when.date.as_str().into()),
            ("time", self.when.time.as_str().into()),
        ];
        self.words.with(&format!("{}-{kind}", self.purpose.word()), &arguments)
    }

    fn sms(&self, person: &Recipient) -> NewDelivery {
        let mut text = self.words("sms");
        if self.purpose != Purpose::Cancellation {
            if let Some(number) = self.desk.access_number(&person.phone) {
                text.push(' ');
                text.push_str(&self.words.with("sms-access-number", &[("number", number.into())]));
            }
            if let Some(code) = &person.code {
                text.push(' ');
                text.push_str(&self.words.with("sms-code", &[("code", code.as_str().into())]));
            }
        }
        self.desk.sms(person, &Wording::plain(text), &Values::default())
    }

    fn mail(&self, person: &Recipient) -> Option<NewDelivery> {
        let address = person.email.as_deref()?;
        let facts = self.facts(person);
        let agenda = self.plan.agenda.as_str();
        let mut text = self.words("text");
        if !agenda.is_empty() && self.purpose != Purpose::Cancellation {
            text = format!("{text}\n\n{}:\n{agenda}", self.words.text("plan-agenda"));
        }
        let subject = self.words("subject");
        let letter = Letter {
            language: self.language,
            subject: &subject,
            heading: &self.plan.title,
            text: &text,
            facts: &facts,
            convener: &self.account.name,
        };
        let calendar = (self.purpose != Purpose::Reminder).then(|| self.calendar(person, address, &facts));
        self.desk.mail(person, &letter, Some(&self.account.email), calendar.as_ref())
    }

    fn facts(&self, person: &Recipient) -> Vec<(String, String)> {
        let fact = |id: &str, value: String| (self.words.text(id), value);
        let mut facts = vec![fact("plan-when", format!("{}, {}", self.when.long_date, self.when.time_and_zone))];
        if let (Scope::Whole { series, .. }, Some(repeat)) = (self.scope, self.plan.schedule.repeat) {
            let id = match repeat.every {
                Every::Week => "plan-repeats-week",
                Every::TwoWeeks => "plan-repeats-two-weeks",
                Every::MonthByDate | Every::MonthByWeekday => "plan-repeats-month",
            };
            let last = series.last().map(|one| When::of(one.at, &self.plan.schedule.time_zone, self.language).date).unwrap_or_default();
            facts.push(fact("plan-repeats", self.words.with(id, &[("last", last.as_str().into())])));
        }
        if self.purpose == Purpose::Cancellation {
            return facts;
        }
        let minutes = i64::from(self.plan.schedule.length_minutes);
        facts.push(fact("plan-length", self.words.with("plan-minutes", &[("count", minutes.into())])));
        facts.push(fact("plan-called", person.phone.clone()));
        facts.extend(self.desk.access_number(&person.phone).map(|number| fact("plan-access-number", number.to_owned())));
        facts.extend(person.code.clone().map(|code| fact("plan-code", code)));
        facts
    }

    fn calendar(&self, person: &Recipient, address: &str, facts: &[(String, String)]) -> MailCalendar {
        let method = if self.purpose == Purpose::Cancellation { Method::Cancel } else { Method::Request };
        let mut description: Vec<String> = Vec::new();
        if !self.plan.agenda.is_empty() {
            description.extend([self.plan.agenda.clone(), String::new()]);
        }
        // When it is, the calendar says itself.
        description.extend(facts.iter().skip(1).map(|(what, how)| format!("{what}: {how}")));
        let event = |starts: DateTime| Event {
            starts,
            ends: self.ends(starts),
            rule: None,
            left_out: Vec::new(),
            replaces: None,
            summary: self.plan.title.clone(),
            description: description.join("\n"),
            location: self.desk.access_number(&person.phone).unwrap_or_default().to_owned(),
        };
        let events = match self.scope {
            Scope::One { starts, at } => vec![Event { replaces: self.plan.schedule.repeat.map(|_| *starts), ..event(self.local(*at)) }],
            Scope::Whole { series, moved } => {
                let first = series.first().map_or(self.plan.schedule.starts, |one| one.starts);
                let rule = self.plan.schedule.rule().map(|rule| format!("{rule};COUNT={}", series.len()));
                let is_single = rule.is_none();
                let first = moved.iter().find(|_| is_single).map_or(first, |(_, at)| self.local(*at));
                let master = Event { rule, left_out: self.plan.left_out.clone(), ..event(first) };
                let others = moved.iter().filter(|_| !is_single).map(|(starts, at)| Event { replaces: Some(*starts), ..event(self.local(*at)) });
                std::iter::once(master).chain(others).collect()
            }
        };
        let person = Person { name: person.name.clone(), email: address.to_owned() };
        let calendar = Calendar {
            method,
            uid: format!("{}@sklic", self.plan.id),
            sequence: self.plan.sequence,
            stamp: self.stamp,
            time_zone: self.plan.schedule.time_zone.clone(),
            organizer: Person { name: self.account.name.clone(), email: self.account.email.clone() },
            attendee: person,
            events,
        };
        MailCalendar { method: method.word().to_owned(), text: render(&calendar) }
    }

    fn local(&self, at: Timestamp) -> DateTime {
        let zone = jiff::tz::TimeZone::get(&self.plan.schedule.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        zone.to_datetime(at)
    }

    /// Where the clock stands after the conference's length has passed.
    fn ends(&self, starts: DateTime) -> DateTime {
        let minutes = jiff::SignedDuration::from_mins(i64::from(self.plan.schedule.length_minutes));
        let end = self.plan.schedule.moment(starts).ok().and_then(|at| at.checked_add(minutes).ok());
        end.map_or(starts, |end| self.local(end))
    }
}
