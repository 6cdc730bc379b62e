//! `hand-worked.toml`: legs whose charges were worked out by hand.

use serde::Deserialize;
use sklic::billing::{Cdr, ChargeReason, ChargeStatus, Component, Currency, Money, Payer, PayerTable, Span, Tariff, WayOfEntry, rate};
use sklic::pbx::Evidence;

use crate::support::{dialled, import};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    way_of_entry: WayOfEntry,
    remote_number: String,
    access_number: Option<String>,
    calling_line: Option<String>,
    #[serde(default)]
    convener_pays: bool,
    call: Option<[jiff::Timestamp; 2]>,
    conference: Option<[jiff::Timestamp; 2]>,
    charges: Vec<Row>,
}

/// What a row must say.
#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Row {
    component: Component,
    #[serde(default)]
    part: u32,
    payer: String,
    line: Option<String>,
    status: ChargeStatus,
    reason: Option<ChargeReason>,
    prefix: Option<String>,
    seconds: i64,
    billed_seconds: i64,
    net: Money,
    vat: Money,
    gross: Money,
}

#[test]
fn charges_equal_those_worked_out_by_hand() {
    let table: Table = toml::from_str(include_str!("hand-worked.toml")).unwrap();
    let tariff = Tariff::new("base".into(), vec![import(include_bytes!("hand-worked.csv")).unwrap()]);
    let mut ways = Vec::new();
    for case in table.case {
        let span = |times: Option<[jiff::Timestamp; 2]>| times.map(|[start, end]| Span { start, end });
        ways.push(case.way_of_entry);
        let cdr = Cdr {
            way_of_entry: case.way_of_entry,
            remote_number: case.remote_number,
            access_number: case.access_number,
            calling_line: case.calling_line,
            convener_pays: case.convener_pays,
            call_time: span(case.call),
            conference_time: span(case.conference),
            evidence: Evidence::Event,
            ..dialled(0)
        };
        let charges = rate(&cdr, &tariff, &PayerTable::default(), Currency::EUR, 0);
        let rows: Vec<Row> = charges
            .iter()
            .map(|charge| {
                let (payer, line) = match charge.payer.clone() {
                    Payer::Convener => ("convener", None),
                    Payer::Caller { line } => ("caller", line),
                };
                Row {
                    component: charge.component,
                    part: charge.part,
                    payer: payer.to_owned(),
                    line,
                    status: charge.status,
                    reason: charge.reason,
                    prefix: charge.rate.as_ref().map(|rate| rate.prefix.to_string()),
                    seconds: charge.seconds,
                    billed_seconds: charge.billed_seconds,
                    net: charge.net,
                    vat: charge.vat,
                    gross: charge.gross,
                }
            })
            .collect();
        assert_eq!(rows, case.charges, "{}", case.name);
        for charge in &charges {
            assert_eq!((charge.leg, charge.conference, charge.account), (cdr.leg, cdr.conference, cdr.account));
            assert_eq!((charge.revision, charge.reverses, charge.currency), (0, None, Currency::EUR));
            if let Some(rate) = &charge.rate {
                assert_eq!((rate.tariff.as_str(), rate.version), ("base", 3));
            }
        }
    }
    for way in WayOfEntry::ALL {
        assert!(ways.contains(&way), "no case for {}", way.word());
    }
}
