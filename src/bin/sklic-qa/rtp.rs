//! The mouth and ear of a phone: sends and records RTP (RFC 3550) and sends keys (RFC 4733).

use crate::g711;
use crate::sound::{FRAME, RATE, Voice};
use anyhow::Result;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// RTP payload type of A-law (RFC 3551).
const ALAW: u8 = 8;
/// RTP payload type of µ-law (RFC 3551).
const ULAW: u8 = 0;
/// RTP payload type of keys, as our SDP says.
const KEYS: u8 = 101;

/// What a phone heard in one call. Sample 0 is the moment the call was answered.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The moment of sample 0.
    pub began: Instant,
    /// Everything received, at its place in time; what did not come is silence.
    pub samples: Vec<i16>,
}

/// One phone's audio, living as long as the phone.
#[derive(Debug)]
pub struct Rtp {
    /// The UDP port the SDP offers.
    pub port: u16,
    socket: UdpSocket,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    voice: Voice,
    peer: Option<SocketAddr>,
    keys: VecDeque<u8>,
    recordings: Vec<Recording>,
    /// Where the last stretch of packets lies in the last recording.
    anchor: Option<Anchor>,
    /// What was received since the phone began, in samples.
    received: usize,
}

/// A stretch of packets with timestamps in a row.
#[derive(Debug)]
struct Anchor {
    /// RTP timestamp of its first packet.
    timestamp: u32,
    /// Where that packet lies, in samples.
    at: usize,
    /// Where the stretch begins: packets may come out of order.
    began: usize,
    /// The packets that all came late, if there are any just now.
    late: Option<Late>,
}

/// Packets that came late, one after another.
#[derive(Debug)]
struct Late {
    /// When the first of them came, in samples.
    since: usize,
    /// Where it was placed.
    place: usize,
    /// By how much the least late of them was late.
    least: usize,
}

/// Packets may be late by 40 ms without being late.
const IN_TIME: usize = RATE / 25;

impl Anchor {
    /// Where a packet belongs by its timestamp.
    fn place(&mut self, timestamp: u32) -> Option<usize> {
        let ahead = isize::try_from(timestamp.wrapping_sub(self.timestamp).cast_signed()).ok()?;
        let place = self.at.checked_add_signed(ahead)?;
        self.began = self.began.min(place);
        Some(place)
    }

    /// Where a packet really belongs that came `now` and that its timestamp puts at `place`.
    ///
    /// A packet cannot come before its time: then the first one of the stretch was late, and the stretch moves up.
    /// Packets that are late for half a second are not late: the switch has halted without counting on, and they move down.
    fn corrected(&mut self, place: usize, now: usize, samples: &mut Vec<i16>) -> usize {
        if place > now + FRAME {
            return place - self.move_up(place - now - FRAME, samples);
        }
        let lateness = now.saturating_sub(place);
        if lateness <= IN_TIME {
            self.late = None;
            return place;
        }
        let late = self.late.get_or_insert(Late { since: now, place, least: lateness });
        late.least = late.least.min(lateness);
        if now < late.since + RATE / 2 {
            return place;
        }
        let (from, by) = (late.place.min(samples.len()), late.least);
        samples.splice(from..from, std::iter::repeat_n(0, by));
        *self = Self { timestamp: self.timestamp, at: self.at + by, began: from + by, late: None };
        place + by
    }

    /// Moves the whole stretch up by so many samples, as far as there is silence before it; gives how far.
    fn move_up(&mut self, by: usize, samples: &mut Vec<i16>) -> usize {
        let silent = samples[..self.began.min(samples.len())].iter().rev().take(by).take_while(|&&sample| sample == 0).count();
        samples.drain(self.began.min(samples.len()) - silent..self.began.min(samples.len()));
        self.at -= silent;
        self.began -= silent;
        silent
    }
}

impl Rtp {
    /// Opens a port and starts the phone's audio. It falls silent when the last holder drops it.
    pub async fn open(voice: Voice) -> Result<Arc<Self>> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        let state = State { voice, peer: None, keys: VecDeque::new(), recordings: Vec::new(), anchor: None, received: 0 };
        let rtp = Arc::new(Self { port, socket, state: Mutex::new(state) });
        let weak = Arc::downgrade(&rtp);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            let mut sender = Sender::default();
            loop {
                ticks.tick().await;
                let Some(rtp) = weak.upgrade() else { return };
                rtp.listen();
                if let Some((peer, packets)) = rtp.next_packets(&mut sender) {
                    for packet in packets {
                        // A peer that is gone answers with ICMP; the call's end is told by SIP, not here.
                        let _ = rtp.socket.try_send_to(&packet, peer);
                    }
                }
            }
        });
        Ok(rtp)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Begins to talk to a peer, and a new recording unless the call already has one.
    pub fn begin(&self, peer: SocketAddr, new_recording: bool) {
        let mut state = self.state();
        state.peer = Some(peer);
        if new_recording || state.recordings.is_empty() {
            state.anchor = None;
            state.recordings.push(Recording { began: Instant::now(), samples: Vec::new() });
        }
    }

    /// Stops talking: the call is over.
    pub fn end(&self) {
        let mut state = self.state();
        state.peer = None;
        state.keys.clear();
    }

    /// Says something else from now on.
    pub fn say(&self, voice: Voice) {
        self.state().voice = voice;
    }

    /// Presses keys, one after another.
    pub fn press(&self, digits: &str) {
        self.state().keys.extend(digits.chars().filter_map(key_event));
    }

    /// All recordings so far, one for each call.
    pub fn recordings(&self) -> Vec<Recording> {
        self.state().recordings.clone()
    }

    /// How many samples were received since the phone began.
    pub fn received(&self) -> usize {
        self.state().received
    }

    /// What was heard between two moments, of all calls; times without a call are silence.
    pub fn heard(&self, from: Instant, to: Instant) -> Vec<i16> {
        let mut heard = vec![0; samples_between(from, to)];
        for recording in &self.state().recordings {
            let (skip, shift) = (samples_between(recording.began, from), samples_between(from, recording.began));
            for (place, sample) in heard.iter_mut().skip(shift).zip(recording.samples.iter().skip(skip)) {
                *place = *sample;
            }
        }
        heard
    }

    /// Takes in what has arrived.
    fn listen(&self) {
        let mut packet = [0u8; 1500];
        while let Ok((length, _)) = self.socket.try_recv_from(&mut packet) {
            self.state().take(&packet[..length]);
        }
    }

    fn next_packets(&self, sender: &mut Sender) -> Option<(SocketAddr, Vec<Vec<u8>>)> {
        let mut state = self.state();
        let peer = state.peer?;
        let State { voice, keys, .. } = &mut *state;
        Some((peer, sender.next(voice, keys)))
    }
}

impl State {
    fn take(&mut self, packet: &[u8]) {
        let Some(&[version, payload_type]) = packet.first_chunk() else {
            return;
        };
        let header = 12 + 4 * usize::from(version & 0x0F);
        let decode: fn(u8) -> i16 = match payload_type & 0x7F {
            ALAW => g711::decode_alaw,
            ULAW => g711::decode_ulaw,
            _ => return,
        };
        let (Some(timestamp), Some(payload)) = (packet.get(4..8), packet.get(header..)) else {
            return;
        };
        if version >> 6 != 2 {
            return;
        }
        let timestamp = u32::from_be_bytes([timestamp[0], timestamp[1], timestamp[2], timestamp[3]]);
        self.received += payload.len();
        let Some(recording) = self.recordings.last_mut() else {
            return;
        };
        let now = samples_between(recording.began, Instant::now());
        // Timestamps place a packet exactly, also when it arrives late; when they leap the arrival counts anew.
        let place = match self.anchor.as_mut().and_then(|anchor| Some((anchor.place(timestamp)?, anchor))) {
            Some((place, anchor)) if place.abs_diff(now) < RATE => anchor.corrected(place, now, &mut recording.samples),
            _ => {
                self.anchor = Some(Anchor { timestamp, at: now, began: now, late: None });
                now
            }
        };
        if recording.samples.len() < place + payload.len() {
            recording.samples.resize(place + payload.len(), 0);
        }
        for (sample, &octet) in recording.samples[place..].iter_mut().zip(payload) {
            *sample = decode(octet);
        }
    }
}

/// The stream that one phone sends.
#[derive(Default)]
struct Sender {
    sequence: u16,
    timestamp: u32,
    position: u64,
    key: Option<Key>,
}

struct Key {
    event: u8,
    timestamp: u32,
    /// Ticks of 20 ms since the key went down.
    ticks: u16,
}

/// How many ticks a key is held, and how many the pause after it lasts.
const KEY_TICKS: u16 = 8;
const PAUSE_TICKS: u16 = 6;

impl Sender {
    fn next(&mut self, voice: &Voice, keys: &mut VecDeque<u8>) -> Vec<Vec<u8>> {
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.position += FRAME as u64;
        if self.key.is_none()
            && let Some(event) = keys.pop_front()
        {
            self.key = Some(Key { event, timestamp: self.timestamp, ticks: 0 });
        }
        if let Some(mut key) = self.key.take() {
            key.ticks += 1;
            let packets = self.key_packets(&key);
            if key.ticks < KEY_TICKS + PAUSE_TICKS {
                self.key = Some(key);
            }
            return packets;
        }
        let Some(frame) = voice.frame(self.position) else {
            return Vec::new();
        };
        let payload: Vec<u8> = frame.iter().map(|&sample| g711::encode_alaw(sample)).collect();
        vec![self.packet(ALAW, false, self.timestamp, &payload)]
    }

    /// RFC 4733: one timestamp for the whole key, a growing duration, the last packet three times.
    fn key_packets(&mut self, key: &Key) -> Vec<Vec<u8>> {
        if key.ticks > KEY_TICKS {
            return vec![self.packet(ALAW, false, self.timestamp, &[g711::SILENCE; FRAME])];
        }
        let duration = (key.ticks * FRAME as u16).to_be_bytes();
        let last = key.ticks == KEY_TICKS;
        let payload = [key.event, if last { 0x8A } else { 0x0A }, duration[0], duration[1]];
        (0..if last { 3 } else { 1 }).map(|_| self.packet(KEYS, key.ticks == 1, key.timestamp, &payload)).collect()
    }

    fn packet(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, payload_type | if marker { 0x80 } else { 0 }];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(b"SKLQ");
        packet.extend_from_slice(payload);
        packet
    }
}

/// The RFC 4733 event of a key.
fn key_event(key: char) -> Option<u8> {
    match key {
        '0'..='9' => Some(key as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        _ => None,
    }
}

fn samples_between(from: Instant, to: Instant) -> usize {
    (to.saturating_duration_since(from).as_micros() * RATE as u128 / 1_000_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing;

    #[tokio::test]
    async fn two_phones_hear_each_other() {
        let ana = Rtp::open(Voice::Tone(440)).await.unwrap();
        let boris = Rtp::open(Voice::Silence).await.unwrap();
        let began = Instant::now();
        boris.begin(SocketAddr::from(([127, 0, 0, 1], ana.port)), true);
        ana.begin(SocketAddr::from(([127, 0, 0, 1], boris.port)), true);
        while boris.received() < RATE / 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ana.end();
        let heard = boris.heard(began, Instant::now());
        let tone: usize = hearing::tone(&heard, 440).iter().map(hearing::Stretch::ms).sum();
        assert!(tone > 350, "only {tone} ms of the tone were heard");
        assert!(hearing::tone(&ana.heard(began, Instant::now()), 440).is_empty());
    }

    #[test]
    fn a_key_is_sent_as_rfc_4733_says() {
        let mut sender = Sender::default();
        let mut keys = VecDeque::from([key_event('#').unwrap()]);
        let packets: Vec<Vec<u8>> = (0..10).flat_map(|_| sender.next(&Voice::Silence, &mut keys)).collect();
        let events: Vec<&Vec<u8>> = packets.iter().filter(|packet| packet[1] & 0x7F == KEYS).collect();
        assert_eq!(events.len(), 10, "seven, and the last three times");
        assert_eq!(events.iter().filter(|packet| packet[1] & 0x80 != 0).count(), 1, "one marker");
        assert!(events.iter().all(|packet| packet[12] == 11 && packet[4..8] == events[0][4..8]));
        assert_eq!(events[9][13..], [0x8A, 0x05, 0x00], "end bit, 8 times 160 samples");
    }

    #[test]
    fn a_stretch_whose_first_packet_was_late_moves_up() {
        let mut anchor = Anchor { timestamp: 5000, at: 400, began: 400, late: None };
        let mut samples = [vec![7; 100], vec![0; 300], vec![9; 160]].concat();
        assert_eq!(anchor.place(5160), Some(560));
        assert_eq!(anchor.move_up(80, &mut samples), 80);
        assert_eq!(anchor.place(5160), Some(480));
        assert_eq!((samples.len(), samples[319], samples[320]), (480, 0, 9));
        assert_eq!(anchor.move_up(1000, &mut samples), 220, "what was heard before stays");
        assert_eq!((samples[99], samples[100]), (7, 9));
    }

    #[test]
    fn a_switch_that_halts_is_heard_as_late_as_it_is() {
        let mut anchor = Anchor { timestamp: 0, at: 0, began: 0, late: None };
        let mut samples = vec![5; 1600];
        // From sample 1600 on everything comes 100 ms late.
        for index in 0..26 {
            let place = anchor.place(1600 + index * 160).unwrap();
            let place = anchor.corrected(place, place + 800, &mut samples);
            samples.resize(samples.len().max(place + 160), 0);
            samples[place..place + 160].fill(7);
        }
        assert!(samples[1600..2400].iter().all(|&sample| sample == 0), "the halt is silent");
        assert!(samples[2400..].iter().all(|&sample| sample == 7));
        assert_eq!(samples.len(), 1600 + 800 + 26 * 160);
    }

    #[test]
    fn packets_are_placed_by_timestamp_and_rubbish_is_ignored() {
        let began = Instant::now();
        let recordings = vec![Recording { began, samples: Vec::new() }];
        let mut state = State {
            voice: Voice::Silence,
            peer: None,
            keys: VecDeque::new(),
            recordings,
            anchor: Some(Anchor { timestamp: 1000, at: 0, began: 0, late: None }),
            received: 0,
        };
        let mut sender = Sender { timestamp: 1000 - FRAME as u32, ..Sender::default() };
        let first = sender.next(&Voice::Tone(500), &mut VecDeque::new());
        let lost = sender.next(&Voice::Tone(500), &mut VecDeque::new());
        let third = sender.next(&Voice::Tone(500), &mut VecDeque::new());
        assert_eq!(lost.len(), 1);
        state.take(&third[0]);
        state.take(&first[0]);
        for rubbish in [&b""[..], b"\x80", b"\x80\x08\0\0", b"\x8f\x08aaaaaaaaaaaa", b"\x00\x08aaaaaaaaaaaaaa"] {
            state.take(rubbish);
        }
        let samples = &state.recordings[0].samples;
        assert_eq!(samples.len(), 480);
        assert!(samples[160..320].iter().all(|&sample| sample == 0), "the lost packet is a hole");
        assert!(hearing::loudness(&samples[..160]) > 0.1 && hearing::loudness(&samples[320..]) > 0.1);
    }
}
