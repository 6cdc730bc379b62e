use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::ids::{ConferenceId, Room};
use crate::pbx::{Dial, EndCause, Language, Role};

const ROOM: Room = Room(1001);

fn leg(number: u32) -> LegId {
    LegId::derive(ConferenceId(Uuid::nil()), number)
}

fn dial(leg: LegId, number: &str, role: Role, grace_seconds: u32) -> Command {
    let number = number.to_owned();
    let language = Language::Sl;
    Command::Dial(Dial { leg, room: ROOM, number, role, muted: false, language, grace_seconds, ring_timeout_seconds: 20 })
}

fn start() -> (Arc<Simulator>, UnboundedReceiver<Event>) {
    let (sender, events) = unbounded_channel();
    let config = SimulatorConfig { time_scale: 0.01, ..SimulatorConfig::default() };
    (Simulator::start(config, sender), events)
}

async fn until(events: &mut UnboundedReceiver<Event>, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = timeout(Duration::from_secs(10), events.recv()).await.expect("in time").expect("an event");
        let found = wanted(&event);
        seen.push(event);
        if found {
            return seen;
        }
    }
}

#[tokio::test]
async fn the_convener_takes_all_with_him() {
    let (switch, mut events) = start();
    switch.execute(dial(leg(1), "+38659900001", Role::Convener, 0)).await.expect("taken");
    until(&mut events, |event| matches!(event, Event::Joined { leg: id, .. } if *id == leg(1))).await;
    switch.execute(dial(leg(2), "+38659900002", Role::Participant, 0)).await.expect("taken");
    until(&mut events, |event| matches!(event, Event::Joined { leg: id, .. } if *id == leg(2))).await;
    switch.hang_up(leg(1));
    let seen = until(&mut events, |event| matches!(event, Event::Ended { leg: id, .. } if *id == leg(2))).await;
    let kinds: Vec<_> = seen
        .iter()
        .map(|event| match event {
            Event::Left { leg: id, .. } => ("left", *id),
            Event::Ended { leg: id, .. } => ("ended", *id),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(kinds, [("left", leg(1)), ("left", leg(2)), ("ended", leg(1)), ("ended", leg(2))]);
}

#[tokio::test]
async fn one_who_answers_too_late_is_not_left_alone() {
    let (switch, mut events) = start();
    switch.execute(dial(leg(1), "+38659900001", Role::Participant, 0)).await.expect("taken");
    let seen = until(&mut events, |event| matches!(event, Event::Ended { .. })).await;
    assert!(seen.iter().any(|event| matches!(event, Event::Answered { .. })));
    assert!(!seen.iter().any(|event| matches!(event, Event::Joined { .. })));
}

#[tokio::test]
async fn without_service_the_grace_time_ends_too() {
    let (switch, mut events) = start();
    switch.execute(dial(leg(1), "+38659900001", Role::Convener, 10)).await.expect("taken");
    until(&mut events, |event| matches!(event, Event::Joined { .. })).await;
    switch.execute(dial(leg(2), "+38659900002", Role::Participant, 10)).await.expect("taken");
    until(&mut events, |event| matches!(event, Event::Joined { .. })).await;
    switch.hang_up(leg(1));
    until(&mut events, |event| matches!(event, Event::Ended { leg: id, .. } if *id == leg(2))).await;
}

#[tokio::test]
async fn what_ended_in_a_gap_is_on_record() {
    let (switch, mut events) = start();
    switch.execute(dial(leg(1), "+38659900486", Role::Convener, 0)).await.expect("taken");
    switch.cut_link();
    until(&mut events, |event| matches!(event, Event::LinkDown { .. })).await;
    assert_eq!(switch.execute(Command::HangUp { leg: leg(1) }).await, Err(CommandFailure::NoLink));
    timeout(Duration::from_secs(10), async {
        while lock(&switch.world).snapshot(&[leg(1)]).ended.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("it ends by itself");
    switch.restore_link();
    let snapshot = switch.snapshot(vec![leg(1)]).await.expect("linked");
    assert_eq!(snapshot.ended[&leg(1)].cause, EndCause { q850: Some(17), sip: Some(486), ..EndCause::default() });
    switch.execute(Command::Forget { room: ROOM }).await.expect("taken");
    assert!(switch.snapshot(vec![leg(1)]).await.expect("linked").ended.is_empty());
}

#[tokio::test]
async fn too_many_calls_at_once_are_refused() {
    let (sender, _events) = unbounded_channel();
    let switch = Simulator::start(SimulatorConfig { calls_per_second: Some(2), ..SimulatorConfig::default() }, sender);
    let mut results = Vec::new();
    for number in 1..=3 {
        results.push(switch.execute(dial(leg(number), "+38659900001", Role::Participant, 0)).await);
    }
    assert_eq!(results, [Ok(()), Ok(()), Err(CommandFailure::RateLimited)]);
}
