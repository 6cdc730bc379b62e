//! What a convener is told when the service could not start his conference at its time.

use jiff::Timestamp;

use super::MAIL;
use super::desk::{Desk, Recipient, When};
use super::letter::Letter;
use crate::ids::{ConferenceId, ParticipantId};
use crate::pbx::Language;
use crate::report::Words;
use crate::storage::accounts::Account;
use crate::storage::outbox::NewJob;
use crate::storage::series::Plan;

/// The mail about a conference that was to begin at `at` and did not, for `reason`, a word of the API; `None` when the service sends no mail.
#[must_use]
pub fn lapsed(desk: &Desk, plan: &Plan, account: &Account, conference: ConferenceId, at: Timestamp, reason: &str, now: Timestamp) -> Option<NewJob> {
    if !desk.has_mail {
        return None;
    }
    let language: Language = account.language.parse().unwrap_or_default();
    let words = Words::of(language);
    let when = When::beside(at, &plan.schedule.time_zone, &account.time_zone, language);
    let told = [("title", plan.title.as_str().into()), ("date", when.date.as_str().into()), ("time", when.time.as_str().into())];
    let subject = words.with("lapse-subject", &told);
    let text = format!("{} {}\n\n{}", words.text("lapse-text"), reason_words(words, reason), words.text("lapse-advice"));
    let facts = [(words.text("plan-when"), format!("{}, {}", when.long_date, when.time_and_zone))];
    let convener = &account.name;
    let letter = Letter { language, subject: &subject, heading: &plan.title, text: &text, facts: &facts, convener };
    let person = Recipient {
        id: ParticipantId::fresh(),
        name: convener.clone(),
        phone: account.phone.clone(),
        email: Some(account.email.clone()),
        code: None,
        by_mail_only: true,
    };
    let mail = desk.mail(&person, &letter, None, None)?;
    // One for each time at which it was to begin.
    let dedup_key = format!("lapsed:{conference}:{}", at.as_second());
    Some(NewJob { kind: MAIL, account: account.id, conference: Some(conference), dedup_key, payload: mail.payload, created_at: now })
}

/// Why, in a sentence.
fn reason_words(words: &Words, reason: &str) -> String {
    let known = words.find(&format!("reason-{}", reason.replace('_', "-")), &[]);
    known.unwrap_or_else(|| words.text("reason-not-started"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_in_both_languages() {
        for language in [Language::Sl, Language::En] {
            let words = Words::of(language);
            for reason in ["account_disabled", "spend_reached", "number_not_allowed", "line_gone", "too_many_conferences"] {
                assert_ne!(reason_words(words, reason), words.text("reason-not-started"), "{reason}");
            }
            assert_ne!(words.text("reason-not-started"), "reason-not-started");
            assert_eq!(reason_words(words, "unheard_of"), words.text("reason-not-started"));
        }
    }
}
