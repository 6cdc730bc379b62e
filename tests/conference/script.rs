//! The little language of the scenarios: steps at the margin, what is expected of them indented below. See `scenarios/README.md`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sklic::conference::{
    Conference, Control, ControlKind, Effect, Input, Leg, Link, NewCaller, NewParticipant, Outcome, ParticipantView, Pending, Refusal, Settings,
    WayOfEntry, reconcile,
};
use sklic::ids::{LegId, ParticipantId};
use sklic::pbx::{Command, CommandFailure, EndCause, EndRecord, Event, Evidence, LegSnapshot, LegSnapshotPhase, MemberKey, Phrase, Snapshot};

use crate::words::{cause, duration, moment, parse_word, split_pair, word};
use crate::world::{self, ROOM, World, ZERO};

/// One scenario of a file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// The participants beside the convener.
    #[serde(default)]
    pub people: Option<Vec<String>>,
    /// Settings that differ from the default.
    #[serde(default)]
    pub settings: Settings,
    /// The steps and what is expected.
    pub script: String,
}

/// A running scenario.
pub struct Play {
    pub world: World,
    people: BTreeMap<String, NewParticipant>,
    /// What the last step led to; `None` before the first.
    last: Option<Last>,
    callers: u128,
}

struct Last {
    result: Result<Vec<Effect>, Refusal>,
    commands_checked: bool,
    refusal_checked: bool,
}

impl Scenario {
    /// Plays the scenario to its last line; the error names the line.
    pub fn play(&self) -> Result<World, String> {
        let names = self.people.clone().unwrap_or_else(|| vec!["ana".to_owned(), "bor".to_owned()]);
        let convener = world::person(0, "convener");
        let others: Vec<NewParticipant> = (1..).zip(&names).map(|(number, name)| world::person(number, name)).collect();
        let people = others.iter().chain([&convener]).map(|person| (person.name.clone(), person.clone())).collect();
        let mut play = Play { world: World::open(world::spec(convener, others, self.settings.clone())), people, last: None, callers: 0 };
        for (number, line) in (1..).zip(self.script.lines()) {
            play.line(line).map_err(|fault| format!("line {number} `{}`: {fault}", line.trim()))?;
        }
        play.settle().map_err(|fault| format!("the last step: {fault}"))?;
        Ok(play.world)
    }
}

impl Play {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let text = line.split('#').next().filter(|_| line.trim_start().starts_with('#')).map_or(line, |_| "").trim_end();
        if text.is_empty() {
            return Ok(());
        }
        if text.starts_with(char::is_whitespace) { self.expect(text.trim()) } else { self.step(text) }
    }

    /// What a step did must have been expected.
    fn settle(&mut self) -> Result<(), String> {
        let Some(last) = self.last.take() else { return Ok(()) };
        match last.result {
            Err(refusal) if !last.refusal_checked => Err(format!("was refused: {refusal}")),
            Ok(effects) if !last.commands_checked => {
                let commands = self.show(world::commands(&effects));
                if commands.is_empty() { Ok(()) } else { Err(format!("led to commands that are not expected: {}", commands.join(", "))) }
            }
            _ => Ok(()),
        }
    }

    fn step(&mut self, text: &str) -> Result<(), String> {
        self.settle()?;
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut before = Vec::new();
        if let Some(pause) = words[0].strip_prefix('+') {
            before = self.world.wait(duration(pause)?)?;
            words.remove(0);
        }
        let result = if words.is_empty() { Ok(Vec::new()) } else { self.act(&words)? };
        let result = result.map(|after| before.into_iter().chain(after).collect());
        self.last = Some(Last { result, commands_checked: false, refusal_checked: false });
        Ok(())
    }

    fn act(&mut self, words: &[&str]) -> Result<Result<Vec<Effect>, Refusal>, String> {
        let now = self.world.now;
        let input = match words {
            ["jump", time] => {
                self.world.now = now + duration(time)?;
                return Ok(Ok(Vec::new()));
            }
            ["tick"] => Input::Tick,
            ["spent", amount] => Input::Spend { spent: amount.parse().map_err(|error| format!("{amount}: {error}"))? },
            ["link", "lost"] => Input::LinkLost { last_heard: now },
            ["link", "lost", heard] => Input::LinkLost { last_heard: now - duration(heard.strip_prefix("heard=-").ok_or("use heard=-2s")?)? },
            ["link", "restored"] => Input::LinkRestored,
            ["snapshot", held @ ..] => return self.snapshot(held),
            [who, "calls", "in", rest @ ..] => self.caller(who, rest)?,
            [who, "comes", "from", phone] => {
                let count = self.people.len() as u128;
                let known = self.people.entry((*who).to_owned()).or_insert_with(|| world::person(0x600 + count, who));
                (*phone).clone_into(&mut known.phone);
                return Ok(Ok(Vec::new()));
            }
            ["still", "held", who] => Input::StillHeld { leg: self.leg(who)? },
            ["still", "waiting", who] => Input::StillWaiting { leg: self.leg(who)? },
            ["switch", "gone", heard] => Input::SwitchGone { last_heard: now - duration(heard.strip_prefix("heard=-").ok_or("use heard=-2s")?)? },
            ["never", "placed", who] => Input::NeverPlaced { leg: self.leg(who)? },
            ["gone", who, rest @ ..] => self.gone(who, rest)?,
            ["room", locked @ ("locked" | "unlocked")] => Input::Switch { event: Event::Locked { room: ROOM, locked: *locked == "locked" } },
            [command, who, "fails", why @ ..] => self.failed(command, Some(who), why)?,
            [command, "fails", why @ ..] => self.failed(command, None, why)?,
            [who, event, rest @ ..] if self.is_person(who) => Input::Switch { event: self.event(who, event, rest)? },
            _ => Input::Control { control: self.control(words)? },
        };
        self.world.feed(input)
    }

    fn control(&mut self, words: &[&str]) -> Result<Control, String> {
        Ok(match words {
            ["start"] => Control::Start,
            ["end"] => Control::End,
            ["mute", "all"] => Control::MuteAll { muted: true },
            ["unmute", "all"] => Control::MuteAll { muted: false },
            ["call", "missing"] => Control::CallMissing,
            ["lock"] => Control::Lock { locked: true },
            ["unlock"] => Control::Lock { locked: false },
            ["add", name] => {
                let number = self.people.len() as u128;
                let person = self.people.entry((*name).to_owned()).or_insert_with(|| world::person(number, name)).clone();
                Control::Add { participant: person }
            }
            ["add", name, "once", "more"] => {
                // Another participant of the same contact.
                let known = self.people.get(*name).ok_or("who is that?")?;
                let id = world::person(0x400 + self.people.len() as u128, name).id;
                Control::Add { participant: NewParticipant { id, ..known.clone() } }
            }
            ["call", who] => Control::Call { participant: self.person(who)?, number: None },
            ["call", who, number] => Control::Call { participant: self.person(who)?, number: Some((*number).to_owned()) },
            ["mute", who] => Control::Mute { participant: self.person(who)?, muted: true },
            ["unmute", who] => Control::Mute { participant: self.person(who)?, muted: false },
            ["admit", who] => Control::Admit { participant: self.person(who)? },
            ["lower", "hand", who] => Control::LowerHand { participant: self.person(who)? },
            ["remove", who] => Control::Remove { participant: self.person(who)? },
            _ => return Err("no such step".to_owned()),
        })
    }

    fn event(&self, who: &str, event: &str, rest: &[&str]) -> Result<Event, String> {
        let leg = self.leg(who)?;
        let (clock, rest): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.starts_with("clock="));
        let at = match clock.first().and_then(|word| word.strip_prefix("clock=")) {
            None => self.world.now,
            Some(offset) => match offset.strip_prefix('-') {
                Some(back) => self.world.now - duration(back)?,
                None => self.world.now + duration(offset.trim_start_matches('+'))?,
            },
        };
        Ok(match (event, rest.as_slice()) {
            ("rings", []) => Event::Ringing { leg, at },
            ("plays", []) => Event::EarlyMedia { leg, at },
            ("answers", []) => Event::Answered { leg, at },
            ("joins", []) => Event::Joined { leg, room: ROOM, muted: false, at },
            ("joins", ["muted"]) => Event::Joined { leg, room: ROOM, muted: true, at },
            ("joins", ["elsewhere"]) => Event::Joined { leg, room: sklic::ids::Room(ROOM.0 + 1), muted: false, at },
            ("leaves", []) => Event::Left { leg, room: ROOM, at },
            ("is", ["muted"]) => Event::Muted { leg, muted: true, at },
            ("is", ["unmuted"]) => Event::Muted { leg, muted: false, at },
            ("presses", [keys]) => Event::Pressed { leg, key: keys.chars().nth(1).and_then(MemberKey::from_digit).ok_or("no such key")?, at },
            ("talks", []) => Event::Talking { leg, talking: true },
            ("ends", why) => Event::Ended { leg, cause: cause(why)?, at },
            _ => return Err("no such event".to_owned()),
        })
    }

    /// Somebody calls in; `anew` is a person who is not on the roster.
    fn caller(&mut self, who: &str, rest: &[&str]) -> Result<Input, String> {
        self.callers += 1;
        let number = 0x5000 + self.callers;
        let count = self.people.len() as u128;
        let known = self.people.entry(who.to_owned()).or_insert_with(|| world::person(count, who)).clone();
        // On the roster he is found by his contact; otherwise he comes on it under this identifier.
        let person = NewParticipant { id: ParticipantId(uuid::Uuid::from_u128(number)), ..known };
        if self.world.conference.participants().all(|p| p.person.contact != person.contact) {
            self.people.insert(who.to_owned(), person.clone());
        }
        let caller = NewCaller {
            leg: LegId(uuid::Uuid::from_u128(number)),
            number: person.phone.clone(),
            calling_line: (!rest.contains(&"unknown")).then(|| person.phone.clone()),
            person,
            convener: who == "convener",
            way_of_entry: WayOfEntry::OnnetShort,
            access_number: "19819".to_owned(),
            needs_consent: rest.contains(&"unknown"),
            convener_owes: rest.contains(&"owing") || rest.contains(&"unknown"),
            answered_at: self.world.now,
            waiting_since: match rest.iter().find_map(|word| word.strip_prefix("waited=")) {
                Some(time) => Some(self.world.now - duration(time)?),
                None => None,
            },
        };
        Ok(Input::Arrived { caller: Box::new(caller) })
    }

    fn gone(&self, who: &str, rest: &[&str]) -> Result<Input, String> {
        let leg = self.leg(who)?;
        let mut at = self.world.now;
        let mut evidence = Evidence::Snapshot;
        for pair in rest {
            match split_pair(pair)? {
                ("at", time) => at = moment(time)?,
                ("evidence", word) => evidence = parse_word(word)?,
                _ => return Err(format!("{pair}: use at= or evidence=")),
            }
        }
        Ok(Input::LegGone { leg, record: None, at, evidence })
    }

    /// The switch did not take a command: the last one of these words that there was.
    fn failed(&self, command: &str, who: Option<&str>, why: &[&str]) -> Result<Input, String> {
        let failure = match why {
            ["no_link"] => CommandFailure::NoLink,
            ["rate_limited"] => CommandFailure::RateLimited,
            ["gone"] => CommandFailure::Gone,
            ["refused"] => CommandFailure::Refused("Extension does not exist.".to_owned()),
            ["unsafe"] => CommandFailure::Unsafe("number".to_owned()),
            ["no_reply"] => CommandFailure::NoReply,
            _ => return Err("fails how?".to_owned()),
        };
        let wanted = who.map_or_else(|| command.to_owned(), |who| format!("{command} {who}"));
        let said = |said: &&Command| {
            let text = self.show_one(said);
            text == wanted || text.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with(' '))
        };
        let command = self.world.commands.iter().rev().find(said).ok_or_else(|| format!("there was no command `{wanted}`"))?.clone();
        Ok(Input::CommandFailed { command, failure })
    }

    /// A snapshot as the runtime treats it: the differences as inputs, then the link counts as restored.
    fn snapshot(&mut self, held: &[&str]) -> Result<Result<Vec<Effect>, Refusal>, String> {
        let now = self.world.now;
        let mut snapshot = Snapshot {
            at: now,
            booted_at: ZERO - SignedDuration::from_hours(24),
            legs: BTreeMap::new(),
            callers: BTreeMap::new(),
            rooms: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        let mut last_proof = now - SignedDuration::from_secs(5);
        for pair in held {
            match split_pair(pair)? {
                ("booted", time) => snapshot.booted_at = moment(time)?,
                ("proof", time) => last_proof = moment(time)?,
                ("room", locked) => _ = snapshot.rooms.insert(ROOM, locked == "locked"),
                (who, phase) => {
                    let leg = self.leg(who)?;
                    if let Some(record) = phase.strip_prefix("ended(").and_then(|rest| rest.strip_suffix(')')) {
                        snapshot.ended.insert(leg, end_record(record)?);
                    } else {
                        snapshot.legs.insert(leg, leg_snapshot(phase)?);
                    }
                }
            }
        }
        let mut effects = Vec::new();
        for input in reconcile(&self.world.conference, &snapshot, last_proof, now) {
            match self.world.feed(input.clone())? {
                Ok(more) => effects.extend(more),
                // The first difference may have ended the conference.
                Err(_) if self.world.conference.phase().is_over() => {}
                Err(refusal) => return Err(format!("the difference {input:?} was refused: {refusal}")),
            }
        }
        if self.world.conference.link() != Link::Up && !self.world.conference.phase().is_over() {
            match self.world.feed(Input::LinkRestored)? {
                Ok(more) => effects.extend(more),
                Err(refusal) => return Err(format!("the restored link was refused: {refusal}")),
            }
        }
        Ok(Ok(effects))
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["->", ..] => self.expect_commands(text.trim_start_matches("->").trim()),
            ["refused", kind] => self.expect_refusal(kind),
            _ if self.last.as_ref().is_some_and(|last| last.result.is_err()) && !self.last.as_ref().is_some_and(|last| last.refusal_checked) => {
                Err("the step was refused; say so first".to_owned())
            }
            ["phase", wanted @ ..] => {
                let phase = self.world.conference.phase();
                let said: Vec<&str> = [phase.word()].into_iter().chain(phase.reason().map(|reason| reason.word())).collect();
                same(&said.join(" "), &wanted.join(" "))
            }
            ["next", "in", time] => {
                let next = self.world.conference.next_deadline().ok_or("no deadline")?;
                same(&next.duration_since(self.world.now), &duration(time)?)
            }
            ["next", "never"] => same(&self.world.conference.next_deadline(), &None),
            ["pending", wanted @ ..] => same(&pending(&self.world.conference.head_view().pending), &wanted.join(" ")),
            ["running_since", time] => same(&self.world.conference.head_view().running_since, &Some(moment(time)?)),
            ["ended_at", time] => same(&self.world.conference.head_view().ended_at, &Some(moment(time)?)),
            ["link", wanted] => same(&word(&self.world.conference.head_view().link), &(*wanted).to_owned()),
            ["all_muted"] => same(&self.world.conference.head_view().all_muted, &true),
            ["not", "all_muted"] => same(&self.world.conference.head_view().all_muted, &false),
            ["locked"] => same(&self.world.conference.head_view().locked, &true),
            ["not", "locked"] => same(&self.world.conference.head_view().locked, &false),
            ["away", "until", time] => same(&self.world.conference.head_view().away_until, &Some(moment(time)?)),
            ["not", "away"] => same(&self.world.conference.head_view().away_until, &None),
            [who, "leg", pairs @ ..] => self.expect_leg(who, pairs),
            [who, "is", "off", "the", "roster"] => same(&self.view(who).is_err(), &true),
            [who, "pending", wanted @ ..] => same(&pending(&self.view(who)?.pending), &wanted.join(" ")),
            [who, "attempts", wanted] => same(&self.view(who)?.attempts.to_string().as_str(), wanted),
            [who, state @ ..] => {
                let view = self.view(who)?;
                let marks = [
                    (view.muted && !view.self_muted, "muted"),
                    (view.self_muted, "self_muted"),
                    (view.hand_raised_at.is_some(), "hand"),
                    (view.needs_consent, "needs_consent"),
                ];
                let said: Vec<String> =
                    [word(&view.state)].into_iter().chain(marks.into_iter().filter(|mark| mark.0).map(|mark| mark.1.to_owned())).collect();
                same(&said.join(" "), &state.join(" "))
            }
            [] => Ok(()),
        }
    }

    fn expect_commands(&mut self, wanted: &str) -> Result<(), String> {
        let last = self.last.as_mut().ok_or("no step yet")?;
        last.commands_checked = true;
        let effects = last.result.as_ref().map_err(|refusal| format!("the step was refused: {refusal}"))?;
        let said: Vec<Command> = world::commands(effects).collect();
        same(&self.show(said.into_iter()).join(", ").as_str(), &wanted)
    }

    fn expect_refusal(&mut self, wanted: &str) -> Result<(), String> {
        let last = self.last.as_mut().ok_or("no step yet")?;
        last.refusal_checked = true;
        let refusal = last.result.as_ref().err().ok_or("the step was taken")?;
        let said = match refusal {
            Refusal::WrongPhase { .. } => "wrong_phase",
            Refusal::UnknownParticipant => "unknown_participant",
            Refusal::UnknownLeg => "unknown_leg",
            Refusal::AlreadyCalled => "already_called",
            Refusal::LineInside => "line_inside",
            Refusal::NotInside => "not_inside",
            Refusal::Convener => "convener",
            Refusal::Full { .. } => "full",
            Refusal::UnexpectedEvent { .. } => "unexpected",
            Refusal::NobodyMissing => "nobody_missing",
            Refusal::SpendReached => "spend_reached",
            Refusal::NumberNotAllowed => "number_not_allowed",
            Refusal::NotWaiting => "not_waiting",
            Refusal::ClosedByOwner => "closed_by_owner",
            Refusal::NoHand => "no_hand",
        };
        same(&said, &wanted)
    }

    fn expect_leg(&self, who: &str, pairs: &[&str]) -> Result<(), String> {
        let id = self.leg(who)?;
        let leg = self.world.conference.leg(id).ok_or("no such leg")?;
        for pair in pairs {
            let (key, wanted) = split_pair(pair)?;
            let fault = match key {
                "answered" => same(&leg.answered_at, &time(wanted)?),
                "joined" => same(&leg.joined_at, &time(wanted)?),
                "left" => same(&leg.left_at, &time(wanted)?),
                "ended" => same(&leg.ended_at, &time(wanted)?),
                "outcome" => same(&leg.outcome.map_or("none", Outcome::word), &wanted),
                "evidence" => same(&leg.evidence.as_ref().map_or("none".to_owned(), word), &wanted.to_owned()),
                "number" => same(&leg.number.as_str(), &wanted),
                "phase" => same(&leg.phase.word(), &wanted),
                _ => Err("no such fact".to_owned()),
            };
            fault.map_err(|fault| format!("{key}: {fault}"))?;
        }
        Ok(())
    }

    fn is_person(&self, who: &str) -> bool {
        who == "stranger" || self.people.contains_key(who.split('#').next().unwrap_or_default())
    }

    /// The participant of this name; `nobody` is one who is in no conference.
    fn person(&self, who: &str) -> Result<ParticipantId, String> {
        if who == "nobody" {
            return Ok(world::person(999, who).id);
        }
        self.people.get(who).map(|person| person.id).ok_or_else(|| format!("who is {who}?"))
    }

    /// The leg of a name: the newest, or `name#number`; `stranger` is a leg of no conference.
    fn leg(&self, who: &str) -> Result<LegId, String> {
        if who == "stranger" {
            return Ok(LegId(uuid::Uuid::from_u128(0xBAD)));
        }
        let (name, number) = match who.split_once('#') {
            Some((name, number)) => (name, Some(number.parse().map_err(|_| "which leg?")?)),
            None => (who, None),
        };
        self.world.leg_of(self.person(name)?, number).ok_or_else(|| format!("{who} has no such leg"))
    }

    fn view(&self, who: &str) -> Result<ParticipantView, String> {
        let id = self.person(who)?;
        self.world.conference.participant_views().into_iter().find(|view| view.id == id).ok_or_else(|| format!("{who} is not on the roster"))
    }

    fn show(&self, commands: impl Iterator<Item = Command>) -> Vec<String> {
        commands.map(|command| self.show_one(&command)).collect()
    }

    fn show_one(&self, command: &Command) -> String {
        let name = |leg: &LegId| leg_name(&self.world.conference, *leg);
        match command {
            Command::Dial(dial) => {
                let leg = self.world.conference.leg(dial.leg);
                let person = leg.and_then(|leg| self.world.conference.participant(leg.participant));
                let number = person.filter(|person| person.person.phone != dial.number).map(|_| format!(" {}", dial.number)).unwrap_or_default();
                format!("dial {}{number}{}", name(&dial.leg), if dial.muted { " muted" } else { "" })
            }
            Command::HangUp { leg } => format!("hang_up {}", name(leg)),
            Command::Ask(ask) => format!("ask {}", name(&ask.leg)),
            Command::Hold { leg, say, .. } => format!("hold {}{}", name(leg), words(say)),
            Command::Dismiss { leg, say, .. } => format!("dismiss {}{}", name(leg), words(say)),
            Command::Admit(admit) => {
                format!("admit {}{}{}", name(&admit.leg), if admit.muted { " muted" } else { "" }, if admit.past_lock { " past_lock" } else { "" })
            }
            Command::Bring(bring) => format!("bring {}", name(&bring.leg)),
            Command::Tell { leg, say, .. } => format!("tell {}{}", name(leg), words(say)),
            Command::Mute { leg, muted, .. } => format!("{} {}", if *muted { "mute" } else { "unmute" }, name(leg)),
            Command::MuteAll { muted, .. } => (if *muted { "mute_all" } else { "unmute_all" }).to_owned(),
            Command::Remove { leg, .. } => format!("remove {}", name(leg)),
            Command::Lock { locked, .. } => (if *locked { "lock" } else { "unlock" }).to_owned(),
            Command::Announce { .. } => "beep".to_owned(),
            Command::Close { .. } => "close".to_owned(),
            Command::Forget { .. } => "forget".to_owned(),
        }
    }
}

/// What is said, by the names of the prompts.
fn words(say: &[Phrase]) -> String {
    say.iter().flat_map(|phrase| phrase.files()).map(|file| format!(" {file}")).collect()
}

/// `ana` for her newest leg, `ana#1` for an older one.
fn leg_name(conference: &Conference, id: LegId) -> String {
    let Some(person) = conference.leg(id).and_then(|leg: &Leg| conference.participant(leg.participant)) else { return "a stranger".to_owned() };
    let number = person.legs.iter().position(|leg| *leg == id).map_or(0, |index| index + 1);
    if number == person.legs.len() { person.person.name.clone() } else { format!("{}#{number}", person.person.name) }
}

fn pending(requests: &[Pending]) -> String {
    let control = |kind: &ControlKind| word(kind);
    let show = |request: &Pending| {
        let reason = request.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        format!("{} {}{reason}", control(&request.control), request.state)
    };
    if requests.is_empty() { "nothing".to_owned() } else { requests.iter().map(show).collect::<Vec<_>>().join(", ") }
}

fn time(text: &str) -> Result<Option<Timestamp>, String> {
    if text == "none" { Ok(None) } else { moment(text).map(Some) }
}

fn leg_snapshot(phase: &str) -> Result<LegSnapshot, String> {
    let (phase, rest) = phase.split_once('@').map_or((phase, ""), |(phase, rest)| (phase, rest));
    let phase = match phase {
        "dialling" => LegSnapshotPhase::Dialling,
        "ringing" => LegSnapshotPhase::Ringing,
        "answered" => LegSnapshotPhase::Answered,
        "held" => LegSnapshotPhase::Held,
        "inside" => LegSnapshotPhase::Inside { room: ROOM, muted: false },
        "muted" => LegSnapshotPhase::Inside { room: ROOM, muted: true },
        _ => return Err(format!("{phase}: no such phase of a snapshot")),
    };
    let mut times = rest.split('/').filter(|time| !time.is_empty()).map(moment);
    let mut time = || times.next().transpose();
    Ok(LegSnapshot { phase, answered_at: time()?, joined_at: time()?, left_at: time()? })
}

fn end_record(text: &str) -> Result<EndRecord, String> {
    let mut record = EndRecord { cause: EndCause::default(), answered_at: None, joined_at: None, left_at: None, at: ZERO };
    let mut why = Vec::new();
    for pair in text.split(';') {
        match pair.split_once('=') {
            Some(("answered", time)) => record.answered_at = Some(moment(time)?),
            Some(("joined", time)) => record.joined_at = Some(moment(time)?),
            Some(("left", time)) => record.left_at = Some(moment(time)?),
            Some(("at", time)) => record.at = moment(time)?,
            _ => why.push(pair),
        }
    }
    record.cause = cause(&why)?;
    Ok(record)
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, expected {wanted:?}")) }
}
