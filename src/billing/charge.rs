//! Priced rows, and how they are put right: never by changing one, always by reversing it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::money::{Currency, Money, Percent};
use super::prefix::Prefix;
use super::rate_row::Component;
use super::tariff::TariffName;
use crate::ids::{AccountId, ConferenceId, LegId};

/// The identifier of a charge, derived from leg, component, part and revision (R12): rating twice gives the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ChargeId(pub Uuid);

impl ChargeId {
    /// The identifier of the row that prices this part of `component` of `leg` in this revision; a component that is not cut is part 0.
    #[must_use]
    pub fn of_row(leg: LegId, component: Component, part: u32, revision: u32) -> Self {
        Self::derive(leg, component, part, revision, 0)
    }

    /// The identifier of the row that reverses it.
    #[must_use]
    pub fn of_reversal(leg: LegId, component: Component, part: u32, revision: u32) -> Self {
        Self::derive(leg, component, part, revision, 1)
    }

    // UUID version 5 (RFC 9562) with the leg as the name space; the layout of the name must never change, it is in issued rows.
    fn derive(leg: LegId, component: Component, part: u32, revision: u32, kind: u8) -> Self {
        let component = match component {
            Component::Call => 0,
            Component::Conference => 1,
        };
        let revision = revision.to_be_bytes();
        let mut name = [component, kind, revision[0], revision[1], revision[2], revision[3], 0, 0, 0, 0];
        name[6..].copy_from_slice(&part.to_be_bytes());
        // Rows that were issued before components were cut have no part in their name.
        let length = if part == 0 { 6 } else { 10 };
        Self(Uuid::new_v5(&leg.0, &name[..length]))
    }
}

impl fmt::Display for ChargeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ChargeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChargeId({self})")
    }
}

impl FromStr for ChargeId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Who owes a charge.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "payer", rename_all = "snake_case")]
pub enum Payer {
    /// The convener's account.
    Convener,
    /// The calling line.
    Caller {
        /// The line that the network vouches for; `None` when it vouched for none. A convener is not told that of a caller who keeps it private.
        line: Option<String>,
    },
}

/// What a charge is worth.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    /// Money: goes to the export.
    Rated,
    /// An amount for information, charged by another network; never exported.
    Informational,
    /// No rate was found: an alarm, never a silent zero.
    Unrated,
    /// The leg's facts cannot be priced: an alarm.
    Error,
}

impl ChargeStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Rated, Self::Informational, Self::Unrated, Self::Error];

    /// The stable word in API, database and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rated => "rated",
            Self::Informational => "informational",
            Self::Unrated => "unrated",
            Self::Error => "error",
        }
    }

    /// The status of a stable word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// Why a charge is `unrated` or `error`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeReason {
    /// No rate of the tariff is valid for the number at the component's start.
    NoRate,
    /// The component ends before it starts.
    NegativeDuration,
    /// The amount is too large to be kept.
    Overflow,
    /// A dial-in leg without its access number, or a number that is not in normal form.
    InvalidNumber,
    /// The calling line should pay, and the network vouched for none.
    NoCallingLine,
}

impl ChargeReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::NoRate, Self::NegativeDuration, Self::Overflow, Self::InvalidNumber, Self::NoCallingLine];

    /// The stable word in API, database and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoRate => "no_rate",
            Self::NegativeDuration => "negative_duration",
            Self::Overflow => "overflow",
            Self::InvalidNumber => "invalid_number",
            Self::NoCallingLine => "no_calling_line",
        }
    }

    /// The reason of a stable word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// Which row of which price list was applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
pub struct RateRef {
    /// The tariff's name.
    pub tariff: TariffName,
    /// The version's number.
    pub version: u32,
    /// The prefix of the rate.
    pub prefix: Prefix,
}

impl RateRef {
    /// The row of the list, whichever version it stands in.
    fn row(&self) -> (&TariffName, Prefix) {
        (&self.tariff, self.prefix)
    }
}

/// One priced row: what one component of one leg costs, and who owes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Charge {
    /// Derived from leg, component and revision.
    pub id: ChargeId,
    /// The leg.
    #[schema(value_type = Uuid)]
    pub leg: LegId,
    /// Its conference.
    #[schema(value_type = Uuid)]
    pub conference: ConferenceId,
    /// The convener's account.
    #[schema(value_type = Uuid)]
    pub account: AccountId,
    /// What is priced.
    pub component: Component,
    /// Which part of it, from 0: a component that the tariff cuts at midnight or at a change of price has a row for each part.
    pub part: u32,
    /// Who owes it.
    #[serde(flatten)]
    pub payer: Payer,
    /// What the row is worth.
    pub status: ChargeStatus,
    /// Why it is not money, for `unrated` and `error`.
    pub reason: Option<ChargeReason>,
    /// The rate that was applied; `None` when none was.
    pub rate: Option<RateRef>,
    /// The start of the component, or of this part of it.
    pub started_at: Timestamp,
    /// How long it lasted, in whole seconds rounded up.
    pub seconds: i64,
    /// How many seconds are charged after free seconds and increments.
    pub billed_seconds: i64,
    /// The amount without VAT.
    pub net: Money,
    /// The VAT rate that was applied.
    pub vat_percent: Percent,
    /// The VAT on the net amount.
    pub vat: Money,
    /// Net and VAT together.
    pub gross: Money,
    /// The currency of the amounts.
    pub currency: Currency,
    /// 0 at first; each correction has the next one.
    pub revision: u32,
    /// The row whose exact negative this is.
    pub reverses: Option<ChargeId>,
}

impl Charge {
    /// The exact negative of this row, with the next revision; `None` when this row is a reversal itself, or revisions have run out.
    ///
    /// Seconds are negative too, so that the sums of rows tell the truth about time as about money.
    #[must_use]
    pub fn reversal(&self) -> Option<Self> {
        if self.reverses.is_some() {
            return None;
        }
        let revision = self.revision.checked_add(1)?;
        Some(Self {
            id: ChargeId::of_reversal(self.leg, self.component, self.part, revision),
            seconds: self.seconds.checked_neg()?,
            billed_seconds: self.billed_seconds.checked_neg()?,
            net: self.net.negative()?,
            vat: self.vat.negative()?,
            gross: self.gross.negative()?,
            revision,
            reverses: Some(self.id),
            ..self.clone()
        })
    }

    /// The same row as another revision.
    fn with_revision(self, revision: u32) -> Self {
        Self { id: ChargeId::of_row(self.leg, self.component, self.part, revision), revision, ..self }
    }

    /// Whether both say the same about the same component, whatever their identifiers and revisions.
    ///
    /// The same rate of another version of the price list is the same: a new list, in which one price differs, reverses the rows of that price alone.
    fn says_the_same(&self, other: &Self) -> bool {
        // Taken apart, so that a new field is not forgotten.
        let Self {
            id: _,
            leg,
            conference,
            account,
            component,
            part,
            payer,
            status,
            reason,
            rate,
            started_at,
            seconds,
            billed_seconds,
            net,
            vat_percent,
            vat,
            gross,
            currency,
            revision: _,
            reverses,
        } = self;
        (leg, conference, account, component, part) == (&other.leg, &other.conference, &other.account, &other.component, &other.part)
            && (payer, status, reason) == (&other.payer, &other.status, &other.reason)
            && rate.as_ref().map(RateRef::row) == other.rate.as_ref().map(RateRef::row)
            && (started_at, seconds, billed_seconds) == (&other.started_at, &other.seconds, &other.billed_seconds)
            && (net, vat_percent, vat, gross) == (&other.net, &other.vat_percent, &other.vat, &other.gross)
            && (currency, reverses) == (&other.currency, &other.reverses)
    }
}

/// Two rows that cannot be an old and its corrected one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotCorrectable {
    /// They price different components or parts, or different legs.
    #[error("the rows belong to different legs, components or parts")]
    Different,
    /// One of them is a reversal.
    #[error("a reversing row is never corrected itself")]
    Reversal,
    /// There is no exact negative, or no further revision.
    #[error("the old row cannot be reversed exactly")]
    Exhausted,
}

/// Corrects `old` to `new` (R12, point 8): the exact negative of the old row, then the new row with the next revision.
///
/// # Errors
/// [`NotCorrectable`] when the two are not the same component of the same leg, or one is a reversal.
pub fn correct(old: &Charge, new: Charge) -> Result<[Charge; 2], NotCorrectable> {
    if (old.leg, old.component, old.part) != (new.leg, new.component, new.part) {
        return Err(NotCorrectable::Different);
    }
    if old.reverses.is_some() || new.reverses.is_some() {
        return Err(NotCorrectable::Reversal);
    }
    let reversal = old.reversal().ok_or(NotCorrectable::Exhausted)?;
    let revision = reversal.revision;
    Ok([reversal, new.with_revision(revision)])
}

/// The rows that stand: neither a reversal nor reversed. Their sum is the sum of all.
pub fn current(issued: &[Charge]) -> impl Iterator<Item = &Charge> {
    let reversed: BTreeSet<ChargeId> = issued.iter().filter_map(|row| row.reverses).collect();
    issued.iter().filter(move |row| row.reverses.is_none() && !reversed.contains(&row.id))
}

/// The rows to add when a leg is rated again: `issued` are all its rows so far, `fresh` what rating gives now.
///
/// Nothing for a part of a component that comes out the same; a reversal alone for one that is due no more;
/// reversal and new row for one that changed; the new row for one that is due for the first time or again.
///
/// # Errors
/// [`NotCorrectable`] when the rows are not those of one leg, or a row cannot be reversed.
pub fn rerate(issued: &[Charge], fresh: &[Charge]) -> Result<Vec<Charge>, NotCorrectable> {
    let mut rows = Vec::new();
    rerate_into(issued, fresh, &mut rows)?;
    Ok(rows)
}

/// Like [`rerate`], but adds the rows to `rows`: for rating many legs of which few differ.
///
/// # Errors
/// As [`rerate`]; `rows` may then hold some of the leg's rows.
pub fn rerate_into(issued: &[Charge], fresh: &[Charge], rows: &mut Vec<Charge>) -> Result<(), NotCorrectable> {
    let legs = || issued.iter().chain(fresh).map(|row| row.leg);
    if legs().any(|leg| Some(leg) != legs().next()) {
        return Err(NotCorrectable::Different);
    }
    // The common case: never corrected, and the same again.
    let stands = |row: &Charge| row.reverses.is_none() && row.revision == 0 && fresh.iter().any(|new| row.says_the_same(new));
    if issued.len() == fresh.len() && issued.iter().all(stands) {
        return Ok(());
    }
    let parts: BTreeSet<(Component, u32)> = issued.iter().chain(fresh).map(|row| (row.component, row.part)).collect();
    for part in parts {
        let is_of_part = |row: &&Charge| (row.component, row.part) == part;
        let old = current(issued).find(is_of_part);
        let last_revision = issued.iter().filter(is_of_part).map(|row| row.revision).max();
        match (old, fresh.iter().find(is_of_part)) {
            (Some(old), Some(new)) if old.says_the_same(new) => {}
            (Some(old), Some(new)) => rows.extend(correct(old, new.clone())?),
            (Some(old), None) => rows.push(old.reversal().ok_or(NotCorrectable::Exhausted)?),
            (None, Some(new)) => {
                let next = last_revision.map_or(Some(0), |revision| revision.checked_add(1));
                rows.push(new.clone().with_revision(next.ok_or(NotCorrectable::Exhausted)?));
            }
            (None, None) => {}
        }
    }
    Ok(())
}
