//! What the tests of this binary share: a leg, a price list, a tariff.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sklic::billing::{Cdr, ImportOptions, Money, Rate, Span, Tariff, TariffErrors, TariffVersion, WayOfEntry, parse_tariff};
use sklic::ids::{AccountId, ConferenceId, LegId};
use sklic::pbx::Evidence;
use uuid::Uuid;

/// The header of a price list.
pub const HEADER: &str = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n";

/// The beginning of 2026 in Ljubljana.
pub fn new_year() -> Timestamp {
    "2026-01-01T00:00:00+01:00".parse().unwrap()
}

/// Reads a price list as `sklic tariff import` does, with dates of Ljubljana.
pub fn import(file: &[u8]) -> Result<TariffVersion, TariffErrors> {
    let time_zone = TimeZone::get("Europe/Ljubljana").unwrap();
    parse_tariff(file, &ImportOptions { version: 3, valid_from: new_year(), time_zone })
}

/// A tariff of one version with these rows below the header.
pub fn tariff(rows: &str) -> Tariff {
    Tariff::new("base".into(), vec![import(format!("{HEADER}{rows}").as_bytes()).unwrap()])
}

/// A tariff of these rates.
pub fn tariff_of(rates: Vec<Rate>) -> Tariff {
    Tariff::new("base".into(), vec![TariffVersion::new(1, new_year(), rates).unwrap()])
}

/// A rate of one component for every number with `+`: 60/60, no fee, nothing free.
pub fn rate_of(price_per_minute: i64) -> Rate {
    Rate {
        component: sklic::billing::Component::Call,
        prefix: "+".parse().unwrap(),
        description: "World".to_owned(),
        connect_fee: Money::ZERO,
        price_per_minute: Money(price_per_minute),
        first_increment: 60,
        next_increment: 60,
        free_seconds: 0,
        rounding_unit: Money::SMALLEST,
        vat_percent: sklic::billing::Percent(2_200),
        valid_from: new_year(),
        valid_to: None,
        split: sklic::billing::Split::None,
    }
}

/// A span of so many seconds from the new year.
pub fn seconds(count: i64) -> Option<Span> {
    let end = Timestamp::from_second(new_year().as_second() + count).unwrap();
    Some(Span { start: new_year(), end })
}

/// A leg that the service dialled to a Slovene number, answered and in the conference for so many seconds.
pub fn dialled(count: i64) -> Cdr {
    Cdr {
        leg: LegId(Uuid::from_u128(7)),
        conference: ConferenceId(Uuid::from_u128(8)),
        account: AccountId(Uuid::from_u128(9)),
        way_of_entry: WayOfEntry::WebOut,
        remote_number: "+38615550211".to_owned(),
        access_number: None,
        calling_line: None,
        convener_pays: false,
        call_time: seconds(count),
        conference_time: seconds(count),
        evidence: Evidence::Event,
    }
}
