//! What somebody might try to smuggle into the control sockets, one table for both switches.
//!
//! Outwards the only text that people give is a number: each input is refused before anything is sent.
//! Inwards everything is text that phones and trunks sent: each input arrives as data, and nothing else happens.

use sklic::pbx::Role::{Convener, Participant};
use sklic::pbx::{Command, CommandFailure, Phrase};

use crate::rig::Rig;

/// As a number: what means more than a number to the manager interface or to the event socket.
const NUMBERS: &[&str] = &[
    "",
    "+",
    // Line breaks: headers, actions, requests.
    "evil\r\nVariable: LEG_ID=spoofed\r\n\r\nAction: Ping",
    "+38659900001\r\n\r\nAction: Originate",
    "+38659900001\nX: y",
    "+38659900001\n\napi status",
    "+38659900001\0",
    // Variables, and other calls beside this one.
    "+38659900001,CONF_NO=7999",
    "+38659900001,+38659900002",
    "+38659900001|+38659900002",
    "+38659900001:_:+38659900002",
    "+38659900001&PJSIP/trunk",
    "{CONF_NO=7999}+38659900001",
    "[CONF_NO=7999]+38659900001",
    "+38659900001}sofia/gateway/trunk/1",
    "<CONF_NO=7999>+38659900001",
    // Other hosts, other technologies.
    "+38659900001@other-host",
    "+38659900001@127.0.0.1:5060",
    "sip:+38659900001@127.0.0.1",
    "user/1001",
    "&park",
    "loopback/1",
    // Evaluation.
    "${SHELL(touch /tmp/x)}",
    "${system(id)}",
    "${EXTEN}",
    "$[1+1]",
    "/.*/",
    // Quotes, blanks, escapes, and digits that are none.
    "+38659900001'",
    "+38659900001\"",
    "+38659900001;x",
    "+38659900001\\n",
    "+38659900001%0a",
    "+386 599 00001",
    "+3865990000a",
    "+386599\u{a0}00001",
    "+38659900001)",
    "٠١٢٣",
    "１２３",
    "+386599000010000000000000000000000000000000000000000",
];

pub async fn what_could_break_out_is_refused(mut rig: Rig) {
    let convener = rig.bring_in("001", Convener).await;
    for bad in NUMBERS {
        let mut dial = rig.dial("001", Participant);
        dial.number = (*bad).to_owned();
        let leg = dial.leg;
        let result = rig.run(Command::Dial(dial)).await;
        assert!(matches!(result, Err(CommandFailure::Unsafe(_))), "{bad:?}: {result:?}");
        assert!(!rig.snapshot(&[]).await.legs.contains_key(&leg), "{bad:?}");
        assert!(!rig.was_called(bad), "{bad:?}");
    }
    assert_eq!(rig.story(convener), ["ringing", "answered", "joined"], "the conference goes on undisturbed");
    rig.must(Command::HangUp { leg: convener }).await;
    rig.ended(convener).await;
}

/// As a display name of the asserted identity, or as a header of its own: what means more than text to a switch.
const SENT: &[&[u8]] = &[
    b"${SHELL(touch @MARK@)}",
    b"${system(touch @MARK@)}",
    b"$[1+1] ${EXTEN} ${CONF_NO} $${sklic_sounds}",
    b"x|y|z|1795364582.218",
    b"x,CONF_NO=7999,SKLIC_CALLER=admitted",
    b"x;SKLIC_IN=1;y=(((",
    b"]] ) } \\' ` ^^~a=1~b=2",
    b"%0d%0aAction: Ping%0d%0a %00 %41",
    b"\xff\xfe\xc3\x28 \xf0\x9f\x93",
    b"\x01\x02\x07\x1b[31m\x7f",
    "Žiga Čšž 📞 \u{202e}gnp.exe".as_bytes(),
];

/// Everything above by a caller's headers, on a real switch.
pub async fn what_callers_send_is_data(mut rig: Rig) {
    let mark = std::env::temp_dir().join(format!("sklic-mark-{}", rig.room));
    let mark_name = mark.to_string_lossy().into_owned();
    for (step, sent) in SENT.iter().map(|sent| sent.to_vec()).chain([vec![b'n'; 3_000]]).enumerate() {
        let at = memchr::memmem::find(&sent, b"@MARK@");
        let sent = at.map_or_else(|| sent.clone(), |at| [&sent[..at], mark_name.as_bytes(), &sent[at + 6..]].concat());
        let number = format!("+38659800{:05}{step:02}", rig.room.0 % 100_000);
        let identity = format!("<sip:{number}@127.0.0.1>\r\n").into_bytes();
        let headers = [&b"P-Asserted-Identity: \""[..], &sent, b"\" ", &identity, b"Privacy: id;", &sent, b"\r\nX-Odd: ", &sent, b"\r\n"].concat();
        let caller = rig.calls_in_as("19819", &number, headers).await;
        let words = format!("{step}: {:?}", String::from_utf8_lossy(&sent));
        assert_eq!(caller.dialled, "19819", "{words}");
        assert_eq!(caller.presented, number, "{words}");
        // A switch may leave out an identity that is no good SIP; it never becomes another.
        for asserted in &caller.asserted {
            assert!(!asserted.chars().any(char::is_control) && asserted.chars().count() <= 256, "{words}: {asserted:?}");
            assert!(!asserted.contains("7999>") && !asserted.contains("<sip:+38659900"), "{words}: {asserted:?}");
        }
        // He is where he should be, and in nobody's conference.
        let snapshot = rig.snapshot(&[]).await;
        assert_eq!(snapshot.callers.get(&caller.leg), Some(&caller), "{words}");
        rig.must(rig.ask(caller.leg, 1, &[Phrase::EnterCode])).await;
        rig.keys(caller.leg, "42#").await;
        assert_eq!(rig.keyed(caller.leg, 1).await, "42", "{words}");
        rig.must(Command::HangUp { leg: caller.leg }).await;
        rig.ended(caller.leg).await;
        assert!(!mark.exists(), "{words}: a command of the machine was run");
    }
    assert!(!rig.seen.iter().any(|event| matches!(event, sklic::pbx::Event::LinkDown { .. })), "the link has held");
}
