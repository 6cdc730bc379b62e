//! Simulated callers: they arrive with what they are going to key, and hear what the service has said to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::call::{self, NORMAL, cause};
use super::exchange::Peer;
use super::lock;
use super::world::{Leg, World};
use crate::ids::{LegId, PassId, Room};
use crate::pbx::{Admit, Ask, Caller, CommandFailure, Dial, Event, Keys, Language, LegSnapshotPhase, Phrase, Role};

/// How long a caller waits for the service to take him.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How long the service has at the least, in real time.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long one who was taken is kept when the service has gone.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// How long one phrase is.
const PHRASE: Duration = Duration::from_millis(1_500);

/// Somebody calls an access number.
#[derive(Clone, Debug, Default)]
pub struct CallIn {
    /// The number dialled.
    pub dialled: String,
    /// The values of P-Asserted-Identity.
    pub asserted: Vec<String>,
    /// The number that the caller presents.
    pub presented: String,
    /// He asks that his number be kept private.
    pub private: bool,
    /// The trunk by which he comes.
    pub trunk: String,
    /// The pass that comes with the call.
    pub pass: Option<PassId>,
    /// What he keys at each question, as soon as it begins; `#` ends an answer. After the last he keys nothing by himself.
    pub keys: Vec<String>,
}

/// A caller's side of a leg.
pub(super) struct Calling {
    pub(super) caller: Caller,
    /// What he will key.
    keys: std::collections::VecDeque<String>,
    question: Option<(Ask, String)>,
    taken: bool,
    /// Counts the commands: what was begun before is over with the next.
    step: u64,
}

type Shared = Arc<Mutex<World>>;

/// A caller arrives.
pub(super) fn call_in(shared: &Shared, call: CallIn) -> LegId {
    arrive(shared, call, None)
}

/// A caller arrives, from the other end of a call between two switches.
pub(super) fn arrive(shared: &Shared, call: CallIn, peer: Option<Peer>) -> LegId {
    let channel = Uuid::new_v4().to_string();
    let leg = LegId::of_channel("simulator", &channel);
    let caller = Caller {
        leg,
        dialled: call.dialled,
        asserted: call.asserted,
        presented: call.presented,
        private: call.private,
        trunk: call.trunk,
        call_id: channel,
        answered_at: lock(shared).now(),
        pass: call.pass,
    };
    let calling = Calling { caller: caller.clone(), keys: call.keys.into(), question: None, taken: false, step: 0 };
    lock(shared).arrive(calling);
    if let Some(peer) = peer {
        lock(shared).connect(leg, peer);
    }
    lock(shared).tell(Event::Arrived { caller: Box::new(caller) });
    // The service works in real time, however fast the simulated calls go.
    let within = lock(shared).scaled(TAKEN_WITHIN).max(LEAST_PATIENCE);
    in_time(shared, leg, within, |shared, leg| {
        let untaken = lock(&shared).calling(leg).is_some_and(|calling| !calling.taken);
        if untaken {
            apologise(&shared, leg);
        }
    });
    leg
}

/// Does something after a while of simulated time, unless the leg is over by then.
fn after(shared: &Shared, leg: LegId, duration: Duration, what: impl FnOnce(Shared, LegId) + Send + 'static) {
    let scaled = lock(shared).scaled(duration);
    in_time(shared, leg, scaled, what);
}

/// The same, of real time.
fn in_time(shared: &Shared, leg: LegId, duration: Duration, what: impl FnOnce(Shared, LegId) + Send + 'static) {
    let world = Arc::clone(shared);
    let task = tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        what(world, leg);
    });
    lock(shared).watch(leg, task.abort_handle());
}

pub(super) fn apologise(shared: &Shared, leg: LegId) {
    let goodbye = {
        let mut world = lock(shared);
        world.release(leg);
        world.config().goodbye
    };
    call::say_and_end(shared, leg, goodbye);
}

/// The link is lost: who is held is kept for a while.
pub(super) fn service_gone(shared: &Shared) {
    let (losses, held) = {
        let world = lock(shared);
        (world.losses(), world.held())
    };
    for leg in held {
        after(shared, leg, KEPT_FOR, move |shared, leg| {
            let alone = { lock(&shared).losses() == losses && !lock(&shared).is_linked() };
            if alone && lock(&shared).calling(leg).is_some() {
                apologise(&shared, leg);
            }
        });
    }
}

/// A command begins: what was said and asked before is over. Gives the number of this step.
pub(super) fn begin(shared: &Shared, leg: LegId, say: &[Phrase], language: Language) -> Result<u64, CommandFailure> {
    let mut world = lock(shared);
    let calling = world.calling_mut(leg).ok_or(CommandFailure::Gone)?;
    calling.taken = true;
    calling.question = None;
    calling.step += 1;
    let step = calling.step;
    world.hear(leg, say, language);
    Ok(step)
}

pub(super) fn ask(shared: &Shared, ask: &Ask) -> Result<(), CommandFailure> {
    let leg = ask.leg;
    let step = begin(shared, leg, &ask.say, ask.language)?;
    let keys = {
        let mut world = lock(shared);
        let calling = world.calling_mut(leg).ok_or(CommandFailure::Gone)?;
        calling.question = Some((ask.clone(), String::new()));
        calling.keys.pop_front()
    };
    let words = PHRASE.saturating_mul(u32::try_from(ask.say.len()).unwrap_or(u32::MAX));
    wait_for_keys(shared, leg, step, words + Duration::from_secs(u64::from(ask.wait_seconds)));
    if let Some(keys) = keys {
        // Not in the moment of the question: the answer follows the command's own.
        after(shared, leg, Duration::from_millis(200), move |shared, leg| press(&shared, leg, &keys));
    }
    Ok(())
}

/// Takes what was keyed up to then for the answer, unless the next key or command comes before.
fn wait_for_keys(shared: &Shared, leg: LegId, step: u64, wait: Duration) {
    after(shared, leg, wait, move |shared, leg| {
        if lock(&shared).calling(leg).is_some_and(|calling| calling.step == step) {
            answer(&shared, leg);
        }
    });
}

fn answer(shared: &Shared, leg: LegId) {
    let mut world = lock(shared);
    let Some(calling) = world.calling_mut(leg) else { return };
    calling.step += 1;
    if let Some((ask, digits)) = calling.question.take() {
        world.tell(Event::Keyed { leg, ask: ask.ask, keys: Keys::new(&digits) });
    }
}

/// A caller presses keys; where no question is open nobody hears them.
pub(super) fn press(shared: &Shared, leg: LegId, keys: &str) {
    for key in keys.chars() {
        let step = {
            let mut world = lock(shared);
            let Some(calling) = world.calling_mut(leg) else { return };
            let Some((ask, digits)) = &mut calling.question else { return };
            if key != '#' {
                digits.push(key);
            }
            let done = key == '#' || digits.len() >= usize::from(ask.most_digits);
            let wait = Duration::from_secs(u64::from(ask.wait_seconds));
            calling.step += 1;
            (!done).then_some((calling.step, wait))
        };
        match step {
            Some((step, wait)) => wait_for_keys(shared, leg, step, wait),
            None => answer(shared, leg),
        }
    }
}

pub(super) fn hold(shared: &Shared, leg: LegId, say: &[Phrase], language: Language) -> Result<(), CommandFailure> {
    begin(shared, leg, say, language).map(drop)
}

pub(super) fn dismiss(shared: &Shared, leg: LegId, say: &[Phrase], language: Language) -> Result<(), CommandFailure> {
    begin(shared, leg, say, language)?;
    lock(shared).release(leg);
    let words = PHRASE.saturating_mul(u32::try_from(say.len()).unwrap_or(u32::MAX));
    let shared = Arc::clone(shared);
    let world = Arc::clone(&shared);
    let scaled = lock(&shared).scaled(words);
    let task = tokio::spawn(async move {
        tokio::time::sleep(scaled).await;
        World::end(&world, leg, cause(NORMAL));
    });
    lock(&shared).watch(leg, task.abort_handle());
    Ok(())
}

pub(super) fn admit(shared: &Shared, admit: &Admit) -> Result<(), CommandFailure> {
    begin(shared, admit.leg, &[], admit.language)?;
    let dial = Dial {
        leg: admit.leg,
        room: admit.room,
        number: String::new(),
        role: admit.role,
        muted: admit.muted,
        language: admit.language,
        grace_seconds: admit.grace_seconds,
        ring_timeout_seconds: 0,
    };
    lock(shared).let_in(dial, admit.past_lock);
    let task = tokio::spawn(call::enter(Arc::clone(shared), admit.leg));
    lock(shared).watch(admit.leg, task.abort_handle());
    Ok(())
}

impl Leg {
    /// The leg of one who has called in and is not on his way into a conference.
    pub(super) fn of_caller(calling: Calling) -> Self {
        let dial = Dial {
            leg: calling.caller.leg,
            room: Room(0),
            number: String::new(),
            role: Role::Participant,
            muted: false,
            language: Language::default(),
            grace_seconds: 0,
            ring_timeout_seconds: 0,
        };
        let mut leg = Self::new(dial);
        leg.phase = LegSnapshotPhase::Held;
        leg.answered_at = Some(calling.caller.answered_at);
        leg.calling = Some(calling);
        leg
    }
}
