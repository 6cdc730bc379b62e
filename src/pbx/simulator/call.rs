//! The course of one simulated call, from the dialling to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lock;
use super::phone::Behaviour;
use super::world::World;
use crate::ids::LegId;
use crate::pbx::{Dial, EndCause, Event};

/// Q.850 cause 19: user alerting, no answer.
const NO_ANSWER: u16 = 19;
/// Q.850 cause 16: normal clearing.
pub(super) const NORMAL: u16 = 16;

/// A cause with nothing but its number.
pub(super) fn cause(q850: u16) -> EndCause {
    EndCause { q850: Some(q850), ..EndCause::default() }
}

type Shared = Arc<Mutex<World>>;

async fn wait(world: &Shared, duration: Duration) {
    let scaled = lock(world).scaled(duration);
    tokio::time::sleep(scaled).await;
}

/// Runs a call until it is in the room or over; whoever ends it before aborts this.
pub(super) async fn run(world: Shared, dial: Dial, behaviour: Behaviour) {
    let leg = dial.leg;
    let (setup, ringing) = {
        let world = lock(&world);
        (world.config().setup, world.config().ringing)
    };
    let ring_timeout = Duration::from_secs(u64::from(dial.ring_timeout_seconds));
    wait(&world, setup).await;
    match behaviour {
        Behaviour::NeverAnything => return,
        Behaviour::OutOfReach => {}
        Behaviour::EarlyMediaThenAnswers => {
            let world = lock(&world);
            world.tell(Event::EarlyMedia { leg, at: world.now() });
        }
        Behaviour::Refuses { rings: false, sip, q850 } => {
            let cause = EndCause { sip: Some(sip), ..cause(q850) };
            return World::end(&world, leg, cause);
        }
        _ => lock(&world).ring(leg),
    }
    if ringing >= ring_timeout || matches!(behaviour, Behaviour::RingsForEver | Behaviour::OutOfReach) {
        wait(&world, ring_timeout.saturating_sub(setup)).await;
        let cause = EndCause { ring_timeout: true, ..cause(NO_ANSWER) };
        return World::end(&world, leg, cause);
    }
    wait(&world, ringing).await;
    if let Behaviour::Refuses { sip, q850, .. } = behaviour {
        let cause = EndCause { sip: Some(sip), ..cause(q850) };
        return World::end(&world, leg, cause);
    }
    lock(&world).answer(leg);
    if let Behaviour::AnswersThenHangsUp(after) = behaviour {
        let impatient = Arc::clone(&world);
        let task = tokio::spawn(async move {
            wait(&impatient, after).await;
            World::far_end_hangs_up(&impatient, leg);
        });
        lock(&world).watch(leg, task.abort_handle());
    }
    enter(world, leg).await;
}

/// What the dialplan does after the answer: greeting, beep, and the room, if there is one to go into.
pub(super) async fn enter(world: Shared, leg: LegId) {
    let config = lock(&world).config().clone();
    if !lock(&world).is_over_for(leg) {
        wait(&world, config.greeting).await;
    }
    if lock(&world).is_over_for(leg) {
        wait(&world, config.closing).await;
        return World::end(&world, leg, cause(NORMAL));
    }
    if lock(&world).is_locked_for(leg) {
        wait(&world, config.goodbye).await;
        let refused = EndCause { join_refused: true, ..cause(NORMAL) };
        return World::end(&world, leg, refused);
    }
    lock(&world).join(leg);
}

/// What the dialplan does with one who left the room with the call still up: an announcement, and the end.
pub(super) fn say_and_end(world: &Shared, leg: LegId, announcement: Duration) {
    let shared = Arc::clone(world);
    let task = tokio::spawn(async move {
        wait(&shared, announcement).await;
        World::end(&shared, leg, cause(NORMAL));
    });
    lock(world).watch(leg, task.abort_handle());
}

/// What the dialplan does when the last convener has gone and the others wait: it ends the conference in the end.
pub(super) fn guard(world: &Shared, leg: LegId, room: crate::ids::Room, after: Duration) {
    let shared = Arc::clone(world);
    tokio::spawn(async move {
        wait(&shared, after).await;
        let due = lock(&shared).is_still_away(room, leg);
        if due {
            World::close_room(&shared, room);
        }
    });
}
