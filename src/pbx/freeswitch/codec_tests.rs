use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn decode_all(codec: &mut EslCodec, buffer: &mut BytesMut) -> Result<Vec<Frame>, CodecError> {
    let mut frames = Vec::new();
    while let Some(frame) = codec.decode(buffer)? {
        frames.push(frame);
    }
    Ok(frames)
}

fn decode(bytes: &[u8]) -> Vec<Frame> {
    decode_all(&mut EslCodec::default(), &mut BytesMut::from(bytes)).expect("frames")
}

fn text(request: &Request) -> String {
    let mut buffer = BytesMut::new();
    EslCodec::default().encode(request, &mut buffer).expect("safe");
    String::from_utf8(buffer.to_vec()).expect("text")
}

/// A dialogue as FreeSWITCH 1.10.12 writes it, shortened.
const DIALOGUE: &[u8] = b"Content-Type: auth/request\n\n\
    Content-Type: command/reply\nReply-Text: +OK accepted\n\n\
    Content-Type: api/response\nContent-Length: 4\n\n+OK\n\
    Content-Length: 28\nContent-Type: text/event-json\n\n{\"Event-Name\":\"HEARTBEAT\"}\n\n\
    Content-Type: text/disconnect-notice\nContent-Length: 0\n\n";

#[test]
fn frames_of_the_real_switch() {
    let frames = decode(DIALOGUE);
    let kinds: Vec<_> = frames.iter().map(|frame| frame.headers.text("Content-Type").unwrap_or_default().into_owned()).collect();
    assert_eq!(kinds, ["auth/request", "command/reply", "api/response", "text/event-json", "text/disconnect-notice"]);
    assert_eq!(frames[1].headers.get("Reply-Text"), Some(&b"+OK accepted"[..]));
    assert_eq!(frames[2].body, Bytes::from_static(b"+OK\n"));
    assert_eq!(frames[3].body, Bytes::from_static(b"{\"Event-Name\":\"HEARTBEAT\"}\n\n"));
    assert!(frames.iter().all(|frame| !frame.cut));
}

#[test]
fn an_overlong_body_is_passed_over() {
    let length = MAX_BODY + 1;
    let mut bytes = format!("Content-Type: api/response\nContent-Length: {length}\n\n").into_bytes();
    bytes.resize(bytes.len() + length, b'\n');
    bytes.extend_from_slice(b"Content-Type: command/reply\nReply-Text: +OK\n\n");
    let frames = decode(&bytes);
    assert_eq!(frames.len(), 2);
    assert!(frames[0].cut && frames[0].body.is_empty());
    assert_eq!(frames[1].headers.get("Reply-Text"), Some(&b"+OK"[..]));
}

#[test]
fn what_is_no_event_socket_is_left() {
    for bad in [
        "Content-Length: many\n\n",
        "Content-Length: -1\n\n",
        "Content-Length: 99999999999999999999999\n\n",
        "Content-Length: 2147483648\n\n",
        &"x".repeat(MAX_MESSAGE + 1),
    ] {
        let result = decode_all(&mut EslCodec::default(), &mut BytesMut::from(bad.as_bytes()));
        assert!(matches!(result, Err(CodecError::NoFrame)), "{bad:.40}");
    }
}

#[test]
fn half_a_frame_at_the_end_is_nothing() {
    for cut in 1..DIALOGUE.len() {
        let mut buffer = BytesMut::from(&DIALOGUE[..cut]);
        let mut codec = EslCodec::default();
        let whole = decode_all(&mut codec, &mut buffer).expect("frames").len();
        assert!(whole < 5);
        assert_eq!(codec.decode_eof(&mut buffer).expect("no error"), None, "{cut}");
    }
}

#[test]
fn requests_are_lines_and_an_empty_one() {
    let request = Request::new("bgapi originate x").with("Job-UUID", "7");
    assert_eq!(text(&request), "bgapi originate x\nJob-UUID: 7\n\n");
    assert_eq!(format!("{request:?}"), "Request(bgapi originate)");
    assert_eq!(format!("{:?}", Request::new("auth secret")), "Request(auth)");
}

#[test]
fn what_would_be_another_request_is_refused() {
    let mut buffer = BytesMut::new();
    for bad in ["", " ", "api x\n", "api x\n\napi y", "api x\r", "api \0", "api x\u{85}y", " api x", "api x "] {
        EslCodec::default().encode(&Request::new(bad), &mut buffer).expect_err(bad);
        EslCodec::default().encode(&Request::new("api x").with("Job-UUID", format!("1\n{bad}")), &mut buffer).expect_err(bad);
    }
    EslCodec::default().encode(&Request::new("x".repeat(MAX_SENT + 1)), &mut buffer).expect_err("too long");
    assert!(buffer.is_empty(), "nothing was written");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_all(&mut EslCodec::default(), &mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn no_lines_make_it_panic(text in "((Content-Length: -?[0-9]{0,5}|Content-Type: [a-z/]{0,9}|[ -~]{0,9})\n{1,3}){0,20}") {
        let _ = decode_all(&mut EslCodec::default(), &mut BytesMut::from(text.as_bytes()));
    }

    /// However the network cuts the bytes, the frames are the same.
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1_usize..40, 1..60)) {
        let mut codec = EslCodec::default();
        let (mut buffer, mut rest, mut frames) = (BytesMut::new(), DIALOGUE, Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, left) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(part);
            rest = left;
            frames.extend(decode_all(&mut codec, &mut buffer).expect("frames"));
        }
        prop_assert_eq!(frames, decode(DIALOGUE));
    }

    /// Whatever is sent is one request, or is refused.
    #[test]
    fn one_request_is_one_request(line in "\\PC{0,80}|[\\x00-\\x7f]{0,40}", value in "[\\x00-\\x7f]{0,40}") {
        let request = Request::new(line).with("Job-UUID", value);
        let mut buffer = BytesMut::new();
        if EslCodec::default().encode(&request, &mut buffer).is_ok() {
            prop_assert!(buffer.ends_with(b"\n\n"));
            prop_assert_eq!(buffer.iter().filter(|byte| **byte == b'\n').count(), 3);
            prop_assert!(!buffer.iter().any(|byte| *byte < 0x20 && *byte != b'\n'));
        } else {
            prop_assert!(buffer.is_empty());
        }
    }
}
