//! The reception at work: a task for each caller, from his answer until a conference takes him.
//!
//! What he is asked is decided by `reception`, whether he comes in by his conference's owner. Here are the look-ups and the waiting between the two.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::Runtime;
use super::bringing::Brought;
use super::node::{Arrival, Node};
use super::owner::Message;
use crate::clock;
use crate::config::{AccessNumber, NoIdentity};
use crate::ids::{AccountId, LegId};
use crate::pbx::{Caller, Command, CommandFailure, Event, Keys, Language, Phrase};
use crate::reception::{Dialogue, Effect, Found, Identity, Input, Rules, Subject, access_number, identify, number_dialled};
use crate::storage::dial_in::{self, Waiting};
use crate::storage::{Pooled, StorageError};

/// How often a caller who waits looks whether his conference has begun.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a caller bears with a database that does not answer.
const DATABASE_PATIENCE: Duration = Duration::from_secs(20);
/// How soon it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// One caller at the reception.
pub(super) struct Guest {
    pub(super) runtime: Runtime,
    pub(super) node: Arc<Node>,
    pub(super) caller: Caller,
    /// When he was answered here.
    pub(super) answered: Instant,
    pub(super) identity: Identity,
    pub(super) access: AccessNumber,
    pub(super) dialogue: Dialogue,
    pub(super) waiting: Option<(Waiting, Instant)>,
    /// Another switch has sent him, with a pass.
    pub(super) came_with_pass: bool,
    /// He was sent to another switch.
    pub(super) brought: Option<Brought>,
}

/// What became of a step.
pub(super) enum Next {
    /// He is still the reception's.
    Stays,
    /// A conference has him.
    Gone,
}

impl Runtime {
    /// Receives everybody who arrives at a switch, until the service stops.
    pub(super) async fn receive(self, node: Arc<Node>, mut arrivals: UnboundedReceiver<Arrival>) {
        loop {
            let arrival = tokio::select! {
                () = node.stop.cancelled() => return,
                arrival = arrivals.recv() => arrival,
            };
            let Some(Arrival { caller, answered, inbox }) = arrival else { return };
            let (runtime, node) = (self.clone(), Arc::clone(&node));
            self.inner.tasks.spawn(async move {
                let leg = caller.leg;
                let stop = node.stop.clone();
                tokio::select! {
                    // The call stays where it is: the next start of the service takes it in hand.
                    () = stop.cancelled() => {}
                    () = runtime.attend(Arc::clone(&node), (caller, answered), inbox) => node.release(leg),
                }
            });
        }
    }

    async fn attend(&self, node: Arc<Node>, (caller, answered): (Caller, Instant), mut inbox: UnboundedReceiver<Message>) {
        let rules = &self.inner.rules;
        let pass = self.recognise(&node, &caller, answered).await;
        let mut caller = pass.as_ref().map_or(caller, |pass| pass.caller.clone());
        caller.dialled = number_dialled(&caller.dialled);
        let identity = identify(&caller, &rules.dial_in.trusted_trunks, &rules.numbering);
        let same_payers = self.prices().same_payers(rules.access_numbers.iter().filter(|number| number.forms.contains(&caller.dialled)));
        let Some(access) = access_number(&rules.access_numbers, &caller.dialled, &identity, same_payers).cloned() else {
            warn!(switch.name = %node.name, leg.id = %caller.leg, sip.call_id = %caller.call_id,
                "a caller came by a number that is no access number of the configuration; see [[access_number]] and its forms");
            metrics::counter!("sklic_callers_total", "result" => "unknown_access_number").increment(1);
            for effect in Dialogue::refuse(caller.leg, Language::default(), Phrase::Apology) {
                tell(&node, effect).await;
            }
            return until_gone(&mut inbox).await;
        };
        info!(switch.name = %node.name, leg.id = %caller.leg, sip.call_id = %caller.call_id, access_number = %access.number, "a caller has arrived");
        let nameless = identity.calling_line.is_none() && self.prices().caller_owes(access.way_of_entry, &access.number);
        if nameless && rules.dial_in.no_identity == NoIdentity::Refuse {
            info!(switch.name = %node.name, leg.id = %caller.leg, sip.call_id = %caller.call_id,
                "a caller is turned away, for nobody vouches for his line; see trusted_trunks and no_identity in [dial_in]");
            metrics::counter!("sklic_callers_total", "result" => "no_identity").increment(1);
            for effect in Dialogue::refuse(caller.leg, access.language, Phrase::NoIdentity) {
                tell(&node, effect).await;
            }
            return until_gone(&mut inbox).await;
        }
        let how = Rules { tries: rules.dial_in.tries, key_wait_seconds: rules.dial_in.key_wait_seconds };
        let known = match self.connection().await {
            Ok(mut connection) => dial_in::waiting(&mut connection, caller.leg).await.ok().flatten(),
            Err(_) => None,
        };
        let (dialogue, effects) = match &known {
            None => Dialogue::open(caller.leg, access.language, how),
            Some(_) => Dialogue::resume(caller.leg, access.language, how),
        };
        let waiting = known.map(|waiting| {
            let until = self.waits_until(waiting.since);
            (waiting, until)
        });
        let came_with_pass = pass.is_some();
        let mut guest = Guest { runtime: self.clone(), node, caller, answered, identity, access, dialogue, waiting, came_with_pass, brought: None };
        let mut next = match pass {
            Some(pass) => guest.enter_by_pass(pass).await,
            None => guest.carry(effects).await,
        };
        while matches!(next, Next::Stays) {
            let look = guest.waiting.is_some();
            let begun = self.inner.begun.notified();
            next = tokio::select! {
                message = inbox.recv() => match message {
                    None | Some(Message::CallerGone | Message::Event(Event::Ended { .. })) => {
                        guest.forget().await;
                        return;
                    }
                    Some(message) => guest.on_message(message).await,
                },
                () = begun, if look => guest.look().await,
                // What another service node has started is told by the database alone.
                () = tokio::time::sleep(LOOK_EVERY), if look => guest.look().await,
            };
        }
        guest.forget().await;
        if let Some(brought) = guest.brought.take() {
            return self.see_off(brought, inbox).await;
        }
        // What came between the handing over and the owner's taking the leg is the owner's.
        while let Ok(message) = inbox.try_recv() {
            self.inner.forward(&guest.node, guest.caller.leg, message);
        }
    }

    pub(super) fn waits_until(&self, since: Timestamp) -> Instant {
        let limit = SignedDuration::from_secs(i64::from(self.inner.rules.dial_in.wait_limit_seconds));
        Instant::now() + clock::until(clock::now(), since.saturating_add(limit).unwrap_or(since))
    }

    /// A connection to the database; while it is away it is waited for as long as a caller can be expected to.
    pub(super) async fn connection(&self) -> Result<Pooled, StorageError> {
        let until = Instant::now() + DATABASE_PATIENCE;
        loop {
            match self.inner.shared.pool.get().await {
                Err(fault) if fault.is_passing() && Instant::now() < until => tokio::time::sleep(ASK_AGAIN).await,
                result => return result,
            }
        }
    }
}

async fn tell(node: &Node, effect: Effect) {
    if let Effect::Command(command) = effect
        && node.is_ours().await
    {
        tokio::spawn(node.pbx.execute(command));
    }
}

/// Waits until a caller who was told goodbye has gone.
async fn until_gone(inbox: &mut UnboundedReceiver<Message>) {
    while let Some(message) = inbox.recv().await {
        if matches!(message, Message::CallerGone | Message::Event(Event::Ended { .. })) {
            return;
        }
    }
}

impl Guest {
    async fn on_message(&mut self, message: Message) -> Next {
        match message {
            Message::Event(Event::Keyed { ask, keys, .. }) => {
                let effects = self.dialogue.handle(Input::Keyed { ask, keys });
                self.carry(effects).await
            }
            // After a gap: what he was told last may not have reached him.
            Message::CallerHeld => {
                let effects = self.dialogue.repeat();
                self.carry(effects).await
            }
            _ => Next::Stays,
        }
    }

    /// Does what the dialogue wants, until it waits for the caller again.
    pub(super) async fn carry(&mut self, effects: Vec<Effect>) -> Next {
        let mut open = effects;
        while !open.is_empty() {
            let mut answers = Vec::new();
            for effect in open {
                let input = match effect {
                    Effect::Command(command) => {
                        self.speak(command).await;
                        continue;
                    }
                    Effect::LookUp(keys) => self.find(&keys).await.map_or_else(|fault| self.unavailable(&fault), Input::Found),
                    Effect::CheckPin { account, keys } => {
                        self.is_pin(account, &keys).await.map_or_else(|fault| self.unavailable(&fault), Input::PinChecked)
                    }
                    Effect::Enter { account, contact } => match self.enter(account, contact).await {
                        Ok(None) => return Next::Gone,
                        Ok(Some(input)) => input,
                        Err(fault) => self.unavailable(&fault),
                    },
                    Effect::Convene { account } => match self.convene(account).await {
                        Ok(None) => return Next::Gone,
                        Ok(Some(input)) => input,
                        Err(fault) => self.unavailable(&fault),
                    },
                    Effect::Done => continue,
                };
                answers.extend(self.dialogue.handle(input));
            }
            open = answers;
        }
        Next::Stays
    }

    /// Hands a command over, after those before it.
    async fn speak(&self, command: Command) {
        if !self.node.is_ours().await {
            return;
        }
        let word = command.word();
        let answer = self.node.pbx.execute(command);
        let leg = self.caller.leg;
        tokio::spawn(async move {
            match answer.await {
                Ok(()) => {}
                // His own events tell, or a snapshot.
                Err(failure @ (CommandFailure::Gone | CommandFailure::NoLink)) => {
                    debug!(leg.id = %leg, command = word, %failure, "a command about a caller came too late");
                }
                Err(failure) => warn!(leg.id = %leg, command = word, %failure, "the switch did not take a command about a caller"),
            }
        });
    }

    pub(super) fn unavailable(&self, fault: &StorageError) -> Input {
        error!(leg.id = %self.caller.leg, fault = fault as &dyn std::error::Error, "a caller is sent away, for the database or his switch does not answer");
        Input::Refused(Phrase::Apology)
    }

    /// On what his failures are counted.
    fn lock_keys(&self) -> Vec<(Subject, String)> {
        let line = self.identity.lock_out_key.clone().map(|line| (Subject::Line, line));
        line.into_iter().chain([(Subject::AccessNumber, self.access.number.clone())]).collect()
    }

    /// He has keyed what was right.
    async fn relieve(&self, keys: &[(Subject, String)]) -> Result<(), StorageError> {
        let mut connection = self.runtime.connection().await?;
        for (subject, key) in keys.iter().filter(|(subject, _)| *subject == Subject::Line) {
            dial_in::relieve(&mut connection, *subject, key, &self.runtime.inner.rules.dial_in.lock_out, clock::now()).await?;
        }
        Ok(())
    }

    /// Whether one of these is locked out.
    async fn is_locked(&self, keys: &[(Subject, String)]) -> Result<bool, StorageError> {
        let mut connection = self.runtime.connection().await?;
        let now = clock::now();
        for (subject, key) in keys {
            if dial_in::lock_out(&mut connection, *subject, key).await?.is_locked(now) {
                metrics::counter!("sklic_callers_locked_out_total", "subject" => subject.word()).increment(1);
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn count_failure(&self, keys: &[(Subject, String)]) -> Result<(), StorageError> {
        let mut connection = self.runtime.connection().await?;
        let (rules, now) = (&self.runtime.inner.rules.dial_in.lock_out, clock::now());
        for (subject, key) in keys {
            let counter = dial_in::count_failure(&mut connection, *subject, key, rules, now).await?;
            if counter.is_locked(now) {
                warn!(subject = subject.word(), failures = counter.failures, until = ?counter.locked_until, "somebody is locked out for guessing");
                metrics::counter!("sklic_lock_outs_total", "subject" => subject.word()).increment(1);
            }
        }
        metrics::counter!("sklic_codes_wrong_total").increment(1);
        Ok(())
    }

    async fn find(&self, keys: &Keys) -> Result<Found, StorageError> {
        let locks = self.lock_keys();
        let _turn = self.runtime.inner.guesses.turn(&locks).await?;
        if self.is_locked(&locks).await? {
            return Ok(Found::Nobody);
        }
        let found = dial_in::find_code(&mut *self.runtime.connection().await?, keys.expose()).await?;
        match found {
            Found::Nobody => self.count_failure(&locks).await?,
            Found::Participant { .. } => self.relieve(&locks).await?,
            // A user number is no secret: the PIN decides.
            Found::Convener { .. } => {}
        }
        Ok(found)
    }

    async fn is_pin(&self, account: AccountId, keys: &Keys) -> Result<bool, StorageError> {
        let mut locks = self.lock_keys();
        locks.push((Subject::Code, account.to_string()));
        let _turn = self.runtime.inner.guesses.turn(&locks).await?;
        if self.is_locked(&locks).await? {
            return Ok(false);
        }
        let hash = dial_in::pin_hash(&mut *self.runtime.connection().await?, account).await?;
        let right = self.runtime.inner.guesses.is_right(keys.expose().to_owned(), hash).await;
        if right {
            dial_in::forgive(&mut *self.runtime.connection().await?, Subject::Code, &account.to_string()).await?;
            self.relieve(&locks).await?;
        } else {
            self.count_failure(&locks).await?;
        }
        Ok(right)
    }
}

impl super::Inner {
    /// Hands an event about a leg that has changed hands to whoever has it now.
    fn forward(&self, node: &Node, leg: LegId, message: Message) {
        if let (Message::Event(event), Some(inbox)) = (message, node.owner_of(leg)) {
            let _ = inbox.send(Message::Event(event));
        }
    }
}
