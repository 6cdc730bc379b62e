//! A mail as bytes: made from its job alone, so that a repeat is the same mail.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::outbox::ClaimedJob;

/// What a job's payload holds: the mail, ready but for sender and date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailContent {
    /// The recipient: an address, or a name and an address in angle brackets.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain-text part.
    pub text: String,
    /// The HTML part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Where answers go, when not to the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What calendars read (RFC 6047): one more way of saying the same as the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<MailCalendar>,
    /// Files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<MailAttachment>,
}

/// An iCalendar object (RFC 5545) with its method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailCalendar {
    /// `REQUEST` or `CANCEL` (RFC 5546).
    pub method: String,
    /// The object.
    pub text: String,
}

/// A file that goes with a mail: its content is in `text` or in `base64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailAttachment {
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// The content, when it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The content in base64 (RFC 4648 §4), when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// Why a job is not a mail.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The payload has other fields than a mail.
    #[error("the payload is not a mail: {0}")]
    Payload(#[from] serde_json::Error),
    /// The recipient is not an address.
    #[error("the recipient is not an e-mail address: {0}")]
    Recipient(#[from] lettre::address::AddressError),
    /// An attachment cannot be read.
    #[error("the attachment {name:?} cannot be used: {why}")]
    Attachment {
        /// The file's name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The parts do not make a mail.
    #[error("the mail cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// A mail that can be sent: content, date and identity.
#[derive(Clone, Debug)]
pub struct MailMessage {
    to: Mailbox,
    content: MailContent,
    job: Uuid,
    message_id: String,
    date: Timestamp,
}

impl MailMessage {
    /// The mail of a job.
    ///
    /// # Errors
    /// [`MailError`] when the payload is not a mail; it will never be one.
    pub fn of_job(job: &ClaimedJob) -> Result<Self, MailError> {
        let content: MailContent = serde_json::from_value(job.payload.clone())?;
        Ok(Self { to: content.to.parse()?, content, job: job.id, message_id: job.message_id.clone(), date: job.created_at })
    }

    /// The mail with its headers, from `sender`.
    ///
    /// # Errors
    /// [`MailError`] when an attachment cannot be read.
    pub(super) fn compose(&self, sender: &Mailbox) -> Result<Message, MailError> {
        let boundary = |part: &str| format!("sklic-{part}-{}", self.job.simple());
        let text = SinglePart::plain(self.content.text.clone());
        let mut words = MultiPart::alternative().boundary(boundary("words")).singlepart(text);
        if let Some(html) = &self.content.html {
            words = words.singlepart(SinglePart::html(html.clone()));
        }
        if let Some(calendar) = &self.content.calendar {
            words = words.singlepart(calendar.part()?);
        }
        let mut whole = MultiPart::mixed().boundary(boundary("mail")).multipart(words);
        for file in &self.content.attachments {
            whole = whole.singlepart(file.part()?);
        }
        let date = SystemTime::from(self.date);
        // RFC 3834 §5: an automatic mail says so, and is not answered by holiday notices.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let mut builder = Message::builder();
        if let Some(reply_to) = &self.content.reply_to {
            builder = builder.reply_to(reply_to.parse()?);
        }
        let message = builder
            .from(sender.clone())
            .to(self.to.clone())
            .subject(self.content.subject.clone())
            .date(date)
            .message_id(Some(self.message_id.clone()))
            .raw_header(automatic)
            .multipart(whole)?;
        Ok(message)
    }
}

impl MailCalendar {
    /// RFC 6047 §2.4: the content type names the method that the object holds.
    fn part(&self) -> Result<SinglePart, MailError> {
        let refused = |why: String| MailError::Attachment { name: "invite.ics".to_owned(), why };
        if !self.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(refused("its method is no word".to_owned()));
        }
        let kind =
            ContentType::parse(&format!("text/calendar; charset=utf-8; method={}", self.method)).map_err(|error| refused(error.to_string()))?;
        Ok(SinglePart::builder().header(kind).body(self.text.clone()))
    }
}

impl MailAttachment {
    fn part(&self) -> Result<SinglePart, MailError> {
        let refused = |why: String| MailError::Attachment { name: self.name.clone(), why };
        let kind = ContentType::parse(&self.content_type).map_err(|error| refused(error.to_string()))?;
        let content = match (&self.text, &self.base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => BASE64.decode(encoded).map_err(|error| refused(error.to_string()))?,
            _ => return Err(refused("its content is in text or in base64, and in one of them only".to_owned())),
        };
        Ok(Attachment::new(self.name.clone()).body(content, kind))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(payload: serde_json::Value) -> ClaimedJob {
        ClaimedJob {
            id: Uuid::nil(),
            kind: "mail".to_owned(),
            payload,
            attempts: 1,
            message_id: "<1@example.test>".to_owned(),
            created_at: "2026-03-01T11:00:00Z".parse().unwrap(),
        }
    }

    fn formatted(payload: serde_json::Value) -> Result<String, MailError> {
        let message = MailMessage::of_job(&job(payload))?.compose(&"Sklic <sklic@example.test>".parse().unwrap())?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    fn payload() -> serde_json::Value {
        json!({"to": "Ana Žnidaršič <ana@example.test>", "subject": "Poročilo: čšž", "text": "Živjo\n", "html": "<p>Živjo</p>", "attachments": [
            {"name": "porocilo.csv", "content_type": "text/csv; charset=utf-8", "text": "a;č\r\n"},
            {"name": "slika.bin", "content_type": "application/octet-stream", "base64": "AAEC/w=="}]})
    }

    #[test]
    fn the_same_job_gives_the_same_bytes() {
        let first = formatted(payload()).unwrap();
        assert_eq!(first, formatted(payload()).unwrap());
        for header in [
            "Message-ID: <1@example.test>\r\n",
            "Date: Sun, 01 Mar 2026 11:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "From: Sklic <sklic@example.test>\r\n",
            "Content-Type: text/csv; charset=utf-8\r\n",
            "AAEC/w==",
        ] {
            assert!(first.contains(header), "{header:?} in {first}");
        }
        assert!(first.is_ascii());
    }

    #[test]
    fn no_header_can_be_added_by_content() {
        let mut sly = payload();
        sly["subject"] = json!("Poročilo\r\nBcc: eva@example.test\r\n\r\nx");
        sly["attachments"][0]["name"] = json!("a\r\nX-Sly: 1\".csv");
        let mail = formatted(sly).unwrap();
        assert!(!mail.lines().any(|line| line.starts_with("Bcc:") || line.starts_with("X-Sly:")), "{mail}");
    }

    #[test]
    fn a_calendar_is_one_more_way_of_saying_the_same() {
        let mut invitation = payload();
        invitation["reply_to"] = json!("Ana Novak <ana@example.test>");
        invitation["calendar"] = json!({"method": "REQUEST", "text": "BEGIN:VCALENDAR\r\nSUMMARY:Čaj\r\nEND:VCALENDAR\r\n"});
        let mail = formatted(invitation.clone()).unwrap();
        assert!(mail.contains("Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n"), "{mail}");
        assert!(mail.contains("Reply-To: \"Ana Novak\" <ana@example.test>\r\n"), "{mail}");
        invitation["calendar"]["method"] = json!("REQUEST\r\nX-Sly: 1");
        assert!(formatted(invitation).is_err());
    }

    #[test]
    fn what_is_not_a_mail_is_refused() {
        let mut bad = Vec::new();
        for to in ["", "ana", "ana@example.test\r\nRCPT TO:<eva@example.test>", "a@b, c@d"] {
            let mut payload = payload();
            payload["to"] = json!(to);
            bad.push(payload);
        }
        for (field, value) in [("base64", json!("%%%")), ("text", json!("x")), ("content_type", json!("not a type")), ("size", json!(1))] {
            let mut payload = payload();
            payload["attachments"][1][field] = value;
            bad.push(payload);
        }
        bad.push(json!({}));
        bad.push(json!("mail"));
        for payload in bad {
            assert!(formatted(payload.clone()).is_err(), "{payload}");
        }
    }
}
