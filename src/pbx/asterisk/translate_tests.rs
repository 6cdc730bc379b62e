use bytes::Bytes;

use super::*;
use crate::pbx::wire::LineEnd;

const LEG: &str = "sklic-0191d3a0c0de7000800000000000002a";

fn event(lines: &str) -> HeaderBlock {
    let text: String = lines.lines().map(|line| format!("{}\r\n", line.trim_start())).collect();
    HeaderBlock::new(Bytes::from(text.replace("LEG", LEG)), LineEnd::CrLf)
}

fn leg() -> LegId {
    LegId::from_channel_id(LEG).expect("a leg")
}

/// Lines of Asterisk 22.10, shortened to what is read, and what they mean.
#[test]
fn events_of_the_real_switch() {
    let table: &[(&str, What)] = &[
        ("Event: Newchannel\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nChannelState: 0\nUniqueid: LEG", What::Created),
        ("Event: Newstate\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nChannelState: 5\nChannelStateDesc: Ringing\nUniqueid: LEG", What::Ringing),
        ("Event: DialState\nTimestamp: 1.0\nDestChannel: PJSIP/trunk-00000000\nDestUniqueid: LEG\nDialStatus: RINGING", What::Ringing),
        ("Event: DialState\nTimestamp: 1.0\nDestChannel: PJSIP/trunk-00000000\nDestUniqueid: LEG\nDialStatus: PROGRESS", What::EarlyMedia),
        ("Event: Newstate\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nChannelState: 6\nUniqueid: LEG", What::Answered),
        ("Event: DialEnd\nTimestamp: 1.0\nDestChannel: PJSIP/trunk-00000000\nDestUniqueid: LEG\nDialStatus: ANSWER", What::Answered),
        ("Event: DialEnd\nTimestamp: 1.0\nDestChannel: PJSIP/trunk-00000000\nDestUniqueid: LEG\nDialStatus: BUSY", What::Nothing),
        (
            "Event: DialEnd\nTimestamp: 1.0\nDestChannel: PJSIP/trunk-00000000\nDestUniqueid: LEG\nForward: PJSIP/+38659900200@trunk\nDialStatus: CANCEL",
            What::Redirected,
        ),
        ("Event: HangupRequest\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nCause: 17\nTechCause: 486", What::FarEndEnded),
        (
            "Event: OriginateResponse\nTimestamp: 1.0\nResponse: Success\nChannel: PJSIP/trunk-00000000\nReason: 4\nUniqueid: LEG",
            What::Originated { answered: true, reason: 4 },
        ),
        (
            "Event: OriginateResponse\nTimestamp: 1.0\nResponse: Failure\nChannel: PJSIP/1@trunk\nReason: 3\nUniqueid: LEG",
            What::Originated { answered: false, reason: 3 },
        ),
        (
            "Event: ConfbridgeJoin\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nAdmin: No\nMuted: Yes",
            What::Joined { room: Room(1001), muted: true },
        ),
        (
            "Event: ConfbridgeLeave\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nAdmin: No",
            What::Left { room: Room(1001) },
        ),
        ("Event: ConfbridgeMute\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG", What::Muted(true)),
        ("Event: ConfbridgeUnmute\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG", What::Muted(false)),
        (
            "Event: ConfbridgeTalking\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nTalkingStatus: on",
            What::Talking(true),
        ),
        (
            "Event: ConfbridgeTalking\nTimestamp: 1.0\nConference: sklic-1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nTalkingStatus: off",
            What::Talking(false),
        ),
        ("Event: UserEvent\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nUserEvent: SklicRefused\nConference: 1001", What::Refused),
        (
            "Event: Hangup\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nCause: 17\nCause-txt: User busy\nTechCause: 486",
            What::HungUp { q850: Some(17), sip: Some(486) },
        ),
        (
            "Event: Hangup\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nCause: 16\nCause-txt: Normal Clearing",
            What::HungUp { q850: Some(16), sip: None },
        ),
        (
            "Event: Hangup\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nCause: 0\nCause-txt: Unknown",
            What::HungUp { q850: None, sip: None },
        ),
        ("Event: BridgeEnter\nTimestamp: 1.0\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG", What::Nothing),
    ];
    for (lines, what) in table {
        let told = translate(&event(lines), nobody()).unwrap_or_else(|| panic!("ours: {lines}"));
        assert_eq!((told.leg, &told.what), (leg(), what), "{lines}");
        assert_eq!(told.at, Some(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1)), "{lines}");
        let named = !matches!(what, What::Originated { .. });
        assert_eq!(told.channel.as_deref(), named.then_some("PJSIP/trunk-00000000"), "{lines}");
    }
}

#[test]
fn what_is_not_ours_is_nothing() {
    for lines in [
        "Event: Newchannel\nChannel: PJSIP/office-00000003\nUniqueid: 1795356473.77",
        "Event: Hangup\nChannel: Local/1001@sklic-forget-00000003;1\nUniqueid: 1795364603.11\nCause: 0",
        "Event: ConfbridgeJoin\nConference: sklic-1001\nChannel: Local/1001@sklic-announcer-00000001;2\nUniqueid: sklicplay-0191d3a0c0de7000800000000000002a-2\nMuted: No",
        "Event: OriginateResponse\nResponse: Failure\nChannel: Local/1001@sklic-forget/n\nReason: 0\nUniqueid: <unknown>",
        "Event: ConfbridgeJoin\nConference: 1001\nChannel: PJSIP/trunk-00000000\nUniqueid: LEG\nMuted: No",
        "Event: FullyBooted\nUptime: 3",
        "Event: Newstate\nUniqueid: LEG",
        "Uniqueid: LEG",
    ] {
        assert_eq!(translate(&event(lines), nobody()), None, "{lines}");
    }
}

#[test]
fn hostile_bytes_are_only_bytes() {
    let mut bytes = b"Event: Hangup\r\nCallerIDName: \xff\xfe\x00${SHELL(x)}\r\nUniqueid: ".to_vec();
    bytes.extend(LEG.bytes());
    bytes.extend(b"\r\nCause: 99999999999\r\nTechCause: 4\xff6\r\nTimestamp: 99999999999999999999.1\r\n\r\n");
    let told = translate(&HeaderBlock::new(Bytes::from(bytes), LineEnd::CrLf), nobody()).expect("ours");
    assert_eq!(told.what, What::HungUp { q850: None, sip: None });
    assert_eq!(told.at, None);
}

#[test]
fn only_our_rooms_are_rooms() {
    assert_eq!(room_of(&room_name(Room(1001))), Some(Room(1001)));
    for other in ["1001", "sklic-", "sklic-x", "sklic--1", "sklic-1 ", "sklic-99999999999999999999", "SKLIC-1"] {
        assert_eq!(room_of(other), None, "{other}");
    }
}

#[test]
fn times_keep_their_fractions() {
    for (text, nanoseconds) in [("1795364581.914483", 914_483_000), ("1795364581.9", 900_000_000), ("1795364581", 0)] {
        assert_eq!(parse_epoch(text), Timestamp::new(1_795_364_581, nanoseconds).ok(), "{text}");
    }
    for bad in ["", ".", "-1.0", "1.-1", "x", "1.0000000001", "9999999999999"] {
        assert_eq!(parse_epoch(bad), None, "{bad}");
    }
}

/// No caller is known.
fn nobody() -> Names<'static> {
    static NOBODY: std::sync::LazyLock<HashMap<String, LegId>> = std::sync::LazyLock::new(HashMap::new);
    Names { switch: "pbx1", callers: &NOBODY }
}

#[test]
fn callers_are_known_by_their_channels() {
    let leg = callers::leg_of("pbx1", "1795356010.24");
    let known = HashMap::from([("1795356010.24".to_owned(), leg)]);
    let names = Names { switch: "pbx1", callers: &known };
    let read = |lines: &str| translate(&event(lines), names).map(|told| (told.leg, told.what));
    let arrived = "Event: UserEvent\nChannel: PJSIP/trunk-00000011\nUniqueid: 1795356010.24\nUserEvent: SklicArrived\nWho: 1795356010.1|.19819|.|.|.|.sip:1@x|.|.trunk|.c\n";
    let Some((of, What::Arrived { caller, uniqueid })) = read(arrived) else { panic!("he has arrived") };
    assert_eq!((of, caller.leg, caller.dialled.as_str(), uniqueid.as_str()), (leg, leg, "19819", "1795356010.24"));
    let pressed = "Event: UserEvent\nChannel: PJSIP/trunk-00000011\nUniqueid: 1795356010.24\nUserEvent: SklicPressed\nKey: 6\n";
    assert_eq!(read(pressed), Some((leg, What::Pressed(MemberKey::Mute))));
    assert_eq!(read(&pressed.replace("Key: 6", "Key: 7")), None);
    let said = "Event: UserEvent\nUniqueid: 1795356010.24\nUserEvent: SklicSaid\nAsk: 2\n";
    assert_eq!(read(said), Some((leg, What::Said { ask: 2 })));
    let key = "Event: DTMFEnd\nUniqueid: 1795356010.24\nDigit: #\nDurationMs: 100\nDirection: Received\n";
    assert_eq!(read(key), Some((leg, What::Key('#'))));
    assert_eq!(read(&key.replace("Received", "Sent")), Some((leg, What::Nothing)));
    // A channel that nobody knows.
    assert_eq!(read(&key.replace(".24", ".25")), None);
    assert_eq!(read("Event: Hangup\nUniqueid: 1795356010.25\nCause: 16\n"), None);
}
