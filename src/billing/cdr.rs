//! The facts of one ended leg, without a price.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{AccountId, ConferenceId, LegId};
use crate::pbx::Evidence;

/// How a participant came into the conference; it decides who pays (R10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WayOfEntry {
    /// The service dialled; the convener's own leg too.
    WebOut,
    /// The caller dialled the short number inside the operator's network.
    OnnetShort,
    /// The caller dialled the access number from the same country.
    National,
    /// The caller dialled the access number from abroad.
    International,
}

impl WayOfEntry {
    /// Every way, in the order in which the rules list them.
    pub const ALL: [Self; 4] = [Self::WebOut, Self::OnnetShort, Self::National, Self::International];

    /// The stable word in API, database and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WebOut => "web_out",
            Self::OnnetShort => "onnet_short",
            Self::National => "national",
            Self::International => "international",
        }
    }

    /// The way of a stable word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.word() == word)
    }
}

/// A stretch of the switch's time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// Its first moment.
    pub start: Timestamp,
    /// Its last moment.
    pub end: Timestamp,
}

/// The end of a span lies before its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the end lies before the start")]
pub struct NegativeSpan;

impl Span {
    /// The length in whole seconds, rounded up (R12, point 2).
    ///
    /// # Errors
    /// [`NegativeSpan`] when the end lies before the start, be it by a nanosecond.
    pub fn seconds(&self) -> Result<i64, NegativeSpan> {
        let nanoseconds = self.end.as_nanosecond() - self.start.as_nanosecond();
        if nanoseconds < 0 {
            return Err(NegativeSpan);
        }
        // Timestamps end with the year 9999, so the seconds between two always fit.
        Ok(i64::try_from((nanoseconds + 999_999_999) / 1_000_000_000).unwrap_or(i64::MAX))
    }
}

/// The facts of one ended leg: who, by which way, when; without a price.
///
/// Numbers are in normal form: `+` with country code and number, short numbers as they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cdr {
    /// The leg.
    pub leg: LegId,
    /// The conference to which it belonged.
    pub conference: ConferenceId,
    /// The convener's account.
    pub account: AccountId,
    /// How the participant came in.
    pub way_of_entry: WayOfEntry,
    /// The number at the other end: the one that the service dialled, or the line from which the caller came.
    pub remote_number: String,
    /// The number that the caller dialled; `None` when the service dialled.
    pub access_number: Option<String>,
    /// The calling line that the network vouches for (P-Asserted-Identity on a trusted trunk, RFC 3325), never `From`.
    pub calling_line: Option<String>,
    /// The convener has accepted to pay for a caller for whom the network does not vouch: where the caller would pay, he does.
    #[serde(default)]
    pub convener_pays: bool,
    /// Answer to hang-up (R11); `None` when it was not answered.
    pub call_time: Option<Span>,
    /// Admission into the running conference to leaving it (R11); `None` when the leg never was inside.
    pub conference_time: Option<Span>,
    /// Where the times are known from.
    pub evidence: Evidence,
}

impl Cdr {
    /// The number that was dialled, which decides the rate: the caller's access number, or the number that the service called.
    ///
    /// `None` for a dial-in leg without its access number.
    #[must_use]
    pub fn dialled_number(&self) -> Option<&str> {
        match self.way_of_entry {
            WayOfEntry::WebOut => Some(&self.remote_number),
            WayOfEntry::OnnetShort | WayOfEntry::National | WayOfEntry::International => self.access_number.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> Span {
        Span { start: start.parse().unwrap(), end: end.parse().unwrap() }
    }

    #[test]
    fn seconds_are_rounded_up_and_never_negative() {
        for (start, end, seconds) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Ok(0)),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z", Ok(1)),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", Ok(1)),
            ("2026-01-01T00:00:00.6Z", "2026-01-01T00:00:01.6Z", Ok(1)),
            ("2026-01-01T00:00:00.6Z", "2026-01-01T00:00:01.5Z", Ok(1)),
            ("2026-01-01T00:00:00.6Z", "2026-01-01T00:00:01.7Z", Ok(2)),
            ("2026-01-01T00:00:00.9Z", "2026-01-01T00:00:01.1Z", Ok(1)),
            ("1969-12-31T23:59:58.5Z", "1970-01-01T00:00:00.5Z", Ok(2)),
            ("1969-12-31T23:59:58.5Z", "1970-01-01T00:00:00.6Z", Ok(3)),
            ("1969-12-31T23:59:59.1Z", "1970-01-01T00:00:00.1Z", Ok(1)),
            ("1969-12-31T23:59:59.9Z", "1970-01-01T00:00:00.1Z", Ok(1)),
            ("1969-12-31T23:59:59.1Z", "1970-01-01T00:00:00.9Z", Ok(2)),
            ("-009999-01-02T01:59:59Z", "9999-12-30T22:00:00Z", Ok(631_107_230_401)),
            ("2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00Z", Err(NegativeSpan)),
            ("2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z", Err(NegativeSpan)),
            // The hour that a local clock shows twice is an ordinary hour for the switch.
            ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", Ok(3_600)),
        ] {
            assert_eq!(span(start, end).seconds(), seconds, "{start} – {end}");
        }
    }

    #[test]
    fn words_read_back() {
        for way in WayOfEntry::ALL {
            assert_eq!(WayOfEntry::from_word(way.word()), Some(way));
            assert_eq!(serde_json::to_string(&way).unwrap(), format!("\"{}\"", way.word()));
        }
    }
}
