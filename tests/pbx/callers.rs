//! Phones that call the switch: an INVITE of any number and headers, keys as RFC 4733 events, and goodbyes.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::phones::Phones;
use crate::sip::Message;

/// A call that a phone has placed.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    switch: Option<SocketAddr>,
    from: String,
    /// What the switch answered, once it has: To with its tag, where its goodbyes go, where its sound comes from.
    answered: Option<(String, String, (String, u16))>,
    pub ended: bool,
    /// The final status that refused it.
    pub refused: Option<String>,
}

/// How a phone calls.
pub struct CallIn<'a> {
    pub switch: SocketAddr,
    /// The number dialled.
    pub dialled: &'a str,
    /// The number that the phone shows; each call in a test has its own.
    pub number: &'a str,
    /// More header lines, each with its CR LF; any bytes.
    pub headers: Vec<u8>,
}

impl Phones {
    /// Calls the switch. What comes of it is seen by [`Phones::outgoing`].
    pub async fn dial_in(&self, call: &CallIn<'_>) {
        let (local, branch) = (self.local(), self.counter.fetch_add(1, Ordering::Relaxed));
        let (number, dialled, switch) = (call.number, call.dialled, call.switch);
        let id = format!("in-{number}");
        let from = format!("<sip:{number}@{local}>;tag=in{branch}");
        let outgoing = Outgoing { switch: Some(switch), from: from.clone(), ..Outgoing::default() };
        self.calls.lock().expect("no test panics in it").insert(id.clone(), outgoing);
        let port = self.sound.local_addr().expect("it is bound").port();
        let body = format!(
            "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        );
        let mut datagram = format!(
            "INVITE sip:{dialled}@{switch} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKin{branch}\r\nFrom: {from}\r\nTo: <sip:{dialled}@{switch}>\r\n\
             Call-ID: {id}\r\nCSeq: 1 INVITE\r\nContact: <sip:{number}@{local}>\r\nMax-Forwards: 70\r\n"
        )
        .into_bytes();
        datagram.extend(&call.headers);
        datagram.extend(format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
        self.socket.send_to(&datagram, switch).await.expect("the switch listens");
    }

    /// What has become of the call of a number.
    pub fn outgoing(&self, number: &str) -> Option<Outgoing> {
        self.calls.lock().expect("no test panics in it").get(&format!("in-{number}")).cloned()
    }

    /// The switch's answers to what these phones have sent, and its goodbyes; `true` when the message was for one of them.
    pub(crate) async fn take_outgoing(&self, message: &Message, from: SocketAddr) -> bool {
        let id = message.header("call-id").to_owned();
        let reply = {
            let mut calls = self.calls.lock().expect("no test panics in it");
            let Some(call) = calls.get_mut(&id) else { return false };
            let (method, local) = (message.method(), self.local());
            let branch = self.counter.fetch_add(1, Ordering::Relaxed);
            let status = message.first.strip_prefix("SIP/2.0 ").unwrap_or_default().to_owned();
            match method {
                "BYE" => {
                    call.ended = true;
                    Some(message.response("200 OK", "", &format!("<sip:phone@{local}>"), ""))
                }
                "SIP/2.0" if message.header("cseq").ends_with("INVITE") && !status.starts_with('1') => {
                    let target = message.header("contact").trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
                    if let (true, Some(media)) = (status.starts_with('2'), message.media()) {
                        call.answered = Some((message.header("to").to_owned(), target.clone(), media));
                    } else {
                        call.refused = Some(status.clone());
                        call.ended = true;
                    }
                    let target = if target.is_empty() { format!("sip:{from}") } else { target };
                    Some(format!(
                        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKack{branch}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                        call.from,
                        message.header("to"),
                    ))
                }
                "SIP/2.0" if message.header("cseq").ends_with("BYE") => {
                    call.ended = true;
                    None
                }
                _ => None,
            }
        };
        if let Some(reply) = reply {
            self.send(&reply, from).await;
        }
        true
    }

    /// The caller hangs up; `false` when there is no such call.
    pub async fn caller_hangs_up(&self, number: &str) -> bool {
        let Some(call) = self.outgoing(number) else { return false };
        let (Some((to, target, _)), Some(switch)) = (call.answered, call.switch) else { return false };
        let (local, branch) = (self.local(), self.counter.fetch_add(1, Ordering::Relaxed));
        let bye = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKinbye{branch}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: in-{number}\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            call.from
        );
        self.send(&bye, switch).await;
        true
    }

    /// Where the sound of a caller goes.
    pub fn caller_media(&self, number: &str) -> Option<(String, u16)> {
        Some(self.outgoing(number)?.answered?.2)
    }

    /// The caller presses keys, one after the other: each an event of 100 ms (RFC 4733), and 80 ms of nothing.
    pub async fn press(&self, number: &str, keys: &str) {
        let Some((host, port)) = self.caller_media(number) else { return };
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for key in keys.chars() {
            let event = match key {
                '*' => 10,
                '#' => 11,
                digit => digit.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).expect("a key"),
            };
            // One clock for all phones: the switch takes an event with an older time for a repeat.
            let time = u32::try_from(self.sound_time.fetch_add(1_440, Ordering::SeqCst)).expect("a test is short");
            for step in 0_u16..9 {
                tick.tick().await;
                if step >= 8 {
                    continue;
                }
                let (end, duration) = (step >= 5, (step.min(4) + 1) * 160);
                let sequence = u16::try_from(self.sound_sequence.fetch_add(1, Ordering::SeqCst) % 65_536).expect("it fits");
                // RFC 3550: version 2, the first packet marked, payload type 101.
                let mut packet = vec![0x80, if step == 0 { 0x80 | 101 } else { 101 }];
                packet.extend(sequence.to_be_bytes());
                packet.extend(time.to_be_bytes());
                packet.extend(7_u32.to_be_bytes());
                packet.extend([event, if end { 0x80 | 10 } else { 10 }]);
                packet.extend(duration.to_be_bytes());
                let _ = self.sound.send_to(&packet, (host.as_str(), port)).await;
            }
        }
    }
}
