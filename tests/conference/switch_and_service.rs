//! The conference against a switch that obeys or not, with a link that is cut, a service that is killed and phones that do what they like.
//!
//! The switch keeps its own books, so that belief can be measured against what happened:
//! nothing is billed before it began or past its end, and when all is quiet both sides agree.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use sklic::conference::{Conference, Control, Effect, Input, LegPhase, Link, Phase, Settings, reconcile};
use sklic::ids::LegId;
use sklic::pbx::{Command, CommandFailure, EndCause, Evidence};

use crate::model::{Call, Real, Switch};
use crate::world::{World, commands, person, replay, spec};

#[derive(Clone, Debug)]
enum Act {
    /// The convener asks for something.
    Add,
    Call(Index),
    CallMissing,
    Mute(Index, bool),
    MuteAll(bool),
    Remove(Index),
    Lock(bool),
    End,
    /// A phone goes on towards the conference, by so many steps.
    Advance(Index, u8),
    /// A phone ends its call.
    HangUp(Index, u16),
    /// The next event of one leg arrives; the others' may wait.
    Deliver(Index),
    DeliverAll,
    /// The switch takes the next commands.
    Obey(u8),
    /// The switch does not take the next command, and says so or not.
    Disobey(Option<CommandFailure>),
    /// Time passes.
    Wait(u32),
    /// The link is cut; what was on its way is lost.
    Cut,
    /// The link is back.
    Connect,
    /// The service is killed, and starts again from its journal.
    Kill,
    /// The switch dies and comes back.
    Restart,
    /// The slow timer compares.
    Compare,
}

fn act() -> impl Strategy<Value = Act> {
    let failure = prop_oneof![Just(CommandFailure::RateLimited), Just(CommandFailure::NoReply), Just(CommandFailure::Refused("no".to_owned()))];
    prop_oneof![
        6 => Just(Act::Add),
        6 => any::<Index>().prop_map(Act::Call),
        3 => Just(Act::CallMissing),
        6 => (any::<Index>(), any::<bool>()).prop_map(|(who, muted)| Act::Mute(who, muted)),
        6 => any::<bool>().prop_map(Act::MuteAll),
        5 => any::<Index>().prop_map(Act::Remove),
        3 => any::<bool>().prop_map(Act::Lock),
        1 => Just(Act::End),
        60 => (any::<Index>(), 1..=3_u8).prop_map(|(leg, steps)| Act::Advance(leg, steps)),
        8 => (any::<Index>(), prop_oneof![Just(486), Just(603), Just(404), Just(480)]).prop_map(|(who, sip)| Act::HangUp(who, sip)),
        15 => any::<Index>().prop_map(Act::Deliver),
        25 => Just(Act::DeliverAll),
        40 => (1..=4_u8).prop_map(Act::Obey),
        1 => proptest::option::of(failure).prop_map(Act::Disobey),
        20 => (1..8_000_u32).prop_map(Act::Wait),
        2 => Just(Act::Cut),
        8 => Just(Act::Connect),
        2 => Just(Act::Kill),
        1 => Just(Act::Restart),
        6 => Just(Act::Compare),
    ]
}

struct Stage {
    world: World,
    switch: Switch,
    /// Commands on their way to the switch.
    commands: VecDeque<Command>,
    /// The last moment at which the switch was known to hold what is believed (its clock).
    proof: Timestamp,
    added: u128,
    /// Whether the switch has disobeyed, died, or was out of sight: then belief and truth may differ until the link is back.
    disobeyed: bool,
}

type Check = Result<(), String>;

impl Stage {
    fn open(settings: Settings, skew: SignedDuration, keeps_records: bool) -> Result<Self, String> {
        let people = (1..=3).map(|number| person(number, "somebody")).collect();
        let switch = Switch::new(skew, keeps_records, settings.grace_seconds > 0);
        let world = World::open(spec(person(0, "convener"), people, settings));
        let proof = switch.clock(world.now);
        let mut stage = Self { world, switch, commands: VecDeque::new(), proof, added: 0, disobeyed: false };
        stage.feed(Input::Control { control: Control::Start })?;
        Ok(stage)
    }

    fn take(&mut self, effects: &[Effect]) {
        self.commands.extend(commands(effects));
    }

    fn feed(&mut self, input: Input) -> Check {
        if let Ok(effects) = self.world.feed(input)? {
            self.take(&effects);
        }
        Ok(())
    }

    fn control(&mut self, control: Control) -> Check {
        self.feed(Input::Control { control })
    }

    fn wait(&mut self, millis: i64) -> Check {
        let effects = self.world.wait(SignedDuration::from_millis(millis))?;
        self.take(&effects);
        Ok(())
    }

    fn deliver(&mut self, index: Index) -> Check {
        let waiting: Vec<Option<LegId>> = self.switch.events.iter().filter(|(_, events)| !events.is_empty()).map(|(leg, _)| *leg).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let leg = waiting[index.index(waiting.len())];
        let event = self.switch.events.get_mut(&leg).and_then(VecDeque::pop_front);
        event.map_or(Ok(()), |(_, event)| self.feed(Input::Switch { event }))
    }

    fn deliver_all(&mut self) -> Check {
        let mut all: Vec<_> = std::mem::take(&mut self.switch.events).into_values().flatten().collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().try_for_each(|(_, event)| self.feed(Input::Switch { event }))
    }

    fn obey(&mut self) -> Check {
        let Some(command) = self.commands.pop_front() else { return Ok(()) };
        let answer = if self.switch.connected { self.switch.obey(self.world.now, &command) } else { Err(CommandFailure::NoLink) };
        match answer {
            Ok(()) => Ok(()),
            Err(failure) => self.feed(Input::CommandFailed { command, failure }),
        }
    }

    fn cut(&mut self) -> Check {
        if !self.switch.connected {
            return Ok(());
        }
        self.switch.connected = false;
        // What was on its way is lost: the switch was last heard before the oldest of it.
        let lost = self.switch.events.values().flatten().map(|(at, _)| *at).min();
        let now = self.switch.clock(self.world.now);
        let last_heard = lost.map_or(now, |lost| lost.min(now));
        self.switch.events.clear();
        self.proof = self.proof.max(last_heard);
        self.disobeyed = true;
        self.feed(Input::LinkLost { last_heard })
    }

    fn connect(&mut self) -> Check {
        self.switch.connected = true;
        if self.world.conference.link() == Link::Up {
            return Ok(());
        }
        self.compare()?;
        self.feed(Input::LinkRestored)
    }

    /// A snapshot as the runtime takes it: behind all commands, and what was told before it comes first.
    fn compare(&mut self) -> Check {
        if !self.switch.connected {
            return Ok(());
        }
        while !self.commands.is_empty() {
            self.obey()?;
        }
        self.deliver_all()?;
        let expected: Vec<LegId> = self.world.conference.legs().filter(|leg| leg.is_on_switch()).map(|leg| leg.id).collect();
        let snapshot = self.switch.snapshot(self.world.now, expected.into_iter());
        for input in reconcile(&self.world.conference, &snapshot, self.proof, self.world.now) {
            self.feed(input)?;
        }
        self.proof = snapshot.at;
        Ok(())
    }

    /// The service dies: what it had not said is never said, and what it is told meanwhile reaches nobody.
    fn kill(&mut self) -> Check {
        let (conference, _) = replay(&self.world.journal)?;
        if conference != self.world.conference {
            return Err("the journal gives another conference back".to_owned());
        }
        self.world.conference = conference;
        self.commands.clear();
        self.cut()
    }

    fn act(&mut self, act: Act) -> Check {
        let now = self.world.now;
        let people: Vec<_> = self.world.conference.participants().map(|p| p.person.id).collect();
        let one = |index: Index| people[index.index(people.len())];
        let living: Vec<LegId> = self.switch.calls.iter().filter(|(_, call)| call.real != Real::Over).map(|(leg, _)| *leg).collect();
        let phone = |index: Index| living.get(index.index(living.len().max(1))).copied();
        match act {
            Act::Add => {
                self.added += 1;
                self.control(Control::Add { participant: person(100 + self.added, "added") })
            }
            Act::Call(index) => self.control(Control::Call { participant: one(index), number: None }),
            Act::CallMissing => self.control(Control::CallMissing),
            Act::Mute(index, muted) => self.control(Control::Mute { participant: one(index), muted }),
            Act::MuteAll(muted) => self.control(Control::MuteAll { muted }),
            Act::Remove(index) => self.control(Control::Remove { participant: one(index) }),
            Act::Lock(locked) => self.control(Control::Lock { locked }),
            Act::End => self.control(Control::End),
            Act::Advance(index, steps) => {
                if let Some(leg) = phone(index) {
                    (0..steps).for_each(|_| self.switch.advance(now, leg));
                }
                Ok(())
            }
            Act::HangUp(index, sip) => {
                if let Some(leg) = phone(index) {
                    self.switch.end(now, leg, EndCause { sip: Some(sip), ..EndCause::default() });
                }
                Ok(())
            }
            Act::Deliver(index) => self.deliver(index),
            Act::DeliverAll => self.deliver_all(),
            Act::Obey(times) => (0..times).try_for_each(|_| self.obey()),
            Act::Disobey(failure) => {
                let Some(command) = self.commands.pop_front() else { return Ok(()) };
                self.disobeyed = true;
                failure.map_or(Ok(()), |failure| self.feed(Input::CommandFailed { command, failure }))
            }
            Act::Wait(millis) => self.wait(i64::from(millis)),
            Act::Cut => self.cut(),
            Act::Connect => self.connect(),
            Act::Kill => self.kill(),
            Act::Restart => {
                self.cut()?;
                self.switch.restart(now);
                Ok(())
            }
            Act::Compare => self.compare(),
        }
    }

    /// The convener comes in as he should.
    fn bring_convener(&mut self) -> Check {
        self.obey()?;
        let leg = self.switch.calls.keys().next().copied().ok_or("nobody is dialled")?;
        for _ in 0..3 {
            self.wait(2_000)?;
            self.switch.advance(self.world.now, leg);
            self.deliver_all()?;
        }
        Ok(())
    }

    /// The link is up, the switch obeys, everything arrives, phones that are being said goodbye to hang up.
    fn heal(&mut self) -> Check {
        self.connect()?;
        for _ in 0..4 {
            while !self.commands.is_empty() || self.switch.events.values().any(|events| !events.is_empty()) {
                self.obey()?;
                self.deliver_all()?;
            }
            let closing: Vec<LegId> = self.switch.calls.iter().filter(|(_, call)| call.real == Real::Closing).map(|(leg, _)| *leg).collect();
            for leg in closing {
                self.switch.advance(self.world.now, leg);
            }
            self.deliver_all()?;
            self.wait(4_000)?;
            self.compare()?;
        }
        Ok(())
    }

    /// When all is quiet, belief and truth are the same.
    fn agree(&self) -> Check {
        let conference = &self.world.conference;
        for leg in conference.legs() {
            let real = self.switch.calls.get(&leg.id).map_or(Real::Over, |call| call.real);
            let same = match leg.phase {
                LegPhase::Waiting => false,
                LegPhase::Queued | LegPhase::Ended => real == Real::Over,
                LegPhase::Dialling => real == Real::Trying,
                LegPhase::Ringing => real == Real::Ringing,
                LegPhase::Greeting => real == Real::Greeting,
                LegPhase::Inside => real == Real::Inside { muted: leg.muted },
                LegPhase::Leaving => real == Real::Closing,
            };
            if !same && !conference.phase().is_over() {
                return Err(format!("all is quiet, the call is {real:?} and believed {leg:?}"));
            }
        }
        let inside = conference.legs().any(|leg| leg.phase == LegPhase::Inside);
        let locked = conference.head_view().locked;
        if inside && matches!(conference.phase(), Phase::Running { .. }) && locked != self.switch.locked {
            return Err(format!("all is quiet, locked is believed {locked}"));
        }
        Ok(())
    }

    /// Nothing is billed before it began, nor past its end.
    fn books(&self) -> Check {
        let now = self.switch.clock(self.world.now);
        for leg in self.world.conference.legs() {
            let Some(call) = self.switch.calls.get(&leg.id) else {
                if leg.answered_at.is_some() {
                    return Err(format!("answered and never dialled: {leg:?}"));
                }
                continue;
            };
            let not_before =
                |believed: Option<Timestamp>, real: Option<Timestamp>| believed.is_none_or(|believed| real.is_some_and(|real| believed >= real));
            let not_past = |believed: Option<Timestamp>, real: Option<Timestamp>| believed.is_none_or(|believed| believed <= real.unwrap_or(now));
            let fair = not_before(leg.answered_at, call.answered)
                && not_before(leg.joined_at, call.joined)
                && (leg.answered_at.is_none() || not_past(leg.ended_at, call.ended))
                && not_past(leg.left_at, call.left);
            if !fair {
                return Err(format!("billed what was not: {leg:#?}\nreally {call:#?}"));
            }
        }
        Ok(())
    }

    /// What the switch wrote down is billed, to the moment, whatever was not heard of it.
    fn whole(&self) -> Check {
        for (leg, call) in self.switch.calls.iter().filter(|(_, call)| call.recorded && call.real == Real::Over) {
            let Some(leg) = self.world.conference.leg(*leg).filter(|leg| leg.evidence != Some(Evidence::ProofOfLife)) else { continue };
            let same = leg.answered_at == call.answered && leg.joined_at == call.joined && leg.left_at == call.left && leg.ended_at == call.ended;
            if !same {
                return Err(format!("written down and not billed so: {leg:#?}\nreally {call:#?}"));
            }
        }
        Ok(())
    }

    /// What the switch's events told is the switch's own, to the moment.
    fn exact(&self) -> Check {
        for leg in self.world.conference.legs().filter(|leg| leg.evidence == Some(Evidence::Event)) {
            let Some(Call { answered, joined, left, ended, .. }) = self.switch.calls.get(&leg.id) else { continue };
            let same = leg.answered_at == *answered && leg.joined_at == *joined && leg.left_at == *left && leg.ended_at == *ended;
            if !same {
                return Err(format!("nothing was hidden, and the facts differ: {leg:#?}\nreally {:#?}", self.switch.calls.get(&leg.id)));
            }
        }
        Ok(())
    }
}

/// "Mute all" is on and nobody was given the floor since: whoever is inside is muted on the switch.
fn nobody_speaks(conference: &Conference, switch: &Switch) -> Check {
    for (leg, call) in &switch.calls {
        if call.real == (Real::Inside { muted: false }) && !call.convener && conference.head_view().all_muted {
            return Err(format!("{leg} speaks though all are muted"));
        }
    }
    Ok(())
}

fn run(settings: Settings, skew: i64, keeps_records: bool, runs: bool, acts: Vec<Act>) -> Check {
    let mut stage = Stage::open(settings, SignedDuration::from_millis(skew), keeps_records)?;
    if runs {
        stage.bring_convener()?;
    }
    let floor_given = acts.iter().any(|act| matches!(act, Act::Mute(_, false)));
    for act in acts {
        stage.act(act)?;
        stage.books()?;
    }
    let obedient = !stage.disobeyed;
    stage.heal()?;
    stage.agree()?;
    stage.books()?;
    if obedient {
        stage.exact()?;
        if !floor_given {
            nobody_speaks(&stage.world.conference, &stage.switch)?;
        }
    }
    stage.control(Control::End)?;
    for _ in 0..20 {
        stage.heal()?;
    }
    if !stage.world.conference.phase().is_over() {
        return Err(format!("the conference does not end: {:#?}", stage.world.conference));
    }
    stage.agree()?;
    stage.books()?;
    if keeps_records {
        stage.whole()?;
    }
    if obedient && let Some((leg, call)) = stage.switch.calls.iter().find(|(_, call)| call.real != Real::Over) {
        return Err(format!("the conference is over and {leg} is left alone in it: {call:?}"));
    }
    stage.world.check_replay()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn belief_follows_what_happens(
        grace_seconds in prop_oneof![Just(0_u32), Just(60)],
        skew in -20_000..=20_000_i64,
        keeps_records in any::<bool>(),
        runs in prop_oneof![1 => Just(false), 5 => Just(true)],
        acts in proptest::collection::vec(act(), 0..150),
    ) {
        let settings = Settings { grace_seconds, entry_beep: true, ..Settings::default() };
        if let Err(fault) = run(settings, skew, keeps_records, runs, acts) {
            return Err(TestCaseError::fail(fault));
        }
    }
}
