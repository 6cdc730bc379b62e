//! Sections `[[access_number]]` and `[dial_in]`: the numbers that callers dial, and how they are received (R7, R10).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::billing::access_number;
use crate::billing::WayOfEntry;
use crate::numbers::Numbering;
use crate::pbx::Language;
use crate::reception::LockOutRules;

/// One access number. Of several that fit a call the first in the configuration counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessNumber {
    /// As people read it; also its name in reports and charges.
    pub number: String,
    /// The way of entry, which decides who pays.
    pub way_of_entry: WayOfEntry,
    /// Language of the prompts for its callers.
    #[serde(default)]
    pub language: Language,
    /// The forms in which trunks deliver it: what stands in the request's URI, digits with or without `+`.
    pub forms: Vec<String>,
    /// Counts only for calling lines that begin so, in normal form; an empty list counts for all, unknown ones included.
    #[serde(default)]
    pub calling_prefixes: Vec<String>,
}

/// What happens to a caller whose line the network does not vouch for, where his line would pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoIdentity {
    /// He hears that this number cannot be used, and why.
    #[default]
    Refuse,
    /// He waits until the convener accepts to pay for him.
    AskConvener,
}

/// How callers are received.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialInConfig {
    /// Tries for a code or PIN in one call.
    pub tries: u8,
    /// How long the first key is waited for after a prompt, in seconds.
    pub key_wait_seconds: u8,
    /// How long a caller waits for the convener, in seconds.
    pub wait_limit_seconds: u32,
    /// A planned conference takes callers so long before its time, in minutes.
    pub open_before_minutes: u32,
    /// Callers wait at a locked conference until the convener lets them in; otherwise they are turned away.
    pub wait_at_lock: bool,
    /// Callers who would pay themselves, without a line that the network vouches for.
    pub no_identity: NoIdentity,
    /// Trunks, by their names on the switch, whose P-Asserted-Identity is believed.
    pub trusted_trunks: Vec<String>,
    /// Locking out those who guess.
    pub lock_out: LockOutRules,
}

impl Default for DialInConfig {
    fn default() -> Self {
        Self {
            tries: 3,
            key_wait_seconds: 6,
            wait_limit_seconds: 900,
            open_before_minutes: 30,
            wait_at_lock: false,
            no_identity: NoIdentity::default(),
            trusted_trunks: Vec::new(),
            lock_out: LockOutRules::default(),
        }
    }
}

impl DialInConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=9).contains(&self.tries) {
            return Err(format!("tries: {} is not between 1 and 9", self.tries));
        }
        if !(2..=60).contains(&self.key_wait_seconds) {
            return Err(format!("key_wait_seconds: {} is not between 2 and 60", self.key_wait_seconds));
        }
        if !(10..=86_400).contains(&self.wait_limit_seconds) {
            return Err(format!("wait_limit_seconds: {} is not between 10 and 86400", self.wait_limit_seconds));
        }
        self.lock_out.check().map_err(|why| format!("lock_out.{why}"))
    }
}

/// The access numbers that are shipped: on-net, national, from abroad.
#[must_use]
pub fn shipped_access_numbers() -> Vec<AccessNumber> {
    let forms = |forms: &[&str]| forms.iter().map(|&form| form.to_owned()).collect::<Vec<_>>();
    let geographic = forms(&["013099396", "13099396", "+38613099396", "38613099396", "0038613099396"]);
    vec![
        AccessNumber {
            number: "19819".into(),
            way_of_entry: WayOfEntry::OnnetShort,
            language: Language::Sl,
            forms: forms(&["19819", "+38619819", "38619819"]),
            calling_prefixes: Vec::new(),
        },
        AccessNumber {
            number: "01 309 93 96".into(),
            way_of_entry: WayOfEntry::National,
            language: Language::Sl,
            forms: geographic.clone(),
            calling_prefixes: vec!["+386".into()],
        },
        AccessNumber {
            number: "+386 1 309 93 96".into(),
            way_of_entry: WayOfEntry::International,
            language: Language::En,
            forms: geographic,
            calling_prefixes: Vec::new(),
        },
    ]
}

/// What types alone cannot say about the list.
pub(super) fn check(numbers: &[AccessNumber], numbering: &Numbering) -> Result<(), String> {
    let mut taken = BTreeSet::new();
    // The shipped ones are Slovene; whoever has another country and writes none of his own takes no calls by them.
    let own = numbers != shipped_access_numbers();
    // Of the entries before: forms, and the calling lines for which they count.
    let mut before: Vec<(String, String)> = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        if number.number.trim().is_empty() || number.number.chars().count() > 64 {
            return Err(format!("access_number[{at}].number: is empty or longer than 64 characters"));
        }
        // Charges hold it in normal form: one that has none would make errors of them.
        if own && let Err(why) = access_number(&number.number, numbering) {
            return Err(format!("access_number[{at}].number: {why}"));
        }
        if number.way_of_entry == WayOfEntry::WebOut {
            return Err(format!("access_number[{at}].way_of_entry: web_out is for calls that the service places"));
        }
        if number.forms.is_empty() {
            return Err(format!("access_number[{at}].forms: name at least one form in which a trunk delivers it"));
        }
        for form in &number.forms {
            if !is_number(form) {
                return Err(format!("access_number[{at}].forms: {form:?} is not digits, with or without +"));
            }
            // The first with this form and this line counts: a second could never be reached.
            let lines = if number.calling_prefixes.is_empty() { vec![String::new()] } else { number.calling_prefixes.clone() };
            for line in lines {
                if !line.is_empty() && !is_number(&line) {
                    return Err(format!("access_number[{at}].calling_prefixes: {line:?} is not digits, with or without +"));
                }
                if let Some((_, wider)) = before.iter().find(|(other, wider)| other == form && line.starts_with(wider.as_str())) {
                    let which = if wider.is_empty() { "all calling lines".to_owned() } else { format!("calling lines that begin with {wider}") };
                    return Err(format!(
                        "access_number[{at}].forms: {form:?} is there already for {which}, and the first counts; put this one before it"
                    ));
                }
                if !taken.insert((form.clone(), line)) {
                    return Err(format!("access_number[{at}].forms: {form:?} is there twice"));
                }
            }
        }
        before.extend(taken.iter().cloned());
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: &str) -> Vec<AccessNumber> {
        vec![AccessNumber { number: number.into(), forms: vec!["013099396".into()], ..shipped_access_numbers().remove(1) }]
    }

    #[test]
    fn a_number_that_charges_could_not_hold_is_refused() {
        let numbering = Numbering::default();
        for number in ["01 309 93 96", "+386 1 309 93 96", "19819", "(01) 309-93-96"] {
            assert_eq!(check(&one(number), &numbering), Ok(()), "{number}");
        }
        for number in ["Konferenca", "012", "+386 1 309 93 96 w1", "198 19"] {
            let refused = check(&one(number), &numbering).expect_err(number);
            assert!(refused.starts_with(&format!("access_number[0].number: {number:?}: ")), "{refused}");
        }
        assert_eq!(check(&shipped_access_numbers(), &numbering), Ok(()));
        assert_eq!(check(&shipped_access_numbers(), &Numbering { country: "AT".into(), ..Numbering::default() }), Ok(()));
    }

    fn entry(forms: &[&str], lines: &[&str]) -> AccessNumber {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        AccessNumber { forms: owned(forms), calling_prefixes: owned(lines), ..shipped_access_numbers().remove(1) }
    }

    #[test]
    fn an_entry_that_is_never_reached_is_refused() {
        assert_eq!(check(&shipped_access_numbers(), &Numbering::default()), Ok(()));
        assert_eq!(check(&[entry(&["1"], &["+38640", "+386"]), entry(&["1"], &["+385"]), entry(&["1", "2"], &[])], &Numbering::default()), Ok(()));
        let refused: [(&[&str], &[&str], &str); 4] = [
            (&[], &["+386"], "all calling lines"),
            (&[], &[], "all calling lines"),
            (&["+386"], &["+385", "+38640"], "calling lines that begin with +386"),
            (&["+386"], &["+386"], "calling lines that begin with +386"),
        ];
        for (lines, later, which) in refused {
            let refused = check(&[entry(&["1"], lines), entry(&["2", "1"], later)], &Numbering::default()).expect_err(which);
            let expected = format!("access_number[1].forms: \"1\" is there already for {which}, and the first counts; put this one before it");
            assert_eq!(refused, expected);
        }
    }
}
