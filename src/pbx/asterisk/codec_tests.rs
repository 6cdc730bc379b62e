use proptest::prelude::*;

use super::*;

const BANNER: &[u8] = b"Asterisk Call Manager/11.0.0\r\n";

/// Decodes bytes that arrive in parts; the last element tells whether the codec gave up.
fn decode(parts: &[&[u8]]) -> (Vec<Frame>, bool) {
    let mut codec = AmiCodec::default();
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn after_banner(bytes: &[u8]) -> Vec<Frame> {
    let (mut frames, failed) = decode(&[BANNER, bytes]);
    assert!(!failed);
    assert_eq!(frames.remove(0), Frame::Banner);
    frames
}

fn pairs(frame: &Frame) -> Vec<(Vec<u8>, Vec<u8>)> {
    match frame {
        Frame::Banner => Vec::new(),
        Frame::Message { headers, .. } => headers.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect(),
    }
}

#[test]
fn reads_messages_one_after_the_other() {
    let frames = after_banner(b"Response: Success\r\nActionID: a1\r\n\r\nEvent: Hangup\r\nCause: 16\r\n\r\nEvent: Half\r\n");
    assert_eq!(frames.len(), 2);
    assert_eq!(pairs(&frames[1]), [(b"Event".to_vec(), b"Hangup".to_vec()), (b"Cause".to_vec(), b"16".to_vec())]);
}

#[test]
fn repeated_keys_stay_in_order() {
    let frames = after_banner(b"Event: E\r\nChanVariable: A=1\r\nChanVariable: B=2\r\n\r\n");
    let variables: Vec<_> = pairs(&frames[0]).into_iter().filter(|(k, _)| k == b"ChanVariable").map(|(_, v)| v).collect();
    assert_eq!(variables, [b"A=1".to_vec(), b"B=2".to_vec()]);
}

#[test]
fn another_protocol_is_told() {
    assert!(decode(&[b"SSH-2.0-OpenSSH_9.2\r\n"]).1);
    assert!(decode(&[&[b'x'; 400]]).1);
}

#[test]
fn a_message_of_a_megabyte_is_cut_and_the_next_is_whole() {
    let mut bytes = b"Event: Hangup\r\nCallerIDName: ".to_vec();
    bytes.extend(std::iter::repeat_n(0xff, 1 << 20));
    bytes.extend(b"\r\nUniqueid: leg\r\n\r\nEvent: Next\r\n\r\n");
    let frames = after_banner(&bytes);
    let Frame::Message { headers, cut } = &frames[0] else { panic!("a message") };
    assert!(cut);
    assert_eq!(headers.get("Uniqueid"), Some(&b"leg"[..]), "what follows the long value is still there");
    assert_eq!(headers.get("CallerIDName").map(<[u8]>::len), Some(MAX_KEPT_LINE - "CallerIDName: ".len()));
    assert_eq!(pairs(&frames[1]), [(b"Event".to_vec(), b"Next".to_vec())]);
}

#[test]
fn a_flood_of_headers_is_cut() {
    let mut bytes = b"Event: Flood\r\n".to_vec();
    for number in 0..100_000 {
        bytes.extend(format!("ChanVariable: V{number}=x\r\n").bytes());
    }
    bytes.extend(b"\r\nEvent: Next\r\n\r\n");
    let frames = after_banner(&bytes);
    assert_eq!(pairs(&frames[0]).len(), MAX_HEADERS);
    assert_eq!(frames.len(), 2);
}

#[test]
fn an_endless_line_takes_no_memory() {
    let mut codec = AmiCodec::default();
    let mut buffer = BytesMut::from(BANNER);
    assert!(matches!(codec.decode(&mut buffer), Ok(Some(Frame::Banner))));
    for _ in 0..4_000 {
        buffer.extend_from_slice(&[b'x'; 4_096]);
        assert!(matches!(codec.decode(&mut buffer), Ok(None)));
    }
    assert!(buffer.len() <= MAX_MESSAGE);
    let State::Overlong(overlong) = &codec.state else { panic!("overlong") };
    assert!(overlong.kept.len() <= MAX_KEPT_LINE);
}

#[test]
fn nothing_breaks_out_of_a_value() {
    for bad in ["evil\r\nVariable: LEG_ID=spoofed\r\n\r\nAction: Ping", "a\nb", "a\0", "a\r"] {
        let action = Action::new("Originate").with("CallerID", bad);
        let mut buffer = BytesMut::new();
        assert!(matches!(AmiCodec::default().encode(&action, &mut buffer), Err(CodecError::Unsafe(_))));
        assert!(buffer.is_empty(), "nothing was written");
    }
}

/// Lines as a switch might send them: any bytes but line ends, a key without a colon.
fn message() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 30_000..80_000),
    ];
    let line = ("[A-Za-z][A-Za-z-]{0,14}", value.prop_map(|bytes| bytes.into_iter().filter(|b| *b != b'\r' && *b != b'\n').collect()));
    prop::collection::vec(line, 1..8)
}

fn written(messages: &[Vec<(String, Vec<u8>)>]) -> Vec<u8> {
    let mut bytes = BANNER.to_vec();
    for message in messages {
        for (key, value) in message {
            bytes.extend(key.bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..4_000), banner: bool) {
        let parts: &[&[u8]] = if banner { &[BANNER, &bytes] } else { &[&bytes] };
        decode(parts);
    }

    #[test]
    fn where_the_stream_is_split_does_not_matter(messages in prop::collection::vec(message(), 1..4), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let bytes = written(&messages);
        let whole = decode(&[&bytes]);
        prop_assert_eq!(whole.0.len(), messages.len() + 1);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for to in at {
            parts.push(&bytes[from..to]);
            from = to;
        }
        parts.push(&bytes[from..]);
        prop_assert_eq!(&decode(&parts), &whole);
        let single: Vec<&[u8]> = if bytes.len() < 3_000 { bytes.chunks(1).collect() } else { bytes.chunks(1_009).collect() };
        prop_assert_eq!(&decode(&single), &whole);
    }

    #[test]
    fn what_is_sent_is_what_is_read(values in prop::collection::vec("[^\\p{Cc}]{0,60}", 1..20)) {
        let mut action = Action::new("Test");
        for value in &values {
            action = action.with("Variable", value.clone());
        }
        let mut buffer = BytesMut::new();
        AmiCodec::default().encode(&action, &mut buffer).expect("safe values are sent");
        let frames = after_banner(&buffer);
        prop_assert_eq!(frames.len(), 1, "one action stays one");
        let read: Vec<_> = pairs(&frames[0]).into_iter().skip(1).map(|(_, v)| String::from_utf8(v).expect("text")).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn either_refused_or_one_action(value in any::<String>()) {
        let action = Action::new("Test").with("Value", value.clone());
        let mut buffer = BytesMut::new();
        if AmiCodec::default().encode(&action, &mut buffer).is_ok() {
            let frames = after_banner(&buffer);
            prop_assert_eq!(frames.len(), 1);
            prop_assert_eq!(pairs(&frames[0]).len(), 2);
        } else {
            prop_assert!(buffer.is_empty());
        }
    }
}
