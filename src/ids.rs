//! One identifier type for each thing, so that mixing two does not compile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier that sorts by the time it was made (UUID version 7, RFC 9562).
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

id!(
    /// A subscriber of the service.
    AccountId
);
id!(
    /// A person in an account's directory.
    ContactId
);
id!(
    /// A group in an account's directory.
    GroupId
);
id!(
    /// One meeting: planned, run, ended.
    ConferenceId
);
id!(
    /// A person in one conference.
    ParticipantId
);
id!(
    /// One telephone connection, or the attempt at one.
    LegId
);

id!(
    /// What a convener has planned: one conference, or a series.
    PlanId
);
id!(
    /// Where events are sent to.
    WebhookId
);
id!(
    /// One run of one process of the service.
    ServiceNodeId
);
id!(
    /// A text that was sent to people of a conference.
    MessageId
);

id!(
    /// What names a caller who is brought from one switch to another, until he has arrived.
    PassId
);

impl PassId {
    /// A new one that nobody can guess (UUID version 4, RFC 9562: 122 random bits).
    #[must_use]
    pub fn drawn() -> Self {
        Self(Uuid::new_v4())
    }

    /// The pass of a text that the network sent; `None` for anything but 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| Uuid::try_parse(text).ok().map(Self))?
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        self.0.simple().to_string()
    }
}

impl LegId {
    /// The identifier of a conference's `number`-th leg.
    ///
    /// Derived (UUID version 5), not drawn: the state machine has no randomness, and a replay of the journal gives the same legs.
    #[must_use]
    pub fn derive(conference: ConferenceId, number: u32) -> Self {
        Self(Uuid::new_v5(&conference.0, &number.to_be_bytes()))
    }

    /// The identifier of a caller's leg: of the channel that a switch gave him, by the switch's name and its own for the channel.
    ///
    /// Derived (UUID version 5), so that a service that comes back finds the same leg.
    #[must_use]
    pub fn of_channel(switch: &str, channel: &str) -> Self {
        /// Drawn once for this purpose.
        const CHANNELS: Uuid = uuid::uuid!("8d5c2b0e-3c64-4e0f-9a57-2a1f6f0d9b41");
        Self(Uuid::new_v5(&CHANNELS, format!("{switch}\n{channel}").as_bytes()))
    }

    /// The leg's name on the switch: `sklic-` and 32 hexadecimal digits.
    ///
    /// Always of one length: Asterisk 22 takes a channel id for "in use" when it is a prefix of another.
    #[must_use]
    pub fn channel_id(self) -> String {
        format!("sklic-{}", self.0.simple())
    }

    /// The leg of a channel id made by [`LegId::channel_id`]; `None` for any other text.
    #[must_use]
    pub fn from_channel_id(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sklic-")?;
        (hex.len() == 32).then(|| Uuid::try_parse(hex).ok().map(Self))?
    }
}

/// The decimal number by which the switch knows a conference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Room(pub i64);

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_id_has_one_length_and_reads_back() {
        let conference = ConferenceId(Uuid::nil());
        let leg = LegId::derive(conference, 7);
        assert_eq!(leg.channel_id().len(), 38);
        assert_eq!(LegId::from_channel_id(&leg.channel_id()), Some(leg));
        assert_eq!(leg, LegId::derive(conference, 7));
        assert_ne!(leg, LegId::derive(conference, 8));
        let caller = LegId::of_channel("pbx1", "1795356010.24");
        assert_eq!(caller, LegId::of_channel("pbx1", "1795356010.24"));
        assert_ne!(caller, LegId::of_channel("pbx2", "1795356010.24"));
        for bad in ["", "sklic-", "sklic-12", "1795356010.24", "sklic-{00000000000000000000000000000000"] {
            assert_eq!(LegId::from_channel_id(bad), None, "{bad}");
        }
    }
}
