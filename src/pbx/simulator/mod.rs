//! A switch that is not there: the port's commands and events with made-up phones, for tests and for trying the service out.
//!
//! It behaves as the real ones do, in the order of the events and in what nobody is told:
//! the greeting lies between answer and joining, the closing between leaving and the end,
//! and the convener's leaving takes the others out without a command.
//! All waiting is by `tokio::time`, so a paused clock drives it, too.

mod call;
mod callers;
mod exchange;
mod phone;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::world::World;
use super::{Capabilities, Command, CommandFailure, Event, EventSender, Language, MemberKey, Pbx, Phrase, Snapshot, wire};
use crate::ids::LegId;

pub use self::callers::CallIn;
pub use self::exchange::Exchange;
pub use self::phone::Behaviour;

/// How fast the made-up phones are. All times shrink with [`SimulatorConfig::time_scale`], those of a command too.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Factor on every duration: 1.0 is real time, 0.01 a hundred times as fast.
    pub time_scale: f64,
    /// From the call to its ringing, or to the refusal of one who does not ring.
    pub setup: Duration,
    /// From the ringing to the answer or refusal.
    pub ringing: Duration,
    /// Greeting and beep.
    pub greeting: Duration,
    /// The closing announcement.
    pub closing: Duration,
    /// The goodbye of one who is removed, and the words that a conference is locked.
    pub goodbye: Duration,
    /// Calls that are taken in one second; what comes beyond is refused as too much.
    pub calls_per_second: Option<u32>,
    /// Where this switch takes calls of others; empty: nowhere.
    pub sip_address: String,
    /// The others, as far as they were made with the same exchange.
    pub exchange: Exchange,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            setup: Duration::from_millis(100),
            ringing: Duration::from_millis(1_500),
            greeting: Duration::from_millis(3_200),
            closing: Duration::from_millis(3_500),
            goodbye: Duration::from_millis(1_500),
            calls_per_second: None,
            sip_address: String::new(),
            exchange: Exchange::default(),
        }
    }
}

/// Starts a simulated switch; the link is up at once.
///
/// Must be called inside of a tokio runtime.
#[must_use]
pub fn connect(config: SimulatorConfig, events: EventSender) -> Arc<dyn Pbx> {
    Simulator::start(config, events)
}

/// The simulated switch, with the hands of a test on the far ends and on the cable.
pub struct Simulator {
    world: Arc<Mutex<World>>,
}

impl Simulator {
    /// Like [`connect`], for tests that want to interfere.
    #[must_use]
    pub fn start(config: SimulatorConfig, events: EventSender) -> Arc<Self> {
        let (exchange, address) = (config.exchange.clone(), config.sip_address.clone());
        let world = Arc::new(Mutex::new(World::new(config, events)));
        if !address.is_empty() {
            exchange.listen(&address, &world);
        }
        let simulator = Arc::new(Self { world });
        simulator.world().link_up();
        simulator
    }

    /// Opens the link for one service after another: who has opened it last is heard and told, whoever had it before is not.
    /// Unlike a simulator's own, the end of such a link ends no calls.
    #[must_use]
    pub fn open(self: &Arc<Self>, events: EventSender) -> Arc<dyn Pbx> {
        let opening = self.world().reopen(events);
        Arc::new(Opened { simulator: Arc::clone(self), opening })
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// The person at the far end hangs up, or stops the ringing.
    pub fn hang_up(&self, leg: LegId) {
        World::far_end_hangs_up(&self.world, leg);
    }

    /// The person at the far end begins or stops talking.
    pub fn talk(&self, leg: LegId, talking: bool) {
        self.world().tell(Event::Talking { leg, talking });
    }

    /// Somebody calls in and is answered at once.
    pub fn call_in(&self, call: CallIn) -> LegId {
        callers::call_in(&self.world, call)
    }

    /// A caller presses keys at the question that is being asked; `#` ends his answer.
    pub fn key(&self, leg: LegId, keys: &str) {
        callers::press(&self.world, leg, keys);
    }

    /// A member presses one of the conference's keys.
    pub fn press(&self, leg: LegId, key: MemberKey) {
        self.world().press(leg, key);
    }

    /// The living legs, as a snapshot would show them.
    #[must_use]
    pub fn legs(&self) -> Vec<LegId> {
        self.world().snapshot(&[]).legs.into_keys().collect()
    }

    /// Takes the switch off the network without a word, or puts it back: nobody can call it, and its link is lost.
    pub fn unplug(&self, unplugged: bool) {
        self.world().unplug(unplugged);
        if unplugged { self.cut_link() } else { self.restore_link() }
    }

    /// Whether the switch is on the network; see [`Self::unplug`].
    #[must_use]
    pub fn is_plugged(&self) -> bool {
        self.world().is_running()
    }

    /// All that was said to one leg alone, in order: questions, words to callers and to members.
    #[must_use]
    pub fn heard(&self, leg: LegId) -> Vec<(Language, Phrase)> {
        self.world().heard(leg)
    }

    /// Whether the leg is on the switch.
    #[must_use]
    pub fn is_there(&self, leg: LegId) -> bool {
        self.world().holds(leg)
    }

    /// Cuts the link; calls go on and their events are lost.
    pub fn cut_link(&self) {
        self.world().link_down("the link was cut");
        callers::service_gone(&self.world);
    }

    /// Puts the link back.
    pub fn restore_link(&self) {
        self.world().link_up();
    }

    /// Kills the switch and starts it anew: every call is gone without a word, and the link is lost and back.
    pub fn restart(&self) {
        self.world().restart();
    }

    /// From now on events get lost with the link up, or no longer.
    pub fn lose_events(&self, lose: bool) {
        self.world().lose_events(lose);
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    // A test that panicked while it held the world must not hide what it said.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pbx for Simulator {
    fn capabilities(&self) -> Capabilities {
        Capabilities { talking: true, lock: true, end_records: true, dial_in: true }
    }

    fn execute(&self, command: Command) -> BoxFuture<'static, Result<(), CommandFailure>> {
        let result = if self.world().is_linked() { run(&self.world, command) } else { Err(CommandFailure::NoLink) };
        Box::pin(std::future::ready(result))
    }

    fn snapshot(&self, expected: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>> {
        let world = self.world();
        let result = if world.is_linked() { Ok(world.snapshot(&expected)) } else { Err(CommandFailure::NoLink) };
        Box::pin(std::future::ready(result))
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.world().close();
        Box::pin(std::future::ready(()))
    }
}

/// One service's link to a simulated switch that outlives it.
struct Opened {
    simulator: Arc<Simulator>,
    opening: u64,
}

impl Opened {
    fn is_current(&self) -> bool {
        self.simulator.world().openings() == self.opening
    }
}

impl Pbx for Opened {
    fn capabilities(&self) -> Capabilities {
        self.simulator.capabilities()
    }

    fn execute(&self, command: Command) -> BoxFuture<'static, Result<(), CommandFailure>> {
        if self.is_current() { self.simulator.execute(command) } else { Box::pin(std::future::ready(Err(CommandFailure::NoLink))) }
    }

    fn snapshot(&self, expected: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>> {
        if self.is_current() { self.simulator.snapshot(expected) } else { Box::pin(std::future::ready(Err(CommandFailure::NoLink))) }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let ended = self.simulator.world().end_opening(self.opening);
        if ended {
            callers::service_gone(&self.simulator.world);
        }
        Box::pin(std::future::ready(()))
    }
}

fn run(shared: &Arc<Mutex<World>>, command: Command) -> Result<(), CommandFailure> {
    match command {
        Command::Dial(dial) => {
            wire::check_number("number", &dial.number).map_err(|error| CommandFailure::Unsafe(error.to_string()))?;
            lock(shared).admit_call(&dial)?;
            let (leg, behaviour) = (dial.leg, Behaviour::of(&dial.number));
            let task = tokio::spawn(call::run(Arc::clone(shared), dial, behaviour));
            lock(shared).watch(leg, task.abort_handle());
            Ok(())
        }
        Command::HangUp { leg } => World::hang_up(shared, leg),
        Command::Ask(ask) => callers::ask(shared, &ask),
        Command::Hold { leg, language, say } => callers::hold(shared, leg, &say, language),
        Command::Dismiss { leg, language, say } => callers::dismiss(shared, leg, &say, language),
        Command::Admit(admit) => callers::admit(shared, &admit),
        Command::Bring(bring) => exchange::bring(shared, &bring),
        Command::Tell { room, leg, language, say } => lock(shared).tell_member(room, leg, &say, language),
        Command::Mute { room, leg, muted } => lock(shared).mute(room, leg, muted),
        Command::MuteAll { room, muted } => lock(shared).mute_all(room, muted),
        Command::Remove { room, leg } => World::remove(shared, room, leg),
        Command::Lock { room, locked } => lock(shared).lock(room, locked),
        Command::Announce { .. } => Ok(()),
        Command::Close { room } => {
            World::close_room(shared, room);
            Ok(())
        }
        Command::Forget { room } => {
            lock(shared).forget(room);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
