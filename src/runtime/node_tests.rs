use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::super::lease::Membership;
use super::*;
use crate::pbx::simulator::{self, SimulatorConfig};
use crate::storage::leases::Fence;
use crate::storage::{Pool, PoolOptions, Writer, WriterOptions};

#[test]
fn who_is_still_to_come_has_a_place() {
    let (first, second) = (ConferenceId(Uuid::from_u128(1)), ConferenceId(Uuid::from_u128(2)));
    let (inbox, _messages) = unbounded_channel();
    let mut routes = Routes::default();
    assert_eq!(routes.committed(), 0);
    routes.planned.insert(first, 5);
    assert_eq!(routes.committed(), 5, "nobody has been called yet");
    for number in 0..3 {
        let leg = LegId::derive(first, number);
        routes.legs.insert(leg, inbox.clone());
        routes.places.insert(leg, first);
    }
    assert_eq!(routes.committed(), 5, "those who are there are some of them");
    for number in 3..7 {
        let leg = LegId::derive(first, number);
        routes.legs.insert(leg, inbox.clone());
        routes.places.insert(leg, first);
    }
    assert_eq!(routes.committed(), 7, "more came than were planned");
    routes.planned.insert(second, 2);
    // Somebody who has called in and is nobody's yet.
    routes.legs.insert(LegId::derive(second, 0), inbox);
    assert_eq!(routes.committed(), 7 + 2 + 1);
    routes.planned.clear();
    assert_eq!(routes.committed(), 8);
}

#[test]
fn a_caller_whose_taking_was_not_written_down_is_nobodys_when_his_conference_is_rebuilt() {
    let (first, second) = (ConferenceId(Uuid::from_u128(1)), ConferenceId(Uuid::from_u128(2)));
    let (inbox, _messages) = unbounded_channel();
    let mut routes = Routes::default();
    let (his, other) = (LegId::derive(first, 0), LegId::derive(second, 0));
    for (leg, conference) in [(his, first), (other, second)] {
        routes.legs.insert(leg, inbox.clone());
        routes.places.insert(leg, conference);
    }
    routes.forget_legs(first);
    assert!(!routes.legs.contains_key(&his) && !routes.places.contains_key(&his));
    assert!(routes.legs.contains_key(&other) && routes.places.contains_key(&other));
}

#[test]
fn a_link_that_never_told_what_the_switch_holds_proves_nothing() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut link = LinkState { connected: true, synced: true, booted_at: None, proof: at(100), down_since: None };
    assert_eq!(link.lose(at(103)), (true, at(103)));
    // It is back, answers, and is lost again before it has told.
    link.connected = true;
    assert_eq!(link.lose(at(130)), (true, at(103)));
    assert_eq!(link.lose(at(131)), (false, at(103)));
    (link.connected, link.synced, link.proof) = (true, true, at(140));
    assert_eq!(link.lose(at(139)), (true, at(140)), "a snapshot has told of a later moment");
}

#[test]
fn a_link_is_down_since_it_was_lost_last() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let before = Instant::now();
    let mut link = LinkState { connected: true, synced: true, booted_at: None, proof: at(100), down_since: None };
    assert_eq!(link.down_for(before + Duration::from_secs(60)), Duration::ZERO);
    link.lose(at(103));
    let since = link.down_since.expect("it is down");
    assert!(since >= before);
    assert_eq!(link.down_for(since + Duration::from_secs(7)), Duration::from_secs(7));
    assert_eq!(link.down_for(before), Duration::ZERO);
    link.lose(at(104));
    assert_eq!(link.down_since, Some(since), "it was down already");
}

#[tokio::test]
async fn a_switch_is_unreached_only_while_it_is_listened_to_and_has_no_link() {
    // Port 1 (tcpmux) is never a database; nothing is written here.
    let pool = Pool::new("postgres://sklic@127.0.0.1:1/sklic", PoolOptions::default()).unwrap();
    let writer = Writer::start(pool, WriterOptions::default(), Arc::default());
    let switch = Switch {
        name: "pbx1".into(),
        open: Box::new(|sender| simulator::connect(SimulatorConfig::default(), sender)),
        reach: Box::new(|| -> BoxFuture<'static, bool> { Box::pin(std::future::ready(true)) }),
        calls_per_second: 1,
        max_members: 1,
        sip_address: None,
        drain: false,
    };
    let (sender, _events) = unbounded_channel();
    let pbx = (switch.open)(sender);
    let membership = Membership::new("test".into(), Vec::new());
    let tenure = membership.tenure(Fence { switch: "pbx1".into(), epoch: 1 }, &writer);
    let stop = CancellationToken::new();
    let (node, _feeds) = Node::new(&switch, pbx, clock::now(), tenure, stop.clone());
    let node = Arc::new(node);
    let is_down = || node.link().down_since.is_some();
    node.link().down_since = Some(Instant::now());
    assert_eq!(node.unreached_for(), Duration::ZERO, "its conferences are still being taken over");
    node.link().down_since = None;
    node.set_heard();
    assert!(is_down());
    node.on_event(Event::LinkUp { booted_at: clock::now() }, &stop);
    assert!(!is_down());
    assert_eq!(node.unreached_for(), Duration::ZERO);
    node.on_event(Event::LinkDown { last_heard: clock::now(), reason: "cut".into() }, &stop);
    assert!(is_down());
    let waited = Duration::from_secs(20);
    node.link().down_since = Instant::now().checked_sub(waited);
    assert!(node.unreached_for() >= waited);
}
