//! Callers: who has dialled one of the access numbers, and what they key.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Language;
use super::Role;
use super::phrase::Phrase;
use crate::ids::{LegId, PassId, Room};

/// A caller who has been answered at an access number and is in the service's hands: he hears nothing, or waiting music.
///
/// All texts are what phones and trunks sent, checked by nobody; at most 256 characters of each are kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// His leg. The switch's channel gives it for good: a service that comes back finds the same one.
    pub leg: LegId,
    /// The number that he dialled, as the trunk delivered it.
    pub dialled: String,
    /// The values of P-Asserted-Identity (RFC 3325), as they came; whether they are believed is the configuration's business.
    pub asserted: Vec<String>,
    /// The number that he presents (the user part of From); anybody can write anything there.
    pub presented: String,
    /// He asked that his number be kept private (Privacy: id, user or header, RFC 3323).
    pub private: bool,
    /// The trunk by which he came, by its name on the switch: endpoint (Asterisk) or SIP profile (FreeSWITCH).
    pub trunk: String,
    /// The call's SIP Call-ID.
    pub call_id: String,
    /// When he was answered, by the switch's clock: his call component begins.
    pub answered_at: Timestamp,
    /// The pass that came with the call, as another of our switches sends it with a caller whom it brings; anybody may have made it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassId>,
}

/// Characters of each text of a [`Caller`] that are kept.
const MOST_CHARACTERS: usize = 256;

impl Caller {
    /// What a phone sent, as text that goes into any database and page: bytes that are no UTF-8 and control characters
    /// become replacement characters, and what is too long is cut.
    #[must_use]
    pub fn text(bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.trim().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).take(MOST_CHARACTERS).collect()
    }

    /// Whether the values of a Privacy header (RFC 3323, RFC 3325) ask that the number be kept private.
    #[must_use]
    pub fn is_private(privacy: &str) -> bool {
        privacy.split([';', ',']).any(|value| ["id", "user", "header"].iter().any(|word| value.trim().eq_ignore_ascii_case(word)))
    }

    /// The user part of a SIP or TEL address without display name, as the switch prints it; the text itself when it is no such address.
    #[must_use]
    pub fn user_of(address: &str) -> &str {
        let address = address.trim().trim_start_matches('<').trim_end_matches('>');
        let Some((scheme, rest)) = address.split_once(':') else { return address };
        if !["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return address;
        }
        match rest.rsplit_once('@') {
            Some((user, _)) => user,
            None if scheme.eq_ignore_ascii_case("tel") => rest.split(';').next().unwrap_or_default(),
            // A host alone: nobody.
            None => "",
        }
    }
}

impl fmt::Debug for Caller {
    // Numbers stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("leg", &self.leg)
            .field("trunk", &self.trunk)
            .field("asserted", &self.asserted.len())
            .field("answered_at", &self.answered_at)
            .finish_non_exhaustive()
    }
}

/// Digits that a caller keyed: perhaps a code or a PIN, so never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(String);

impl Keys {
    /// Takes what was keyed; anything but digits, `*` and letters A–D is dropped.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|c| matches!(c, '0'..='9' | '*' | 'A'..='D')).take(64).collect())
    }

    /// The digits.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} keyed)", self.0.len())
    }
}

impl Serialize for Keys {
    // Where an event is written down, how many there were is all that is told.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&"•".repeat(self.0.len()))
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// A question to a caller: phrases, then digits up to the hash key. What is keyed while it is said counts, and ends the saying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The caller's leg.
    pub leg: LegId,
    /// Number of the question in this call; the answer carries it.
    pub ask: u32,
    /// Language of the prompts.
    pub language: Language,
    /// What is said.
    pub say: Vec<Phrase>,
    /// The most digits.
    pub most_digits: u8,
    /// How long the first key is waited for after the saying, in seconds.
    pub wait_seconds: u8,
}

/// A caller is let in: greeting, beep and the room follow from the dialplan, as for those who were dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The caller's leg.
    pub leg: LegId,
    /// The conference.
    pub room: Room,
    /// Convener or participant.
    pub role: Role,
    /// Joins muted.
    pub muted: bool,
    /// Language of the prompts.
    pub language: Language,
    /// As in [`Dial`](super::Dial).
    pub grace_seconds: u32,
    /// Comes in although the conference is locked: the convener lets him in by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub past_lock: bool,
}

/// A caller is brought to the switch on which his conference is: his own switch calls that one and connects the two.
///
/// From then on the other switch has him: what he hears, and when he is let go. When either end hangs up, the other one is told by SIP.
/// When the other switch cannot be reached he hears the apology, from the dialplan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bring {
    /// The caller's leg.
    pub leg: LegId,
    /// Where the other switch takes calls: `host:port`.
    pub to: String,
    /// The access number that is dialled there.
    pub number: String,
    /// The pass by which he is known there, see [`Caller::pass`].
    pub pass: PassId,
    /// Language of the prompts.
    pub language: Language,
}

/// What keys in the conference mean. The switch knows them as `*` and a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKey {
    /// `*1`: hear how many are inside (convener).
    Count,
    /// `*2`: close all microphones, or open them (convener).
    MuteAll,
    /// `*3`: lock, or unlock (convener).
    Lock,
    /// `*4`: call the missing (convener).
    CallMissing,
    /// `*5`: raise or lower one's hand.
    Hand,
    /// `*6`: close or open one's own microphone.
    Mute,
    /// `*9`: end for all; twice within ten seconds (convener).
    End,
}

impl MemberKey {
    /// Every key.
    pub const ALL: [Self; 7] = [Self::Count, Self::MuteAll, Self::Lock, Self::CallMissing, Self::Hand, Self::Mute, Self::End];

    /// The digit after `*`.
    #[must_use]
    pub fn digit(self) -> char {
        match self {
            Self::Count => '1',
            Self::MuteAll => '2',
            Self::Lock => '3',
            Self::CallMissing => '4',
            Self::Hand => '5',
            Self::Mute => '6',
            Self::End => '9',
        }
    }

    /// The key of a digit after `*`.
    #[must_use]
    pub fn from_digit(digit: char) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.digit() == digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_phones_send_becomes_text() {
        assert_eq!(Caller::text(b" 01\0\r\nX: y\xff\x80 "), "01\u{fffd}\u{fffd}\u{fffd}X: y\u{fffd}\u{fffd}");
        assert_eq!(Caller::text(&"č".repeat(300).into_bytes()).chars().count(), 256);
        assert!(Caller::is_private("id;critical") && Caller::is_private("none, User") && Caller::is_private("header"));
        assert!(!Caller::is_private("") && !Caller::is_private("none") && !Caller::is_private("idle"));
        let users = [
            ("sip:+38640123456@10.0.0.1", "+38640123456"),
            ("<sips:a@b@host;transport=tls>", "a@b"),
            ("tel:+38640123456;phone-context=x", "+38640123456"),
            ("sip:anonymous.invalid", ""),
            ("+38640123456", "+38640123456"),
            ("", ""),
        ];
        for (address, user) in users {
            assert_eq!(Caller::user_of(address), user, "{address}");
        }
    }

    #[test]
    fn keys_are_counted_and_never_shown() {
        let keys = Keys::new("12a3*\n#D\u{661}");
        assert_eq!(keys.expose(), "123*D");
        assert_eq!(format!("{keys:?}"), "Keys(5 keyed)");
        assert_eq!(serde_json::to_string(&keys).expect("json"), "\"•••••\"");
    }

    #[test]
    fn every_key_has_its_digit() {
        for key in MemberKey::ALL {
            assert_eq!(MemberKey::from_digit(key.digit()), Some(key));
        }
        assert_eq!(MemberKey::from_digit('7'), None);
    }
}
