//! Whether every number that may be dialled has a price, for accounts with terms of their own, too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Finding;
use crate::billing::{Component, TariffVersion};
use crate::clock;
use crate::config::Config;
use crate::storage::doctor::{self, OwnTerms};
use crate::storage::{Connection, tariffs};

/// Digits of a number, at most (ITU-T E.164).
const MAX_DIGITS: usize = 15;

/// Each tariff by which somebody is charged, against the destinations that he may dial.
pub async fn examine(config: &Config, connection: &mut Connection) -> Vec<Finding> {
    let own = match doctor::own_terms(connection).await {
        Ok(own) => own,
        Err(fault) => return vec![Finding::error("tariff.unreadable", "accounts", fault.to_string(), "look at the database's log, and check again")],
    };
    let mut findings = Vec::new();
    for (name, wanted) in wanted(config, &own) {
        findings.extend(examine_tariff(config, connection, &name, &wanted).await);
    }
    findings
}

/// Whose a tariff is, or who may dial something by it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// Everybody who has no terms of his own, by this key of the configuration.
    Configuration(&'static str),
    /// So many accounts, the first of them by its user number.
    Accounts(String, i64),
}

impl Allowed {
    /// Where the operator finds it.
    fn place(&self) -> String {
        match self {
            Self::Configuration(key) => (*key).to_owned(),
            Self::Accounts(user_number, 1) => format!("the account {user_number}"),
            Self::Accounts(user_number, accounts) => format!("the account {user_number} and {} more", accounts - 1),
        }
    }

    /// More accounts of the same; where the configuration says so, they need not be told.
    fn add(&mut self, other: &Self) {
        if let (Self::Accounts(first, here), Self::Accounts(their_first, there)) = (self, other) {
            *here += there;
            if their_first < first {
                first.clone_from(their_first);
            }
        }
    }
}

/// Beginnings of numbers, and who may dial them.
type Destinations = BTreeMap<String, Allowed>;

/// What a tariff is needed for.
struct Wanted {
    by: Allowed,
    destinations: Destinations,
}

/// The tariffs by name, with what may be dialled by each; the configuration's own is always among them.
fn wanted(config: &Config, own: &[OwnTerms]) -> BTreeMap<String, Wanted> {
    let all = Wanted { by: Allowed::Configuration("billing.tariff"), destinations: allowed_to_all(config) };
    let mut wanted = BTreeMap::from([(config.billing.tariff.clone(), all)]);
    for terms in own {
        let accounts = Allowed::Accounts(terms.user_number.clone(), terms.accounts);
        let name = terms.tariff.clone().unwrap_or_else(|| config.billing.tariff.clone());
        let none = || Wanted { by: Allowed::Accounts(terms.user_number.clone(), 0), destinations: Destinations::new() };
        let tariff = wanted.entry(name).or_insert_with(none);
        tariff.by.add(&accounts);
        let prefixes: BTreeSet<String> = match &terms.allowed_prefixes {
            Some(list) => list.iter().cloned().collect(),
            None => allowed_to_all(config).into_keys().collect(),
        };
        for prefix in prefixes {
            tariff.destinations.entry(prefix).and_modify(|others| others.add(&accounts)).or_insert_with(|| accounts.clone());
        }
    }
    wanted
}

/// What the configuration allows, each with the key that does.
fn allowed_to_all(config: &Config) -> Destinations {
    let key = Allowed::Configuration("conference.allowed_prefixes");
    let allowed = &config.conference.allowed_prefixes;
    let mut found: Destinations = allowed.iter().map(|prefix| (prefix.clone(), key.clone())).collect();
    if allowed.is_empty() {
        found.insert("+".into(), key);
        found.extend(config.numbering.short_codes.iter().map(|code| (code.clone(), Allowed::Configuration("numbering.short_codes"))));
    }
    found
}

async fn examine_tariff(config: &Config, connection: &mut Connection, name: &str, wanted: &Wanted) -> Vec<Finding> {
    let place = wanted.by.place();
    let missing = |problem: String| {
        let remedy = format!("import one that is in force: sklic tariff import FILE --name {name} --valid-from 2026-01-01");
        vec![Finding::error("tariff.missing", place.clone(), problem, remedy)]
    };
    let now = clock::now();
    let tariff = match tariffs::lookup(connection, name).await {
        Ok(Some(tariff)) => tariff,
        Ok(None) => return missing(format!("there is no tariff {name:?}: every charge would be unrated")),
        Err(fault) => return vec![Finding::error("tariff.unreadable", place, fault.to_string(), "import the price list anew: sklic tariff import")],
    };
    let Some(version) = tariff.version_at(now) else {
        return missing(format!("no version of the tariff {name:?} is in force now"));
    };
    if let Some(other) = other_currency(config, connection, name, version.number()).await {
        return vec![other];
    }
    wanted.destinations.iter().filter_map(|(prefix, allowed)| unpriced(version, name, allowed, prefix, now)).collect()
}

/// What is wrong when the version in force is not in the configuration's currency; what cannot be read is found elsewhere.
async fn other_currency(config: &Config, connection: &mut Connection, name: &str, version: u32) -> Option<Finding> {
    let currency = &config.billing.currency;
    let all = tariffs::list(connection).await.ok()?;
    let found = all.into_iter().find(|one| one.name == name && u32::try_from(one.version) == Ok(version) && one.currency != *currency)?;
    Some(Finding::error(
        "tariff.currency",
        "billing.currency",
        format!("the tariff {name:?} is in {}, and charges are written in {currency}: every charge would be unrated", found.currency),
        format!("set billing.currency back, or import a price list in {currency}: sklic tariff import FILE --name {name} --valid-from 2026-01-01"),
    ))
}

fn unpriced(version: &TariffVersion, name: &str, allowed: &Allowed, prefix: &str, now: Timestamp) -> Option<Finding> {
    let gap = |component| gap(version, component, prefix, now).map(|example| format!("the {} component of {example}…", component.word()));
    let gaps: Vec<String> = [Component::Call, Component::Conference].into_iter().filter_map(gap).collect();
    if gaps.is_empty() {
        return None;
    }
    let (everything, list) = match allowed {
        Allowed::Configuration(_) if prefix == "+" => (" (an empty list allows every number)", "conference.allowed_prefixes"),
        Allowed::Configuration(_) => ("", "conference.allowed_prefixes"),
        Allowed::Accounts(..) => ("", "the account's list (sklic account set --allowed-prefixes)"),
    };
    Some(Finding::error(
        "tariff.destination",
        allowed.place(),
        format!("{prefix} may be dialled{everything}, and the tariff {name:?} has no price for {}: such calls would be unrated", gaps.join(" and ")),
        format!(
            "add the rows to the price list and import it again, or name in {list} only what has a price; \
             a row with the prefix + prices the rest of the world"
        ),
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
