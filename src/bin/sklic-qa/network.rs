//! The telephone network of the lab: takes the switch's calls and brings each to the phone with that number.
//!
//! A stateless proxy (RFC 3261 §16.11): it puts its own Via on top, and answers go back along the Vias.
//! Phones give the network's address as their Contact, so that every message of a call passes here and is seen.

use crate::rtp::Rtp;
use crate::sip::{Message, parameter};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Who ended an answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The phone said goodbye.
    Phone,
    /// The switch said goodbye.
    Switch,
}

/// One call as the network saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The phone's number, in the normal form of [`normal`].
    pub number: String,
    /// The phone called, rather than being called.
    pub by_phone: bool,
    /// When the INVITE came.
    pub invited: Instant,
    /// When it rang (180).
    pub ringing: Option<Instant>,
    /// When it was answered (200).
    pub answered: Option<Instant>,
    /// When the switch took the call back before the answer.
    pub cancelled: Option<Instant>,
    /// When and with which status it was refused.
    pub refused: Option<(Instant, u16)>,
    /// When and by whom an answered call was ended.
    pub ended: Option<(Instant, Side)>,
    call_id: String,
    invite: Message,
    early: bool,
}

impl Call {
    /// Still ringing or talking.
    pub fn is_alive(&self) -> bool {
        self.refused.is_none() && self.ended.is_none() && self.cancelled.is_none()
    }
}

/// A line of the network: a number, or a range of numbers, and the phone behind it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Number, or how the numbers of a range begin.
    pub number: String,
    /// A range of numbers.
    pub range: bool,
    /// Where its SIPp listens.
    pub sip: SocketAddr,
    /// Its audio; a range of load phones has none.
    pub rtp: Option<Arc<Rtp>>,
}

/// The network. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub struct Network {
    /// The UDP port of the trunk.
    pub port: u16,
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Every number that a phone has ever had.
    known: BTreeSet<String>,
    calls: Vec<Call>,
}

/// A number as the network compares it: its digits, without a leading 00.
pub fn normal(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    digits.strip_prefix("00").unwrap_or(&digits).to_owned()
}

impl Network {
    /// Takes the trunk's port and begins to carry calls until the runtime ends.
    pub async fn open(port: u16) -> Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("the trunk's port 127.0.0.1:{port} is taken; is another sklic-qa running?"))?;
        let port = socket.local_addr()?.port();
        let (changes, _) = watch::channel(0);
        let network = Self { port, socket: Arc::new(socket), state: Arc::default(), changes };
        let carrier = network.clone();
        tokio::spawn(async move {
            let mut datagram = vec![0u8; 65536];
            loop {
                // An error here is the ICMP of a phone that is gone; the next datagram is not concerned.
                let Ok((length, from)) = carrier.socket.recv_from(&mut datagram).await else {
                    continue;
                };
                if let Some(message) = Message::parse(&datagram[..length]) {
                    carrier.carry(message, from).await;
                }
            }
        });
        Ok(network)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Connects a phone.
    pub fn connect(&self, line: Line) {
        let mut state = self.state();
        state.lines.retain(|other| other.number != line.number);
        state.known.insert(line.number.clone());
        state.lines.push(line);
    }

    /// Disconnects a phone.
    pub fn disconnect(&self, number: &str) {
        self.state().lines.retain(|line| line.number != number);
    }

    /// All calls since a moment, oldest first.
    pub fn calls_since(&self, moment: Instant) -> Vec<Call> {
        self.state().calls.iter().filter(|call| call.invited >= moment).cloned().collect()
    }

    /// Whether a phone has, or had, this number.
    pub fn knows(&self, number: &str) -> bool {
        let state = self.state();
        state.known.contains(number) || state.line_of(number).is_some()
    }

    /// Tells when something happened to a call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Gives a phone's SIPp the runner's sign for its live call: a MESSAGE with the headers of the call's INVITE.
    pub async fn give_sign(&self, number: &str) -> Result<()> {
        let (sign, sip) = {
            let state = self.state();
            let call = state.calls.iter().rev().find(|call| call.number == number && call.is_alive());
            let call = call.with_context(|| format!("the phone {number} is in no call"))?;
            let line = state.line_of(number).with_context(|| format!("no phone has the number {number}"))?;
            let mut sign = call.invite.clone();
            sign.start = format!("MESSAGE sip:{number}@127.0.0.1:{} SIP/2.0", self.port);
            sign.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Type") && !name.eq_ignore_ascii_case("Content-Length"));
            sign.headers.push(("Content-Length".to_owned(), "0".to_owned()));
            sign.body.clear();
            (sign, line.sip)
        };
        self.socket.send_to(&sign.render(), sip).await?;
        Ok(())
    }

    async fn carry(&self, message: Message, from: SocketAddr) {
        let (message, to) = if message.status().is_some() { self.back(message) } else { self.onward(message, from) };
        if let Some(to) = to {
            // A peer that is gone will not hear the retransmission either; the sender's timers tell him.
            let _ = self.socket.send_to(&message.render(), to).await;
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// A response goes back where its request came from, which our Via remembers.
    fn back(&self, mut message: Message) -> (Message, Option<SocketAddr>) {
        let to = message.pop_via().and_then(|via| parameter(&via, "from")?.replace('-', ":").parse().ok());
        if to.is_some() {
            self.state().note_response(&message);
        }
        (message, to)
    }

    /// A request goes to the phone with its number, or to the address in its URI.
    fn onward(&self, mut message: Message, from: SocketAddr) -> (Message, Option<SocketAddr>) {
        let target = message.target().map(|(user, host)| (normal(user), user.is_empty(), host));
        let mut state = self.state();
        let (to, number, by_phone) = match target {
            Some((_, true, _)) if message.method() == "OPTIONS" => {
                return (message.reply("200 OK"), Some(from));
            }
            Some((number, _, host)) if host == format!("127.0.0.1:{}", self.port) => (state.line_of(&number).map(|line| line.sip), number, false),
            Some((_, _, host)) => {
                let number = state.lines.iter().find(|line| line.sip == from).map(|line| line.number.clone());
                (host.parse().ok().filter(|to: &SocketAddr| to.ip().is_loopback()), number.unwrap_or_default(), true)
            }
            None => (None, String::new(), false),
        };
        let top = message.header("Via").map(|via| parameter(via.split(',').next().unwrap_or(via), "branch").unwrap_or(via).to_owned());
        let mut hasher = DefaultHasher::new();
        (top, from).hash(&mut hasher);
        let via = format!("SIP/2.0/UDP 127.0.0.1:{};branch=z9hG4bKqa{:016x};from={}", self.port, hasher.finish(), from.to_string().replace(':', "-"));
        let original = message.clone();
        message.push_via(via);
        state.note_request(&message, number, by_phone);
        if to.is_none() {
            let reply = original.reply("404 Not Found");
            state.note_response(&reply);
            return (reply, (original.method() != "ACK").then_some(from));
        }
        (message, to)
    }
}

impl State {
    fn line_of(&self, number: &str) -> Option<&Line> {
        let exact = self.lines.iter().find(|line| !line.range && line.number == number);
        exact.or_else(|| self.lines.iter().find(|line| line.range && number.starts_with(&line.number)))
    }

    fn rtp_of(&self, number: &str) -> Option<Arc<Rtp>> {
        self.line_of(number)?.rtp.clone()
    }

    fn call(&mut self, message: &Message) -> Option<usize> {
        let call_id = message.header("Call-ID")?;
        self.calls.iter().rposition(|call| call.call_id == call_id)
    }

    fn note_request(&mut self, message: &Message, number: String, by_phone: bool) {
        let now = Instant::now();
        let known = self.call(message);
        match (message.method(), known) {
            ("INVITE", None) => {
                self.calls.push(Call {
                    number,
                    by_phone,
                    invited: now,
                    ringing: None,
                    answered: None,
                    cancelled: None,
                    refused: None,
                    ended: None,
                    call_id: message.header("Call-ID").unwrap_or("").to_owned(),
                    invite: message.clone(),
                    early: false,
                });
            }
            ("CANCEL", Some(at)) => {
                self.calls[at].cancelled.get_or_insert(now);
            }
            ("BYE", Some(at)) => {
                let side = if by_phone { Side::Phone } else { Side::Switch };
                self.calls[at].ended.get_or_insert((now, side));
                if let Some(rtp) = self.rtp_of(&self.calls[at].number) {
                    rtp.end();
                }
            }
            _ => {}
        }
    }

    fn note_response(&mut self, message: &Message) {
        let now = Instant::now();
        let (Some(status), "INVITE") = (message.status(), message.method()) else {
            return;
        };
        let Some(at) = self.call(message) else { return };
        let call = &mut self.calls[at];
        let peer = if call.by_phone { message.audio_address() } else { call.invite.audio_address() };
        let mut begins = false;
        match status {
            100 => {}
            180 => {
                call.ringing.get_or_insert(now);
            }
            101..=199 => begins = !std::mem::replace(&mut call.early, true),
            200..=299 => begins = call.answered.replace(now).is_none(),
            _ => {
                call.refused.get_or_insert((now, status));
            }
        }
        let (number, ended) = (call.number.clone(), call.refused.is_some());
        let Some(rtp) = self.rtp_of(&number) else {
            return;
        };
        if ended {
            rtp.end();
        } else if let (true, Some(peer)) = (begins, peer) {
            rtp.begin(peer, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_compared_by_its_digits() {
        assert_eq!(normal("+386 40 100 001"), "38640100001");
        assert_eq!(normal("0038640100001"), "38640100001");
        assert_eq!(normal("040100001"), "040100001");
    }

    #[tokio::test]
    async fn a_call_reaches_its_phone_and_its_answers_come_back() {
        let network = Network::open(0).await.unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let switch = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        network.connect(Line { number: "38640100001".into(), range: false, sip: phone.local_addr().unwrap(), rtp: None });
        let began = Instant::now();
        let invite = |number: &str, call: &str| {
            format!(
                "INVITE sip:{number}@127.0.0.1:{} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{call}\r\nCall-ID: {call}\r\n\
                 From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCSeq: 1 INVITE\r\n\r\n",
                network.port,
                switch.local_addr().unwrap()
            )
        };
        let to = ("127.0.0.1", network.port);
        switch.send_to(invite("+38640100001", "one").as_bytes(), to).await.unwrap();
        let mut buffer = [0u8; 4096];
        let (length, from) = phone.recv_from(&mut buffer).await.unwrap();
        let arrived = Message::parse(&buffer[..length]).unwrap();
        assert_eq!(arrived.headers.iter().filter(|(name, _)| name == "Via").count(), 2);
        phone.send_to(&arrived.reply("486 Busy Here").render(), from).await.unwrap();
        let (length, _) = switch.recv_from(&mut buffer).await.unwrap();
        let answer = Message::parse(&buffer[..length]).unwrap();
        assert_eq!(answer.status(), Some(486));
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "Via").count(), 1);

        switch.send_to(invite("+38640999999", "two").as_bytes(), to).await.unwrap();
        let (length, _) = switch.recv_from(&mut buffer).await.unwrap();
        assert_eq!(Message::parse(&buffer[..length]).unwrap().status(), Some(404), "no phone has that number");
        let calls = network.calls_since(began);
        assert_eq!(calls.iter().map(|call| call.refused.map(|(_, status)| status)).collect::<Vec<_>>(), [Some(486), Some(404)]);
        assert!(network.knows("38640100001") && !network.knows("38640999999"));
    }

    #[test]
    fn ranges_come_after_exact_numbers() {
        let line = |number: &str, range, port| Line { number: number.into(), range, sip: SocketAddr::from(([127, 0, 0, 1], port)), rtp: None };
        let state = State { lines: vec![line("3864020", true, 1), line("38640200001", false, 2)], ..State::default() };
        assert_eq!(state.line_of("38640200001").unwrap().sip.port(), 2);
        assert_eq!(state.line_of("38640200002").unwrap().sip.port(), 1);
        assert!(state.line_of("38640300001").is_none());
    }
}
