//! What a conference starts from.

use serde::{Deserialize, Serialize};

use super::limits::AtCap;
use crate::billing::Money;
use crate::ids::{AccountId, ConferenceId, ContactId, ParticipantId, Room};
use crate::pbx::Language;

/// The settings of one conference, fixed when it starts: the operator's, then the account's, then the convener's for this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Language of the prompts.
    pub language: Language,
    /// How long the others wait for the convener to come back, in seconds; 0 ends the conference with his call.
    pub grace_seconds: u32,
    /// Those already inside hear a beep when somebody comes in.
    pub entry_beep: bool,
    /// How long a phone rings, in seconds.
    pub ring_timeout_seconds: u32,
    /// How long a control may stay unconfirmed before it has failed, in seconds.
    pub control_timeout_seconds: u32,
    /// Calls placed in a second.
    pub calls_per_second: u32,
    /// The most participants, the convener included.
    pub max_participants: u32,
    /// The longest a conference may last, in seconds.
    pub max_length_seconds: u32,
    /// How long the closing announcement and the hang-ups may take before legs are hung up one by one, in seconds.
    pub closing_seconds: u32,
    /// How long an ending conference waits for a lost switch before its legs are closed by proof of life, in seconds.
    pub link_patience_seconds: u32,
    /// How long a caller waits for the convener, in seconds.
    pub wait_limit_seconds: u32,
    /// Callers wait at a locked conference until the convener lets them in; otherwise they are turned away.
    pub callers_wait_at_lock: bool,
    /// Of what the account spends in a day, with VAT, the part at which the convener is warned.
    pub spend_warning: Option<Money>,
    /// The most that the account may spend in a day, with VAT.
    pub spend_cap: Option<Money>,
    /// What happens then.
    pub at_cap: AtCap,
    /// How long before the greatest length the convener is warned, in seconds; 0 warns him not.
    pub length_warning_seconds: u32,
    /// How long greeting and beep may take, in seconds; a leg that is answered for longer without coming in is hung up.
    pub greeting_seconds: u32,
    /// Beginnings of the numbers that may be called (R13): a caller is on the roster with a number that nobody has looked at before.
    /// `None` leaves every number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_prefixes: Option<Vec<String>>,
    /// Beginnings of the international numbers that the account's owner lets his conferences call; short numbers are always among them.
    /// `None` leaves every number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wished_prefixes: Option<Vec<String>>,
    /// The edition of the rules under which it was started, so that a journal replays for ever as it was decided; 0 in those of earlier releases.
    pub edition: u32,
}

impl Settings {
    /// The edition of the rules by which conferences are started now.
    ///
    /// 1: whoever is called or waits has a place; a convener for whom nobody waits is not called back; a call's patience begins when the switch
    /// takes it; calls never placed and calls refused for their rate are counted apart; nothing is placed again once the cap is reached.
    pub const EDITION: u32 = 1;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: Language::Sl,
            grace_seconds: 0,
            entry_beep: false,
            ring_timeout_seconds: 45,
            control_timeout_seconds: 5,
            calls_per_second: 50,
            max_participants: 500,
            max_length_seconds: 12 * 3600,
            closing_seconds: 15,
            link_patience_seconds: 600,
            wait_limit_seconds: 900,
            callers_wait_at_lock: false,
            spend_warning: None,
            spend_cap: None,
            at_cap: AtCap::NoNewCalls,
            length_warning_seconds: 0,
            greeting_seconds: 60,
            allowed_prefixes: None,
            wished_prefixes: None,
            edition: 0,
        }
    }
}

/// A person who is to be in the conference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewParticipant {
    /// Given by the caller, so that nothing is drawn in here.
    pub id: ParticipantId,
    /// As shown on the roster and in the report.
    pub name: String,
    /// The number in normal form, already allowed by the limits.
    pub phone: String,
    /// Where messages and invitations go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The directory's entry, if it came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactId>,
}

/// Everything that a conference is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The conference.
    pub id: ConferenceId,
    /// Whose it is.
    pub account: AccountId,
    /// Its number on the switch.
    pub room: Room,
    /// As the convener named it.
    pub title: String,
    /// The convener.
    pub convener: NewParticipant,
    /// Everybody else, in the order of dialling.
    pub participants: Vec<NewParticipant>,
    /// The settings.
    pub settings: Settings,
}
