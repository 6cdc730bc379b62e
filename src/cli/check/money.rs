//! Whether every number that may be dialled has a price.

use jiff::Timestamp;

use super::Finding;
use crate::billing::{Component, TariffVersion};
use crate::clock;
use crate::config::Config;
use crate::storage::{Connection, tariffs};

/// Digits of a number, at most (ITU-T E.164).
const MAX_DIGITS: usize = 15;

/// The tariff that the configuration names, against the destinations that it allows.
pub async fn examine(config: &Config, connection: &mut Connection) -> Vec<Finding> {
    let name = &config.billing.tariff;
    let missing = |problem: String| {
        let remedy = format!("import one that is in force: sklic tariff import FILE --name {name} --valid-from 2026-01-01");
        vec![Finding::error("tariff.missing", "billing.tariff", problem, remedy)]
    };
    let now = clock::now();
    let tariff = match tariffs::lookup(connection, name).await {
        Ok(Some(tariff)) => tariff,
        Ok(None) => return missing(format!("there is no tariff {name:?}: every charge would be unrated")),
        Err(fault) => {
            return vec![Finding::error("tariff.unreadable", "billing.tariff", fault.to_string(), "import the price list anew: sklic tariff import")];
        }
    };
    let Some(version) = tariff.version_at(now) else {
        return missing(format!("no version of the tariff {name:?} is in force now"));
    };
    if let Some(other) = other_currency(config, connection, version.number()).await {
        return vec![other];
    }
    destinations(config).iter().filter_map(|(key, prefix)| unpriced(version, name, key, prefix, now)).collect()
}

/// What is wrong when the version in force is not in the configuration's currency; what cannot be read is found elsewhere.
async fn other_currency(config: &Config, connection: &mut Connection, version: u32) -> Option<Finding> {
    let (name, currency) = (&config.billing.tariff, &config.billing.currency);
    let all = tariffs::list(connection).await.ok()?;
    let found = all.into_iter().find(|one| one.name == *name && u32::try_from(one.version) == Ok(version) && one.currency != *currency)?;
    Some(Finding::error(
        "tariff.currency",
        "billing.currency",
        format!("the tariff {name:?} is in {}, and charges are written in {currency}: every charge would be unrated", found.currency),
        format!("set billing.currency back, or import a price list in {currency}: sklic tariff import FILE --name {name} --valid-from 2026-01-01"),
    ))
}

/// The beginnings of numbers that may be dialled, each with the key that allows it.
fn destinations(config: &Config) -> Vec<(&'static str, String)> {
    let allowed = &config.conference.allowed_prefixes;
    let mut found: Vec<(&'static str, String)> = allowed.iter().map(|prefix| ("conference.allowed_prefixes", prefix.clone())).collect();
    if allowed.is_empty() {
        found.push(("conference.allowed_prefixes", "+".into()));
        found.extend(config.numbering.short_codes.iter().map(|code| ("numbering.short_codes", code.clone())));
    }
    found
}

fn unpriced(version: &TariffVersion, name: &str, key: &str, prefix: &str, now: Timestamp) -> Option<Finding> {
    let gap = |component| gap(version, component, prefix, now).map(|example| format!("the {} component of {example}…", component.word()));
    let gaps: Vec<String> = [Component::Call, Component::Conference].into_iter().filter_map(gap).collect();
    if gaps.is_empty() {
        return None;
    }
    let everything = if prefix == "+" { " (an empty list allows every number)" } else { "" };
    Some(Finding::error(
        "tariff.destination",
        key,
        format!("{prefix} may be dialled{everything}, and the tariff {name:?} has no price for {}: such calls would be unrated", gaps.join(" and ")),
        "add the rows to the price list and import it again, or name in conference.allowed_prefixes only what has a price; a row with the prefix + prices the rest of the world",
    ))
}

/// The shortest continuation of `prefix` that has no price, if there is one.
fn gap(version: &TariffVersion, component: Component, prefix: &str, now: Timestamp) -> Option<String> {
    if version.find(component, prefix, now).is_some() {
        return None;
    }
    let deeper = version.rates().iter().any(|rate| {
        rate.component == component && rate.is_valid_at(now) && rate.prefix.as_str().starts_with(prefix) && rate.prefix.as_str() != prefix
    });
    if !deeper || prefix.len() > MAX_DIGITS {
        return Some(prefix.to_owned());
    }
    // No country code begins with 0.
    let first = if prefix == "+" { '1' } else { '0' };
    (first..='9').find_map(|digit| gap(version, component, &format!("{prefix}{digit}"), now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::{ImportOptions, parse_tariff};

    #[test]
    fn a_destination_is_priced_when_no_number_in_it_falls_through() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        let file = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n".to_owned()
            + &["+386", "+3851", "+39"].map(|prefix| format!("call,{prefix},x,0,0.1,60,60,0,0.0001,22,,\n")).concat()
            + &(0..10).map(|digit| format!("call,+44{digit},x,0,0.1,60,60,0,0.0001,22,,\n")).collect::<String>();
        let valid_from = "2026-01-01T00:00:00Z".parse().expect("a time");
        let options = ImportOptions { version: 1, valid_from, time_zone: jiff::tz::TimeZone::UTC };
        let version = parse_tariff(file.as_bytes(), &options).expect("a good list");
        let gap = |prefix| gap(&version, Component::Call, prefix, now);
        assert_eq!(gap("+386"), None);
        assert_eq!(gap("+38640"), None, "covered by the shorter one");
        assert_eq!(gap("+44"), None, "all ten digits have a price");
        assert_eq!(gap("+385").as_deref(), Some("+3850"), "only a part has one");
        assert_eq!(gap("+43").as_deref(), Some("+43"));
        assert_eq!(gap("+").as_deref(), Some("+1"));
        assert_eq!(super::gap(&version, Component::Conference, "+386", now).as_deref(), Some("+386"));
    }
}
