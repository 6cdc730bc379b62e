//! A conference with a clock, its journal and a watch over the invariants: every test drives the state machine through here.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sklic::conference::{Conference, Effect, Entry, Input, NewParticipant, Phase, Refusal, Settings, Spec};
use sklic::ids::{AccountId, ConferenceId, ContactId, LegId, ParticipantId, Room};
use sklic::pbx::Command;
use uuid::Uuid;

use crate::invariants;

/// The moment at which every test begins.
pub const ZERO: Timestamp = Timestamp::constant(1_767_258_000, 0);
/// The conference's number on the switch.
pub const ROOM: Room = Room(7001);
/// No conference needs more ticks than this to come to its end.
const MOST_TICKS: usize = 5_000;

/// One line of a journal file: what the storage keeps, and what `sklic replay` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Number, from 1.
    pub seq: i64,
    /// When it was taken (our clock).
    pub at: Timestamp,
    /// What.
    pub entry: Entry,
}

/// A participant; the same number always gives the same identifier.
pub fn person(number: u128, name: &str) -> NewParticipant {
    NewParticipant {
        id: ParticipantId(Uuid::from_u128(0x1000 + number)),
        name: name.to_owned(),
        phone: format!("+386599{number:05}"),
        email: None,
        contact: Some(ContactId(Uuid::from_u128(0x3000 + number))),
    }
}

/// What a conference of these people starts from, by the rules of today.
pub fn spec(convener: NewParticipant, participants: Vec<NewParticipant>, settings: Settings) -> Spec {
    let settings = Settings { edition: Settings::EDITION, ..settings };
    Spec {
        id: ConferenceId(Uuid::from_u128(0xC0)),
        account: AccountId(Uuid::from_u128(0xA0)),
        room: ROOM,
        title: "Board meeting".to_owned(),
        convener,
        participants,
        settings,
    }
}

/// The conference under test.
pub struct World {
    pub conference: Conference,
    pub now: Timestamp,
    pub journal: Vec<Line>,
    /// The effects of each journal line but the first.
    pub effects: Vec<Vec<Effect>>,
    /// Every command there was, in order.
    pub commands: Vec<Command>,
}

impl World {
    pub fn open(spec: Spec) -> Self {
        let conference = Conference::open(ZERO, spec.clone());
        let journal = vec![Line { seq: 1, at: ZERO, entry: Entry::Open { spec: Box::new(spec) } }];
        Self { conference, now: ZERO, journal, effects: Vec::new(), commands: Vec::new() }
    }

    /// Feeds an input now. The outer error is a broken invariant.
    pub fn feed(&mut self, input: Input) -> Result<Result<Vec<Effect>, Refusal>, String> {
        let before = self.conference.clone();
        let result = self.conference.handle(self.now, input.clone());
        match &result {
            Err(refusal) => {
                if self.conference != before {
                    return Err(format!("{input:?} was refused ({refusal}) and changed the state all the same"));
                }
            }
            Ok(effects) => {
                let seq = self.journal.last().map_or(1, |line| line.seq + 1);
                self.journal.push(Line { seq, at: self.now, entry: Entry::Input { input: input.clone() } });
                self.effects.push(effects.clone());
                self.commands.extend(commands(effects));
                invariants::check(&before, &self.conference, effects, self.now).map_err(|broken| format!("after {input:?}: {broken}"))?;
            }
        }
        Ok(result)
    }

    /// Lets time pass as the runtime does: with a tick at each deadline on the way.
    pub fn wait(&mut self, duration: SignedDuration) -> Result<Vec<Effect>, String> {
        let until = self.now + duration;
        let mut effects = Vec::new();
        for _ in 0..MOST_TICKS {
            match self.conference.next_deadline() {
                Some(deadline) if deadline <= until => {
                    self.now = self.now.max(deadline);
                    effects.extend(self.feed(Input::Tick)?.map_err(|refusal| format!("a tick was refused: {refusal}"))?);
                }
                _ => {
                    self.now = until;
                    return Ok(effects);
                }
            }
        }
        Err(format!("{MOST_TICKS} ticks did not bring the clock past {until}: a busy loop"))
    }

    /// Feeds nothing but ticks until the conference is over.
    pub fn run_out(&mut self) -> Result<(), String> {
        if *self.conference.phase() == Phase::Planned {
            return Ok(());
        }
        for _ in 0..MOST_TICKS {
            if self.conference.phase().is_over() {
                return Ok(());
            }
            let Some(deadline) = self.conference.next_deadline() else {
                return Err(format!("the conference stays open for ever: {:#?}", self.conference));
            };
            self.now = self.now.max(deadline);
            self.feed(Input::Tick)?.map_err(|refusal| format!("a tick was refused: {refusal}"))?;
        }
        Err(format!("{MOST_TICKS} ticks did not end the conference: {:#?}", self.conference))
    }

    /// Writes the journal down, reads it back and replays it: state and effects must be the same.
    pub fn check_replay(&self) -> Result<(), String> {
        let text = write_journal(&self.journal);
        let lines = read_journal(&text)?;
        if lines != self.journal {
            return Err("the journal reads back differently".to_owned());
        }
        let (conference, effects) = replay(&lines)?;
        if conference != self.conference {
            return Err(format!("the replay ends in another state:\n{conference:#?}\ninstead of\n{:#?}", self.conference));
        }
        for (number, (replayed, first)) in effects.iter().zip(&self.effects).enumerate() {
            if replayed != first {
                return Err(format!("line {}: the replay has other effects:\n{replayed:#?}\ninstead of\n{first:#?}", number + 2));
            }
        }
        Ok(())
    }

    /// A participant's newest leg, or the one of this number (from 1).
    pub fn leg_of(&self, participant: ParticipantId, number: Option<usize>) -> Option<LegId> {
        let legs = &self.conference.participant(participant)?.legs;
        match number {
            Some(number) => legs.get(number.checked_sub(1)?).copied(),
            None => legs.last().copied(),
        }
    }
}

/// The commands among effects, in order.
pub fn commands(effects: &[Effect]) -> impl Iterator<Item = Command> + '_ {
    effects.iter().filter_map(|effect| match effect {
        Effect::Command { command } => Some(command.clone()),
        _ => None,
    })
}

/// A journal as text: one JSON object a line.
pub fn write_journal(lines: &[Line]) -> String {
    lines.iter().map(|line| serde_json::to_string(line).expect("a journal line is plain data") + "\n").collect()
}

/// Reads what [`write_journal`] has written.
pub fn read_journal(text: &str) -> Result<Vec<Line>, String> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, text) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(text).map_err(|fault| format!("line {}: {fault}", number + 1))?;
        if lines.last().is_some_and(|before| before.seq + 1 != line.seq) {
            return Err(format!("line {}: sequence number {} does not follow", number + 1, line.seq));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Replays a journal on a fresh conference: its state at the end, and the effects of each line after the first.
pub fn replay(lines: &[Line]) -> Result<(Conference, Vec<Vec<Effect>>), String> {
    let mut effects = Vec::new();
    let entries = lines.iter().map(|line| (line.at, line.entry.clone()));
    let conference = Conference::replay(entries, |seq, _, after| {
        if seq > 1 {
            effects.push(after.to_vec());
        }
    });
    conference.map(|conference| (conference, effects)).map_err(|fault| fault.to_string())
}
