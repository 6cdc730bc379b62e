//! The actions that commands become. Pure, so that what is sent can be read in tests.

use super::AsteriskConfig;
use super::codec::Action;
use super::translate::room_name;
use crate::ids::{LegId, Room};
use crate::pbx::wire::{self, UnsafeField};
use crate::pbx::{Dial, Language, Prompt, Role};

/// Places a call. `dialled` is the switch's time in seconds since 1970.
///
/// # Errors
/// [`UnsafeField`] when the number is none.
pub fn originate(config: &AsteriskConfig, dial: &Dial, dialled: i64) -> Result<Action, UnsafeField> {
    wire::check_number("number", &dial.number)?;
    let exten = match dial.role {
        Role::Convener => "convener",
        Role::Participant => "participant",
    };
    let variables = [
        format!("CONF_NO={}", dial.room),
        format!("LEG_ID={}", dial.leg.0.simple()),
        format!("SKLIC_LANG={}", dial.language.code()),
        format!("SKLIC_GRACE={}", dial.grace_seconds),
        format!("SKLIC_MUTED={}", u8::from(dial.muted)),
        format!("SKLIC_DIALLED={dialled}"),
        // Where a redirected call would go: a context without numbers.
        "FORWARD_CONTEXT=sklic-redirected".to_owned(),
        // The handler writes the record of the leg's end, answered or not. The quotes keep the commas together.
        "\"CHANNEL(hangup_handler_push)=sklic-end,s,1\"".to_owned(),
    ];
    let mut action = Action::new("Originate")
        .with("Channel", config.dial.replace("{number}", &dial.number))
        .with("Context", "sklic-out")
        .with("Exten", exten)
        .with("Priority", "1")
        .with("Timeout", (u64::from(dial.ring_timeout_seconds) * 1000).to_string())
        .with("Async", "true")
        .with("ChannelId", dial.leg.channel_id());
    if !config.caller_id.is_empty() {
        action = action.with("CallerID", format!("<{}>", config.caller_id));
    }
    Ok(variables.into_iter().fold(action, |action, variable| action.with("Variable", variable)))
}

/// Ends a call.
pub fn hang_up(leg: LegId) -> Action {
    hang_up_channel(leg.channel_id())
}

/// Ends a call by its channel's name or id.
pub fn hang_up_channel(channel: String) -> Action {
    // Q.850 cause 16: normal clearing.
    Action::new("Hangup").with("Channel", channel).with("Cause", "16")
}

/// Closes or opens one microphone. The channel's name must be whole: Asterisk 22 takes a prefix for a match.
pub fn mute(room: Room, channel: &str, muted: bool) -> Action {
    Action::new(if muted { "ConfbridgeMute" } else { "ConfbridgeUnmute" }).with("Conference", room_name(room)).with("Channel", channel)
}

/// Takes one member out.
pub fn kick(room: Room, channel: &str) -> Action {
    Action::new("ConfbridgeKick").with("Conference", room_name(room)).with("Channel", channel)
}

/// Locks or unlocks a conference.
pub fn lock(room: Room, locked: bool) -> Action {
    Action::new(if locked { "ConfbridgeLock" } else { "ConfbridgeUnlock" }).with("Conference", room_name(room))
}

/// Plays a fixed announcement: a Local channel goes into the conference and plays.
pub fn announce(room: Room, prompt: Prompt) -> Action {
    let exten = match prompt {
        Prompt::Beep => "beep",
    };
    // The beep is the same in every language.
    let language = format!("SKLIC_LANG={}", Language::default().code());
    errand(room, "sklic-announcer").with("Context", "sklic-play").with("Exten", exten).with("Variable", language)
}

/// Marks the conference as closing and takes everybody out, in one step of the dialplan.
pub fn close(room: Room) -> Action {
    errand(room, "sklic-close").with("Context", "sklic-guard").with("Exten", "idle")
}

/// Drops what the dialplan has written down about a conference.
pub fn forget(room: Room) -> Action {
    errand(room, "sklic-forget").with("Context", "sklic-guard").with("Exten", "idle")
}

/// Drops the record of a caller who was never let in, by his channel's id.
pub fn forget_caller(channel: &str) -> Action {
    local(&format!("{channel}@sklic-forget-caller")).with("Context", "sklic-guard").with("Exten", "idle")
}

/// A Local channel whose other half runs a few lines of our dialplan: the account needs no more than `originate` for it.
fn errand(room: Room, context: &str) -> Action {
    local(&format!("{room}@{context}"))
}

fn local(to: &str) -> Action {
    Action::new("Originate").with("Channel", format!("Local/{to}/n")).with("Priority", "1").with("Timeout", "5000").with("Async", "true")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use secrecy::SecretString;
    use tokio_util::codec::Encoder;

    use super::*;
    use crate::ids::ConferenceId;
    use crate::pbx::asterisk::codec::AmiCodec;

    fn config() -> AsteriskConfig {
        let mut config = AsteriskConfig::new("pbx1", "127.0.0.1:5038", "sklic", SecretString::from("x"), "PJSIP/{number}@trunk");
        config.caller_id = "+38613099396".into();
        config
    }

    fn dial(number: &str) -> Dial {
        Dial {
            leg: LegId::derive(ConferenceId(uuid::Uuid::nil()), 1),
            room: Room(1001),
            number: number.into(),
            role: Role::Participant,
            muted: true,
            language: Language::En,
            grace_seconds: 60,
            ring_timeout_seconds: 45,
        }
    }

    fn text(action: &Action) -> String {
        let mut buffer = BytesMut::new();
        AmiCodec::default().encode(action, &mut buffer).expect("safe");
        String::from_utf8(buffer.to_vec()).expect("text")
    }

    #[test]
    fn a_call_carries_everything_that_the_dialplan_reads() {
        let id = dial("1").leg.0.simple();
        let expected = format!(
            "Action: Originate\r\nChannel: PJSIP/+38640123456@trunk\r\nContext: sklic-out\r\nExten: participant\r\nPriority: 1\r\n\
             Timeout: 45000\r\nAsync: true\r\nChannelId: sklic-{id}\r\nCallerID: <+38613099396>\r\nVariable: CONF_NO=1001\r\n\
             Variable: LEG_ID={id}\r\nVariable: SKLIC_LANG=en\r\nVariable: SKLIC_GRACE=60\r\nVariable: SKLIC_MUTED=1\r\n\
             Variable: SKLIC_DIALLED=1795364737\r\nVariable: FORWARD_CONTEXT=sklic-redirected\r\n\
             Variable: \"CHANNEL(hangup_handler_push)=sklic-end,s,1\"\r\n\r\n"
        );
        assert_eq!(text(&originate(&config(), &dial("+38640123456"), 1_795_364_737).expect("a number")), expected);
    }

    #[test]
    fn what_is_no_number_is_not_dialled() {
        for bad in ["", "1@other-host", "1,CONF_NO=7", "1\r\nAction: Ping", "1&2", "${EXTEN}", "sip:1", "PJSIP/1"] {
            originate(&config(), &dial(bad), 0).expect_err(bad);
        }
    }

    #[test]
    fn errands_name_the_room_by_digits_only() {
        assert!(text(&close(Room(1001))).contains("Channel: Local/1001@sklic-close/n\r\nPriority: 1"));
        assert!(text(&forget(Room(7))).contains("Local/7@sklic-forget/n"));
        assert!(text(&announce(Room(7), Prompt::Beep)).contains("Exten: beep\r\nVariable: SKLIC_LANG=sl"));
        assert_eq!(
            text(&mute(Room(7), "PJSIP/trunk-0000001c", true)),
            "Action: ConfbridgeMute\r\nConference: sklic-7\r\nChannel: PJSIP/trunk-0000001c\r\n\r\n"
        );
    }

    #[test]
    fn a_configuration_that_could_break_out_is_refused() {
        config().check().expect("the usual one");
        let broken: [fn(&mut AsteriskConfig); 5] = [
            |c| c.dial = "PJSIP/trunk".into(),
            |c| c.dial = "PJSIP/{number}@trunk&PJSIP/x".into(),
            |c| c.caller_id = "\"x\" <1>\r\n".into(),
            |c| c.username = "a\nb".into(),
            |c| c.calls_per_second = 0,
        ];
        for break_it in broken {
            let mut config = config();
            break_it(&mut config);
            config.check().expect_err("refused");
        }
    }
}
