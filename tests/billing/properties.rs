//! What holds for every price and every duration.

use proptest::prelude::*;
use sklic::billing::{Charge, ChargeStatus, Component, Currency, Money, PayerTable, Percent, Rate, Split, Tariff, correct, parse_tariff, rate};

use crate::support::{HEADER, dialled, import, new_year, rate_of, tariff_of};

/// Everything that the import lets in, with the ordinary far more often than the extreme.
fn any_rate() -> impl Strategy<Value = Rate> {
    let price = || prop_oneof![4 => 0..=20_000_i64, 1 => 0..=Rate::MAX_PRICE.0];
    let increment = || prop_oneof![4 => 1..=120_i64, 1 => 1..=Rate::MAX_SECONDS];
    let free = prop_oneof![2 => Just(0), 2 => 0..=120_i64, 1 => 0..=Rate::MAX_SECONDS];
    let unit = prop_oneof![2 => Just(1), 2 => Just(100), 1 => 1..=Rate::MAX_ROUNDING_UNIT.0];
    (price(), price(), increment(), increment(), free, unit, 0..=10_000_u32).prop_map(|(fee, price, first, next, free, unit, vat)| Rate {
        connect_fee: Money(fee),
        first_increment: first,
        next_increment: next,
        free_seconds: free,
        rounding_unit: Money(unit),
        vat_percent: Percent(vat),
        ..rate_of(price)
    })
}

fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..=10_000_i64, 1 => 1..=100_000_000_i64]
}

/// The call's row of a leg of so many seconds.
fn call(tariff: &Tariff, seconds: i64) -> Charge {
    let charges = rate(&dialled(seconds), tariff, &PayerTable::default(), Currency::EUR, 0);
    charges.into_iter().find(|charge| charge.component == Component::Call).unwrap()
}

proptest! {
    #[test]
    fn splitting_is_never_cheaper_than_increments_fee_and_free_seconds_explain(of in any_rate(), a in seconds(), b in seconds()) {
        let tariff = tariff_of(vec![of.clone()]);
        let [part_a, part_b, whole] = [a, b, a + b].map(|seconds| call(&tariff, seconds));
        prop_assume!([&part_a, &part_b, &whole].iter().all(|charge| charge.status == ChargeStatus::Rated));
        let split = i128::from(part_a.net.0) + i128::from(part_b.net.0);
        // The free seconds come off twice, a following increment may not be begun, the fee may fall away with them.
        let unexplained = of.first_increment.max(of.free_seconds + of.next_increment);
        let explained = i128::from(of.connect_fee.0)
            + i128::from(of.price_per_minute.0) * i128::from(unexplained) / 60 + 1
            + 2 * i128::from(of.rounding_unit.0);
        prop_assert!(split + explained >= i128::from(whole.net.0), "{split} + {explained} < {}", whole.net.0);
    }

    #[test]
    fn a_cut_alone_changes_nothing_but_the_rounding(of in any_rate(), seconds in 1..=2_000_000_i64) {
        let rated = |split| {
            let charges = rate(&dialled(seconds), &tariff_of(vec![Rate { split, ..of.clone() }]), &PayerTable::default(), Currency::EUR, 0);
            charges.into_iter().filter(|charge| charge.component == Component::Call).collect::<Vec<_>>()
        };
        let (whole, parts) = (rated(Split::None), rated(Split::Both));
        prop_assume!(whole.iter().chain(&parts).all(|charge| charge.status == ChargeStatus::Rated));
        prop_assert_eq!(whole.len(), 1);
        // From the new year in UTC + 1, with the midnights of UTC: one after an hour, then one each day.
        prop_assert_eq!(i64::try_from(parts.len()).unwrap(), 1 + (seconds - 3_600 + 86_399).div_euclid(86_400));
        prop_assert_eq!(parts.iter().map(|part| part.seconds).sum::<i64>(), seconds);
        prop_assert_eq!(parts.iter().map(|part| part.billed_seconds).sum::<i64>(), whole[0].billed_seconds);
        let (sum, most) = (Money::sum(parts.iter().map(|part| part.net)).unwrap(), i64::try_from(parts.len()).unwrap() * of.rounding_unit.0);
        prop_assert!((sum.0 - whole[0].net.0).abs() <= most, "{sum} is not {}", whole[0].net);
        prop_assert!(parts.iter().zip(0..).all(|(charge, part)| charge.part == part));
    }

    #[test]
    fn longer_is_never_cheaper(of in any_rate(), seconds in seconds(), more in seconds()) {
        let tariff = tariff_of(vec![of]);
        let (short, long) = (call(&tariff, seconds), call(&tariff, seconds + more));
        prop_assume!(long.status == ChargeStatus::Rated);
        prop_assert!(short.net <= long.net && short.vat <= long.vat && short.gross <= long.gross);
        prop_assert!(short.billed_seconds <= long.billed_seconds);
    }

    #[test]
    fn rating_twice_gives_the_same_rows(of in any_rate(), seconds in seconds(), revision: u32) {
        let tariff = tariff_of(vec![of]);
        let once = rate(&dialled(seconds), &tariff, &PayerTable::default(), Currency::EUR, revision);
        let again = rate(&dialled(seconds), &tariff.clone(), &PayerTable::default(), Currency::EUR, revision);
        prop_assert_eq!(&once, &again);
        prop_assert!(once.iter().all(|charge| charge.revision == revision));
    }

    #[test]
    fn old_reversal_and_new_sum_to_new(a in any_rate(), b in any_rate(), before in seconds(), after in seconds()) {
        let (old, new) = (call(&tariff_of(vec![a]), before), call(&tariff_of(vec![b]), after));
        let [reversal, corrected] = correct(&old, new.clone()).unwrap();
        for part in [|charge: &Charge| charge.net, |charge: &Charge| charge.vat, |charge: &Charge| charge.gross] {
            let sum = Money::sum([part(&old), part(&reversal), part(&corrected)]);
            prop_assert_eq!(sum, Some(part(&new)));
        }
        prop_assert_eq!(old.seconds + reversal.seconds + corrected.seconds, new.seconds);
    }

    #[test]
    fn an_amount_is_exact_or_an_error_row_and_never_wraps(of in any_rate(), seconds in prop_oneof![1..=10_000_i64, 1..=250_000_000_000_i64]) {
        let charge = call(&tariff_of(vec![of.clone()]), seconds);
        let due = i128::from((seconds - of.free_seconds).max(0));
        let (first, next) = (i128::from(of.first_increment), i128::from(of.next_increment));
        let billed = if due == 0 { 0 } else if due <= first { first } else { first + (due - first + next - 1) / next * next };
        let sixtieths = if billed == 0 { 0 } else { i128::from(of.connect_fee.0) * 60 + i128::from(of.price_per_minute.0) * billed };
        // Half away from zero is the floor of x + 1/2 where nothing is negative.
        let unit = i128::from(of.rounding_unit.0);
        let net = (sixtieths * 2 + 60 * unit) / (120 * unit) * unit;
        let vat = (net * i128::from(of.vat_percent.0) * 2 + 10_000 * unit) / (20_000 * unit) * unit;
        if net + vat > i128::from(i64::MAX) {
            prop_assert_eq!(charge.status, ChargeStatus::Error);
            prop_assert_eq!((charge.net, charge.vat, charge.gross), (Money::ZERO, Money::ZERO, Money::ZERO));
        } else {
            prop_assert_eq!(charge.status, ChargeStatus::Rated);
            let of_charge = [charge.net, charge.vat, charge.gross].map(|amount| i128::from(amount.0));
            prop_assert_eq!(of_charge, [net, vat, net + vat]);
            prop_assert_eq!(i128::from(charge.billed_seconds), billed);
        }
    }

    #[test]
    fn the_lookup_finds_what_a_scan_finds(
        prefixes in prop::collection::btree_set("\\+?[1-3]{1,4}", 1..40),
        ends in prop::collection::vec(any::<bool>(), 40),
        number in "\\+?[1-3]{1,6}",
    ) {
        let end = new_year().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        let rates: Vec<Rate> = prefixes
            .iter()
            .zip(ends)
            .map(|(prefix, ended)| Rate { prefix: prefix.parse().unwrap(), valid_to: ended.then_some(end), ..rate_of(1) })
            .collect();
        let tariff = tariff_of(rates.clone());
        for at in [new_year(), end] {
            let scanned = rates
                .iter()
                .filter(|rate| number.starts_with(rate.prefix.as_str()) && rate.is_valid_at(at))
                .max_by_key(|rate| rate.prefix.as_str().len());
            let found = tariff.find(Component::Call, &number, at).map(|(_, rate)| rate);
            prop_assert_eq!(found.map(|rate| rate.prefix), scanned.map(|rate| rate.prefix));
        }
    }

    #[test]
    fn no_price_list_makes_the_import_panic(bytes: Vec<u8>, rows in "[a-z0-9+,.\"\\-:TZ \n]{0,200}", of in any_rate(), wild in any::<[i64; 6]>()) {
        let _ = import(&bytes);
        let _ = import(format!("{HEADER}{rows}").as_bytes());
        let rate = Rate {
            connect_fee: Money(wild[0]),
            price_per_minute: Money(wild[1]),
            first_increment: wild[2],
            next_increment: wild[3],
            free_seconds: wild[4],
            rounding_unit: Money(wild[5]),
            ..of
        };
        let _ = rate.problems();
        let _ = parse_tariff(&bytes, &sklic::billing::ImportOptions {
            version: 1,
            valid_from: jiff::Timestamp::MAX,
            time_zone: jiff::tz::TimeZone::UTC,
        });
    }
}
