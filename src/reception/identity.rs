//! Who calls, and by which access number: from what phones and trunks sent.

use sip_header::SipHeaderAddr;

use crate::config::AccessNumber;
use crate::numbers::Numbering;
use crate::pbx::Caller;

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The line that the network vouches for, in normal form: it may be charged.
    pub calling_line: Option<String>,
    /// The number to show on roster and report; empty when the caller keeps it private or none was sent.
    pub number: String,
    /// What lock-outs are counted on: the line, else what was presented. Those of whom neither can be read have nothing in common
    /// but that: they are counted on the access number alone.
    pub lock_out_key: Option<String>,
}

/// Reads a caller's identity.
///
/// Only P-Asserted-Identity (RFC 3325) from a trunk that the configuration trusts makes a calling line; From never does.
/// `private` hides the number from the convener and the report, not from billing.
#[must_use]
pub fn identify(caller: &Caller, trusted_trunks: &[String], numbering: &Numbering) -> Identity {
    let trusted = trusted_trunks.contains(&caller.trunk);
    let calling_line = if trusted { caller.asserted.iter().find_map(|value| asserted_line(value, numbering)) } else { None };
    let presented = plain(&caller.presented, numbering);
    let shown = calling_line.clone().or_else(|| presented.clone()).unwrap_or_default();
    Identity { lock_out_key: calling_line.clone().or(presented), number: if caller.private { String::new() } else { shown }, calling_line }
}

/// The first number of a P-Asserted-Identity value, which may hold a SIP and a tel URI.
fn asserted_line(value: &str, numbering: &Numbering) -> Option<String> {
    sip_header::split_comma_entries(value).into_iter().find_map(|entry| {
        let address: SipHeaderAddr = entry.trim().parse().ok()?;
        if let Some(tel) = address.uri().as_tel() {
            return plain(tel.number(), numbering);
        }
        // Parameters of the user part (`;npdi`, `;phone-context=…`) are no part of the number.
        plain(address.uri().as_sip()?.user()?.split(';').next()?, numbering)
    })
}

/// A number in normal form; of what is no number in the plan nothing is kept.
fn plain(text: &str, numbering: &Numbering) -> Option<String> {
    // Many trunks write country code and number without a plus.
    numbering.normalise(text).or_else(|_| numbering.normalise(&format!("+{text}"))).ok()
}

/// The number that was dialled, as the forms of access numbers are written: of what stood in the request's URI neither scheme nor host,
/// no parameters of the user part (`;npdi;rn=…`, RFC 4694) and no visual separators (RFC 3966).
#[must_use]
pub fn number_dialled(text: &str) -> String {
    let text = text.trim();
    let scheme = |(scheme, _): &(&str, &str)| ["tel", "sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let number = text.split_once(':').filter(scheme).map_or(text, |(_, rest)| rest);
    number.split([';', '@']).next().unwrap_or_default().chars().filter(|c| !"-.() ".contains(*c)).collect()
}

/// The access number of a call: the first whose form was dialled, and whose calling lines fit.
/// `dialled` is as [`number_dialled`] gives it.
///
/// Of a caller for whose line nobody vouches what he presented decides only when all ways over this number have the `same_payers`.
/// Otherwise he comes in as one of whom nothing is known: anybody can present any number, and would choose by it who pays.
#[must_use]
pub fn access_number<'a>(numbers: &'a [AccessNumber], dialled: &str, identity: &Identity, same_payers: bool) -> Option<&'a AccessNumber> {
    let presented = identity.lock_out_key.as_ref().filter(|_| same_payers);
    let line = identity.calling_line.as_ref().or(presented).map_or("", String::as_str);
    numbers.iter().find(|number| {
        let lines = &number.calling_prefixes;
        number.forms.iter().any(|form| form == dialled) && (lines.is_empty() || lines.iter().any(|prefix| line.starts_with(prefix.as_str())))
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::billing::WayOfEntry;
    use crate::config::shipped_access_numbers;
    use crate::ids::LegId;

    fn caller(asserted: &[&str], presented: &str, private: bool) -> Caller {
        Caller {
            leg: LegId(uuid::Uuid::nil()),
            dialled: "19819".into(),
            asserted: asserted.iter().map(|&value| value.to_owned()).collect(),
            presented: presented.into(),
            private,
            trunk: "trunk".into(),
            call_id: "x".into(),
            answered_at: Timestamp::UNIX_EPOCH,
            pass: None,
        }
    }

    fn line(asserted: &[&str]) -> Option<String> {
        identify(&caller(asserted, "", false), &["trunk".into()], &Numbering::default()).calling_line
    }

    #[test]
    fn asserted_identities_in_many_writings() {
        for value in [
            "<sip:+38613099396@example.test>",
            "\"Novak, \\\"Ana\\\"\" <sip:+38613099396@example.test;user=phone>",
            "<tel:+38613099396>",
            "tel:+38613099396",
            "sip:013099396@example.test",
            "<sip:38613099396@example.test>",
            "<sip:+38613099396;npdi;rn=%2B386@example.test;user=phone>",
            "<sip:anonymous@anonymous.invalid>, <tel:+38613099396>",
            "<sips:+38613099396@[2001:db8::1]:5061>",
        ] {
            assert_eq!(line(&[value]).as_deref(), Some("+38613099396"), "{value}");
        }
        assert_eq!(line(&["<sip:anonymous@anonymous.invalid>", "<tel:+38613099396>"]).as_deref(), Some("+38613099396"));
    }

    #[test]
    fn what_is_no_identity_makes_no_line() {
        for value in
            ["", "<>", "sip:", "<sip:@h>", "<sip:abc@h>", "<sip:+386\r\n13099396@h>", "\u{0}", "<<<<", "<tel:>", "<sip:+1@h>", "💥", "\"", ","]
        {
            assert_eq!(line(&[value]), None, "{value:?}");
        }
    }

    #[test]
    fn only_a_trusted_trunk_vouches() {
        let call = caller(&["<tel:+38613099396>"], "+38640123456", false);
        let identity = identify(&call, &["other".into()], &Numbering::default());
        assert_eq!((identity.calling_line, identity.number.as_str()), (None, "+38640123456"));
    }

    #[test]
    fn privacy_hides_the_number_and_keeps_the_payer() {
        let identity = identify(&caller(&["<tel:+38613099396>"], "anonymous", true), &["trunk".into()], &Numbering::default());
        assert_eq!((identity.calling_line.as_deref(), identity.number.as_str()), (Some("+38613099396"), ""));
    }

    #[test]
    fn who_has_neither_line_nor_number_is_not_one_with_all_such() {
        let identity = identify(&caller(&["<sip:anonymous@anonymous.invalid>"], "anonymous", true), &["trunk".into()], &Numbering::default());
        assert_eq!((identity.calling_line, identity.lock_out_key), (None, None));
        let identity = identify(&caller(&[], "+38640123456", true), &["trunk".into()], &Numbering::default());
        assert_eq!(identity.lock_out_key.as_deref(), Some("+38640123456"));
    }

    #[test]
    fn a_dialled_number_in_many_writings() {
        for text in [
            "+38613099396",
            "+38613099396;npdi;rn=+38640",
            "tel:+386-1-309-93-96",
            "TEL:+386(1)309.93.96;phone-context=+386",
            "sip:+38613099396;npdi@example.test:5060",
            " +386 1 309 93 96 ",
        ] {
            assert_eq!(number_dialled(text), "+38613099396", "{text}");
        }
        for (text, number) in [("19819", "19819"), ("*19#", "*19#"), ("", ""), (";", ""), ("abc:1", "abc:1"), ("tel:", "")] {
            assert_eq!(number_dialled(text), number, "{text}");
        }
    }

    #[test]
    fn the_way_of_entry_follows_the_number_dialled_and_the_line() {
        let numbers = shipped_access_numbers();
        let way = |dialled: &str, line: Option<&str>| {
            let identity = Identity { calling_line: line.map(str::to_owned), ..Identity::default() };
            access_number(&numbers, dialled, &identity, true).map(|number| number.way_of_entry)
        };
        assert_eq!(way("19819", Some("+38613099396")), Some(WayOfEntry::OnnetShort));
        assert_eq!(way("013099396", Some("+38640123456")), Some(WayOfEntry::National));
        assert_eq!(way("+38613099396", Some("+38640123456")), Some(WayOfEntry::National));
        assert_eq!(way("+38613099396", Some("+385912345678")), Some(WayOfEntry::International));
        assert_eq!(way("0038613099396", None), Some(WayOfEntry::International));
        assert_eq!(way("113", Some("+38640123456")), None);
    }

    #[test]
    fn what_is_presented_decides_only_where_nobody_pays_otherwise_for_it() {
        let numbers = shipped_access_numbers();
        let way = |call: &Caller, same_payers| {
            let identity = identify(call, &["trunk".into()], &Numbering::default());
            access_number(&numbers, "013099396", &identity, same_payers).map(|number| number.way_of_entry)
        };
        let presented = caller(&[], "+38640123456", false);
        assert_eq!((way(&presented, true), way(&presented, false)), (Some(WayOfEntry::National), Some(WayOfEntry::International)));
        let asserted = caller(&["<tel:+38640123456>"], "+385912345678", false);
        assert_eq!((way(&asserted, true), way(&asserted, false)), (Some(WayOfEntry::National), Some(WayOfEntry::National)));
    }
}
