//! The lookup stays fast with a long price list; the measured number is the bench's business.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sklic::billing::{Currency, PayerTable, rate_into};

use crate::support::{dialled, tariff};

#[test]
fn a_hundred_thousand_prefixes_do_not_slow_rating_down() {
    let mut rows = String::from("conference,+,World,0,0.04,1,1,0,0.0001,22,,\ncall,+,World,0,0.50,60,60,0,0.0001,22,,\n");
    for prefix in 0..100_000 {
        writeln!(rows, "call,+3861{prefix:05},Block {prefix},0,0.03,1,1,0,0.0001,22,,").unwrap();
    }
    let tariff = tariff(&rows);
    let payers = PayerTable::default();
    let cdr = dialled(65);
    let mut charges = Vec::new();
    let begun = Instant::now();
    for _ in 0..20_000 {
        charges.clear();
        rate_into(&cdr, &tariff, &payers, Currency::EUR, 0, &mut charges);
    }
    // A scan of the list would take minutes even on a fast machine; this build is not optimised.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?} for 20,000 legs", begun.elapsed());
    assert_eq!(charges[0].rate.as_ref().unwrap().prefix.as_str(), "+386155502");
}
