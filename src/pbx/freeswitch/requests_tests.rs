use bytes::BytesMut;
use secrecy::SecretString;
use tokio_util::codec::Encoder;

use super::*;
use crate::ids::ConferenceId;
use crate::pbx::freeswitch::codec::EslCodec;

fn config() -> FreeswitchConfig {
    let mut config = FreeswitchConfig::new("pbx1", "127.0.0.1:8021", "", SecretString::from("x"), "sofia/gateway/trunk/{number}");
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

fn text(request: &Request) -> String {
    let mut buffer = BytesMut::new();
    EslCodec::default().encode(request, &mut buffer).expect("safe");
    String::from_utf8(buffer.to_vec()).expect("text")
}

#[test]
fn a_call_carries_everything_that_the_dialplan_reads() {
    let id = dial("1").leg.0.simple();
    let expected = format!(
        "bgapi originate {{origination_uuid=sklic-{id},CONF_NO=1001,LEG_ID={id},SKLIC_LANG=en,SKLIC_GRACE=60,SKLIC_GUARD=90,SKLIC_MUTED=1,SKLIC_ROLE=participant,\
         originate_timeout=45,ignore_early_media=true,outbound_redirect_fatal=true,\
         execute_on_originate='execute_extension record XML sklic-out',\
         origination_caller_id_number=+38613099396,origination_caller_id_name=+38613099396}}\
         sofia/gateway/trunk/+38640123456 participant XML sklic-out\nJob-UUID: job-1\n\n"
    );
    assert_eq!(text(&originate(&config(), &dial("+38640123456"), "job-1").expect("a number")), expected);
    let mut convener = Dial { role: Role::Convener, grace_seconds: 0, muted: false, language: Language::Sl, ..dial("19819") };
    convener.number = "19819".into();
    let line = text(&originate(&config(), &convener, "job-2").expect("a number"));
    assert!(
        line.contains("SKLIC_LANG=sl,SKLIC_GRACE=0,SKLIC_GUARD=0,SKLIC_MUTED=0,SKLIC_ROLE=convener,") && line.contains(" convener XML sklic-out\n"),
        "{line}"
    );
}

/// The table of FACTS on injection: each of these would be something else than a number to the switch.
#[test]
fn what_is_no_number_is_not_dialled() {
    for bad in [
        "",
        "1\n2",
        "1\n\napi status",
        "1,2",
        "1|2",
        "1@other-host:5060",
        "1}2",
        "{x=1}1",
        "[x=1]1",
        "1 2",
        "1'2",
        "1:_:2",
        "1;2",
        "${system(id)}",
        "1%0a",
        "1\\n2",
        "&park",
        "user/1",
    ] {
        originate(&config(), &dial(bad), "job-1").expect_err(bad);
    }
}

#[test]
fn dial_strings_that_mean_more_are_refused() {
    for bad in [
        "sofia/gateway/trunk/1",
        "{x=1}sofia/{number}",
        "a/{number},b/2",
        "a/{number}|b",
        "a/{number}/{number}",
        "a {number}",
        "a/{number}'",
        "a:_:{number}",
        "a\n/{number}",
    ] {
        let config = FreeswitchConfig { dial: bad.into(), ..config() };
        config.check().expect_err(bad);
    }
    config().check().expect("the usual one");
    FreeswitchConfig { dial: "sofia/external/{number}@10.0.0.1:5060".into(), ..config() }.check().expect("a host");
    FreeswitchConfig { calls_per_second: 0, ..config() }.check().expect_err("no pace");
    FreeswitchConfig { caller_id: "x,y=1".into(), ..config() }.check().expect_err("no number");
}

#[test]
fn controls_name_the_room_by_digits_and_the_member_by_his_leg() {
    let leg = dial("1").leg;
    let id = leg.channel_id();
    for (request, line) in [
        (mute(Room(7), leg, true), format!("api conference sklic-7 mute uuid={id} quiet")),
        (mute(Room(7), leg, false), format!("api conference sklic-7 unmute uuid={id} quiet")),
        (mute_all(Room(7), true), "api conference sklic-7 mute non_moderator quiet".into()),
        (remove(Room(7), leg)[0].clone(), format!("api uuid_setvar {id} SKLIC_END removed")),
        (remove(Room(7), leg)[1].clone(), format!("api conference sklic-7 hup uuid={id}")),
        (lock(Room(7), true), "api conference sklic-7 lock".into()),
        (lock(Room(7), false), "api conference sklic-7 unlock".into()),
        (announce(Room(7), Prompt::Beep), "api conference sklic-7 play sl/beep.wav".into()),
        (close(Room(7)), "api conference sklic-7 hup all".into()),
        (hang_up(leg, true), format!("api uuid_kill {id} NORMAL_CLEARING")),
        (hang_up(leg, false), format!("api uuid_kill {id} ORIGINATOR_CANCEL")),
        (ask_end(leg), format!("api db select/sklic-end/{}", leg.0.simple())),
        (drop_record(Room(7), leg)[1].clone(), format!("api db delete/sklic-room-7/{}", leg.0.simple())),
    ] {
        assert_eq!(text(&request), format!("{line}\n\n"));
    }
}

#[test]
fn events_of_subclasses_are_asked_for_last() {
    let line = text(&subscribe());
    let custom = line.find(" CUSTOM ").expect("it is there");
    assert_eq!(&line[custom..], " CUSTOM conference::maintenance\n\n", "what follows would be taken for a subclass");
}

#[test]
fn only_our_rooms_are_rooms() {
    assert_eq!(room_of(&room_name(Room(1001))), Some(Room(1001)));
    for other in ["1001", "sklic-", "sklic-x", "sklic--1", "sklic-1 ", "sklic-99999999999999999999", "SKLIC-1"] {
        assert_eq!(room_of(other), None, "{other}");
    }
}
