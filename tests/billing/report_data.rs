//! The report as data: what follows from what storage knows.

use sklic::billing::{ChargeStatus, Money, PaidBy, correct};
use sklic::pbx::Language;
use sklic::report::{Report, ReportInput, Totals};

use crate::report_support::{at, weekly};

#[test]
fn counts_attempts_and_totals_follow_from_the_legs() {
    let report = weekly(Language::Sl);
    assert_eq!((report.were_in, report.participants.len(), report.legs().count()), (5, 8, 11));
    assert_eq!(report.seconds, 2_847);
    let attempts: Vec<Vec<usize>> = report.participants.iter().map(|participant| participant.legs.iter().map(|leg| leg.attempt).collect()).collect();
    assert_eq!(attempts, [vec![1], vec![1], vec![1, 2], vec![1, 2], vec![1], vec![1, 2, 3], vec![1], vec![]]);
    // What the convener owes, leg by leg, at the sample's prices: calls of 2850, 2826, 2075 (mobile) and 3 (mobile) seconds …
    let calls = [14_250, 14_130, 27_321, 40];
    // … and the conference of those three and of both entries over the access number.
    let conference = [2_847, 2_823, 2_072, 1_307, 1_376].map(|seconds: i64| (seconds * 400 * 2 + 60) / 120);
    let totals = &report.totals;
    assert_eq!(totals.call_net, Money(calls.iter().sum()));
    assert_eq!(totals.conference_net, Money(conference.iter().sum()));
    assert_eq!(totals.net, Money(totals.call_net.0 + totals.conference_net.0));
    assert_eq!(totals.gross, Money(totals.net.0 + totals.vat.0));
    assert_eq!(totals.vat_lines.len(), 1);
    assert_eq!((totals.vat_lines[0].net, totals.vat_lines[0].vat), (totals.net, totals.vat));
    assert_eq!(totals.not_priced, 0);
    let onnet = &report.participants[4].legs[0];
    for charge in [onnet.call.as_ref(), onnet.conference.as_ref()].into_iter().flatten() {
        assert_eq!((charge.payer, charge.status), (PaidBy::Caller, ChargeStatus::Rated));
    }
    let abroad = &report.participants[3].legs[0];
    assert_eq!(abroad.call.as_ref().map(|charge| charge.status), Some(ChargeStatus::Informational));
    assert_eq!(abroad.conference.as_ref().map(|charge| charge.payer), Some(PaidBy::Convener));
}

#[test]
fn corrections_count_once() {
    let cdr = crate::support::dialled(600);
    let rate = |price| {
        let tariff = crate::support::tariff(&format!("call,+,World,0,{price},1,1,0,0.0001,22,,\n"));
        sklic::billing::rate(&cdr, &tariff, &sklic::billing::PayerTable::default(), sklic::billing::Currency::EUR, 0)
    };
    let (old, new) = (rate("0.10").remove(0), rate("0.07").remove(0));
    let unrated = rate("0.10").remove(1);
    let mut charges = vec![old.clone(), unrated];
    charges.extend(correct(&old, new).unwrap());
    let report = Report::of(ReportInput { charges, ..input() });
    assert_eq!(report.totals.net, Money(7_000));
    assert_eq!(report.totals.not_priced, 1);
    assert_eq!(Report::of(input()).totals, Totals::default());
}

#[test]
fn amounts_are_told_in_the_currency_in_which_they_were_charged() {
    let cdr = crate::support::dialled(600);
    let rate = |price, currency: &str| {
        let rows = format!("call,+,World,0,{price},1,1,0,0.0001,22,,\nconference,+,World,0,{price},1,1,0,0.0001,22,,\n");
        let payers = sklic::billing::PayerTable::default();
        sklic::billing::rate(&cdr, &crate::support::tariff(&rows), &payers, currency.parse().unwrap(), 0)
    };
    // Charged before the service's currency was changed.
    let old = Report::of(ReportInput { charges: rate("0.10", "HRK"), ..input() });
    assert_eq!((old.currency.code(), old.totals.net, old.totals.not_priced), ("HRK", Money(20_000), 0));
    // The call was rated again since: what is in the old currency is no amount in the new one.
    let mut mixed = rate("0.10", "HRK");
    mixed[0] = rate("0.02", "EUR").remove(0);
    let mixed = Report::of(ReportInput { charges: mixed, ..input() });
    assert_eq!((mixed.currency.code(), mixed.totals.net, mixed.totals.gross), ("EUR", Money(2_000), Money(2_440)));
    assert_eq!(mixed.totals.not_priced, 1);
    assert_eq!(Report::of(input()).currency.code(), "EUR");
}

fn input() -> ReportInput {
    ReportInput {
        conference: sklic::ids::ConferenceId(uuid::Uuid::from_u128(8)),
        title: String::new(),
        state: sklic::report::ConferenceState::Ended,
        reason: None,
        convener: String::new(),
        language: Language::En,
        time_zone: "Europe/Ljubljana".to_owned(),
        started_at: Some(at(0)),
        running_since: Some(at(10)),
        // The wrong way round: a length is never negative.
        ended_at: Some(at(0)),
        erased_at: None,
        currency: sklic::billing::Currency::EUR,
        participants: Vec::new(),
        charges: Vec::new(),
    }
}

#[test]
fn json_reads_back_and_says_amounts_as_decimal_text() {
    let report = weekly(Language::En);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["totals"]["call_net"], "5.5741");
    assert_eq!(json["language"], "en");
    assert_eq!(json["participants"][2]["legs"][0]["outcome"], "no_answer");
    assert_eq!(json["participants"][4]["legs"][0]["evidence"], "proof_of_life");
    assert_eq!(json["participants"][3]["legs"][0]["way_of_entry"], "international");
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}
