//! The parsers, and what must be true of each whatever it is given.

use std::collections::HashMap;

use bytes::BytesMut;
use sklic::ids::LegId;
use sklic::numbers::Numbering;
use sklic::pbx::asterisk::codec::{AmiCodec, Frame as AmiFrame};
use sklic::pbx::asterisk::translate as ami;
use sklic::pbx::freeswitch::codec::EslCodec;
use sklic::pbx::freeswitch::fields::Fields;
use sklic::pbx::freeswitch::translate as esl;
use sklic::pbx::{Caller, Keys, wire};
use tokio_util::codec::Decoder;

/// One parser.
pub struct Target {
    pub name: &'static str,
    pub seeds: &'static [&'static [u8]],
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
}

pub const TARGETS: &[Target] = &[
    Target { name: "ami_frames", seeds: AMI, run: ami_frames },
    Target { name: "esl_frames", seeds: ESL, run: esl_frames },
    Target { name: "esl_events", seeds: EVENTS, run: esl_events },
    Target { name: "numbers", seeds: NUMBERS, run: numbers },
    Target { name: "keys_and_identities", seeds: IDENTITIES, run: keys_and_identities },
    Target { name: "prices", seeds: PRICES, run: prices },
];

/// Decodes a stream that comes in two parts; the frames up to the first error.
fn decode<D: Decoder>(mut codec: D, input: &[u8], split: usize) -> Vec<D::Item> {
    let mut frames = Vec::new();
    let mut buffer = BytesMut::new();
    for part in [&input[..split], &input[split..]] {
        buffer.extend_from_slice(part);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    if let Ok(Some(frame)) = codec.decode_eof(&mut buffer) {
        frames.push(frame);
    }
    frames
}

const AMI: &[&[u8]] = &[
    b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: a-1\r\nMessage: Authentication accepted\r\n\r\n",
    b"Event: ConfbridgeJoin\r\nPrivilege: call,all\r\nTimestamp: 1795364585.382\r\nConference: sklic-1001\r\nChannel: PJSIP/trunk-00000001\r\nUniqueid: sklic-1257d06a8abc53798e5631e5692e1611\r\nAdmin: No\r\nMuted: No\r\n\r\n",
    b"Event: Hangup\r\nUniqueid: sklic-1257d06a8abc53798e5631e5692e1611\r\nCause: 17\r\nCause-txt: User busy\r\nTechCause: 486\r\n\r\n",
    b"Event: UserEvent\r\nUniqueid: 1795356010.24\r\nUserEvent: SklicArrived\r\nWho: 1795364582.218|.%2B38613099396|.%3Csip%3A%2B38640123456%40net%3E|.|.|.sip%3A040%40x|.id|.trunk|.a%0D%0A\r\n\r\n",
    b"Event: DTMFEnd\r\nUniqueid: 1795356010.24\r\nDigit: #\r\nDurationMs: 100\r\nDirection: Received\r\n\r\n",
    b"Response: Success\r\nEventList: start\r\nActionID: a-2\r\n\r\nEvent: Status\r\nActionID: a-2\r\nChannel: PJSIP/trunk-00000001\r\nVariable: CONF_NO=1001\r\n\r\nEvent: StatusComplete\r\nActionID: a-2\r\nEventList: Complete\r\n\r\n",
];

fn ami_frames(input: &[u8]) {
    let whole = decode(AmiCodec::default(), input, 0);
    assert_eq!(whole, decode(AmiCodec::default(), input, input.len() / 2), "where the stream is split does not matter");
    let callers = HashMap::from([("1795356010.24".to_owned(), LegId::of_channel("pbx1", "1795356010.24"))]);
    for frame in whole {
        let AmiFrame::Message { headers, .. } = frame else { continue };
        assert!(headers.iter().count() <= wire::MAX_HEADERS);
        let told = ami::translate(&headers, ami::Names { switch: "pbx1", callers: &callers });
        if let Some(ami::Told { what: ami::What::Arrived { caller, .. }, .. }) = told {
            harmless(&caller);
        }
    }
}

/// What goes into databases, pages and logs.
fn harmless(caller: &Caller) {
    let texts = [&caller.dialled, &caller.presented, &caller.trunk, &caller.call_id].into_iter().chain(&caller.asserted);
    for text in texts {
        assert!(text.chars().count() <= 256 && !text.chars().any(char::is_control), "{text:?}");
    }
    let is_number = caller.presented.len() >= 9 && caller.presented.bytes().all(|b| b.is_ascii_digit());
    assert!(!is_number || !format!("{caller:?}").contains(caller.presented.as_str()), "numbers stay out of logs");
}

const ESL: &[&[u8]] = &[
    b"Content-Type: auth/request\n\n",
    b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n",
    b"Content-Type: api/response\nContent-Length: 3\n\n+OK",
    b"Content-Length: 61\nContent-Type: text/event-json\n\n{\"Event-Name\":\"HEARTBEAT\",\"Event-Date-Timestamp\":\"1000000\"}\n\n",
    b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\nDisconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n",
];

fn esl_frames(input: &[u8]) {
    let whole = decode(EslCodec::default(), input, 0);
    assert_eq!(whole, decode(EslCodec::default(), input, input.len() / 3), "where the stream is split does not matter");
    for frame in whole {
        assert!(frame.headers.iter().count() <= wire::MAX_HEADERS);
        esl_events(&frame.body);
    }
}

const EVENTS: &[&[u8]] = &[
    br#"{"Event-Name":"CHANNEL_HANGUP_COMPLETE","Unique-ID":"sklic-0191d3a0c0de7000800000000000002a","Caller-Channel-Answered-Time":"1000","Caller-Channel-Hangup-Time":"2000","Hangup-Cause":"USER_BUSY","variable_hangup_cause_q850":"17","variable_sip_term_status":"486","variable_sip_hangup_disposition":"recv_refuse"}"#,
    br#"{"Event-Name":"CHANNEL_PARK","Unique-ID":"f86add92-c5c9-4a75-a17d-ecadb504f3db","Caller-Channel-Answered-Time":"1000","variable_SKLIC_IN":"1","variable_SKLIC_DNIS":"19819","variable_sip_from_user":"040","variable_sip_P-Asserted-Identity":"<sip:+38640123456@net>","variable_sip_call_id":"x"}"#,
    br#"{"Event-Name":"CUSTOM","Event-Subclass":"conference::maintenance","Conference-Name":"sklic-1001","Unique-ID":"f86add92-c5c9-4a75-a17d-ecadb504f3db","Action":"dtmf","DTMF-Key":"*5","Event-Date-Timestamp":"1000"}"#,
    br#"{"Event-Name":"DTMF","Unique-ID":"f86add92-c5c9-4a75-a17d-ecadb504f3db","DTMF-Digit":"5","DTMF-Duration":"800"}"#,
    br#"{"Event-Name":"BACKGROUND_JOB","Job-UUID":"a","_body":"-ERR DESTINATION_OUT_OF_ORDER\n"}"#,
];

fn esl_events(input: &[u8]) {
    let Some(fields) = Fields::parse(input) else { return };
    match esl::translate(&fields) {
        Some(esl::Told::Leg { what: esl::What::Arrived(caller), .. }) => harmless(&caller),
        Some(esl::Told::Job { failure: Some(words), .. }) => assert!(words.chars().count() <= 200),
        _ => {}
    }
}

const NUMBERS: &[&[u8]] =
    &[b"+386 40 123 456", b"040 123 456", b"00386(0)40-123-456", b"19819", b"01 309 93 96", "０４０１２３４５６".as_bytes(), b"sip:040123456@x"];

fn numbers(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(number) = Numbering::default().normalise(&text) else { return };
    wire::check_number("number", &number).expect("what is a number may be dialled");
    assert_eq!(Numbering::default().normalise(&number).as_deref(), Ok(number.as_str()), "a normal form is one");
}

const IDENTITIES: &[&[u8]] = &[
    b"<sip:+38640123456@net;user=phone>",
    b"\"Ana \\\"<sip:x@y>\\\" Novak\" <sip:+38640123456@net>",
    b"tel:+38640123456;phone-context=example.test",
    b"sip:%2b38640123456@net",
    b"anonymous <sip:anonymous@anonymous.invalid>",
    b"1234*#ABCD",
    b"id;critical, user",
];

fn keys_and_identities(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let keys = Keys::new(&text);
    assert!(keys.expose().len() <= 64 && keys.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'*'));
    assert!(keys.expose().len() < 3 || !format!("{keys:?}").contains(keys.expose()), "never shown");
    let decoded = wire::percent_decode(input);
    assert!(decoded.len() <= input.len());
    let caller = Caller {
        leg: LegId::of_channel("pbx1", "1"),
        dialled: Caller::text(&decoded),
        asserted: vec![Caller::text(input)],
        presented: Caller::text(Caller::user_of(&text).as_bytes()),
        private: Caller::is_private(&text),
        trunk: "trunk".into(),
        call_id: Caller::text(input),
        answered_at: jiff::Timestamp::UNIX_EPOCH,
        pass: None,
    };
    harmless(&caller);
    let identity = sklic::reception::identify(&caller, &["trunk".to_owned()], &Numbering::default());
    let _ = sklic::reception::access_number(&[], &caller.dialled, &identity, true);
}

const PRICES: &[&[u8]] = &[b"0.1234", b"-12,5", b"1e3", b"9223372036854775807", b"0.00005"];

fn prices(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(money) = text.parse::<sklic::billing::Money>() {
        assert_eq!(money.to_string().parse(), Ok(money), "{text:?}");
    }
}
