//! The report as data: what storage knows, and what follows from it.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::billing::{Charge, ChargeStatus, Component, Currency, Money, PaidBy, Payer, Percent, Span, WayOfEntry, current};
use crate::conference::Outcome;
use crate::ids::{ConferenceId, LegId};
use crate::pbx::{Evidence, Language};

/// How a conference stands when the report is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConferenceState {
    /// Not over yet: the report is of what has been so far.
    Running,
    /// Over.
    Ended,
    /// The convener was not reached, so nobody else was called.
    Failed,
}

/// What a report is made of; the runtime fills it from storage.
#[derive(Clone, Debug)]
pub struct ReportInput {
    /// The conference.
    pub conference: ConferenceId,
    /// Its title, as the convener typed it; may be empty.
    pub title: String,
    /// How it stands.
    pub state: ConferenceState,
    /// Why it ended or failed, by the word of `conference::EndReason`.
    pub reason: Option<String>,
    /// The convener's name.
    pub convener: String,
    /// The account's language.
    pub language: Language,
    /// The account's time zone by its name in the IANA database; an unknown name reads as UTC, and the report says so.
    pub time_zone: String,
    /// When Start was pressed.
    pub started_at: Option<Timestamp>,
    /// When the convener was in.
    pub running_since: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// When names and numbers were erased, after the time for which they are kept.
    pub erased_at: Option<Timestamp>,
    /// The currency of the configuration; the report is in that of its charges, if they all have another one.
    pub currency: Currency,
    /// Everybody, in the order of the roster.
    pub participants: Vec<ParticipantInput>,
    /// All charge rows of the conference, reversed ones and reversals too.
    pub charges: Vec<Charge>,
}

/// A participant with his legs.
#[derive(Clone, Debug)]
pub struct ParticipantInput {
    /// Name.
    pub name: String,
    /// Number in normal form.
    pub number: String,
    /// Is the convener.
    pub convener: bool,
    /// All legs, in the order in which they were made.
    pub legs: Vec<LegInput>,
}

/// A leg as storage knows it.
#[derive(Clone, Debug)]
pub struct LegInput {
    /// The leg.
    pub leg: LegId,
    /// How the participant came in, or was to.
    pub way_of_entry: WayOfEntry,
    /// The number at the other end: dialled, or the caller's.
    pub number: String,
    /// The number that the caller dialled.
    pub access_number: Option<String>,
    /// When the switch was asked to dial, or the caller rang.
    pub dialled_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it was let into the conference.
    pub joined_at: Option<Timestamp>,
    /// When it left the conference.
    pub left_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How it ended up; `None` while it lasts.
    pub outcome: Option<Outcome>,
    /// How its end is known.
    pub evidence: Option<Evidence>,
}

impl From<&crate::conference::Leg> for LegInput {
    fn from(leg: &crate::conference::Leg) -> Self {
        Self {
            leg: leg.id,
            way_of_entry: leg.way_of_entry,
            number: leg.number.clone(),
            access_number: leg.dial_in.as_ref().map(|dial_in| dial_in.access_number.clone()),
            dialled_at: leg.dialled_at,
            answered_at: leg.answered_at,
            joined_at: leg.joined_at,
            left_at: leg.left_at,
            ended_at: leg.ended_at,
            outcome: leg.outcome,
            evidence: leg.evidence,
        }
    }
}

/// The report of one conference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The conference.
    #[schema(value_type = uuid::Uuid)]
    pub conference: ConferenceId,
    /// Its title, as the convener typed it; may be empty.
    pub title: String,
    /// How it stands.
    pub state: ConferenceState,
    /// Why it ended or failed: `convener_left`, `ended_by_convener`, `convener_busy` and so on.
    pub reason: Option<String>,
    /// The convener's name.
    pub convener: String,
    /// The account's language.
    pub language: Language,
    /// The account's time zone by its name in the IANA database.
    pub time_zone: String,
    /// When Start was pressed.
    pub started_at: Option<Timestamp>,
    /// When the convener was in.
    pub running_since: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// When names and numbers were erased, after the time for which they are kept; absent while they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// How long it ran, in seconds from the convener's entry to the end.
    pub seconds: i64,
    /// How many participants were in it at some time, the convener included.
    pub were_in: usize,
    /// Everybody, in the order of the roster.
    pub participants: Vec<ReportParticipant>,
    /// What the convener's account owes.
    pub totals: Totals,
    /// The currency of all amounts.
    pub currency: Currency,
}

/// A participant in the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportParticipant {
    /// Name, as it was typed.
    pub name: String,
    /// Number in normal form.
    pub number: String,
    /// Is the convener.
    pub convener: bool,
    /// Was in the conference at some time.
    pub was_in: bool,
    /// Each connection and each attempt at one, in order.
    pub legs: Vec<ReportLeg>,
}

/// One connection, or one attempt at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportLeg {
    /// The leg.
    #[schema(value_type = uuid::Uuid)]
    pub leg: LegId,
    /// 1 for the participant's first, 2 when he was called again or came back, and so on.
    pub attempt: usize,
    /// How he came in, or was to.
    pub way_of_entry: WayOfEntry,
    /// The number at the other end: dialled, or the caller's.
    pub number: String,
    /// The number that the caller dialled.
    pub access_number: Option<String>,
    /// When the switch was asked to dial, or the caller rang.
    pub dialled_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it was let into the conference.
    pub joined_at: Option<Timestamp>,
    /// When it left the conference.
    pub left_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Seconds in the conference.
    pub seconds: i64,
    /// How it ended up; `None` while it lasts.
    pub outcome: Option<Outcome>,
    /// How its end is known.
    pub evidence: Option<Evidence>,
    /// What the call costs; `None` when nothing is charged.
    pub call: Option<ReportCharge>,
    /// What being in the conference costs; `None` when nothing is charged.
    pub conference: Option<ReportCharge>,
}

/// What a component of a leg costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportCharge {
    /// Who pays.
    pub payer: PaidBy,
    /// Whether it is money, information, or could not be priced.
    pub status: ChargeStatus,
    /// Charged seconds.
    pub billed_seconds: i64,
    /// Without VAT.
    pub net: Money,
    /// VAT.
    pub vat: Money,
    /// With VAT.
    pub gross: Money,
}

/// What the convener's account owes: the rated rows that the convener pays.
///
/// A sum that does not fit reads as the largest amount there is; no tariff that passes the import leads there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Calls, without VAT.
    pub call_net: Money,
    /// Conference, without VAT.
    pub conference_net: Money,
    /// Both, without VAT.
    pub net: Money,
    /// VAT by its rate, lowest first.
    pub vat_lines: Vec<VatLine>,
    /// All VAT.
    pub vat: Money,
    /// With VAT.
    pub gross: Money,
    /// How many components could not be priced yet; they are not in the sums.
    pub not_priced: usize,
}

/// The VAT of one rate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct VatLine {
    /// The rate.
    pub percent: Percent,
    /// The net amount that it is on.
    pub net: Money,
    /// The VAT.
    pub vat: Money,
}

impl Report {
    /// Weighs what storage knows.
    #[must_use]
    pub fn of(input: ReportInput) -> Self {
        let currency = currency(&input);
        let standing: Vec<Charge> = current(&input.charges).map(|charge| priced_in(charge, currency)).collect();
        let mut of_leg: HashMap<(LegId, Component), ReportCharge> = HashMap::new();
        for charge in &standing {
            let part = ReportCharge::of(charge);
            of_leg.entry((charge.leg, charge.component)).and_modify(|whole| whole.add(&part)).or_insert(part);
        }
        let participants: Vec<ReportParticipant> = input.participants.into_iter().map(|participant| weigh(participant, &of_leg)).collect();
        Self {
            conference: input.conference,
            title: input.title,
            state: input.state,
            reason: input.reason,
            convener: input.convener,
            language: input.language,
            time_zone: input.time_zone,
            started_at: input.started_at,
            running_since: input.running_since,
            ended_at: input.ended_at,
            erased_at: input.erased_at,
            seconds: seconds(input.running_since, input.ended_at),
            were_in: participants.iter().filter(|participant| participant.was_in).count(),
            participants,
            totals: Totals::of(&standing),
            currency,
        }
    }

    /// The account's time zone; UTC when its name is unknown on this machine.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// All legs with their participants, in the order of the roster.
    pub fn legs(&self) -> impl Iterator<Item = (&ReportParticipant, &ReportLeg)> {
        self.participants.iter().flat_map(|participant| participant.legs.iter().map(move |leg| (participant, leg)))
    }
}

/// The currency of a report: the configuration's when something is priced in it, or nothing is priced at all, else that of the charges.
fn currency(input: &ReportInput) -> Currency {
    let is_priced = |charge: &&Charge| matches!(charge.status, ChargeStatus::Rated | ChargeStatus::Informational);
    let priced = || current(&input.charges).filter(is_priced).map(|charge| charge.currency);
    if priced().any(|one| one == input.currency) { input.currency } else { priced().next().unwrap_or(input.currency) }
}

/// The charge as it counts in a report in this currency: an amount in another one is none.
fn priced_in(charge: &Charge, currency: Currency) -> Charge {
    if charge.currency == currency {
        return charge.clone();
    }
    Charge { status: ChargeStatus::Unrated, net: Money::ZERO, vat: Money::ZERO, gross: Money::ZERO, ..charge.clone() }
}

/// Whole seconds from one moment to the other; 0 when one is not known, or they stand the wrong way round.
fn seconds(start: Option<Timestamp>, end: Option<Timestamp>) -> i64 {
    start.zip(end).and_then(|(start, end)| Span { start, end }.seconds().ok()).unwrap_or(0)
}

fn weigh(participant: ParticipantInput, charges: &HashMap<(LegId, Component), ReportCharge>) -> ReportParticipant {
    let was_in = participant.legs.iter().any(|leg| leg.joined_at.is_some());
    let charge = |leg, component| charges.get(&(leg, component)).cloned();
    let legs = (1..).zip(participant.legs).map(|(attempt, leg)| ReportLeg {
        leg: leg.leg,
        attempt,
        way_of_entry: leg.way_of_entry,
        number: leg.number,
        access_number: leg.access_number,
        dialled_at: leg.dialled_at,
        answered_at: leg.answered_at,
        joined_at: leg.joined_at,
        left_at: leg.left_at,
        ended_at: leg.ended_at,
        seconds: seconds(leg.joined_at, leg.left_at),
        outcome: leg.outcome,
        evidence: leg.evidence,
        call: charge(leg.leg, Component::Call),
        conference: charge(leg.leg, Component::Conference),
    });
    ReportParticipant { legs: legs.collect(), name: participant.name, number: participant.number, convener: participant.convener, was_in }
}

impl ReportCharge {
    fn of(charge: &Charge) -> Self {
        Self {
            payer: match charge.payer {
                Payer::Convener => PaidBy::Convener,
                Payer::Caller { .. } => PaidBy::Caller,
            },
            status: charge.status,
            billed_seconds: charge.billed_seconds,
            net: charge.net,
            vat: charge.vat,
            gross: charge.gross,
        }
    }

    /// Adds another part of the same component; one that has no price leaves the whole without one.
    fn add(&mut self, part: &Self) {
        if matches!(part.status, ChargeStatus::Unrated | ChargeStatus::Error) {
            self.status = part.status;
        }
        self.billed_seconds += part.billed_seconds;
        for (whole, part) in [(&mut self.net, part.net), (&mut self.vat, part.vat), (&mut self.gross, part.gross)] {
            *whole = whole.plus(part).unwrap_or(Money(i64::MAX));
        }
    }
}

impl Totals {
    fn of(standing: &[Charge]) -> Self {
        let not_priced = |charge: &&Charge| matches!(charge.status, ChargeStatus::Unrated | ChargeStatus::Error);
        let owed: Vec<&Charge> = standing.iter().filter(|charge| charge.status == ChargeStatus::Rated && charge.payer == Payer::Convener).collect();
        let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap_or(Money(i64::MAX));
        let of = |component| sum(&mut owed.iter().filter(|charge| charge.component == component).map(|charge| charge.net));
        let mut percents: Vec<Percent> = owed.iter().map(|charge| charge.vat_percent).collect();
        percents.sort_unstable();
        percents.dedup();
        let vat_lines = percents.into_iter().map(|percent| {
            let taxed = || owed.iter().filter(|charge| charge.vat_percent == percent);
            VatLine { percent, net: sum(&mut taxed().map(|charge| charge.net)), vat: sum(&mut taxed().map(|charge| charge.vat)) }
        });
        Self {
            call_net: of(Component::Call),
            conference_net: of(Component::Conference),
            net: sum(&mut owed.iter().map(|charge| charge.net)),
            vat_lines: vat_lines.collect(),
            vat: sum(&mut owed.iter().map(|charge| charge.vat)),
            gross: sum(&mut owed.iter().map(|charge| charge.gross)),
            not_priced: standing.iter().filter(not_priced).count(),
        }
    }
}
