//! The environment over the file: `SKLIC__SECTION__KEY`, and `SKLIC__PBX__0__KEY` for the first of several sections of one name.

use std::ffi::OsString;

use config::{ConfigError, Map, Source, Value, ValueKind};

/// What the names of the variables begin with.
const PREFIX: &str = "SKLIC__";
/// What stands between the parts of a name.
const BETWEEN: &str = "__";
/// What is added to the name of a secret's key when a file holds it.
const FILE: &str = "_file";

/// Keys that take several values, which a variable gives with commas between them; of several sections of one name the number is left out.
const LISTS: [&str; 15] = [
    "http.trusted_proxies",
    "numbering.short_codes",
    "numbering.accept_prefixes",
    "conference.allowed_prefixes",
    "access_number.forms",
    "access_number.calling_prefixes",
    "dial_in.trusted_trunks",
    "messages.on_net_prefixes",
    "sms_gateway.prefixes",
    "sms_gateway.accepted.statuses",
    "sms_gateway.refused.statuses",
    "sms_gateway.refused.words",
    "sms_gateway.report.delivered",
    "sms_gateway.report.failed",
    "webhooks.endpoint.events",
];

/// The file's settings with the environment's over them.
#[derive(Clone)]
pub(super) struct Merged(Map<String, Value>);

impl std::fmt::Debug for Merged {
    // Secrets are in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merged").finish_non_exhaustive()
    }
}

impl Source for Merged {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Merged {
    /// Puts each variable's value in the place of the file's; an empty one leaves what the file says.
    ///
    /// A secret given by a variable goes instead of the file that `sklic.toml` names for it, and the other way round.
    ///
    /// # Errors
    /// The variable that leads nowhere, and why. Whether its key is known is seen afterwards, as with those of the file.
    pub(super) fn of(mut file: Map<String, Value>, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, String> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| format!("{name}: is not UTF-8"))?;
            if !value.is_empty() {
                given.push((name.to_owned(), value));
            }
        }
        given.sort();
        let places = given.iter().map(|(name, value)| (name, Place::of(name), value));
        for (name, place, _) in places.clone() {
            let section = section(&mut file, &place.sections).map_err(|why| format!("{name}: {why}"))?;
            match place.key.strip_suffix(FILE) {
                Some(secret) => section.remove(secret),
                None => section.remove(&format!("{}{FILE}", place.key)),
            };
        }
        for (name, place, value) in places {
            let origin = format!("the environment variable {name}");
            let kind = if place.is_list() {
                let values = value.split(',').map(str::trim).filter(|value| !value.is_empty());
                ValueKind::Array(values.map(|value| Value::new(Some(&origin), value)).collect())
            } else {
                ValueKind::String(value.clone())
            };
            let value = Value::new(Some(&origin), kind);
            section(&mut file, &place.sections).map_err(|why| format!("{name}: {why}"))?.insert(place.key, value);
        }
        Ok(Self(file))
    }
}

/// Where a variable's value belongs.
struct Place {
    /// The sections from the outermost on, and the numbers of those of which there are several.
    sections: Vec<String>,
    key: String,
}

impl Place {
    fn of(name: &str) -> Self {
        let path = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase();
        let mut sections: Vec<String> = path.split(BETWEEN).map(str::to_owned).collect();
        let key = sections.pop().unwrap_or_default();
        Self { sections, key }
    }

    fn is_list(&self) -> bool {
        let named = self.sections.iter().filter(|part| !is_number(part)).chain([&self.key]);
        let path = named.map(String::as_str).collect::<Vec<_>>().join(".");
        LISTS.contains(&path.as_str())
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// The section at this path; made if the file has none, but never one of several.
fn section<'a>(mut table: &'a mut Map<String, Value>, path: &[String]) -> Result<&'a mut Map<String, Value>, String> {
    let mut parts = path.iter().peekable();
    while let Some(part) = parts.next() {
        let numbered = parts.peek().is_some_and(|next| is_number(next));
        if numbered && !table.contains_key(part) {
            return Err(format!("there is no [[{part}]] in the file; such sections are begun there"));
        }
        let value = table.entry(part.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
        table = match &mut value.kind {
            ValueKind::Table(inner) => inner,
            ValueKind::Array(several) if several.iter().any(|one| !matches!(one.kind, ValueKind::Table(_))) => {
                return Err(format!("{part} holds values, not sections: give all of them, with commas between"));
            }
            ValueKind::Array(several) => {
                let number = parts.next().filter(|_| numbered).and_then(|number| number.parse::<usize>().ok());
                let number = number.ok_or_else(|| format!("there may be several [[{part}]]: say which one by its number, from 0, after {part}"))?;
                let count = several.len();
                match several.get_mut(number).map(|one| &mut one.kind) {
                    Some(ValueKind::Table(inner)) => inner,
                    _ => return Err(format!("there is no [[{part}]] with the number {number}: the file has {count}, counted from 0")),
                }
            }
            _ => return Err(format!("{part} is no section")),
        };
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SETTINGS: &str = r#"
        [database]
        url_file = "/nowhere"
        [numbering]
        country = "SI"
        [[pbx]]
        name = "pbx1"
        kind = "simulator"
        secret_file = "/nowhere"
        [[pbx]]
        name = "pbx2"
        kind = "asterisk"
        address = "127.0.0.1:5038"
        username = "sklic"
        secret_file = "/nowhere"
        [conference]
        allowed_prefixes = ["+1"]
    "#;

    fn loaded(variables: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("sklic.toml");
        std::fs::write(&path, SETTINGS).expect("the folder can be written");
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::load_with(&path, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_reach_every_kind_of_setting() {
        use secrecy::ExposeSecret as _;
        let config = loaded(&[
            ("SKLIC__DATABASE__URL", "postgres://sklic@127.0.0.1/sklic"),
            ("SKLIC__PBX__1__SECRET", "0123,skrivno"),
            ("SKLIC__PBX__1__CALLS_PER_SECOND", "7"),
            ("SKLIC__CONFERENCE__ALLOWED_PREFIXES", "+386, +43"),
            ("SKLIC__DIAL_IN__WAIT_AT_LOCK", "true"),
            ("SKLIC__DIAL_IN__LOCK_OUT__CODE_FAILURES", "9"),
            ("SKLIC__HTTP__TRUSTED_PROXIES", "10.0.0.1,"),
            ("SKLIC__NUMBERING__COUNTRY", ""),
            ("SKLIC_TEST_DATABASE_URL", "another program's"),
        ])
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.database_url().as_deref(), Ok("postgres://sklic@127.0.0.1/sklic"), "instead of the file's url_file");
        assert_eq!((config.pbx[0].name.as_str(), config.pbx[1].name.as_str()), ("pbx1", "pbx2"), "the other settings stay");
        assert_eq!(config.pbx[1].secret().expect("a secret").expose_secret(), "0123,skrivno", "as it is");
        assert_eq!(config.pbx[1].calls_per_second, 7);
        assert_eq!(config.conference.allowed_prefixes, ["+386", "+43"]);
        assert!(config.dial_in.wait_at_lock);
        assert_eq!(config.dial_in.lock_out.code_failures, 9);
        assert_eq!(config.http.trusted_proxies, [std::net::IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(config.numbering.country, "SI", "an empty variable says nothing");
    }

    #[test]
    fn a_variable_that_leads_nowhere_is_named() {
        let secret = ("SKLIC__PBX__1__SECRET", "skrivno");
        for (name, value, why) in [
            ("SKLIC__PBX__2__SECRET", "x", "SKLIC__PBX__2__SECRET: there is no [[pbx]] with the number 2: the file has 2"),
            ("SKLIC__PBX__SECRET", "x", "SKLIC__PBX__SECRET: there may be several [[pbx]]: say which one"),
            ("SKLIC__SMS_GATEWAY__0__SECRET", "x", "SKLIC__SMS_GATEWAY__0__SECRET: there is no [[sms_gateway]]"),
            ("SKLIC__CONFERENCE__ALLOWED_PREFIXES__0", "+386", "allowed_prefixes holds values"),
            ("SKLIC__NUMBERING__COUNTRY__X", "SI", "country is no section"),
            ("SKLIC__HTTP__LISTN", "127.0.0.1:80", "listn"),
            ("SKLIC__HTTP__CONNECTIONS", "many", "connections"),
            ("SKLIC__PBX__1__SECRET_FILE", "/nowhere", "give it directly or by secret_file, not both"),
        ] {
            let refused = loaded(&[("SKLIC__DATABASE__URL", "postgres://x"), secret, (name, value)]).expect_err(name);
            assert!(refused.contains(why), "{name}: {refused}");
        }
    }

    /// A list that is added to the configuration and forgotten here could not be given by a variable.
    #[test]
    fn the_lists_are_those_of_the_sample() {
        let sample: toml::Table = include_str!("../../packaging/sklic.toml").parse().expect("is TOML");
        let mut found = Vec::new();
        lists(&toml::Value::Table(sample), "", &mut found);
        for list in found {
            assert!(LISTS.contains(&list.as_str()), "{list}");
        }
    }

    fn lists(value: &toml::Value, path: &str, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    lists(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
                }
            }
            toml::Value::Array(several) if several.iter().any(toml::Value::is_table) => several.iter().for_each(|one| lists(one, path, found)),
            toml::Value::Array(_) => found.push(path.to_owned()),
            _ => {}
        }
    }
}
