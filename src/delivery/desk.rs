//! Puts messages together: one text for many people, each by his channels.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use super::letter::{Branding, Letter};
use super::mail::{MailCalendar, MailContent};
use super::sms::{Coded, Gateways, SmsContent, code};
use super::wording::{Values, Wording};
use super::{MAIL, MessagesConfig, SMS, access_number_for};
use crate::billing::WayOfEntry;
use crate::ids::ParticipantId;
use crate::numbers::Numbering;
use crate::pbx::Language;
use crate::report::Words;
use crate::storage::messages::NewDelivery;

/// What messages are put together with: fixed by the configuration.
#[derive(Clone, Default)]
pub struct Desk {
    /// Mails can be sent.
    pub has_mail: bool,
    /// Where short messages go.
    pub gateways: Gateways,
    /// What conveners may send.
    pub limits: MessagesConfig,
    /// Under whose name.
    pub branding: Branding,
    /// What numbers this operator knows.
    pub numbering: Numbering,
    /// The numbers that callers dial.
    pub access_numbers: Vec<(WayOfEntry, String)>,
}

/// A person to whom a message may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The participant.
    pub id: ParticipantId,
    /// The name.
    pub name: String,
    /// The number in normal form.
    pub phone: String,
    /// Where mail goes.
    pub email: Option<String>,
    /// The person's own code.
    pub code: Option<String>,
    /// Is told by mail alone, though a short message could be sent.
    pub by_mail_only: bool,
}

/// A time as people in a time zone and a language write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// Such as `29. 3. 2027` or `29 March 2027`.
    pub date: String,
    /// With the day of the week: `ponedeljek, 29. marec 2027`.
    pub long_date: String,
    /// Such as `9:30`.
    pub time: String,
    /// The same with the zone: `9:30 (Europe/London)`.
    pub time_and_zone: String,
}

impl When {
    /// A time; a time zone that is not known counts as UTC, and says so.
    #[must_use]
    pub fn of(at: Timestamp, time_zone: &str, language: Language) -> Self {
        let zone = TimeZone::get(time_zone);
        let known = zone.is_ok();
        let local = at.to_zoned(zone.unwrap_or(TimeZone::UTC));
        let (day, month, year) = (local.day(), local.month(), local.year());
        let words = Words::of(language);
        let month_name = words.with("month", &[("month", i64::from(month).into())]);
        let weekday = words.with("weekday", &[("day", i64::from(local.weekday().to_monday_one_offset()).into())]);
        let utc = if known { "" } else { " UTC" };
        let (date, long_date) = match language {
            Language::Sl => (format!("{day}. {month}. {year}"), format!("{weekday}, {day}. {month_name} {year}")),
            Language::En => (format!("{day} {month_name} {year}"), format!("{weekday}, {day} {month_name} {year}")),
        };
        let time = format!("{}:{:02}{utc}", local.hour(), local.minute());
        let time_and_zone =
            if known { words.with("time-and-zone", &[("time", time.as_str().into()), ("zone", time_zone.into())]) } else { time.clone() };
        Self { date, long_date, time, time_and_zone }
    }

    /// A time for people who take every time for one in their convener's zone, `usual`: another zone is named.
    #[must_use]
    pub fn beside(at: Timestamp, time_zone: &str, usual: &str, language: Language) -> Self {
        let when = Self::of(at, time_zone, language);
        if time_zone == usual { when } else { Self { time: when.time_and_zone.clone(), ..when } }
    }
}

impl Desk {
    /// The access number that fits a person's network.
    #[must_use]
    pub fn access_number(&self, phone: &str) -> Option<&str> {
        let numbers: Vec<(WayOfEntry, &str)> = self.access_numbers.iter().map(|(way, number)| (*way, number.as_str())).collect();
        access_number_for(&numbers, phone, &self.numbering, &self.limits.on_net_prefixes)
    }

    /// What a person's placeholders stand for.
    #[must_use]
    pub fn values(&self, person: &Recipient, title: &str, convener: &str, when: Option<&When>) -> Values {
        Values {
            name: person.name.clone(),
            title: title.to_owned(),
            convener: convener.to_owned(),
            date: when.map(|when| when.date.clone()),
            time: when.map(|when| when.time.clone()),
            access_number: self.access_number(&person.phone).map(str::to_owned),
            code: person.code.clone(),
        }
    }

    /// Whether a person can be sent short messages: a gateway serves the number, and he is not to be left out.
    #[must_use]
    pub fn can_text(&self, person: &Recipient) -> bool {
        !person.by_mail_only && person.phone.starts_with('+') && self.gateways.for_number(&person.phone).is_some()
    }

    /// A text as the gateway of this number will send it.
    #[must_use]
    pub fn coded<'a>(&self, phone: &str, text: &'a str) -> Coded<'a> {
        code(text, self.gateways.for_number(phone).map(super::sms::Gateway::alphabet).unwrap_or_default())
    }

    /// A short message to one person.
    #[must_use]
    pub fn sms(&self, person: &Recipient, wording: &Wording, values: &Values) -> NewDelivery {
        let text = wording.fill(values);
        let coded = self.coded(&person.phone, &text);
        let parts = i32::try_from(coded.parts).unwrap_or(i32::MAX);
        let content = SmsContent { to: person.phone.clone(), coding: coded.coding, text: coded.text.into_owned() };
        delivery(person, SMS, "sms", person.phone.clone(), parts, &content)
    }

    /// A mail to one person; `None` without an address.
    #[must_use]
    pub fn mail(&self, person: &Recipient, letter: &Letter<'_>, reply_to: Option<&str>, calendar: Option<&MailCalendar>) -> Option<NewDelivery> {
        let address = person.email.clone()?;
        let attachment = calendar.map(|calendar| super::mail::MailAttachment {
            name: "invite.ics".to_owned(),
            content_type: "application/ics".to_owned(),
            text: Some(calendar.text.clone()),
            base64: None,
        });
        let content = MailContent {
            to: address.clone(),
            subject: letter.subject.to_owned(),
            text: letter.text(&self.branding),
            html: Some(letter.html(&self.branding)),
            reply_to: reply_to.map(str::to_owned),
            calendar: calendar.cloned(),
            attachments: attachment.into_iter().collect(),
        };
        Some(delivery(person, MAIL, "email", address, 1, &content))
    }
}

fn delivery(
    person: &Recipient,
    kind: &'static str,
    channel: &'static str,
    address: String,
    parts: i32,
    content: &impl serde::Serialize,
) -> NewDelivery {
    NewDelivery {
        id: Uuid::now_v7(),
        participant: person.id,
        name: person.name.clone(),
        channel,
        address,
        parts,
        kind,
        // Plain data with text keys is always JSON; what were not would fail for good at its first attempt, and say so.
        payload: serde_json::to_value(content).unwrap_or(Value::Null),
        dedup_key: None,
        ordering_key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_in_both_languages() {
        let at: Timestamp = "2027-03-28T07:05:00Z".parse().unwrap();
        let sl = When::of(at, "Europe/Ljubljana", Language::Sl);
        assert_eq!((sl.date.as_str(), sl.long_date.as_str(), sl.time.as_str()), ("28. 3. 2027", "nedelja, 28. marec 2027", "9:05"));
        let en = When::of(at, "Nowhere/Nothing", Language::En);
        assert_eq!((en.date.as_str(), en.time.as_str()), ("28 March 2027", "7:05 UTC"));
        assert_eq!(en.long_date, "Sunday, 28 March 2027");
        assert_eq!(en.time_and_zone, "7:05 UTC");
    }

    #[test]
    fn another_zone_than_the_conveners_is_named() {
        let at: Timestamp = "2027-03-28T07:05:00Z".parse().unwrap();
        let when = |zone| When::beside(at, zone, "Europe/Ljubljana", Language::Sl);
        assert_eq!((when("Europe/London").time.as_str(), when("Europe/Ljubljana").time.as_str()), ("8:05 (Europe/London)", "9:05"));
        assert_eq!(when("Europe/Ljubljana").time_and_zone, "9:05 (Europe/Ljubljana)");
    }

    #[test]
    fn the_convener_keeps_his_number_and_gets_no_short_message() {
        let config = "name = \"a\"\nkind = \"kannel\"\nurl = \"http://127.0.0.1:1/\"\nusername = \"u\"\nsecret = \"s\"";
        let gateways = Gateways::new(&[toml::from_str(config).unwrap()], "http://127.0.0.1:1").unwrap();
        let desk = Desk { gateways, ..Desk::default() };
        let person = |by_mail_only| Recipient {
            id: ParticipantId::fresh(),
            name: "Ana".into(),
            phone: "+38659900001".into(),
            email: None,
            code: None,
            by_mail_only,
        };
        assert_eq!((desk.can_text(&person(false)), desk.can_text(&person(true))), (true, false));
    }
}
