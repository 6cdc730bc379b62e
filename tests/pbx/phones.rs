//! A bank of phones on the trunk's far side: each number behaves as the simulator's table says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sklic::pbx::simulator::Behaviour;
use tokio::net::UdpSocket;

use crate::callers::Outgoing;
use crate::sip::Message;

/// What happened to one call at its phone.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub answered: bool,
    /// Cancelled, refused, or a goodbye from either side has been confirmed.
    pub ended: bool,
}

/// What a phone answers that does not go by its number.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Before it refuses: `180 Ringing` or `183 Session Progress`.
    pub first: Option<&'static str>,
    /// With which status it refuses.
    pub status: u16,
}

struct Dialogue {
    invite: Message,
    from: SocketAddr,
    tag: String,
    call: Call,
}

/// All phones.
pub struct Phones {
    pub(crate) socket: UdpSocket,
    pub(crate) sound: UdpSocket,
    /// Calls that phones have placed, by their Call-ID.
    pub(crate) calls: Mutex<HashMap<String, Outgoing>>,
    pub(crate) sound_time: AtomicU64,
    pub(crate) sound_sequence: AtomicU64,
    dialogues: Mutex<HashMap<String, Dialogue>>,
    /// Where 302 sends a call, by the number called.
    redirects: Mutex<HashMap<String, String>>,
    /// Numbers that refuse in a way of their own.
    refusals: Mutex<HashMap<String, Refusal>>,
    pub(crate) counter: AtomicUsize,
}

impl Phones {
    pub async fn start(port: u16, sound_port: u16) -> std::io::Result<Arc<Self>> {
        let phones = Arc::new(Self {
            socket: UdpSocket::bind(("127.0.0.1", port)).await?,
            sound: UdpSocket::bind(("127.0.0.1", sound_port)).await?,
            calls: Mutex::default(),
            sound_time: AtomicU64::new(160),
            sound_sequence: AtomicU64::new(0),
            dialogues: Mutex::default(),
            redirects: Mutex::default(),
            refusals: Mutex::default(),
            // A switch that still knows the calls of an earlier run takes the same names again for retransmissions.
            counter: AtomicUsize::new(rand::random::<u32>() as usize),
        });
        let listening = Arc::clone(&phones);
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = listening.socket.recv_from(&mut buffer).await {
                if let Some(message) = Message::parse(&buffer[..length]) {
                    listening.take(message, from).await;
                }
            }
        });
        Ok(phones)
    }

    /// What happened to the last call to a number; `None` when it was never called.
    pub fn call(&self, number: &str) -> Option<Call> {
        let dialogues = self.dialogues.lock().expect("no test panics in it");
        dialogues.values().find(|dialogue| dialogue.invite.number() == number).map(|dialogue| dialogue.call.clone())
    }

    /// The number's phone will send a call to this address of the Contact header.
    pub fn redirect(&self, number: &str, contact: &str) {
        self.redirects.lock().expect("no test panics in it").insert(number.into(), contact.into());
    }

    /// The number's phone will refuse in this way.
    pub fn refuse(&self, number: &str, refusal: Refusal) {
        self.refusals.lock().expect("no test panics in it").insert(number.into(), refusal);
    }

    /// Somebody calls the switch with a name of any bytes, and does not care for the answer.
    pub async fn call_in(&self, switch: SocketAddr, name: &[u8]) {
        let (local, branch) = (self.local(), self.counter.fetch_add(1, Ordering::Relaxed));
        let before = format!("INVITE sip:999@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKin{branch}\r\nFrom: \"", switch);
        let after = format!(
            "\" <sip:1@{local}>;tag=in{branch}\r\nTo: <sip:999@{0}>\r\nCall-ID: in{branch}@{local}\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{local}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            switch
        );
        let datagram = [before.as_bytes(), name, after.as_bytes()].concat();
        self.socket.send_to(&datagram, switch).await.expect("the switch listens");
    }

    pub(crate) async fn send(&self, text: &str, to: SocketAddr) {
        // A lost datagram is repeated by the switch.
        let _ = self.socket.send_to(text.as_bytes(), to).await;
    }

    pub(crate) fn local(&self) -> String {
        self.socket.local_addr().expect("it is bound").to_string()
    }

    async fn take(self: &Arc<Self>, message: Message, from: SocketAddr) {
        if self.take_outgoing(&message, from).await {
            return;
        }
        let id = message.header("call-id").to_owned();
        let contact = format!("<sip:phone@{}>", self.local());
        match message.method() {
            "INVITE" => {
                let tag = format!("t{}", self.counter.fetch_add(1, Ordering::Relaxed));
                {
                    let mut dialogues = self.dialogues.lock().expect("no test panics in it");
                    // Its repetition; what asks again with credentials has a number of its own.
                    if dialogues.get(&id).is_some_and(|known| known.invite.header("cseq") == message.header("cseq")) {
                        return;
                    }
                    dialogues.insert(id.clone(), Dialogue { invite: message, from, tag, call: Call::default() });
                }
                let phones = Arc::clone(self);
                tokio::spawn(async move { phones.ring(id).await });
            }
            "CANCEL" | "BYE" => {
                let (ok, terminated) = {
                    let mut dialogues = self.dialogues.lock().expect("no test panics in it");
                    let Some(dialogue) = dialogues.get_mut(&id) else { return };
                    dialogue.call.ended = true;
                    let ok = message.response("200 OK", &dialogue.tag, &contact, "");
                    let terminated =
                        (message.method() == "CANCEL").then(|| dialogue.invite.response("487 Request Terminated", &dialogue.tag, &contact, ""));
                    (ok, terminated)
                };
                self.send(&ok, from).await;
                if let Some(terminated) = terminated {
                    self.send(&terminated, from).await;
                }
            }
            // The switch confirms our goodbye.
            "SIP/2.0" if message.header("cseq").ends_with("BYE") => {
                if let Some(dialogue) = self.dialogues.lock().expect("no test panics in it").get_mut(&id) {
                    dialogue.call.ended = true;
                }
            }
            _ => {}
        }
    }

    async fn answer_with(&self, id: &str, status: &str, contact: Option<&str>, with_sound: bool) {
        let (text, to) = {
            let mut dialogues = self.dialogues.lock().expect("no test panics in it");
            let Some(dialogue) = dialogues.get_mut(id) else { return };
            if dialogue.call.ended {
                return;
            }
            // A refusal is the end. Noted before it is sent: after a 407 the same call may be asked for again at once.
            dialogue.call.ended = status.as_bytes().first().is_some_and(|class| *class >= b'3');
            let body = if with_sound {
                let port = self.sound.local_addr().expect("it is bound").port();
                format!(
                    "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
                )
            } else {
                String::new()
            };
            let own = format!("<sip:phone@{}>", self.local());
            (dialogue.invite.response(status, &dialogue.tag, contact.unwrap_or(&own), &body), dialogue.from)
        };
        self.send(&text, to).await;
    }

    async fn ring(&self, id: String) {
        let number = self.dialogues.lock().expect("no test panics in it")[&id].invite.number();
        let refusal = self.refusals.lock().expect("no test panics in it").get(&number).copied();
        if let Some(refusal) = refusal {
            return self.refuse_call(&id, refusal).await;
        }
        let mut behaviour = Behaviour::of(&number);
        match behaviour {
            Behaviour::OutOfReach | Behaviour::NeverAnything => return,
            Behaviour::EarlyMediaThenAnswers => self.answer_with(&id, "183 Session Progress", None, true).await,
            Behaviour::Refuses { rings: false, .. } => {}
            _ => self.answer_with(&id, "180 Ringing", None, false).await,
        }
        if behaviour == Behaviour::RingsForEver {
            return;
        }
        if !matches!(behaviour, Behaviour::Refuses { rings: false, .. }) {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if let Behaviour::Refuses { sip, .. } = behaviour {
            let target = self.redirects.lock().expect("no test panics in it").get(&number).cloned();
            let target = target.unwrap_or_else(|| format!("<sip:+38659900000200@{}>", self.local()));
            return self.answer_with(&id, &format!("{sip} No"), (sip == 302).then_some(target.as_str()), false).await;
        }
        self.answer_with(&id, "200 OK", None, true).await;
        if let Some(dialogue) = self.dialogues.lock().expect("no test panics in it").get_mut(&id) {
            dialogue.call.answered = true;
        }
        if let Behaviour::AnswersThenHangsUp(after) = &mut behaviour {
            tokio::time::sleep(*after).await;
            self.hang_up(&number).await;
        }
    }

    async fn refuse_call(&self, id: &str, Refusal { first, status }: Refusal) {
        if let Some(first) = first {
            self.answer_with(id, first, None, first.starts_with("183")).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let header = match status {
            401 => "\r\nWWW-Authenticate: Digest realm=\"phones\", nonce=\"1\", algorithm=MD5",
            407 => "\r\nProxy-Authenticate: Digest realm=\"phones\", nonce=\"1\", algorithm=MD5",
            420 => "\r\nUnsupported: replaces",
            _ => "",
        };
        self.answer_with(id, &format!("{status} No{header}"), None, false).await;
    }

    /// The person hangs up.
    pub async fn hang_up(&self, number: &str) {
        if self.caller_hangs_up(number).await {
            return;
        }
        let branch = self.counter.fetch_add(1, Ordering::Relaxed);
        let found = {
            let dialogues = self.dialogues.lock().expect("no test panics in it");
            let dialogue = dialogues.values().find(|dialogue| dialogue.invite.number() == number && !dialogue.call.ended);
            dialogue.map(|dialogue| (dialogue.invite.bye(&dialogue.tag, &self.local(), branch), dialogue.from))
        };
        if let Some((bye, to)) = found {
            self.send(&bye, to).await;
        }
    }

    /// The person talks for a second, and then breathes for three.
    pub async fn talk(&self, number: &str) {
        self.sound(number, 50, 200, Duration::from_millis(20)).await;
    }

    /// The phone shows for a minute that it is still there; the switch ends a call of which it hears nothing.
    pub async fn breathe(&self, number: &str) {
        self.sound(number, 0, 60, Duration::from_secs(1)).await;
    }

    /// Sends packets of 20 ms, the first of them loud, the others silent.
    async fn sound(&self, number: &str, loud: u16, packets: u16, every: Duration) {
        let called = {
            let dialogues = self.dialogues.lock().expect("no test panics in it");
            dialogues.values().find(|dialogue| dialogue.invite.number() == number).and_then(|dialogue| dialogue.invite.media())
        };
        let Some((host, port)) = called.or_else(|| self.caller_media(number)) else { return };
        let mut tick = tokio::time::interval(every);
        for sequence in 0..packets {
            tick.tick().await;
            // RFC 3550: version 2, payload type 8 (A-law), sequence, time, source.
            let mut packet = vec![0x80, 8];
            packet.extend(sequence.to_be_bytes());
            packet.extend((u32::from(sequence) * 160).to_be_bytes());
            packet.extend(7_u32.to_be_bytes());
            // A loud square wave, or silence.
            packet.extend((0..160).map(|sample| match (sequence < loud, sample / 8 % 2) {
                (false, _) => 0xd5,
                (true, 0) => 0x2a,
                (true, _) => 0xaa,
            }));
            let _ = self.sound.send_to(&packet, (host.as_str(), port)).await;
        }
    }
}
