//! Rating: a CDR and a tariff become charges, by the eight points of R12.

use jiff::{SignedDuration, Timestamp};

use super::cdr::{Cdr, Span};
use super::charge::{Charge, ChargeId, ChargeReason, ChargeStatus, Payer, RateRef};
use super::meter::Meter;
use super::money::{Currency, Money, Percent};
use super::payer::{Liability, PaidBy, PayerTable};
use super::prefix::is_normal_form;
use super::rate_row::{Component, Rate};
use super::tariff::{Tariff, TariffVersion};

/// A component that lasts longer is not cut: no call does, and a wrong time must not become thousands of rows.
const LONGEST_CUT: SignedDuration = SignedDuration::from_secs(Rate::MAX_SECONDS);

/// The charges of one ended leg, call first: one for each component, or for each part of one that the tariff cuts.
///
/// A pure function: the same arguments give the same rows with the same identifiers.
/// What cannot be priced is a row too, `unrated` or `error`, never a silent zero and never a panic.
#[must_use]
pub fn rate(cdr: &Cdr, tariff: &Tariff, payers: &PayerTable, currency: Currency, revision: u32) -> Vec<Charge> {
    let mut charges = Vec::new();
    rate_into(cdr, tariff, payers, currency, revision, &mut charges);
    charges
}

/// Like [`rate`], but adds the rows to `charges`: for rating many legs without an allocation for each.
pub fn rate_into(cdr: &Cdr, tariff: &Tariff, payers: &PayerTable, currency: Currency, revision: u32, charges: &mut Vec<Charge>) {
    for (component, span) in [(Component::Call, cdr.call_time), (Component::Conference, cdr.conference_time)] {
        let Some(span) = span else { continue };
        // Point 2: zero seconds are no charge at all.
        if span.start == span.end {
            continue;
        }
        let liability = payers.liability(cdr.way_of_entry, cdr.access_number.as_deref(), component);
        let payer = match liability.payer {
            PaidBy::Caller if !cdr.convener_pays => Payer::Caller { line: cdr.calling_line.clone() },
            PaidBy::Convener | PaidBy::Caller => Payer::Convener,
        };
        let blank = Charge {
            id: ChargeId::of_row(cdr.leg, component, 0, revision),
            leg: cdr.leg,
            conference: cdr.conference,
            account: cdr.account,
            component,
            part: 0,
            payer,
            status: ChargeStatus::Error,
            reason: None,
            rate: None,
            started_at: span.start,
            seconds: 0,
            billed_seconds: 0,
            net: Money::ZERO,
            vat_percent: Percent::default(),
            vat: Money::ZERO,
            gross: Money::ZERO,
            currency,
            revision,
            reverses: None,
        };
        price(blank, cdr, span, tariff, liability, charges);
    }
}

/// Adds the rows of one component: `blank` filled in, once for each part.
fn price(blank: Charge, cdr: &Cdr, span: Span, tariff: &Tariff, liability: Liability, charges: &mut Vec<Charge>) {
    let Ok(whole) = span.seconds() else {
        charges.push(finished(blank, Err(ChargeReason::NegativeDuration), liability));
        return;
    };
    let number = match priceable(cdr, &blank.payer, liability) {
        Ok(number) => number,
        Err(reason) => {
            charges.push(finished(Charge { seconds: whole, ..blank }, Err(reason), liability));
            return;
        }
    };
    // Point 1: the longest prefix that is valid at the component's start.
    let mut found = tariff.find(blank.component, number, span.start);
    let cutter = found.filter(|_| span.end.duration_since(span.start) <= LONGEST_CUT);
    let mut meter = found.map_or_else(Meter::default, |(_, rate)| Meter::new(rate));
    let (mut from, mut elapsed, mut part) = (span.start, 0, 0);
    loop {
        let cut = cutter.and_then(|cutter| next_cut(cutter, tariff, blank.component, number, (from, span.end)));
        // Counted from the component's start, so that the parts' seconds sum up to those of the whole.
        let until = cut.map_or(whole, |end| Span { start: span.start, end }.seconds().unwrap_or(whole));
        if until > elapsed {
            let id = ChargeId::of_row(blank.leg, blank.component, part, blank.revision);
            let mut charge = Charge { id, part, started_at: from, seconds: until - elapsed, ..blank.clone() };
            let reason = price_part(&mut charge, tariff, found, &mut meter);
            charges.push(finished(charge, reason, liability));
            part += 1;
        }
        let Some(cut) = cut else { return };
        (from, elapsed) = (cut, until);
        found = tariff.find(blank.component, number, from);
    }
}

/// The number by which the rate is found, when somebody can be asked for the money.
fn priceable<'a>(cdr: &'a Cdr, payer: &Payer, liability: Liability) -> Result<&'a str, ChargeReason> {
    // A row for information asks nobody for money, so nobody has to be known.
    if let Payer::Caller { line } = payer
        && !liability.informational
        && line.as_deref().is_none_or(|line| !is_normal_form(line))
    {
        return Err(ChargeReason::NoCallingLine);
    }
    cdr.dialled_number().filter(|number| is_normal_form(number)).ok_or(ChargeReason::InvalidNumber)
}

/// The first moment after `from` and before `end` at which the rate of the component's start has it cut.
fn next_cut(
    (version, rate): (&TariffVersion, &Rate),
    tariff: &Tariff,
    component: Component,
    number: &str,
    (from, end): (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let midnight = || {
        let next_day = from.to_zoned(version.time_zone().clone()).tomorrow().ok()?.start_of_day().ok()?.timestamp();
        (next_day < end).then_some(next_day)
    };
    let midnight = if rate.split.at_midnight() { midnight() } else { None };
    let change = if rate.split.at_tariff_change() { tariff.next_change(component, number, from, end) } else { None };
    midnight.into_iter().chain(change).min()
}

/// Fills in rate and amounts of a part whose seconds are known; on an error the amounts stay zero.
fn price_part(charge: &mut Charge, tariff: &Tariff, found: Option<(&TariffVersion, &Rate)>, meter: &mut Meter) -> Result<(), ChargeReason> {
    let Some((version, rate)) = found else {
        meter.pass(charge.seconds);
        return Err(ChargeReason::NoRate);
    };
    charge.rate = Some(RateRef { tariff: tariff.name().clone(), version: version.number(), prefix: rate.prefix });
    let metered = meter.bill(rate, charge.seconds).ok_or(ChargeReason::Overflow)?;
    charge.gross = metered.net.plus(metered.vat).ok_or(ChargeReason::Overflow)?;
    (charge.net, charge.vat) = (metered.net, metered.vat);
    charge.vat_percent = rate.vat_percent;
    charge.billed_seconds = metered.seconds;
    Ok(())
}

/// The row with its status.
fn finished(mut charge: Charge, priced: Result<(), ChargeReason>, liability: Liability) -> Charge {
    charge.reason = priced.err();
    charge.status = match charge.reason {
        None if liability.informational => ChargeStatus::Informational,
        None => ChargeStatus::Rated,
        Some(ChargeReason::NoRate) => ChargeStatus::Unrated,
        Some(_) => ChargeStatus::Error,
    };
    charge
}
