//! The owner of one running conference: the only task that holds its state. Its inbox is the only way in.
//!
//! For each input: the rules decide, journal and rows are written in one transaction, then commands go out in order, then windows are told.
//! Written exception: while the database is away, hang-ups and mutes go out at once, and their rows follow.

mod cost;
mod speaking;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::live::{Hub, Picture};
use super::node::Node;
use super::rows::{self, Paperwork};
use super::{ControlError, Shared};
use crate::billing::Money;
use crate::clock;
use crate::conference::{Conference, ConferenceView, Control, Delta, Effect, Entry, Input, Link, NewCaller, Phase, Refusal, RunningCost, reconcile};
use crate::ids::LegId;
use crate::pbx::{Command, CommandFailure, Event, Snapshot};
use crate::storage::journal::NewJournalEntry;
use crate::storage::{RowChange, StorageError, Ticket};
use crate::telemetry;

/// A deadline far away is looked at again after this, so that a stepped clock does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A deadline that is run so much too late means that this process has slept, and what it believes is old.
const OVERSLEPT: SignedDuration = SignedDuration::from_secs(3);
/// How often it is looked at what the conference costs.
const COST_EVERY: Duration = Duration::from_secs(10);
/// How many waiting messages are taken in one go.
const GULP: usize = 256;

/// A write that takes longer than this hands its calls over late.
const LATE: SignedDuration = SignedDuration::from_millis(500);
/// How long after that a snapshot may not show such a call yet.
const SETTLING: SignedDuration = SignedDuration::from_secs(3);

/// What an owner is told.
pub(super) enum Message {
    /// The convener asks for something.
    Control {
        /// What.
        control: Control,
        /// Answered when it is journalled, or refused.
        reply: oneshot::Sender<Result<ConferenceView, ControlError>>,
    },
    /// A caller has said who he is and is offered to this conference.
    Arrived {
        /// Who.
        caller: Box<NewCaller>,
        /// Answered when it is journalled, or refused.
        reply: oneshot::Sender<Result<ConferenceView, ControlError>>,
    },
    /// To the reception: the caller is not on the switch any more.
    CallerGone,
    /// To the reception: the caller is still there after a gap.
    CallerHeld,
    /// The switch said something.
    Event(Event),
    /// The switch did not take a command.
    CommandFailed {
        /// Which.
        command: Command,
        /// Why.
        failure: CommandFailure,
    },
    /// The link is lost.
    LinkLost {
        /// When the switch was last heard.
        last_heard: Timestamp,
    },
    /// What the switch holds.
    Snapshot {
        /// The picture.
        snapshot: Arc<Snapshot>,
        /// The last proof of what was believed before.
        last_proof: Timestamp,
    },
    /// A leg whose call was held back by the database's absence is not wanted any more: it was never placed.
    Unplaced(LegId),
    /// A call that was handed over still waits for its turn at the switch.
    StillWaiting(LegId),
    /// What is charged to the account today, with VAT.
    Charged {
        /// How much.
        charged: Money,
        /// As of when, as the account's running costs are marked.
        mark: u64,
    },
    /// Somebody wants the picture.
    View(oneshot::Sender<ConferenceView>),
}

/// Why an owner's task ended.
pub(super) enum Outcome {
    /// The conference is over and written.
    Over,
    /// The service is stopping; the journal holds everything.
    Stopped,
    /// Its writes are refused for good: somebody else owns it, or a fault of ours.
    Broken,
}

/// Decided, and on its way to the database.
struct Flight {
    submitted: Timestamp,
    ticket: Ticket,
    /// It holds charges.
    charged: bool,
    commands: Vec<Command>,
    deltas: Vec<Delta>,
    replies: Vec<oneshot::Sender<Result<ConferenceView, ControlError>>>,
}

/// What one gulp of messages gathers.
#[derive(Default)]
struct Draft {
    journal: Vec<NewJournalEntry>,
    rows: Vec<RowChange>,
    commands: Vec<Command>,
    deltas: Vec<Delta>,
    replies: Vec<oneshot::Sender<Result<ConferenceView, ControlError>>>,
}

/// The task's own.
pub(super) struct Owner {
    conference: Conference,
    /// The number of the last entry of the journal.
    seq: i64,
    paperwork: Paperwork,
    node: Arc<Node>,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    picture: Picture,
    inbox: UnboundedReceiver<Message>,
    own_inbox: UnboundedSender<Message>,
    talking: BTreeSet<LegId>,
    flights: VecDeque<Flight>,
    /// Written, and held back until it is sure that this process still drives the switch.
    unspoken: VecDeque<Command>,
    /// Until then snapshots are not believed: calls were handed over later than they were decided.
    settles_at: Timestamp,
    /// When what is believed was last proven, if that was before the last snapshot: one that was passed over has shown otherwise,
    /// or nobody here has heard the legs meanwhile.
    proof: Option<Timestamp>,
    /// When this task last found that it had slept.
    overslept_at: Option<Timestamp>,
    /// Until when deadlines wait for the switch's picture.
    held_until: Option<Instant>,
    /// When this task was to wake at the latest: much later than that means that the process slept.
    wake_by: Timestamp,
    /// Whether anybody is in it.
    deserted: super::watch::Deserted,
    /// The conference is over: its legs are nobody's any more.
    over: bool,
    /// What it costs by now, as windows are told.
    cost: Option<RunningCost>,
    /// When that is looked at.
    look_at_cost: tokio::time::Interval,
}

impl Owner {
    /// An owner for a conference whose journal ends at `seq`. Events reach it from here on.
    pub(super) fn new(
        conference: Conference,
        seq: i64,
        paperwork: Paperwork,
        node: Arc<Node>,
        shared: Arc<Shared>,
        (own_inbox, inbox): (UnboundedSender<Message>, UnboundedReceiver<Message>),
    ) -> Self {
        let hub = shared.hubs.of(conference.id());
        let people = conference.participants().filter(|person| !person.removed).count();
        node.attach(conference.id(), conference.spec().room, people, own_inbox.clone());
        for leg in conference.legs().filter(|leg| leg.is_on_switch()) {
            telemetry::calls::belongs(leg.id, conference.id());
            node.attach_leg(leg.id, conference.id(), own_inbox.clone());
        }
        let picture = Picture::new(rows::view(&conference, &paperwork.plan, 0));
        Self {
            conference,
            seq,
            paperwork,
            node,
            shared,
            hub,
            picture,
            inbox,
            own_inbox,
            talking: BTreeSet::new(),
            flights: VecDeque::new(),
            unspoken: VecDeque::new(),
            settles_at: Timestamp::MIN,
            proof: None,
            overslept_at: None,
            held_until: None,
            wake_by: Timestamp::MAX,
            deserted: super::watch::Deserted::default(),
            over: false,
            cost: None,
            look_at_cost: cost::pace(),
        }
    }

    /// Opens a new conference: its first entry, and what starts it.
    pub(super) fn open(&mut self, now: Timestamp, start: Input, reply: oneshot::Sender<Result<ConferenceView, ControlError>>) {
        let mut draft = Draft::default();
        let spec = Box::new(self.conference.spec().clone());
        self.note(&mut draft, now, &Entry::Open { spec });
        self.take_answered(&mut draft, now, start, reply);
        self.submit(draft);
    }

    /// Takes over a conference after a restart: what the switch did meanwhile is unknown until its snapshot tells.
    pub(super) fn resume(&mut self, now: Timestamp, last_heard: Timestamp) {
        let mut draft = Draft::default();
        self.proof = Some(last_heard);
        if self.conference.link() == Link::Up {
            self.take(&mut draft, now, Input::LinkLost { last_heard });
        }
        self.submit(draft);
        // Windows that followed it while another service node owned it may have been told less.
        let view = rows::view(&self.conference, &self.paperwork.plan, 0);
        self.push(Delta { conference: Some(view.head), participants: view.participants, removed: Vec::new() });
    }

    /// Ends a conference whose switch is gone for good, by the last moment at which that was heard.
    pub(super) fn abandon(&mut self, now: Timestamp, last_heard: Timestamp) {
        let mut draft = Draft::default();
        self.take(&mut draft, now, Input::SwitchGone { last_heard });
        self.submit(draft);
    }

    /// The switch that it is on.
    pub(super) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// What ends this task early: the service's stop, or another service node's taking over the switch.
    pub(super) fn stop(&self) -> CancellationToken {
        self.node.stop.clone()
    }

    /// Runs until the conference is over or the service stops.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Outcome {
        let mut availability = self.shared.writer.subscribe();
        let node = Arc::clone(&self.node);
        loop {
            if self.flights.is_empty() && self.unspoken.is_empty() && self.conference.phase().is_over() {
                info!(conference.id = %self.conference.id(), phase = %self.conference.phase(), "conference is over");
                self.over = true;
                return Outcome::Over;
            }
            let now = clock::now();
            let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            let deadline = self.conference.next_deadline().map(|at| clock::until(now, at).max(held).min(LONGEST_SLEEP));
            self.wake_by =
                now.saturating_add(SignedDuration::try_from(deadline.unwrap_or(LONGEST_SLEEP)).unwrap_or(SignedDuration::ZERO)).unwrap_or(now);
            tokio::select! {
                () = stop.cancelled(), if self.flights.is_empty() => return Outcome::Stopped,
                () = node.tenure.sure(), if !self.unspoken.is_empty() => self.say_unspoken(),
                Some(message) = self.inbox.recv() => self.gulp(message),
                () = tokio::time::sleep(deadline.unwrap_or(LONGEST_SLEEP)), if deadline.is_some() => self.tick(),
                _ = self.look_at_cost.tick(), if matches!(self.conference.phase(), Phase::CallingConvener { .. } | Phase::Running { .. }) => self.weigh(),
                written = speaking::next_landing(&mut self.flights), if !self.flights.is_empty() => {
                    if let Err(fault) = written {
                        return self.broken(&fault);
                    }
                    self.land();
                }
                changed = availability.changed() => {
                    if changed.is_err() {
                        return Outcome::Stopped;
                    }
                    if !*availability.borrow_and_update() {
                        self.speak_early();
                    }
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = clock::now();
        let held = self.held_until.is_some_and(|until| Instant::now() < until);
        if held || self.conference.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.held_until = None;
        let mut draft = Draft::default();
        if !self.wake(&mut draft, now) {
            self.take(&mut draft, now, Input::Tick);
        }
        self.submit(draft);
    }

    /// Whether this process was stopped, or its clock was set, while a deadline passed: then what the switch has told meanwhile is read first,
    /// and nothing is done about any deadline before that.
    fn wake(&mut self, draft: &mut Draft, now: Timestamp) -> bool {
        let late = |due: Timestamp| now.duration_since(due.min(self.wake_by)) > OVERSLEPT && self.overslept_at.is_none_or(|at| at < due);
        if self.conference.link() != Link::Up || !self.conference.next_deadline().is_some_and(late) {
            return false;
        }
        info!(conference.id = %self.conference.id(), "a deadline was slept through; the switch is asked before anything is done about it");
        self.overslept_at = Some(now);
        self.held_until = Some(Instant::now() + LONGEST_SLEEP);
        self.take(draft, now, Input::LinkLost { last_heard: self.node.heard().0 });
        self.node.ask_sync(self.node.stop.clone());
        true
    }

    /// Takes a message and those that wait behind it, as one write.
    fn gulp(&mut self, first: Message) {
        let mut draft = Draft::default();
        // Every input runs the deadlines that are due.
        self.wake(&mut draft, clock::now());
        let mut message = Some(first);
        let mut taken = 0;
        while let Some(next) = message {
            self.on_message(&mut draft, next);
            taken += 1;
            message = if taken < GULP { self.inbox.try_recv().ok() } else { None };
        }
        self.submit(draft);
    }

    fn on_message(&mut self, draft: &mut Draft, message: Message) {
        let now = clock::now();
        match message {
            Message::Control { control, reply } => self.take_answered(draft, now, Input::Control { control }, reply),
            Message::Arrived { caller, reply } => self.take_answered(draft, now, Input::Arrived { caller }, reply),
            Message::CallerGone | Message::CallerHeld => {}
            Message::Event(Event::Talking { leg, talking }) => self.on_talking(leg, talking),
            Message::Event(event) => self.take(draft, now, Input::Switch { event }),
            Message::CommandFailed { command, failure } => self.take(draft, now, Input::CommandFailed { command, failure }),
            Message::LinkLost { last_heard } => {
                self.talking.clear();
                self.take(draft, now, Input::LinkLost { last_heard });
            }
            Message::Unplaced(leg) => self.take(draft, now, Input::NeverPlaced { leg }),
            Message::StillWaiting(leg) => self.take(draft, now, Input::StillWaiting { leg }),
            // A call that is not handed over yet is not on the switch, and is not lost for that; the next snapshot comes soon.
            Message::Snapshot { snapshot, last_proof } if now < self.settles_at || self.holds_dials() => {
                let gone = |input: &Input| matches!(input, Input::LegGone { .. } | Input::Switch { event: Event::Left { .. } });
                let differs = reconcile(&self.conference, &snapshot, last_proof, now).iter().any(gone);
                self.proof = differs.then(|| self.proof.map_or(last_proof, |proof| proof.min(last_proof)));
            }
            Message::Snapshot { snapshot, last_proof } => {
                let last_proof = self.proof.take().map_or(last_proof, |proof| proof.min(last_proof));
                for input in reconcile(&self.conference, &snapshot, last_proof, now) {
                    info!(conference.id = %self.conference.id(), ?input, "the switch differs from what was believed");
                    self.take(draft, now, input);
                }
                self.held_until = None;
                if self.conference.link() != Link::Up {
                    self.take(draft, now, Input::LinkRestored);
                }
            }
            Message::Charged { charged, mark } => self.on_charged(draft, now, charged, mark),
            Message::View(reply) => {
                let _ = reply.send(self.picture.at(self.hub.seq()));
            }
        }
    }

    /// Takes an input that somebody waits for.
    fn take_answered(&mut self, draft: &mut Draft, now: Timestamp, input: Input, reply: oneshot::Sender<Result<ConferenceView, ControlError>>) {
        match self.apply(draft, now, input) {
            Ok(()) => draft.replies.push(reply),
            Err(refusal) => {
                let _ = reply.send(Err(ControlError::Refused(refusal)));
            }
        }
    }

    fn take(&mut self, draft: &mut Draft, now: Timestamp, input: Input) {
        let (kind, leg) = (kind(&input), leg_of(&input));
        if let Err(refusal) = self.apply(draft, now, input) {
            metrics::counter!("sklic_inputs_refused_total").increment(1);
            let leg = leg.map(tracing::field::display);
            debug!(conference.id = %self.conference.id(), leg.id = leg, input = kind, %refusal, "an input does not fit");
        }
    }

    fn apply(&mut self, draft: &mut Draft, now: Timestamp, input: Input) -> Result<(), Refusal> {
        let effects = self.conference.handle(now, input.clone())?;
        self.note(draft, now, &Entry::Input { input });
        for effect in effects {
            self.carry(draft, now, effect);
        }
        Ok(())
    }

    fn note(&mut self, draft: &mut Draft, now: Timestamp, entry: &Entry) {
        self.seq += 1;
        match serde_json::to_value(entry) {
            Ok(entry) => draft.journal.push(NewJournalEntry { seq: self.seq, at: now, entry }),
            // Every part of an entry is plain data with text keys; the gap in the journal is refused by the writer, loudly.
            Err(fault) => error!(conference.id = %self.conference.id(), %fault, "an entry cannot be written"),
        }
    }

    fn carry(&mut self, draft: &mut Draft, now: Timestamp, effect: Effect) {
        draft.rows.extend(self.paperwork.tell(&self.conference, &effect, now));
        match effect {
            Effect::SaveHead { .. } => draft.rows.push(rows::head(&self.conference, &self.node.name)),
            Effect::SaveParticipant { participant } => {
                draft.rows.extend(self.paperwork.written.news(rows::participant(self.conference.id(), &participant)))
            }
            Effect::SaveLeg { leg } => {
                telemetry::calls::belongs(leg.id, self.conference.id());
                if leg.is_on_switch() {
                    self.node.attach_leg(leg.id, self.conference.id(), self.own_inbox.clone());
                } else {
                    self.node.detach_leg(leg.id);
                    self.talking.remove(&leg.id);
                }
                draft.rows.extend(self.paperwork.written.news(rows::leg(self.conference.id(), &leg)));
            }
            Effect::LegEnded { leg } => {
                if let Some(leg) = self.conference.leg(leg) {
                    info!(conference.id = %self.conference.id(), leg.id = %leg.id, outcome = leg.outcome.map(crate::conference::Outcome::word),
                        hangup.q850 = leg.cause.q850, hangup.sip = leg.cause.sip, evidence = leg.evidence.map(rows::evidence_word), "leg ended");
                    super::gauges::count_ended(leg, &self.node.name);
                    telemetry::traces::leg_ended(&self.conference, leg, &self.node.name);
                    let charges = self.paperwork.charge(&self.conference, leg, &self.shared, now);
                    draft.rows.extend(self.paperwork.tell_charges(&charges, now));
                    draft.rows.extend(charges);
                }
            }
            Effect::Finished => {
                telemetry::traces::conference_over(&self.conference, &self.node.name, now);
                draft.rows.push(self.paperwork.report(&self.conference, &self.shared, now));
            }
            Effect::Command { command } => draft.commands.push(command),
            Effect::Push { delta } => draft.deltas.push(delta),
        }
    }

    fn on_talking(&mut self, leg: LegId, talking: bool) {
        let changed = if talking { self.talking.insert(leg) } else { self.talking.remove(&leg) };
        let Some(participant) = self.conference.leg(leg).map(|leg| leg.participant) else { return };
        if !changed {
            return;
        }
        self.shared.abroad.tell(self.conference.id(), &self.talking, self.cost.as_ref());
        let shown = self.conference.participant_views().into_iter().find(|view| view.id == participant);
        self.push(Delta { participants: shown.into_iter().collect(), ..Delta::default() });
    }

    fn push(&mut self, mut delta: Delta) {
        if let Some(head) = &mut delta.conference {
            head.cost = self.cost.clone().map(Box::new);
        }
        for view in &mut delta.participants {
            view.talking = self.conference.live_leg(view.id).is_some_and(|leg| self.talking.contains(&leg.id));
        }
        self.picture.apply(&delta);
        self.hub.push(delta);
    }

    fn broken(mut self, fault: &StorageError) -> Outcome {
        let fenced = matches!(fault, StorageError::Fenced { .. });
        if fenced {
            info!(conference.id = %self.conference.id(), %fault, "the conference goes on at another service node; its task here ends");
            self.shared.membership.doubt.notify_one();
        } else {
            error!(conference.id = %self.conference.id(), %fault, "the ledger refuses this conference's entries; its task ends and is rebuilt from the journal");
            metrics::counter!("sklic_owners_broken_total").increment(1);
        }
        for flight in self.flights.drain(..) {
            for reply in flight.replies {
                let why = if fenced { ControlError::Unavailable { what: "conference" } } else { ControlError::Internal };
                let _ = reply.send(Err(why));
            }
        }
        Outcome::Broken
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.spending.forget(self.paperwork.account.id, self.conference.id());
        // A task that broke is rebuilt: until then its legs are still somebody's.
        if !self.over {
            return;
        }
        self.node.detach(self.conference.id(), self.conference.spec().room);
        for leg in self.conference.legs() {
            self.node.detach_leg(leg.id);
        }
    }
}

/// What an input is, for the log: numbers and names stay out of it.
fn kind(input: &Input) -> &'static str {
    match input {
        Input::Control { .. } => "control",
        Input::Arrived { .. } => "arrived",
        Input::StillHeld { .. } => "still_held",
        Input::Switch { event } => match event {
            Event::Arrived { .. } => "arrived",
            Event::Keyed { .. } => "keyed",
            Event::Pressed { .. } => "pressed",
            Event::Ringing { .. } => "ringing",
            Event::EarlyMedia { .. } => "early_media",
            Event::Answered { .. } => "answered",
            Event::Joined { .. } => "joined",
            Event::Left { .. } => "left",
            Event::Ended { .. } => "ended",
            Event::Muted { .. } => "muted",
            Event::Talking { .. } => "talking",
            Event::Locked { .. } => "locked",
            Event::LinkUp { .. } => "link_up",
            Event::LinkDown { .. } => "link_down",
        },
        Input::CommandFailed { .. } => "command_failed",
        Input::LegGone { .. } => "leg_gone",
        Input::NeverPlaced { .. } => "never_placed",
        Input::StillWaiting { .. } => "still_waiting",
        Input::SwitchGone { .. } => "switch_gone",
        Input::LinkLost { .. } => "link_lost",
        Input::LinkRestored => "link_restored",
        Input::Spend { .. } => "spend",
        Input::Tick => "tick",
    }
}

/// The leg that an input is about, if one.
fn leg_of(input: &Input) -> Option<LegId> {
    match input {
        Input::Switch { event } => event.leg(),
        Input::CommandFailed { command, .. } => command.leg(),
        Input::Arrived { caller } => Some(caller.leg),
        Input::StillHeld { leg } | Input::LegGone { leg, .. } | Input::NeverPlaced { leg } | Input::StillWaiting { leg } => Some(*leg),
        _ => None,
    }
}
