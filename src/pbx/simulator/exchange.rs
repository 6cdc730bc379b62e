//! How simulated switches call each other: by the addresses at which each takes calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::call::{NORMAL, cause};
use super::callers::{self, CallIn};
use super::lock;
use super::world::World;
use crate::ids::LegId;
use crate::pbx::{Bring, CommandFailure, wire};

/// The network between simulated switches that were made with the same one.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<Mutex<HashMap<String, Weak<Mutex<World>>>>>);

impl Exchange {
    fn switches(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Mutex<World>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A switch takes calls at this address from now on.
    pub(super) fn listen(&self, address: &str, world: &Arc<Mutex<World>>) {
        self.switches().insert(address.to_owned(), Arc::downgrade(world));
    }

    fn at(&self, address: &str) -> Option<Arc<Mutex<World>>> {
        self.switches().get(address)?.upgrade()
    }
}

/// The other end of a call between two switches.
#[derive(Clone)]
pub(super) struct Peer {
    world: Weak<Mutex<World>>,
    leg: LegId,
}

impl Peer {
    /// This end is over: so is the other one.
    pub(super) fn hang_up(&self) {
        if let Some(world) = self.world.upgrade() {
            World::end(&world, self.leg, cause(NORMAL));
        }
    }
}

/// Brings a caller to another switch, or lets the dialplan apologise to him.
pub(super) fn bring(shared: &Arc<Mutex<World>>, bring: &Bring) -> Result<(), CommandFailure> {
    let refuse = |error: wire::UnsafeField| CommandFailure::Unsafe(error.to_string());
    wire::check_number("number", &bring.number).map_err(refuse)?;
    wire::check_sip_address("address", &bring.to).map_err(refuse)?;
    callers::begin(shared, bring.leg, &[], bring.language)?;
    let (exchange, presented) = {
        let world = lock(shared);
        let presented = world.calling(bring.leg).map(|calling| calling.caller.presented.clone());
        (world.config().exchange.clone(), presented.unwrap_or_default())
    };
    lock(shared).hand_on(bring.leg);
    let Some(other) = exchange.at(&bring.to).filter(|other| lock(other).is_running()) else {
        callers::apologise(shared, bring.leg);
        return Ok(());
    };
    let call = CallIn { dialled: bring.number.clone(), presented, pass: Some(bring.pass), ..CallIn::default() };
    let there = callers::arrive(&other, call, Some(Peer { world: Arc::downgrade(shared), leg: bring.leg }));
    let peer = Peer { world: Arc::downgrade(&other), leg: there };
    if lock(shared).connect(bring.leg, peer.clone()).is_none() {
        // He has hung up in this moment.
        peer.hang_up();
    }
    Ok(())
}
