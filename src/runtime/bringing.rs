//! A caller whose conference is on another switch than the one that answered him: he is brought there.
//!
//! His switch calls the other one by SIP and connects the two. Who he is goes through the database: a pass that nobody can guess names it,
//! and comes with the call. At the other switch the pass stands for his code, and his leg there is the one that the conference has,
//! answered as long ago as he was at the first switch. A pass that is unknown, used or old makes him an ordinary caller.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Runtime;
use super::node::Node;
use super::owner::Message;
use super::reception::{Guest, Next};
use crate::clock;
use crate::ids::{AccountId, ConferenceId, ContactId, PassId};
use crate::pbx::{Bring, Caller, Command, CommandFailure, Event, Phrase};
use crate::reception::Input;
use crate::storage::passes::{self, Pass};
use crate::storage::{StorageError, conferences, switch_nodes};

/// After this time a caller who was brought hears music until he is let in.
const TAKES_LONG: Duration = Duration::from_millis(400);

/// Where a conference is, as seen from a caller.
pub(super) enum Place {
    /// On the switch that has him.
    Here,
    /// On another one, by its name.
    There(String),
}

/// One who was sent to another switch.
pub(super) struct Brought {
    pass: PassId,
    to: String,
    /// His own switch has not said that it has sent him.
    in_doubt: bool,
}

/// When a caller who was answered `here` had been answered `earlier` at his first switch, by the clock of this one.
fn first_answer(here: Timestamp, earlier: SignedDuration) -> Timestamp {
    // To the microsecond, which is what the journal keeps.
    let earlier = i64::try_from(earlier.as_micros()).unwrap_or(0).max(0);
    here.checked_sub(SignedDuration::from_micros(earlier)).unwrap_or(here)
}

/// How far a switch's clock and ours may be apart and still be the same: that a switch tells of something takes a moment.
const SAME_CLOCK: SignedDuration = SignedDuration::from_secs(1);

/// When a caller was answered: as his switch says while its clock agrees with ours, `ours` otherwise, so that two switches' times can be compared.
fn comparable(switch: Timestamp, ours: Timestamp) -> Timestamp {
    if switch.duration_since(ours).abs() < SAME_CLOCK { switch } else { ours }
}

/// The moment of `answered` by the service's clock.
fn by_our_clock(answered: Instant) -> Timestamp {
    clock::now() - answered.elapsed()
}

impl Runtime {
    /// Takes over what the operator has decided about draining switches.
    pub(super) async fn follow_drains(&self) {
        let drained = async { switch_nodes::drained(&mut *self.inner.shared.pool.get().await?).await };
        match drained.await {
            Ok(drained) => {
                for node in self.inner.nodes.all() {
                    let configured = self.inner.membership.switch(&node.name).is_some_and(|switch| switch.drain);
                    node.drain(configured || drained.contains(&node.name));
                }
            }
            // What was decided before stays.
            Err(fault) => tracing::debug!(%fault, "which switches are drained could not be looked up"),
        }
    }

    /// Who has come with a pass, as he was at his first switch; `None` for everybody else. `answered` is when he was so here.
    pub(super) async fn recognise(&self, node: &Node, caller: &Caller, answered: Instant) -> Option<Pass> {
        let id = caller.pass?;
        let shown = async { passes::show(&mut *self.connection().await?, id, (&node.name, caller.leg), clock::now()).await };
        match shown.await {
            Ok(Some(pass)) => {
                info!(switch.name = %node.name, leg.id = %caller.leg, sip.call_id = %caller.call_id, first.leg = %pass.caller.leg, first.sip.call_id = %pass.caller.call_id,
                    "a caller was brought from another switch");
                // His call began with the first answer, of which the pass tells by a clock that agrees with the service's.
                let here = comparable(caller.answered_at, by_our_clock(answered));
                let earlier = here.duration_since(pass.caller.answered_at);
                let answered_at = first_answer(caller.answered_at, earlier);
                let first = Caller { leg: caller.leg, answered_at, pass: None, ..pass.caller };
                Some(Pass { caller: first, ..pass })
            }
            Ok(None) => {
                warn!(switch.name = %node.name, leg.id = %caller.leg, sip.call_id = %caller.call_id, "a caller came with a pass that is none: he is asked like everybody else");
                metrics::counter!("sklic_callers_total", "result" => "bad_pass").increment(1);
                None
            }
            Err(fault) => {
                error!(leg.id = %caller.leg, %fault, "a caller's pass could not be looked up: he is asked like everybody else");
                None
            }
        }
    }

    /// He has been brought: waits until his call is over. When the switch lost it without a word, the other end is ended.
    pub(super) async fn see_off(&self, Brought { pass, to, in_doubt }: Brought, mut inbox: UnboundedReceiver<Message>) {
        loop {
            match inbox.recv().await {
                None | Some(Message::Event(Event::Ended { .. })) => return,
                // He was never sent, and is still in our hands: the next snapshot has him received anew.
                Some(Message::CallerHeld) if in_doubt => return,
                Some(Message::CallerGone) => break,
                Some(_) => {}
            }
        }
        // Another service node's switch finds by itself that nothing is heard of the call any more.
        let Some(node) = self.inner.nodes.by_name(&to) else { return };
        let leg = async { passes::used_by(&mut *self.connection().await?, pass).await };
        if let Ok(Some(leg)) = leg.await {
            info!(switch.name = %to, leg.id = %leg, "a caller's own switch has lost his call; its other end is hung up");
            // When it is over already, so much the better.
            let _ = node.execute(Command::HangUp { leg }).await;
        }
    }
}

impl Guest {
    /// Where a conference of the account is.
    pub(super) async fn place_of(&self, account: AccountId, conference: ConferenceId) -> Result<Place, StorageError> {
        let found = conferences::lookup(&mut *self.runtime.connection().await?, account, conference).await?;
        Ok(match found.and_then(|plan| plan.node) {
            None => Place::Here,
            Some(name) if name == self.node.name => Place::Here,
            Some(name) => Place::There(name),
        })
    }

    /// Has him brought to another switch. `None`: he is on his way. While his own switch cannot be told so, that is a passing fault like
    /// the database's: whoever waits goes on waiting.
    pub(super) async fn bring(
        &mut self,
        to: &str,
        account: AccountId,
        errand: Option<(ConferenceId, ContactId)>,
    ) -> Result<Option<Input>, StorageError> {
        let refused = |phrase| Ok(Some(Input::Refused(phrase)));
        if self.came_with_pass {
            warn!(leg.id = %self.caller.leg, "a caller who was brought here already is not sent on");
            return refused(Phrase::Apology);
        }
        let Some(address) = self.runtime.inner.membership.switch(to).and_then(|switch| switch.sip_address.clone()) else {
            warn!(switch.name = to, leg.id = %self.caller.leg,
                "a caller's conference is on a switch to which he cannot be brought: give its sip_address in [[pbx]]");
            return refused(Phrase::Apology);
        };
        if self.runtime.inner.nodes.by_name(to).is_some_and(|node| !node.can_hold(1)) {
            return refused(Phrase::Full);
        }
        let unlinked = || StorageError::unavailable("the link to the caller's own switch is lost");
        if !self.node.is_linked() {
            return Err(unlinked());
        }
        let id = PassId::drawn();
        let (conference, contact) = errand.unzip();
        let caller = Caller { pass: None, answered_at: comparable(self.caller.answered_at, by_our_clock(self.answered)), ..self.caller.clone() };
        let pass = Pass { account, conference, contact, caller, node: to.to_owned() };
        passes::issue(&mut *self.runtime.connection().await?, id, &pass, clock::now()).await?;
        let (leg, language) = (self.caller.leg, self.access.language);
        // A form of the access number in the configuration: plain digits.
        let number = self.caller.dialled.clone();
        let sent = self.node.execute(Command::Bring(Bring { leg, to: address, number, pass: id, language })).await;
        match &sent {
            Ok(()) => {
                info!(switch.name = %self.node.name, leg.id = %leg, to, "a caller is brought to the switch of his conference");
                metrics::counter!("sklic_callers_total", "result" => "brought").increment(1);
            }
            Err(CommandFailure::NoLink) => return Err(unlinked()),
            // He has hung up, or the next snapshot tells whether he was sent.
            Err(CommandFailure::Gone | CommandFailure::NoReply) => {}
            Err(failure) => {
                warn!(switch.name = %self.node.name, leg.id = %leg, %failure, "a caller cannot be brought to another switch: look at dial_switch in [[pbx]]");
                return refused(Phrase::Apology);
            }
        }
        self.brought = Some(Brought { pass: id, to: to.to_owned(), in_doubt: sent.is_err() });
        Ok(None)
    }

    /// He has come with a pass: nothing is asked.
    pub(super) async fn enter_by_pass(&mut self, pass: Pass) -> Next {
        let (node, leg, language) = (Arc::clone(&self.node), self.caller.leg, self.access.language);
        // When it takes long the switch is told that he is in good hands; one who is in meanwhile it does not keep.
        let in_good_hands = tokio::spawn(async move {
            tokio::time::sleep(TAKES_LONG).await;
            let _ = node.execute(Command::Hold { leg, language, say: Vec::new() }).await;
        });
        let entered = match pass.conference.zip(pass.contact) {
            Some((conference, contact)) => self.hand_over(pass.account, conference, contact).await,
            None => self.convene(pass.account).await,
        };
        in_good_hands.abort();
        let input = match entered {
            Ok(None) => return Next::Gone,
            Ok(Some(input)) => input,
            Err(fault) => self.unavailable(&fault),
        };
        let effects = self.dialogue.handle(input);
        self.carry(effects).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switchs_time_is_kept_while_its_clock_is_ours() {
        let ours: Timestamp = "2026-01-01T09:00:10Z".parse().unwrap();
        let at = |milliseconds| ours + SignedDuration::from_millis(milliseconds);
        assert_eq!([-900, 0, 900].map(|apart| comparable(at(apart), ours)), [-900, 0, 900].map(at));
        assert_eq!([-90_000, -1_000, 1_000, 90_000].map(|apart| comparable(at(apart), ours)), [ours; 4]);
    }

    #[test]
    fn a_call_began_as_long_before_as_our_clock_has_measured() {
        let here: Timestamp = "2026-01-01T09:00:10Z".parse().unwrap();
        assert_eq!(first_answer(here, SignedDuration::from_millis(3_500)), "2026-01-01T09:00:06.5Z".parse().unwrap());
        assert_eq!(first_answer(here, SignedDuration::from_nanos(1_999)), "2026-01-01T09:00:09.999999Z".parse().unwrap());
        assert_eq!(first_answer(here, SignedDuration::from_secs(-5)), here, "clocks of two service nodes may differ a little");
        assert_eq!(first_answer(here, SignedDuration::MAX), here);
    }
}
