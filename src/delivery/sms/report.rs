//! Delivery reports: what a gateway tells about a message after it has taken it over.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::config::{SmsGatewayConfig, SmsGatewayKind};
use crate::delivery::outward::same_secret;

/// The secret of a gateway's reports. Each message's report address carries a proof made from it, so that whoever sees one address,
/// in a log for instance, can report about one message only.
pub struct ReportKey(String);

impl ReportKey {
    pub(super) fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// The proof in the address of a job's reports: the first 16 bytes of HMAC-SHA256 over its identifier, in hexadecimal.
    #[must_use]
    pub fn proof(&self, job: Uuid) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else { return String::new() };
        mac.update(job.as_bytes());
        mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a proof is this job's.
    #[must_use]
    pub fn proves(&self, job: Uuid, proof: &str) -> bool {
        same_secret(&self.proof(job), proof)
    }

    /// Whether this is the secret itself.
    #[must_use]
    pub fn is(&self, secret: &str) -> bool {
        same_secret(&self.0, secret)
    }
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryReport {
    /// On its way: the message centre has it.
    Underway,
    /// On the phone.
    Delivered,
    /// It will never be there.
    Failed {
        /// Why, in the gateway's words.
        reason: String,
    },
}

/// Of which message a report speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The job of the outbox.
    Job(Uuid),
    /// The gateway's own identifier.
    Remote(String),
}

/// Why a report is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRefusal {
    /// It does not prove that it comes from the gateway.
    NotProved,
    /// It names no message, or a state that is not known.
    NotUnderstood,
}

/// Reads a report from its fields; `bearer` is the token of the header `Authorization`.
///
/// # Errors
/// [`ReportRefusal`].
pub fn read(
    config: &SmsGatewayConfig,
    key: &ReportKey,
    fields: &BTreeMap<String, String>,
    bearer: Option<&str>,
) -> Result<(Subject, DeliveryReport), ReportRefusal> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let job = field("job").and_then(|job| Uuid::try_parse(job).ok());
    let subject = match (job, field("proof")) {
        (Some(job), Some(proof)) if key.proves(job, proof) => Subject::Job(job),
        _ => {
            let secret = bearer.or_else(|| field("secret")).unwrap_or_default();
            if !key.is(secret) {
                return Err(ReportRefusal::NotProved);
            }
            match (job, field(&config.report.id)) {
                (Some(job), _) => Subject::Job(job),
                (None, Some(id)) if !id.is_empty() => Subject::Remote(id.to_owned()),
                _ => return Err(ReportRefusal::NotUnderstood),
            }
        }
    };
    let report = match config.kind {
        SmsGatewayKind::Kannel => kannel_state(field("status").unwrap_or_default(), field("reason").unwrap_or_default())?,
        SmsGatewayKind::Template => {
            let state = field(&config.report.state).ok_or(ReportRefusal::NotUnderstood)?;
            let is = |words: &[String]| words.iter().any(|word| word == state);
            if is(&config.report.delivered) {
                DeliveryReport::Delivered
            } else if is(&config.report.failed) {
                let reason = field(&config.report.reason).filter(|reason| !reason.is_empty()).unwrap_or(state);
                DeliveryReport::Failed { reason: clean(reason) }
            } else {
                DeliveryReport::Underway
            }
        }
    };
    Ok((subject, report))
}

/// Kannel's `%d` (User's Guide, table 6-8): 1 delivered, 2 not delivered, 4 buffered, 8 taken by the centre, 16 refused by it;
/// 2 may carry more bits, for an expired message for instance.
fn kannel_state(status: &str, reason: &str) -> Result<DeliveryReport, ReportRefusal> {
    let status: u32 = status.parse().map_err(|_| ReportRefusal::NotUnderstood)?;
    Ok(match status {
        _ if status & 1 != 0 => DeliveryReport::Delivered,
        _ if status & 2 != 0 => DeliveryReport::Failed { reason: worded(reason, "not delivered to the phone") },
        _ if status & 16 != 0 => DeliveryReport::Failed { reason: worded(reason, "refused by the message centre") },
        _ if status & 12 != 0 => DeliveryReport::Underway,
        _ => return Err(ReportRefusal::NotUnderstood),
    })
}

fn worded(said: &str, otherwise: &str) -> String {
    let said = clean(said);
    if said.trim().is_empty() { otherwise.to_owned() } else { format!("{otherwise}: {said}") }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn kannel() -> SmsGatewayConfig {
        toml::from_str("name = \"kannel\"\nkind = \"kannel\"\nurl = \"http://127.0.0.1:13013/cgi-bin/sendsms\"\nusername = \"sklic\"").unwrap()
    }

    #[test]
    fn a_report_proves_its_own_message_only() {
        let key = ReportKey::new("0123456789abcdef");
        let (job, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (id, proof) = (job.to_string(), key.proof(job));
        assert_eq!(proof.len(), 32);
        let report = read(&kannel(), &key, &fields(&[("job", &id), ("proof", &proof), ("status", "1")]), None);
        assert_eq!(report, Ok((Subject::Job(job), DeliveryReport::Delivered)));
        for (job, proof, secret) in [(&other.to_string(), &proof, ""), (&id, &"0".repeat(32), ""), (&id, &String::new(), "0123456789abcdeF")] {
            let report = read(&kannel(), &key, &fields(&[("job", job), ("proof", proof), ("status", "1"), ("secret", secret)]), None);
            assert_eq!(report, Err(ReportRefusal::NotProved));
        }
        let by_secret = read(&kannel(), &key, &fields(&[("job", &id), ("status", "16"), ("reason", "NACK\r\nX: 1")]), Some("0123456789abcdef"));
        assert_eq!(by_secret, Ok((Subject::Job(job), DeliveryReport::Failed { reason: "refused by the message centre: NACKX: 1".into() })));
    }

    #[test]
    fn kannels_states() {
        assert_eq!(kannel_state("1", ""), Ok(DeliveryReport::Delivered));
        for failed in ["2", "16", "34"] {
            assert!(matches!(kannel_state(failed, ""), Ok(DeliveryReport::Failed { .. })), "{failed}");
        }
        for underway in ["4", "8"] {
            assert_eq!(kannel_state(underway, ""), Ok(DeliveryReport::Underway), "{underway}");
        }
        for bad in ["", "0", "x", "-1", "99999999999"] {
            assert_eq!(kannel_state(bad, ""), Err(ReportRefusal::NotUnderstood), "{bad}");
        }
    }

    #[test]
    fn a_described_report_is_understood() {
        let text = "name = \"a\"\nkind = \"template\"\nurl = \"http://127.0.0.1:1/\"\nbody = \"{to}{text}\"\n\
            report = { id = \"messageId\", state = \"state\", delivered = [\"OK\"], failed = [\"KO\"], reason = \"why\" }";
        let config: SmsGatewayConfig = toml::from_str(text).unwrap();
        let key = ReportKey::new("0123456789abcdef");
        let report = |pairs: &[(&str, &str)]| read(&config, &key, &fields(pairs), Some("0123456789abcdef"));
        let remote = Subject::Remote("m1".into());
        assert_eq!(report(&[("messageId", "m1"), ("state", "OK")]), Ok((remote.clone(), DeliveryReport::Delivered)));
        let failed = DeliveryReport::Failed { reason: "off".into() };
        assert_eq!(report(&[("messageId", "m1"), ("state", "KO"), ("why", "off")]), Ok((remote.clone(), failed)));
        assert_eq!(report(&[("messageId", "m1"), ("state", "SENT")]), Ok((remote, DeliveryReport::Underway)));
        assert_eq!(report(&[("state", "OK")]), Err(ReportRefusal::NotUnderstood));
        assert_eq!(report(&[("messageId", "m1")]), Err(ReportRefusal::NotUnderstood));
    }
}
