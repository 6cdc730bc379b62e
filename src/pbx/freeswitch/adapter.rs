//! One FreeSWITCH behind the port: keeps the link, sends commands, tells events. It decides nothing about conferences.
//!
//! A single task owns everything; it waits for nothing but its own `select!`, so that an event is passed on as it comes,
//! and everything that was heard before a reply has been told before the reply is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::client::{Client, Heard, Reply};
use super::codec::Request;
use super::dials::Dials;
use super::fields::Fields;
use super::kept::Forgetting;
use super::legs::Legs;
use super::link::{self, Session};
use super::snapshots::SnapshotJob;
use super::translate::{Told, What, leg_of, parse_micros, translate};
use super::{FreeswitchConfig, callers, requests};
use crate::ids::{LegId, Room};
use crate::pbx::far_clock::FarClock;
use crate::pbx::jobs::{Answer, Handle, Job};
use crate::pbx::keying::Question;
use crate::pbx::lane::Lane;
use crate::pbx::wire;
use crate::pbx::{Capabilities, Command, CommandFailure, Event, EventSender, Language, Pbx, Role};
use crate::telemetry::calls;

/// The least time for lists: a busy switch takes seconds for the lists of 400 members.
pub(super) const LISTS_WITHIN: Duration = Duration::from_secs(10);
/// Silence of the events, though commands are answered, after which the link is taken for lost:
/// three heartbeats of a switch at its default of 20 s, and some time.
const EVENTS_WITHIN: Duration = Duration::from_secs(70);

/// For so long after its start a switch may not know its gateways yet: a profile waits for its address and its names.
const STARTING: SignedDuration = SignedDuration::from_secs(60);

/// How often those who wait are told that the service is there.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// How long after the waking before the switch is woken again for the event of what it has done.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(6)];

/// Starts the task of one switch.
pub(super) fn start(config: FreeswitchConfig, events: EventSender) -> Arc<dyn Pbx> {
    let (handle, (inbox, kept)) = Handle::new(Capabilities { talking: true, lock: true, end_records: true, dial_in: true });
    let actor = Actor {
        lane: Lane::new(config.calls_per_second),
        config,
        events,
        inbox,
        kept,
        legs: Legs::default(),
        dials: Dials::default(),
        clock: FarClock::unheard(),
        boot: None,
        ends: false,
        sounds: String::new(),
        music: String::new(),
        awaiting: BTreeSet::new(),
        closed: BTreeSet::new(),
        after_gap: false,
    };
    tokio::spawn(actor.run());
    Arc::new(handle)
}

/// What the task has waited for besides events.
pub(super) enum Outcome {
    /// The caller has his answer; of what was done the event follows.
    Answered,
    /// The switch is to be woken once more for the event of what it has done, for the so-manyth time after the first.
    Look(usize),
    /// The switch did not take the request to dial.
    NotDialled(String, CommandFailure),
    /// The switch's clock.
    Clock(Option<Timestamp>),
    /// Legs of a room whose records are to be dropped.
    ToForget(Forgetting, Vec<LegId>),
    /// Callers who were never let in and of whose ends there are records.
    Callers(Vec<LegId>),
    /// Those of them whose records nobody will ask for any more.
    Old(Vec<LegId>),
    /// The first lists of a snapshot.
    Listed(Box<SnapshotJob>),
    /// All lists of a snapshot, and the records of those who are missing.
    Complete(Box<SnapshotJob>),
}

pub(super) type Work = FuturesUnordered<BoxFuture<'static, Outcome>>;

/// Why a session is over.
enum Over {
    /// The service shuts down.
    Closed(Option<oneshot::Sender<()>>),
    /// The link is lost.
    Lost(String),
}

pub(super) struct Actor {
    pub(super) config: FreeswitchConfig,
    events: EventSender,
    inbox: mpsc::UnboundedReceiver<Job>,
    /// Who asks of which conferences records are kept.
    kept: mpsc::UnboundedReceiver<Answer<Vec<Room>>>,
    pub(super) legs: Legs,
    /// Calls of which the switch has told nothing yet.
    pub(super) dials: Dials,
    /// Calls that wait for their turn, in order.
    pub(super) lane: Lane,
    /// The switch's clock minus ours.
    clock: FarClock,
    /// The switch's name for its present run, and when that began.
    boot: Option<(String, Timestamp)>,
    /// It has said that it ends this run: its lists are true no more, its events are.
    pub(super) ends: bool,
    /// Where the prompts lie on the switch.
    pub(super) sounds: String,
    /// The waiting music on the switch.
    pub(super) music: String,
    /// Conferences whose convener is away and is being called back.
    pub(super) awaiting: BTreeSet<Room>,
    /// Conferences that were closed and are not forgotten yet.
    pub(super) closed: BTreeSet<Room>,
    /// The link has just come up: conveners may have gone or come while nobody listened.
    pub(super) after_gap: bool,
}

impl Actor {
    async fn run(mut self) {
        let mut failures = 0;
        if let Err(error) = self.config.check() {
            tracing::error!(pbx = %self.config.name, %error, "this switch cannot be used as it is configured");
        }
        loop {
            let connecting = link::establish(self.config.clone(), failures);
            tokio::pin!(connecting);
            let established = loop {
                tokio::select! {
                    established = &mut connecting => break established,
                    job = self.inbox.recv() => match job {
                        Some(job) => {
                            if job.refuse() {
                                return;
                            }
                        }
                        None => return,
                    },
                }
            };
            let session = match established {
                Ok(session) => session,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(pbx = %self.config.name, %error, failures, "no link to the switch");
                    continue;
                }
            };
            // A link that is lost at once is not sought again at once.
            failures = 1;
            let (mut client, booted_at) = self.begin(session);
            let mut work = Work::new();
            let over = self.serve(&mut client, &mut work, booted_at).await;
            // One sign of life may be on its way still.
            let last_heard = self.clock.proof(self.config.ping_interval * 2);
            drop(client);
            self.lane.refuse_all();
            // What is keyed meanwhile is lost: none of it is an answer, nor is silence. Who is still held is asked again.
            self.legs.take_back_questions();
            self.dials.lose_all();
            // All replies fail at once now, and each tells its caller.
            while work.next().await.is_some() {}
            match over {
                Over::Lost(reason) => {
                    tracing::warn!(pbx = %self.config.name, %reason, "the link to the switch is lost");
                    self.tell(Event::LinkDown { last_heard, reason });
                }
                Over::Closed(answer) => {
                    if let Some(answer) = answer {
                        let _ = answer.send(());
                    }
                    return;
                }
            }
        }
    }

    /// The switch's time now, as well as we know.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn tell(&self, event: Event) {
        tracing::debug!(pbx = %self.config.name, ?event, "the switch tells");
        // Nobody listens any more while the service shuts down.
        let _ = self.events.send(event);
    }

    /// Takes over a new session, and what it has told since the events were asked for.
    fn begin(&mut self, session: Session) -> (Client, Timestamp) {
        let Session { mut client, core, booted_at, clock, sounds, music, events } = session;
        self.clock = clock;
        self.after_gap = true;
        if let Err(error) = callers::say(&sounds, &[], Language::Sl) {
            tracing::warn!(pbx = %self.config.name, %error, "callers cannot be spoken to on this switch");
        }
        self.sounds = sounds;
        self.music = music;
        // The same run of the switch began at the same time, however the clocks were read.
        let known = self.boot.take().filter(|(known, _)| *known == core);
        self.ends &= known.is_some();
        let booted_at = known.map_or(booted_at, |(_, at)| at);
        self.boot = Some((core, booted_at));
        tracing::info!(pbx = %self.config.name, %booted_at, skew_ms = clock.skew().as_millis(), "linked to the switch");
        self.tell(Event::LinkUp { booted_at });
        for event in events {
            note_call_id(&event);
            if let Some(told) = translate(&event) {
                self.take(&mut client, told);
            }
        }
        (client, booted_at)
    }

    /// Takes in what the switch told, and does what follows at once.
    fn take(&mut self, client: &mut Client, told: Told) {
        let now = Instant::now();
        match told {
            Told::Leg { leg, at, what, left } => {
                self.dials.seen(leg);
                self.note_left(client, leg, left);
                let interrupts =
                    matches!(what, What::Key(_)) && self.legs.get(leg).and_then(|leg| leg.question.as_ref()).is_some_and(Question::interrupts);
                if interrupts {
                    // The first key ends the saying. When he has gone meanwhile, that is told.
                    drop(client.submit(callers::quiet(leg)));
                }
                let at = at.unwrap_or_else(|| self.now());
                let event = self.legs.take(leg, at, what, now);
                if self.legs.get_mut(leg).is_some_and(|leg| std::mem::take(&mut leg.hang_up_wanted)) {
                    // Its answer interests nobody: the end of the leg tells.
                    drop(client.submit(requests::hang_up(leg, false)));
                }
                if let Some(event) = event {
                    self.follow_convener(client, &event);
                    self.tell(event);
                }
            }
            Told::Locked { room, locked } => self.tell(Event::Locked { room, locked }),
            Told::Job { job, failure: Some(words) } => {
                let starting = self.boot.as_ref().is_some_and(|(_, at)| self.now().duration_since(*at) < STARTING);
                self.dials.failed(&job, words, starting, now);
            }
            Told::Job { failure: None, .. } => {}
            Told::Heartbeat { at } => self.set_clock(at),
            Told::Shutdown { at } => {
                let at = at.unwrap_or_else(|| self.now());
                tracing::warn!(pbx = %self.config.name, %at, "the switch ends");
                self.ends = true;
                for event in self.legs.leave_all(at) {
                    self.tell(event);
                }
            }
        }
    }

    pub(super) fn note_left(&mut self, client: &mut Client, leg: LegId, left: Option<(Room, Timestamp)>) {
        if let Some(event) = left.and_then(|(room, at)| self.legs.note_left(leg, room, at)) {
            self.follow_convener(client, &event);
            self.tell(event);
        }
    }

    fn set_clock(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.clock = FarClock::says(at);
        }
    }

    async fn serve(&mut self, client: &mut Client, work: &mut Work, booted_at: Timestamp) -> Over {
        let mut heard_at = Instant::now();
        let mut event_at = heard_at;
        let mut ping_at = heard_at + self.config.ping_interval;
        let mut keep_at = heard_at + KEEP_EVERY;
        loop {
            let silent_at = (heard_at + self.config.silence_limit).min(event_at + EVENTS_WITHIN);
            let wake =
                [Some(ping_at), Some(silent_at), self.dials.due(), self.lane.due(), self.legs.due(), Some(keep_at)].into_iter().flatten().min();
            tokio::select! {
                heard = client.hear() => {
                    heard_at = Instant::now();
                    match heard {
                        Heard::Life => {}
                        Heard::Event(event) => {
                            event_at = heard_at;
                            note_call_id(&event);
                            if let Some(told) = translate(&event) {
                                self.take(client, told);
                            }
                        }
                        Heard::Lost(reason) => return Over::Lost(reason),
                    }
                }
                job = self.inbox.recv() => match job {
                    Some(Job::Execute(command, answer)) => self.execute(client, work, command, answer),
                    Some(Job::Snapshot(expected, answer)) => self.begin_snapshot(client, work, expected, answer),
                    Some(Job::Close(answer)) => return Over::Closed(Some(answer)),
                    None => return Over::Closed(None),
                },
                Some(answer) = self.kept.recv() => self.kept_rooms(client, work, answer),
                Some(outcome) = work.next() => self.outcome(client, work, outcome, booted_at),
                // There is always a ping to come.
                () = sleep_until(wake.unwrap_or(ping_at)) => {
                    let now = Instant::now();
                    if now >= heard_at + self.config.silence_limit {
                        return Over::Lost(format!("silence for {} s", self.config.silence_limit.as_secs_f32()));
                    }
                    if now >= event_at + EVENTS_WITHIN {
                        return Over::Lost(format!("no event for {} s", EVENTS_WITHIN.as_secs_f32()));
                    }
                    for leg in self.dials.expire(now) {
                        self.legs.drop_silently(leg);
                    }
                    for event in self.legs.expire(now) {
                        self.tell(event);
                    }
                    if now >= keep_at {
                        keep_at = now + KEEP_EVERY;
                        self.show_life(client);
                    }
                    if now >= ping_at {
                        ping_at = now + self.config.ping_interval;
                        let pong = self.submit(client, requests::ask_clock(), self.config.reply_within);
                        work.push(Box::pin(async move { Outcome::Clock(pong.await.ok().and_then(|reply| parse_micros(&reply.text()))) }));
                    }
                    self.dial_next(client, work, now);
                }
            }
        }
    }

    /// Sends a request now; the future gives its reply, or why there is none.
    pub(super) fn submit(
        &self,
        client: &mut Client,
        request: Request,
        within: Duration,
    ) -> impl Future<Output = Result<Reply, CommandFailure>> + Send + use<> {
        let submitted = client.submit(request);
        async move {
            match timeout(within, submitted?).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_)) | Err(_) => Err(CommandFailure::NoReply),
            }
        }
    }

    /// A request whose acknowledgement is all there is to wait for.
    pub(super) fn simple(&self, client: &mut Client, work: &mut Work, request: Request, answer: Answer<()>) {
        let reply = self.submit(client, request, self.config.reply_within);
        work.push(Box::pin(async move {
            // Nobody waits for it any more when this fails.
            let _ = answer.send(reply.await.and_then(Reply::accepted));
            Outcome::Answered
        }));
    }

    /// The same for what is right already when the conference is not there (any more).
    fn unless_over(&self, client: &mut Client, work: &mut Work, request: Request, answer: Answer<()>) {
        let reply = self.submit(client, request, self.config.reply_within);
        work.push(Box::pin(async move {
            let result = reply.await.and_then(Reply::accepted);
            let _ = answer.send(if result == Err(CommandFailure::Gone) { Ok(()) } else { result });
            Outcome::Answered
        }));
    }

    fn execute(&mut self, client: &mut Client, work: &mut Work, command: Command, answer: Answer<()>) {
        match command {
            Command::Dial(dial) => {
                let now = Instant::now();
                self.lane.push(dial, answer, now);
                self.dial_next(client, work, now);
            }
            Command::HangUp { leg } => self.hang_up(client, work, leg, answer),
            Command::Ask(_) | Command::Hold { .. } | Command::Dismiss { .. } | Command::Admit(_) | Command::Bring(_) => {
                self.caller(client, work, command, answer);
            }
            Command::Tell { room, leg, language, say } => self.tell_member(client, work, (room, leg), (&say, language), answer),
            Command::Mute { room, leg, muted } => self.simple(client, work, requests::mute(room, leg, muted), answer),
            Command::MuteAll { room, muted } => self.simple(client, work, requests::mute_all(room, muted), answer),
            Command::Remove { room, leg } => {
                let [mark, take_out] = requests::remove(room, leg);
                // When it fails the next one does, too.
                drop(client.submit(mark));
                self.simple(client, work, take_out, answer);
            }
            Command::Lock { room, locked } => self.simple(client, work, requests::lock(room, locked), answer),
            Command::Announce { room, prompt } => self.unless_over(client, work, requests::announce(room, prompt), answer),
            Command::Close { room } => {
                self.await_no_longer(client, room);
                self.unless_over(client, work, requests::close(room), answer);
            }
            Command::Forget { room } => {
                self.forget_waiting(room);
                self.forget(client, work, room, answer);
            }
        }
    }

    fn hang_up(&mut self, client: &mut Client, work: &mut Work, leg: LegId, answer: Answer<()>) {
        if self.lane.cancel(leg) {
            let (now, now_at) = (Instant::now(), self.now());
            let event = self.legs.cancelled(leg, now_at, now);
            self.tell(event);
            let _ = answer.send(Ok(()));
            return;
        }
        if self.legs.has_ended(leg) {
            let _ = answer.send(Err(CommandFailure::Gone));
            return;
        }
        match self.legs.get_mut(leg) {
            // The switch has been asked for it and has no channel yet: "No such channel" would be wrong in a moment.
            Some(known) if !known.created => {
                known.hang_up_wanted = true;
                let _ = answer.send(Ok(()));
            }
            known => {
                let answered = known.is_none_or(|leg| leg.is_answered());
                self.simple(client, work, requests::hang_up(leg, answered), answer);
            }
        }
    }

    /// Places the next call if its time has come.
    fn dial_next(&mut self, client: &mut Client, work: &mut Work, now: Instant) {
        let Some((dial, answer)) = self.lane.pop(now) else { return };
        if self.legs.get(dial.leg).is_some_and(|leg| leg.created) {
            // It is there already; the switch would refuse a second channel of the same name.
            return drop(answer.send(Ok(())));
        }
        let job = Uuid::new_v4().to_string();
        let request = match requests::originate(&self.config, &dial, &job) {
            Ok(request) => request,
            Err(error) => return drop(answer.send(Err(error.into()))),
        };
        tracing::info!(pbx = %self.config.name, leg.id = %dial.leg, room = %dial.room, number = %wire::tail(&dial.number), "dialling");
        self.legs.ask(dial.leg, dial.room, (dial.role == Role::Convener, dial.grace_seconds));
        self.dials.ask(job.clone(), dial.leg, answer, now + self.config.reply_within);
        let reply = self.submit(client, request, self.config.reply_within);
        work.push(Box::pin(async move {
            match reply.await.and_then(Reply::accepted) {
                // Without a reply the deadline of the dial speaks.
                Ok(()) | Err(CommandFailure::NoReply) => Outcome::Answered,
                Err(failure) => Outcome::NotDialled(job, failure),
            }
        }));
    }

    /// Wakes the switch for the event of what it has done: somebody at a window waits to see it done.
    ///
    /// The switch's own thread hands the event to its event socket a moment after the answer, on a busy machine milliseconds after it,
    /// and a waking before that finds nothing.
    fn look(client: &Client, work: &mut Work, turn: usize) {
        client.wake();
        if let Some(pause) = LOOK_AGAIN.get(turn) {
            work.push(Box::pin(async move {
                tokio::time::sleep(*pause).await;
                Outcome::Look(turn + 1)
            }));
        }
    }

    fn outcome(&mut self, client: &mut Client, work: &mut Work, outcome: Outcome, booted_at: Timestamp) {
        match outcome {
            Outcome::Answered => Self::look(client, work, 0),
            Outcome::Look(turn) => Self::look(client, work, turn),
            Outcome::NotDialled(job, failure) => self.dials.refused(&job, failure, Instant::now()),
            Outcome::Clock(at) => self.set_clock(at),
            Outcome::ToForget(forgetting, legs) => self.go_on_forgetting(client, work, forgetting, legs),
            Outcome::Callers(callers) => self.look_for_old(client, work, callers),
            Outcome::Old(callers) => Self::forget_callers(client, &callers),
            Outcome::Listed(job) => self.continue_snapshot(client, work, job),
            Outcome::Complete(job) => self.finish_snapshot(client, work, job, booted_at),
        }
    }
}

/// The Call-ID of a leg's SIP dialogue, for the log.
fn note_call_id(event: &Fields) {
    if let (Some(leg), Some(call_id)) = (leg_of(event), event.get("variable_sip_call_id")) {
        calls::has_call_id(leg, call_id);
    }
}
