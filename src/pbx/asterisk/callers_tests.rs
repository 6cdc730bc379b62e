use bytes::BytesMut;
use tokio_util::codec::Encoder;

use super::*;
use crate::ids::Room;
use crate::pbx::asterisk::codec::AmiCodec;

fn leg() -> LegId {
    leg_of("pbx1", "1795356010.24")
}

fn text(actions: &[Action]) -> String {
    let mut buffer = BytesMut::new();
    for action in actions {
        AmiCodec::default().encode(action, &mut buffer).expect("safe");
    }
    String::from_utf8(buffer.to_vec()).expect("text")
}

#[test]
fn who_calls_is_read_and_hostile_bytes_stay_data() {
    let caller = who(
        leg(),
        "1795364582.218|.+38613099396|.%3Csip%3A%2B38640123456%40net%3E|.%3Ctel%3A%2B386%3E||.sip%3A040%2523@x|.id%3Bcritical|.trunk|.a%0D%0AAction%3A%20Ping%ff",
    )
    .expect("a caller");
    assert_eq!(caller.dialled, "+38613099396");
    assert_eq!(caller.asserted, ["<sip:+38640123456@net>", "<tel:+386>"]);
    assert_eq!(caller.presented, "040#");
    assert!(caller.private);
    assert_eq!(caller.trunk, "trunk");
    assert_eq!(caller.call_id, "a\u{fffd}\u{fffd}Action: Ping\u{fffd}");
    assert_eq!(caller.answered_at, Timestamp::from_millisecond(1_795_364_582_218).expect("a time"));
    assert_eq!(caller.pass, None);
    let pass = PassId::drawn();
    let with = |text: &str| who(leg(), &format!("1795364582.218|.19819||||||.trunk|.a|.{text}")).expect("a caller").pass;
    assert_eq!((with(&pass.hex()), with(""), with("12"), with(&"x".repeat(32))), (Some(pass), None, None, None));
    for bad in ["", "1", "x|||||||||", "|||||||||", "1|2|3|4|5|6|7|8|9|10|11"] {
        assert_eq!(who(leg(), bad), None, "{bad}");
    }
}

#[test]
fn what_is_said_names_whole_files() {
    let said = say("/usr/share/sklic/prompts", &[Phrase::WrongCode, Phrase::Number(217)], Language::En).expect("safe");
    assert_eq!(said, "/usr/share/sklic/prompts/en/wrong-code&/usr/share/sklic/prompts/en/n-200&/usr/share/sklic/prompts/en/n-17");
    assert_eq!(say("/p", &[], Language::Sl).as_deref(), Ok(""));
    for bad in ["", "/a b", "/a&b", "/a,b", "/a\r\nX: y", "${SHELL(x)}"] {
        say(bad, &[], Language::Sl).expect_err(bad);
    }
}

#[test]
fn who_is_let_in_has_everything_that_the_dialplan_reads() {
    let let_in =
        Admit { leg: leg(), room: Room(1001), role: Role::Convener, muted: true, language: Language::En, grace_seconds: 60, past_lock: true };
    let sent = text(&admit("1795356010.24", &let_in, Timestamp::from_second(1_795_364_737).expect("a time")));
    let id = leg().0.simple().to_string();
    let set = [
        ("CONF_NO", "1001"),
        ("LEG_ID", &id),
        ("SKLIC_LANG", "en"),
        ("SKLIC_GRACE", "60"),
        ("SKLIC_MUTED", "1"),
        ("SKLIC_PAST_LOCK", "1"),
        ("SKLIC_DIALLED", "1795364737"),
    ];
    for (name, value) in set {
        assert!(sent.contains(&format!("Channel: 1795356010.24\r\nVariable: {name}\r\nValue: {value}\r\n")), "{name}");
    }
    assert!(sent.ends_with("Channel: 1795356010.24\r\nContext: sklic-out\r\nExten: convener\r\nPriority: 1\r\n\r\n"), "{sent}");
}

#[test]
fn of_a_cut_identity_the_address_is_read_and_nothing_in_its_name() {
    let asserted = |field: &str| who(leg(), &format!("1795364582.218|.19819|{field}|.|.|.|.|.trunk|.c")).expect("a caller").asserted;
    let address = "%3Csip%3A%2B38613099396%40net%3E";
    // A name of 60 letters that are two bytes each, and one that holds another address.
    let name = format!("{}%22%20{address}", "%C5%BD".repeat(60));
    assert_eq!(asserted(&name), ["<sip:+38613099396@net>"]);
    let evil = format!(".%3Csip%3A%2B38640000001%40net%3E%22%20{address}");
    assert_eq!(asserted(&evil[1..]), ["<sip:+38613099396@net>"]);
    // The place of the cut may look like the dot of what is whole; then its length tells.
    for filling in ["x".repeat(MOST_BYTES), "%C5".repeat(MOST_ENCODED / 3)] {
        assert_eq!(asserted(&format!(".%3Csip%3A%2B38640000001%40net%3E{filling}%22%20{address}")), ["<sip:+38613099396@net>"]);
    }
    // Of an address that is cut itself nothing is known.
    assert_eq!(asserted("13099396%40net%3E"), [""; 0]);
    let whole = format!(".%22Ana%22%20{address}");
    assert_eq!(asserted(&whole), ["\"Ana\" <sip:+38613099396@net>"]);
}

#[test]
fn who_is_spoken_to_is_held_also_when_the_dialplan_had_begun_to_apologise() {
    for actions in [ask("1795356010.24", String::new(), 1), hold("1795356010.24", String::new())] {
        let sent = text(&actions);
        let held = sent.find("Variable: SKLIC_CALLER\r\nValue: held\r\n").expect("he is held");
        assert!(held < sent.find("Action: Redirect").expect("he is sent on"), "{sent}");
    }
}
