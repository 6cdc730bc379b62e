//! Events and dumps in JSON, of which only what is used is kept.
//!
//! JSON, because the switch's plain format cannot be read back for certain: `%41` in a value is not encoded again.
//! A name may come twice (`Hangup-Cause` does, in FreeSWITCH 1.10.12); the first counts.
//! A dump has more than a hundred names, and their values hold whatever a phone sent.

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

/// The names that are kept. Everything else is passed over without being stored.
const WANTED: &[&str] = &[
    "Event-Name",
    "Event-Subclass",
    "Event-Date-Timestamp",
    "Core-UUID",
    "Unique-ID",
    "Answer-State",
    "Channel-State",
    "Hangup-Cause",
    "Action",
    "Conference-Name",
    "Speak",
    "Job-UUID",
    "_body",
    "Uptime-msec",
    "Caller-Channel-Progress-Time",
    "Caller-Channel-Answered-Time",
    "Caller-Channel-Hangup-Time",
    "Member-ID",
    "Member-Type",
    "DTMF-Digit",
    "DTMF-Key",
    "Caller-Privacy-Hide-Number",
    "variable_SKLIC_IN",
    "variable_SKLIC_DNIS",
    "variable_SKLIC_CALLER",
    "variable_SKLIC_ASK",
    "variable_SKLIC_GRACE",
    "variable_SKLIC_ROLE",
    "variable_sip_P-Asserted-Identity",
    "variable_sip_from_user",
    "variable_sip_Privacy",
    "variable_sofia_profile_name",
    "variable_sip_call_id",
    "variable_sip_h_X-Sklic-Pass",
    "variable_CONF_NO",
    "variable_SKLIC_JOINED",
    "variable_SKLIC_LEFT",
    "variable_SKLIC_REFUSED",
    "variable_hangup_cause_q850",
    "variable_sip_term_status",
    "variable_sip_hangup_disposition",
    "variable_proto_specific_hangup_cause",
    "variable_sip_reply_port",
];

/// The kept names of one event, with their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    values: Vec<(&'static str, String)>,
}

impl Fields {
    /// Reads an event or a dump. Bytes that are no UTF-8 become replacement characters; what is no JSON object is nothing.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = serde_json::Deserializer::from_str(&text);
        reader.deserialize_map(FieldsVisitor).ok()
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name as a number, if it is one.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }
}

impl std::fmt::Debug for Fields {
    // Values may hold what a phone sent: a debug print tells names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(key, _)| key)).finish()
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key_seed(Name)? {
            match name {
                Some(name) if fields.get(name).is_none() => {
                    // A name that was set several times may come as a list.
                    let text = match map.next_value()? {
                        serde_json::Value::String(text) => Some(text),
                        serde_json::Value::Array(list) => list.into_iter().find_map(|item| item.as_str().map(str::to_owned)),
                        _ => None,
                    };
                    if let Some(text) = text {
                        fields.values.push((name, text));
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A name, if it is wanted.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(WANTED.iter().copied().find(|wanted| *wanted == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_kept_and_the_first_counts() {
        let fields = Fields::parse(
            br#"{"Event-Name":"CHANNEL_HANGUP_COMPLETE","Hangup-Cause":"USER_BUSY","variable_sip_from_display":"x\u0000\r\n%41",
                "Hangup-Cause":"NORMAL_CLEARING","Action":["add-member","x"],"Speak":true,"variable_hangup_cause_q850":" 17 "}"#,
        )
        .expect("an event");
        assert_eq!(fields.get("Hangup-Cause"), Some("USER_BUSY"));
        assert_eq!(fields.get("Action"), Some("add-member"));
        assert_eq!(fields.get("Speak"), None);
        assert_eq!(fields.number::<u16>("variable_hangup_cause_q850"), Some(17));
        assert_eq!(fields.get("variable_sip_from_display"), None);
        assert_eq!(format!("{fields:?}"), r#"["Event-Name", "Hangup-Cause", "Action", "variable_hangup_cause_q850"]"#);
    }

    #[test]
    fn hostile_bytes_are_only_bytes() {
        let mut bytes = br#"{"Caller-Caller-ID-Name":""#.to_vec();
        bytes.extend(b"\xff\xfe\xc3\x28");
        bytes.extend(br#"","Unique-ID":"sklic-1"}"#);
        assert_eq!(Fields::parse(&bytes).expect("an event").get("Unique-ID"), Some("sklic-1"));
        for bad in [&b""[..], b"[]", b"{", b"null", b"\"x\"", b"{\"Unique-ID\":", b"\xff"] {
            assert_eq!(Fields::parse(bad), None, "{bad:?}");
        }
        // No depth ends the process: what is not wanted is passed over, and what is wanted may not be deep.
        for name in ["x", "Action"] {
            let deep = format!("{{\"{name}\":{}1{},\"Unique-ID\":\"sklic-1\"}}", "[".repeat(100_000), "]".repeat(100_000));
            let _ = Fields::parse(deep.as_bytes());
        }
    }
}
