//! Point 8 of R12: a correction is the exact negative of the old row and a new row with the next revision.

use sklic::billing::{Charge, ChargeId, Component, Currency, Money, NotCorrectable, PayerTable, correct, rate, rerate};

use crate::support::{dialled, rate_of, tariff, tariff_of};

const CONFERENCE: &str = "conference,+,World,0,0.0600,1,1,0,0.0001,22,,\n";

/// The rows of a call of so many seconds at this price a minute, in 1/10000 of the unit.
fn rows(seconds: i64, price: i64, revision: u32) -> Vec<Charge> {
    rate(&dialled(seconds), &tariff_of(vec![rate_of(price)]), &PayerTable::default(), Currency::EUR, revision)
        .into_iter()
        .filter(|charge| charge.component == Component::Call)
        .collect()
}

fn sum(rows: &[Charge]) -> (i64, i64, Money) {
    let money = Money::sum(rows.iter().flat_map(|row| [row.net, row.vat, row.gross])).unwrap();
    (rows.iter().map(|row| row.seconds).sum(), rows.iter().map(|row| row.billed_seconds).sum(), money)
}

#[test]
fn identifiers_are_derived_and_never_meet() {
    let leg = dialled(1).leg;
    let mut ids = vec![];
    for component in Component::ALL {
        for revision in [0, 1, 2, 256, u32::MAX] {
            for part in [0, 1, 2, 256] {
                ids.push(ChargeId::of_row(leg, component, part, revision));
                ids.push(ChargeId::of_reversal(leg, component, part, revision));
            }
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // Issued rows hold identifiers of this form for ever.
    assert_eq!(ChargeId::of_row(leg, Component::Call, 0, 0).to_string(), "8aae8fc6-48a5-5fbd-84ed-3acd8283ec3a");
}

#[test]
fn a_correction_is_the_exact_negative_and_the_next_revision() {
    let [old] = <[Charge; 1]>::try_from(rows(100, 1_000, 0)).unwrap();
    let [new] = <[Charge; 1]>::try_from(rows(100, 1_500, 0)).unwrap();
    let [reversal, corrected] = correct(&old, new.clone()).unwrap();
    assert_eq!((reversal.revision, corrected.revision), (1, 1));
    assert_eq!((reversal.reverses, corrected.reverses), (Some(old.id), None));
    assert_eq!((reversal.net.0, reversal.vat.0, reversal.gross.0), (-old.net.0, -old.vat.0, -old.gross.0));
    assert_eq!((reversal.seconds, reversal.billed_seconds), (-100, -120));
    assert_eq!((&reversal.payer, &reversal.rate, reversal.status), (&old.payer, &old.rate, old.status));
    assert_ne!(reversal.id, corrected.id);
    assert_eq!(sum(&[old.clone(), reversal.clone(), corrected.clone()]), sum(std::slice::from_ref(&new)));
    // The corrected row is the one that rating gives for that revision, with its identifier.
    assert_eq!(vec![corrected.clone()], rows(100, 1_500, 1));
    assert_eq!(correct(&reversal, new.clone()), Err(NotCorrectable::Reversal));
    assert_eq!(correct(&old, reversal), Err(NotCorrectable::Reversal));
    let other = Charge { component: Component::Conference, ..new };
    assert_eq!(correct(&old, other), Err(NotCorrectable::Different));
}

#[test]
fn rating_again_adds_only_what_has_changed() {
    let tariff = tariff(&format!("call,+,World,0,0.1000,60,60,0,0.0001,22,,\n{CONFERENCE}"));
    let of = |seconds| rate(&dialled(seconds), &tariff, &PayerTable::default(), Currency::EUR, 0);
    let mut issued = rerate(&[], &of(100)).unwrap();
    assert_eq!(issued, of(100));
    assert_eq!(rerate(&issued, &of(100)), Ok(vec![]));
    // 100 s and 110 s are both two minutes of the call, but not of the conference: the call's seconds differ too, so both are corrected.
    let changes = rerate(&issued, &of(110)).unwrap();
    assert_eq!(changes.len(), 4);
    issued.extend(changes);
    assert_eq!(sum(&issued), sum(&of(110)));
    assert_eq!(rerate(&issued, &of(110)), Ok(vec![]));
    // Nothing is due any more, then something again: the revisions go on.
    issued.extend(rerate(&issued, &[]).unwrap());
    assert_eq!(sum(&issued), (0, 0, Money::ZERO));
    assert_eq!(rerate(&issued, &[]), Ok(vec![]));
    issued.extend(rerate(&issued, &of(30)).unwrap());
    assert_eq!(sum(&issued), sum(&of(30)));
    assert_eq!(issued.iter().map(|row| row.revision).max(), Some(3));
    let mut ids: Vec<_> = issued.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), issued.len());
}

#[test]
fn rows_of_different_legs_are_not_mixed() {
    let mut other = rows(10, 1_000, 0);
    other[0].leg = sklic::ids::LegId(uuid::Uuid::from_u128(1));
    assert_eq!(rerate(&rows(10, 1_000, 0), &other), Err(NotCorrectable::Different));
}
