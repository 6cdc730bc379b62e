//! What a case holds in its hands: a switch behind the port, its events, and the far ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sklic::ids::{ConferenceId, LegId, PassId, Room};
use sklic::pbx::simulator::{CallIn as SimulatedCall, Simulator, SimulatorConfig};
use sklic::pbx::{
    Admit, Ask, Bring, Caller, Command, CommandFailure, Dial, EndCause, Event, Language, LegSnapshotPhase, MemberKey, Pbx, Phrase, Role, Snapshot,
};
use sklic::pbx::{asterisk, freeswitch};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::callers::CallIn;
use crate::lab::{Kind, Lab};
use crate::proxy::{Cable, Proxy};

/// How long anything that must happen may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a simulated switch takes calls; each is on an exchange of its own.
const SIMULATED_ADDRESS: &str = "simulator.test:5060";

/// The far ends and the cable, by kind of switch.
pub enum Hands {
    Simulator(Arc<Simulator>),
    Lab { lab: &'static Lab, proxy: Proxy },
}

pub struct Rig {
    pub pbx: Arc<dyn Pbx>,
    pub room: Room,
    pub hands: Hands,
    events: UnboundedReceiver<Event>,
    /// All that was told, in order.
    pub seen: Vec<Event>,
    conference: ConferenceId,
    legs: u32,
    numbers: HashMap<LegId, String>,
    /// Joins wait so long with music; 0 ends with the convener.
    pub grace_seconds: u32,
    pub ring_timeout_seconds: u32,
    /// The next calls come in muted.
    pub muted: bool,
}

/// Numbers of rooms and phones that no other case has, in this run and in the one before.
fn fresh() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let _ = NEXT.compare_exchange(0, sklic::clock::now().as_millisecond() % 10_000_000_000 * 100, Ordering::SeqCst, Ordering::SeqCst);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

impl Rig {
    fn new(pbx: Arc<dyn Pbx>, events: UnboundedReceiver<Event>, hands: Hands) -> Self {
        Self {
            pbx,
            room: Room(fresh()),
            hands,
            events,
            seen: Vec::new(),
            conference: ConferenceId(Uuid::new_v4()),
            legs: 0,
            numbers: HashMap::new(),
            grace_seconds: 0,
            ring_timeout_seconds: 20,
            muted: false,
        }
    }

    pub fn simulator() -> Self {
        let (sender, events) = unbounded_channel();
        let config = SimulatorConfig { time_scale: 0.05, sip_address: SIMULATED_ADDRESS.into(), ..SimulatorConfig::default() };
        let simulator = Simulator::start(config, sender);
        Self::new(Arc::clone(&simulator) as Arc<dyn Pbx>, events, Hands::Simulator(simulator))
    }

    /// A rig on a real switch.
    pub async fn lab(lab: &'static Lab) -> Self {
        Self::lab_with(lab, |_| {}).await
    }

    /// A rig on a real switch with another pace than usual.
    pub async fn lab_with(lab: &'static Lab, change_pace: impl FnOnce(&mut u32)) -> Self {
        let proxy = Proxy::start(lab.control.clone()).await;
        let (sender, events) = unbounded_channel();
        let pbx = match lab.kind {
            Kind::Asterisk => {
                let mut config = lab.asterisk_config(&proxy.address);
                change_pace(&mut config.calls_per_second);
                asterisk::connect(config, sender)
            }
            Kind::Freeswitch => {
                let mut config = lab.freeswitch_config(&proxy.address);
                change_pace(&mut config.calls_per_second);
                freeswitch::connect(config, sender)
            }
        };
        let mut rig = Self::new(pbx, events, Hands::Lab { lab, proxy });
        rig.until(|event| matches!(event, Event::LinkUp { .. })).await;
        rig.seen.clear();
        rig
    }

    /// A rig whose trunk leads to where nothing listens.
    pub async fn with_closed_trunk(lab: &'static Lab) -> Self {
        let port = {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
            socket.local_addr().expect("it is bound").port()
        };
        let proxy = Proxy::start(lab.control.clone()).await;
        let (sender, events) = unbounded_channel();
        let pbx = match lab.kind {
            Kind::Asterisk => {
                let config = lab.asterisk_config(&proxy.address);
                let dial = format!("PJSIP/trunk/sip:{{number}}@127.0.0.1:{port}");
                asterisk::connect(asterisk::AsteriskConfig { dial, ..config }, sender)
            }
            Kind::Freeswitch => {
                let config = lab.freeswitch_config(&proxy.address);
                let dial = format!("sofia/lab/{{number}}@127.0.0.1:{port}");
                freeswitch::connect(freeswitch::FreeswitchConfig { dial, ..config }, sender)
            }
        };
        let mut rig = Self::new(pbx, events, Hands::Lab { lab, proxy });
        rig.until(|event| matches!(event, Event::LinkUp { .. })).await;
        rig
    }

    /// The two switches have Q.850 causes of their own for some answers of a phone: the one that belongs here.
    pub fn q850(&self, asterisk: u16, freeswitch: u16) -> Option<u16> {
        match &self.hands {
            Hands::Lab { lab, .. } if lab.kind == Kind::Freeswitch => Some(freeswitch),
            Hands::Lab { .. } | Hands::Simulator(_) => Some(asterisk),
        }
    }

    /// The next event; a failure when none comes.
    async fn next(&mut self, deadline: Instant) -> Event {
        let Ok(event) = timeout_at(deadline, self.events.recv()).await else {
            panic!("what was waited for did not come; so far: {:#?}", self.seen);
        };
        let event = event.expect("the adapter lives");
        self.seen.push(event.clone());
        event
    }

    /// Waits until something is told, from now on or before.
    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        if let Some(event) = self.seen.iter().find(|event| wanted(event)) {
            return event.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.next(deadline).await;
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Takes in what has been told up to now, without waiting for more.
    pub fn drain(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
    }

    pub async fn run(&self, command: Command) -> Result<(), CommandFailure> {
        self.pbx.execute(command).await
    }

    pub async fn must(&self, command: Command) {
        let text = format!("{command:?}");
        self.run(command).await.unwrap_or_else(|failure| panic!("{text}: {failure}"));
    }

    /// A call that is not placed yet, to a phone with this behaviour.
    pub fn dial(&mut self, suffix: &str, role: Role) -> Dial {
        self.legs += 1;
        let leg = LegId::derive(self.conference, self.legs);
        let number = format!("+386599{:07}{suffix}", fresh() % 10_000_000);
        self.numbers.insert(leg, number.clone());
        Dial {
            leg,
            room: self.room,
            number,
            role,
            muted: self.muted,
            language: Language::Sl,
            grace_seconds: self.grace_seconds,
            ring_timeout_seconds: self.ring_timeout_seconds,
        }
    }

    pub async fn call(&mut self, suffix: &str, role: Role) -> LegId {
        let dial = self.dial(suffix, role);
        let leg = dial.leg;
        self.must(Command::Dial(dial)).await;
        leg
    }

    /// Calls somebody and waits until he is in.
    pub async fn bring_in(&mut self, suffix: &str, role: Role) -> LegId {
        let leg = self.call(suffix, role).await;
        self.joined(leg).await;
        leg
    }

    /// Somebody calls an access number from a line of his own, and is there.
    pub async fn calls_in(&mut self, dialled: &str) -> Caller {
        let number = format!("+386598{:07}", fresh() % 10_000_000);
        self.calls_in_as(dialled, &number, format!("P-Asserted-Identity: <sip:{number}@127.0.0.1>\r\n").into_bytes()).await
    }

    /// The same with this number and these headers; the simulator knows no headers.
    pub async fn calls_in_as(&mut self, dialled: &str, number: &str, headers: Vec<u8>) -> Caller {
        match &self.hands {
            Hands::Simulator(simulator) => {
                let asserted = vec![format!("<sip:{number}@127.0.0.1>")];
                simulator.call_in(SimulatedCall { dialled: dialled.into(), asserted, presented: number.into(), ..SimulatedCall::default() });
            }
            Hands::Lab { lab, .. } => lab.phones.dial_in(&CallIn { switch: lab.sip, dialled, number, headers }).await,
        }
        let arrived = self.until(|event| matches!(event, Event::Arrived { caller } if caller.presented == number)).await;
        let Event::Arrived { caller } = arrived else { unreachable!("{arrived:?}") };
        self.numbers.insert(caller.leg, number.to_owned());
        *caller
    }

    /// From now on another conference: a number is never used for two.
    pub fn another_room(&mut self) {
        self.room = Room(fresh());
    }

    pub fn is_freeswitch(&self) -> bool {
        matches!(&self.hands, Hands::Lab { lab, .. } if lab.kind == Kind::Freeswitch)
    }

    /// Where this rig's switch takes calls of others.
    pub fn sip_address(&self) -> String {
        match &self.hands {
            Hands::Simulator(_) => SIMULATED_ADDRESS.to_owned(),
            Hands::Lab { lab, .. } => lab.sip.to_string(),
        }
    }

    /// How a caller is brought to a switch, and the pass that he gets.
    pub fn bring(&self, leg: LegId, to: &str) -> (PassId, Command) {
        let pass = PassId::drawn();
        (pass, Command::Bring(Bring { leg, to: to.to_owned(), number: "19819".into(), pass, language: Language::Sl }))
    }

    /// Has a caller brought to another rig's switch; gives his leg there.
    pub async fn brings(&mut self, leg: LegId, to: &mut Self) -> LegId {
        let (pass, command) = self.bring(leg, &to.sip_address());
        self.must(command).await;
        to.arrives_with(pass, self.number(leg)).await
    }

    /// Waits for the caller with this pass; `number` is that of his phone.
    pub async fn arrives_with(&mut self, pass: PassId, number: &str) -> LegId {
        let arrived = self.until(|event| matches!(event, Event::Arrived { caller } if caller.pass == Some(pass))).await;
        let Event::Arrived { caller } = arrived else { unreachable!("{arrived:?}") };
        assert_eq!(caller.dialled, "19819");
        self.numbers.insert(caller.leg, number.to_owned());
        caller.leg
    }

    /// A question to a caller.
    pub fn ask(&self, leg: LegId, ask: u32, say: &[Phrase]) -> Command {
        self.ask_waiting(leg, ask, say, 10)
    }

    /// The same, with the seconds that are given for the first key and for each further one.
    pub fn ask_waiting(&self, leg: LegId, ask: u32, say: &[Phrase], wait_seconds: u8) -> Command {
        Command::Ask(Ask { leg, ask, language: Language::En, say: say.to_vec(), most_digits: 12, wait_seconds })
    }

    /// The answer to a question, as digits.
    pub async fn keyed(&mut self, leg: LegId, number: u32) -> String {
        match self.until(|event| matches!(event, Event::Keyed { leg: id, ask, .. } if *id == leg && *ask == number)).await {
            Event::Keyed { keys, .. } => keys.expose().to_owned(),
            other => unreachable!("{other:?}"),
        }
    }

    /// A caller presses keys.
    pub async fn keys(&self, leg: LegId, keys: &str) {
        match &self.hands {
            Hands::Simulator(simulator) => simulator.key(leg, keys),
            Hands::Lab { lab, .. } => lab.phones.press(self.number(leg), keys).await,
        }
    }

    /// A member presses one of the conference's keys.
    pub async fn presses(&self, leg: LegId, key: MemberKey) {
        match &self.hands {
            Hands::Simulator(simulator) => simulator.press(leg, key),
            Hands::Lab { lab, .. } => lab.phones.press(self.number(leg), &format!("*{}", key.digit())).await,
        }
    }

    /// Lets a caller into the rig's room, and waits until he is in.
    pub async fn let_in(&mut self, leg: LegId, role: Role) {
        self.must(Command::Admit(self.admission(leg, role))).await;
        self.joined(leg).await;
    }

    pub fn admission(&self, leg: LegId, role: Role) -> Admit {
        Admit { leg, room: self.room, role, muted: self.muted, language: Language::Sl, grace_seconds: self.grace_seconds, past_lock: false }
    }

    /// How far a leg is, by a snapshot.
    pub async fn phase(&mut self, leg: LegId) -> Option<LegSnapshotPhase> {
        self.snapshot(&[]).await.legs.get(&leg).map(|leg| leg.phase)
    }

    pub fn number(&self, leg: LegId) -> &str {
        &self.numbers[&leg]
    }

    pub async fn joined(&mut self, leg: LegId) -> Event {
        self.until(|event| matches!(event, Event::Joined { leg: id, .. } if *id == leg)).await
    }

    pub async fn ended(&mut self, leg: LegId) -> EndCause {
        match self.until(|event| matches!(event, Event::Ended { leg: id, .. } if *id == leg)).await {
            Event::Ended { cause, .. } => cause,
            other => unreachable!("{other:?}"),
        }
    }

    /// What was told about a leg, as words in order; talking apart.
    pub fn story(&self, leg: LegId) -> Vec<&'static str> {
        let word = |event: &Event| {
            let (id, word) = match event {
                Event::Ringing { leg, .. } => (leg, "ringing"),
                Event::EarlyMedia { leg, .. } => (leg, "early media"),
                Event::Answered { leg, .. } => (leg, "answered"),
                Event::Joined { leg, .. } => (leg, "joined"),
                Event::Left { leg, .. } => (leg, "left"),
                Event::Ended { leg, .. } => (leg, "ended"),
                Event::Muted { leg, muted: true, .. } => (leg, "muted"),
                Event::Muted { leg, muted: false, .. } => (leg, "unmuted"),
                Event::Arrived { caller } => (&caller.leg, "arrived"),
                Event::Keyed { leg, .. } => (leg, "keyed"),
                Event::Pressed { leg, .. } => (leg, "pressed"),
                Event::Talking { .. } | Event::Locked { .. } | Event::LinkUp { .. } | Event::LinkDown { .. } => return None,
            };
            (*id == leg).then_some(word)
        };
        self.seen.iter().filter_map(word).collect()
    }

    pub async fn snapshot(&mut self, expected: &[LegId]) -> Snapshot {
        let snapshot = self.pbx.snapshot(expected.to_vec()).await.expect("the link is up");
        // What was told before the snapshot is in line before it.
        self.drain();
        snapshot
    }

    /// Takes snapshots until one shows what is wanted.
    pub async fn snapshot_until(&mut self, expected: &[LegId], wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.snapshot(expected).await;
            if wanted(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "no snapshot shows it: {snapshot:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The person at the far end hangs up.
    pub async fn hangs_up(&self, leg: LegId) {
        match &self.hands {
            Hands::Simulator(simulator) => simulator.hang_up(leg),
            Hands::Lab { lab, .. } => lab.phones.hang_up(self.number(leg)).await,
        }
    }

    /// The person at the far end talks for a while and stops.
    pub async fn talks(&self, leg: LegId) {
        match &self.hands {
            Hands::Simulator(simulator) => {
                simulator.talk(leg, true);
                simulator.talk(leg, false);
            }
            Hands::Lab { lab, .. } => lab.phones.talk(self.number(leg)).await,
        }
    }

    /// Whether a phone was ever called; the simulator's have no memory.
    pub fn was_called(&self, number: &str) -> bool {
        match &self.hands {
            Hands::Simulator(_) => false,
            Hands::Lab { lab, .. } => lab.phones.call(number).is_some(),
        }
    }

    pub async fn cut(&mut self) -> Timestamp {
        match &self.hands {
            Hands::Simulator(simulator) => simulator.cut_link(),
            Hands::Lab { proxy, .. } => proxy.set(Cable::Cut),
        }
        match self.until(|event| matches!(event, Event::LinkDown { .. })).await {
            Event::LinkDown { last_heard, .. } => last_heard,
            other => unreachable!("{other:?}"),
        }
    }

    /// Puts the cable back and waits for the link; the time at which the switch was started.
    pub async fn mend(&mut self) -> Timestamp {
        self.seen.retain(|event| !matches!(event, Event::LinkUp { .. } | Event::LinkDown { .. }));
        match &self.hands {
            Hands::Simulator(simulator) => simulator.restore_link(),
            Hands::Lab { proxy, .. } => proxy.set(Cable::Whole),
        }
        self.link_up().await
    }

    pub async fn link_up(&mut self) -> Timestamp {
        match self.until(|event| matches!(event, Event::LinkUp { .. })).await {
            Event::LinkUp { booted_at } => booted_at,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits until the switch has confirmed to the far end that its call is over.
    pub async fn over_unseen(&self, leg: LegId) {
        match &self.hands {
            // Here a hang-up is over when it returns.
            Hands::Simulator(_) => {}
            Hands::Lab { lab, .. } => {
                let deadline = Instant::now() + PATIENCE;
                let number = self.number(leg);
                let over = || lab.phones.call(number).is_some_and(|call| call.ended) || lab.phones.outgoing(number).is_some_and(|call| call.ended);
                while !over() {
                    assert!(Instant::now() < deadline, "the phone was never told that its call is over");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    pub async fn restart_switch(&self) {
        match &self.hands {
            Hands::Simulator(simulator) => simulator.restart(),
            Hands::Lab { lab, .. } => lab.restart_switch().await,
        }
    }
}
