//! One Asterisk behind the port: keeps the link, sends commands, tells events. It decides nothing about conferences.
//!
//! A single task owns everything; it waits for nothing but its own `select!`, so that an event is passed on as it comes,
//! and everything that was heard before a reply has been told before the reply is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{Client, Heard, Reply, accepted, listed};
use super::kept;
use super::legs::{FollowUp, Legs};
use super::link::{self, Session};
use super::snapshot::{self, Lists};
use super::translate::{timestamp, translate};
use super::{AsteriskConfig, actions, callers};
use crate::ids::{LegId, Room};
use crate::pbx::far_clock::FarClock;
use crate::pbx::jobs::{Answer, Handle, Job};
use crate::pbx::lane::Lane;
use crate::pbx::wire::{self, HeaderBlock, UnsafeField};
use crate::pbx::{Capabilities, Command, CommandFailure, Event, EventSender, LegSnapshotPhase, Pbx, Snapshot};
use crate::telemetry::calls;

/// The least time for lists: a busy switch of 400 members needed 2 s for the slowest (Asterisk 22.10).
const LISTS_WITHIN: Duration = Duration::from_secs(10);

/// Starts the task of one switch.
pub(super) fn start(config: AsteriskConfig, events: EventSender) -> Arc<dyn Pbx> {
    let (handle, (inbox, kept)) = Handle::new(Capabilities { talking: true, lock: true, end_records: true, dial_in: true });
    let lane = Lane::new(config.calls_per_second);
    let actor = Actor { config, events, inbox, kept, legs: Legs::default(), lane, clock: FarClock::unheard(), sounds: String::new() };
    tokio::spawn(actor.run());
    Arc::new(handle)
}

/// What the task has waited for besides events.
pub(super) enum Outcome {
    /// The caller has his answer; nothing else follows.
    Answered,
    /// The switch refused to dial: this leg will never be.
    NeverDialled(LegId),
    /// The state of a lock, as the switch told after the action.
    Locked(Room, bool),
    /// The switch's clock.
    Clock(Option<Timestamp>),
    /// The channels of the switch, to find where a redirected call went.
    Redirected(LegId, Option<Reply>),
    /// What drops records that nobody will ask for any more.
    Old(Vec<super::codec::Action>),
    /// The first lists of a snapshot.
    Listed(Box<SnapshotJob>),
    /// All lists of a snapshot.
    Complete(Box<SnapshotJob>, Option<Reply>),
}

pub(super) type Work = FuturesUnordered<BoxFuture<'static, Outcome>>;

pub(super) struct SnapshotJob {
    expected: Vec<LegId>,
    /// When the first list was asked for.
    asked: Instant,
    lists: Lists,
    answer: Answer<Snapshot>,
}

/// Why a session is over.
enum Over {
    /// The service shuts down.
    Closed(Option<oneshot::Sender<()>>),
    /// The link is lost.
    Lost(String),
}

pub(super) struct Actor {
    pub(super) config: AsteriskConfig,
    events: EventSender,
    inbox: mpsc::UnboundedReceiver<Job>,
    /// Who asks of which conferences something is kept.
    kept: mpsc::UnboundedReceiver<Answer<Vec<Room>>>,
    pub(super) legs: Legs,
    /// Calls that wait for their turn, in order.
    lane: Lane,
    /// The switch's clock minus ours.
    clock: FarClock,
    /// Where the prompts lie on the switch.
    pub(super) sounds: String,
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

    /// Takes over a new session: what the switch holds, then what it has told since the login.
    fn begin(&mut self, session: Session) -> (Client, Timestamp) {
        let Session { mut client, booted_at, clock, sounds, channels, events } = session;
        self.clock = clock;
        callers::check_sounds(&self.config, &sounds);
        self.sounds = sounds;
        self.show_life(&mut client);
        tracing::info!(pbx = %self.config.name, %booted_at, skew_ms = clock.skew().as_millis(), "linked to the switch");
        let lists = Lists { begun: self.legs.changes(), channels, ..Lists::default() };
        snapshot::merge(&lists, &mut self.legs, std::iter::empty(), Instant::now());
        self.tell(Event::LinkUp { booted_at });
        for event in events {
            // A redirected call of this moment is ended by the dialplan.
            match self.event(&event) {
                Some(FollowUp::HangUp(leg)) => drop(client.submit(actions::hang_up(leg))),
                Some(FollowUp::Quiet(leg)) => self.quiet(&mut client, leg),
                Some(FollowUp::EndRedirected(_)) | None => {}
            }
        }
        (client, booted_at)
    }

    /// Takes in one event and tells what it means.
    fn event(&mut self, event: &HeaderBlock) -> Option<FollowUp> {
        let told = translate(event, self.legs.names(&self.config.name))?;
        let (events, follow_up) = self.legs.take(told, Instant::now(), self.now());
        for event in events {
            self.tell(event);
        }
        follow_up
    }

    async fn serve(&mut self, client: &mut Client, work: &mut Work, booted_at: Timestamp) -> Over {
        let mut heard_at = Instant::now();
        let mut ping_at = Instant::now() + self.config.ping_interval;
        loop {
            let silent_at = heard_at + self.config.silence_limit;
            let wake = [Some(ping_at), Some(silent_at), self.legs.due(), self.lane.due()].into_iter().flatten().min();
            tokio::select! {
                heard = client.hear() => {
                    heard_at = Instant::now();
                    match heard {
                        Heard::Life => {}
                        Heard::Event(event) => {
                          self.ask_call_id_of_new(client, work, &event);
                          match self.event(&event) {
                            None => {}
                            // Its answer interests nobody: the end of the leg tells.
                            Some(FollowUp::HangUp(leg)) => drop(client.submit(actions::hang_up(leg))),
                            Some(FollowUp::Quiet(leg)) => self.quiet(client, leg),
                            Some(FollowUp::EndRedirected(leg)) => self.look_for_redirected(client, work, leg),
                        }},
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
                    if now >= silent_at {
                        return Over::Lost(format!("silence for {} s", self.config.silence_limit.as_secs_f32()));
                    }
                    let now_at = self.now();
                    for event in self.legs.expire(now, now_at) {
                        self.tell(event);
                    }
                    if now >= ping_at {
                        ping_at = now + self.config.ping_interval;
                        self.show_life(client);
                        let pong = self.submit(client, super::codec::Action::new("Ping"), self.config.reply_within);
                        work.push(Box::pin(async move {
                            Outcome::Clock(pong.await.ok().and_then(|reply| timestamp(&reply.response)))
                        }));
                    }
                    self.dial_next(client, work, now);
                }
            }
        }
    }

    /// A leg's channel has come into being.
    fn ask_call_id_of_new(&self, client: &mut Client, work: &mut Work, event: &HeaderBlock) {
        let (Some(b"Newchannel"), Some(channel)) = (event.get("Event"), event.text("Channel")) else { return };
        let Some(leg) = event.text("Uniqueid").and_then(|id| LegId::from_channel_id(&id)) else { return };
        self.ask_call_id(client, work, leg, channel.into_owned());
    }

    /// Legs that were there before this process heard the switch.
    fn ask_unknown_call_ids(&self, client: &mut Client, work: &mut Work, lists: &Lists) {
        for channel in lists.channels.iter().filter(|channel| calls::known(channel.leg).call_id.is_none()) {
            self.ask_call_id(client, work, channel.leg, channel.name.clone());
        }
    }

    /// Asks for the Call-ID of a leg's SIP dialogue, for the log.
    fn ask_call_id(&self, client: &mut Client, work: &mut Work, leg: LegId, channel: String) {
        if !channel.starts_with("PJSIP/") {
            return;
        }
        let action = super::codec::Action::new("Getvar").with("Channel", channel).with("Variable", "CHANNEL(pjsip,call-id)");
        let reply = self.submit(client, action, self.config.reply_within);
        work.push(Box::pin(async move {
            // A channel that has gone meanwhile has none.
            if let Some(call_id) = reply.await.ok().and_then(|reply| reply.response.text("Value").map(|value| value.into_owned())) {
                calls::has_call_id(leg, &call_id);
            }
            Outcome::Answered
        }));
    }

    /// Sends an action now; the future gives its reply, or why there is none.
    fn submit(
        &self,
        client: &mut Client,
        action: super::codec::Action,
        within: Duration,
    ) -> impl Future<Output = Result<Reply, CommandFailure>> + Send + use<> {
        let submitted = client.submit(action);
        async move {
            let reply = submitted.map_err(unsafe_field)?;
            match timeout(within, reply).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_)) | Err(_) => Err(CommandFailure::NoReply),
            }
        }
    }

    /// Sends an action and gives the caller the switch's answer.
    pub(super) fn simple(&self, client: &mut Client, work: &mut Work, action: super::codec::Action, answer: Answer<()>) {
        let reply = self.submit(client, action, self.config.reply_within);
        work.push(Box::pin(async move {
            // Whoever does not wait any more does not want to know.
            let _ = answer.send(reply.await.and_then(accepted));
            Outcome::Answered
        }));
    }

    fn execute(&mut self, client: &mut Client, work: &mut Work, command: Command, answer: Answer<()>) {
        let refuse = |answer: Answer<()>, failure| drop(answer.send(Err(failure)));
        match command {
            Command::Dial(dial) => {
                let known = self.legs.get(dial.leg).is_some() || self.lane.legs().any(|other| other == dial.leg);
                if let Err(error) = wire::check_number("number", &dial.number).and_then(|()| self.config.check()) {
                    refuse(answer, unsafe_field(error));
                } else if known {
                    // It was asked for again because its channel was late, and is here after all.
                    let _ = answer.send(Ok(()));
                } else {
                    let now = Instant::now();
                    self.lane.push(dial, answer, now);
                    self.dial_next(client, work, now);
                }
            }
            Command::HangUp { leg } => self.hang_up(client, work, leg, answer),
            Command::Ask(_) | Command::Hold { .. } | Command::Dismiss { .. } | Command::Admit(_) | Command::Bring(_) => {
                self.caller(client, work, command, answer);
            }
            Command::Tell { leg, language, say, .. } => self.whisper(client, work, leg, (&say, language), answer),
            Command::Mute { room, leg, muted } => match self.channel_of(leg) {
                Some(channel) => self.simple(client, work, actions::mute(room, &channel, muted), answer),
                None => refuse(answer, CommandFailure::Gone),
            },
            Command::MuteAll { room, muted } => {
                self.simple(client, work, actions::mute(room, "participants", muted), answer);
            }
            Command::Remove { room, leg } => match self.channel_of(leg) {
                Some(channel) => self.simple(client, work, actions::kick(room, &channel), answer),
                None => refuse(answer, CommandFailure::Gone),
            },
            Command::Lock { room, locked } => self.lock(client, work, room, locked, answer),
            Command::Announce { room, prompt } => self.simple(client, work, actions::announce(room, prompt), answer),
            Command::Close { room } => self.simple(client, work, actions::close(room), answer),
            Command::Forget { room } => self.simple(client, work, actions::forget(room), answer),
        }
    }

    fn channel_of(&self, leg: LegId) -> Option<String> {
        self.legs.get(leg).and_then(|leg| leg.channel.clone())
    }

    fn hang_up(&mut self, client: &mut Client, work: &mut Work, leg: LegId, answer: Answer<()>) {
        if self.lane.cancel(leg) {
            let (now, now_at) = (Instant::now(), self.now());
            let event = self.legs.cancelled(leg, now, now_at);
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
            Some(known) if !known.is_created() => {
                known.hang_up_wanted = true;
                let _ = answer.send(Ok(()));
            }
            known => {
                let channel = known.and_then(|leg| leg.caller.as_ref()).map_or_else(|| leg.channel_id(), |(_, uniqueid)| uniqueid.clone());
                self.simple(client, work, actions::hang_up_channel(channel), answer);
            }
        }
    }

    /// Places the next call if its time has come.
    fn dial_next(&mut self, client: &mut Client, work: &mut Work, now: Instant) {
        let Some((dial, answer)) = self.lane.pop(now) else { return };
        if self.legs.get(dial.leg).is_some() {
            // As in `execute`: its channel came while this waited.
            return drop(answer.send(Ok(())));
        }
        let action = match actions::originate(&self.config, &dial, self.now().as_second()) {
            Ok(action) => action,
            Err(error) => return drop(answer.send(Err(unsafe_field(error)))),
        };
        tracing::info!(pbx = %self.config.name, leg.id = %dial.leg, room = %dial.room, number = %wire::tail(&dial.number), "dialling");
        self.legs.ask(dial.leg, dial.room, now);
        let reply = self.submit(client, action, self.config.reply_within);
        work.push(Box::pin(async move {
            let result = reply.await.and_then(accepted);
            let refused = matches!(result, Err(CommandFailure::Refused(_) | CommandFailure::Unsafe(_) | CommandFailure::Gone));
            // As in `simple`.
            let _ = answer.send(result);
            if refused { Outcome::NeverDialled(dial.leg) } else { Outcome::Answered }
        }));
    }

    /// Locking has no event on Asterisk 22: the state is read after the action, and that is told.
    fn lock(&self, client: &mut Client, work: &mut Work, room: Room, locked: bool, answer: Answer<()>) {
        let done = self.submit(client, actions::lock(room, locked), self.config.reply_within);
        let rooms = self.submit(client, snapshot::ask_rooms(), self.config.reply_within);
        work.push(Box::pin(async move {
            let result = done.await.and_then(accepted);
            let ok = result.is_ok();
            let _ = answer.send(result);
            match rooms.await {
                Ok(reply) if ok => match snapshot::rooms(&reply).get(&room) {
                    Some(state) => Outcome::Locked(room, *state),
                    None => Outcome::Answered,
                },
                _ => Outcome::Answered,
            }
        }));
    }

    /// A phone sent our call elsewhere: the channel of that call has our leg's variables and another id. It is ended.
    fn look_for_redirected(&self, client: &mut Client, work: &mut Work, leg: LegId) {
        tracing::warn!(pbx = %self.config.name, leg.id = %leg, "a phone redirected our call; it is not followed");
        let asked = super::codec::Action::new("Status").with("Variables", "LEG_ID");
        let channels = self.submit(client, asked, LISTS_WITHIN);
        work.push(Box::pin(async move { Outcome::Redirected(leg, channels.await.ok()) }));
    }

    fn outcome(&mut self, client: &mut Client, work: &mut Work, outcome: Outcome, booted_at: Timestamp) {
        match outcome {
            Outcome::Answered => {}
            // What stays costs a line of the switch's database and nothing else.
            Outcome::Old(actions) => actions.into_iter().for_each(|action| drop(client.submit(action))),
            Outcome::NeverDialled(leg) => self.legs.drop_silently(leg),
            Outcome::Locked(room, locked) => self.tell(Event::Locked { room, locked }),
            Outcome::Clock(at) => {
                if let Some(at) = at {
                    self.clock = FarClock::says(at);
                }
            }
            Outcome::Redirected(leg, reply) => {
                let wanted = format!("LEG_ID={}", leg.0.simple());
                for event in reply.iter().flat_map(|reply| &reply.items) {
                    let ours = event.get("Uniqueid") == Some(leg.channel_id().as_bytes());
                    let same = event.iter().any(|(key, value)| key == b"Variable" && value == wanted.as_bytes());
                    if let (false, true, Some(channel)) = (ours, same, event.text("Channel")) {
                        // Its answer interests nobody: the call is not one of ours.
                        let _ = client.submit(actions::hang_up_channel(channel.into_owned()));
                    }
                }
            }
            Outcome::Listed(job) => self.continue_snapshot(client, work, job),
            Outcome::Complete(job, ends) => {
                self.ask_unknown_call_ids(client, work, &job.lists);
                self.finish_snapshot(*job, ends.as_ref(), booted_at);
            }
        }
    }

    fn kept_rooms(&self, client: &mut Client, work: &mut Work, answer: Answer<Vec<Room>>) {
        let now = self.now();
        let lists = kept::FAMILIES.map(|family| self.submit(client, kept::ask(family), LISTS_WITHIN));
        work.push(Box::pin(async move {
            let (mut rooms, mut old) = (Ok(BTreeSet::new()), Vec::new());
            for list in lists {
                let more = list.await.and_then(listed);
                rooms = rooms.and_then(|all| {
                    let more = more?;
                    old.extend(kept::forget_old_callers(&more, now));
                    Ok(&all | &kept::rooms(&more))
                });
            }
            // As in `simple`.
            let _ = answer.send(rooms.map(Vec::from_iter));
            Outcome::Old(old)
        }));
    }

    fn begin_snapshot(&self, client: &mut Client, work: &mut Work, expected: Vec<LegId>, answer: Answer<Snapshot>) {
        let (begun, asked) = (self.legs.changes(), Instant::now());
        let channels = self.submit(client, snapshot::ask_channels(), LISTS_WITHIN);
        let rooms = self.submit(client, snapshot::ask_rooms(), LISTS_WITHIN);
        let switch = self.config.name.clone();
        work.push(Box::pin(async move {
            let lists = async {
                let channels = snapshot::channels(&listed(channels.await?)?, &switch);
                // "No active conferences" is an error on Asterisk 22 and means an empty list.
                let rooms = snapshot::rooms(&rooms.await?);
                Ok(Lists { begun, channels, rooms, members: None })
            };
            match lists.await {
                Ok(lists) => Outcome::Listed(Box::new(SnapshotJob { expected, asked, lists, answer })),
                Err(failure) => {
                    let _ = answer.send(Err(failure));
                    Outcome::Answered
                }
            }
        }));
    }

    /// The members of each room, and the records of those who are missing.
    fn continue_snapshot(&self, client: &mut Client, work: &mut Work, mut job: Box<SnapshotJob>) {
        let asked: Vec<_> = job.lists.rooms.keys().map(|room| self.submit(client, snapshot::ask_members(*room), LISTS_WITHIN)).collect();
        let living = |leg: &LegId| job.lists.channels.iter().any(|channel| channel.leg == *leg) && !self.legs.has_ended(*leg);
        let missing = job.expected.iter().any(|leg| !living(leg));
        let ends = missing.then(|| self.submit(client, snapshot::ask_ends(), LISTS_WITHIN));
        work.push(Box::pin(async move {
            let lists = async {
                let mut members = Vec::new();
                for reply in asked {
                    // A room that has just ended is an error, and has no members.
                    members.extend(snapshot::members(&reply.await?, &job.lists.channels));
                }
                let ends = match ends {
                    Some(ends) => Some(listed(ends.await?)?),
                    None => None,
                };
                Ok((members, ends))
            };
            match lists.await {
                Ok((members, ends)) => {
                    job.lists.members = Some(members);
                    Outcome::Complete(job, ends)
                }
                Err(failure) => {
                    let _ = job.answer.send(Err(failure));
                    Outcome::Answered
                }
            }
        }));
    }

    fn finish_snapshot(&mut self, job: SnapshotJob, ends: Option<&Reply>, booted_at: Timestamp) {
        let (now, at) = (Instant::now(), self.now());
        for event in self.legs.settle(now, at) {
            self.tell(event);
        }
        let waiting: Vec<LegId> = self.lane.legs().collect();
        let (legs, rooms) = snapshot::merge(&job.lists, &mut self.legs, waiting.into_iter(), job.asked);
        let mut ended = ends.map(|ends| snapshot::ends(ends, &self.config.name)).unwrap_or_default();
        ended.retain(|leg, _| job.expected.contains(leg) && !legs.contains_key(leg));
        let inside = legs.values().filter(|leg| matches!(leg.phase, LegSnapshotPhase::Inside { .. })).count();
        tracing::debug!(pbx = %self.config.name, legs = legs.len(), inside, ended = ended.len(), "snapshot");
        let _ = job.answer.send(Ok(Snapshot { at, booted_at, callers: self.legs.callers(), legs, rooms, ended }));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(super) fn unsafe_field(error: UnsafeField) -> CommandFailure {
    CommandFailure::Unsafe(error.to_string())
}
