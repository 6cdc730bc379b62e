//! The report of a conference, from its state and its charges.

use jiff::Timestamp;
use serde_json::json;
use tracing::warn;

use super::rows::Paperwork;
use super::{ControlError, Runtime, Shared};
use crate::billing::{Charge, Currency};
use crate::conference::{Conference, Phase};
use crate::ids::{AccountId, ConferenceId};
use crate::report::{ConferenceState, LegInput, ParticipantInput, Report, ReportInput, render_mail};
use crate::storage::outbox::NewJob;
use crate::storage::{RowChange, accounts, charges, conferences};

impl Runtime {
    /// The report of a conference that has been started (R8): of what has been so far while it runs.
    ///
    /// # Errors
    /// See [`ControlError`]; a conference that is only planned has no report.
    pub async fn report(&self, account: AccountId, id: ConferenceId) -> Result<Report, ControlError> {
        {
            let mut connection = self.inner.shared.pool.get().await?;
            let plan = conferences::lookup(&mut connection, account, id).await?.ok_or(ControlError::NotFound)?;
            if plan.erased_at.is_some() {
                return self.erased_report(&mut connection, plan).await;
            }
        }
        let super::recovery::Past { conference, plan, .. } = self.read(account, id).await?;
        if *conference.phase() == Phase::Planned {
            return Err(ControlError::NotPlanned { state: plan.state });
        }
        let mut connection = self.inner.shared.pool.get().await?;
        let owner = accounts::lookup(&mut connection, account).await?.ok_or(ControlError::NotFound)?;
        let charges = charges::list_of_conference(&mut connection, id).await?;
        Ok(report(&conference, &owner, charges, self.inner.shared.prices.currency()))
    }
}

impl Paperwork {
    /// The report's mail: once for each conference, whatever happens, by its key.
    pub(super) fn report(&self, conference: &Conference, shared: &Shared, now: Timestamp) -> RowChange {
        let report = report(conference, &self.account, self.charges.clone(), shared.prices.currency());
        let mail = render_mail(&report, &shared.branding);
        // Every attachment of a report is text.
        let attachments = mail
            .attachments
            .iter()
            .map(|file| json!({ "name": file.name, "content_type": file.media_type, "text": String::from_utf8_lossy(&file.content) }));
        let payload = json!({
            "to": self.account.email,
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "attachments": attachments.collect::<Vec<_>>(),
        });
        RowChange::Job(NewJob {
            kind: "mail",
            account: self.account.id,
            conference: Some(conference.id()),
            dedup_key: format!("report:{}", conference.id()),
            payload,
            created_at: now,
        })
    }
}

fn report(conference: &Conference, account: &accounts::Account, charges: Vec<Charge>, currency: Currency) -> Report {
    let (started_at, running_since) = conference.times();
    let phase = conference.phase();
    let participants = conference.participants().filter(|person| !person.removed).map(|person| ParticipantInput {
        name: person.person.name.clone(),
        number: person.person.phone.clone(),
        convener: person.convener,
        legs: person.legs.iter().filter_map(|leg| conference.leg(*leg)).map(LegInput::from).collect(),
    });
    let language = account.language.parse().unwrap_or_else(|why: String| {
        warn!(account.id = %account.id, why, "the account's language is not known");
        crate::pbx::Language::default()
    });
    Report::of(ReportInput {
        conference: conference.id(),
        title: conference.spec().title.clone(),
        state: match phase {
            Phase::Ended { .. } => ConferenceState::Ended,
            Phase::Failed { .. } => ConferenceState::Failed,
            _ => ConferenceState::Running,
        },
        reason: phase.reason().map(|reason| reason.word().to_owned()),
        convener: account.name.clone(),
        language,
        time_zone: account.time_zone.clone(),
        started_at,
        running_since,
        ended_at: match phase {
            Phase::Ended { at, .. } | Phase::Failed { at, .. } => Some(*at),
            _ => None,
        },
        erased_at: None,
        currency,
        participants: participants.collect(),
        charges,
    })
}
