//! FreeSWITCH's link misses the convener's going or coming: the adapter finds out from the lists who waits for whom.

use sklic::ids::LegId;
use sklic::pbx::{Command, Dial, Event, Role};

use crate::fake_esl::Connection;
use crate::faults_esl::{CONFERENCE, ROOM, dial, legs, linked, next};

/// Answers a snapshot: these are in the room, each a convener or not, and the others wait 60 s for him.
async fn holds(connection: &mut Connection, members: &[(LegId, bool)]) {
    assert_eq!(connection.wish().await.line, "api show channels as json");
    let rows: Vec<String> = members.iter().map(|(leg, _)| format!(r#"{{"uuid":"{}","callstate":"ACTIVE"}}"#, leg.channel_id())).collect();
    connection.answer(&format!(r#"{{"row_count":{},"rows":[{}]}}"#, rows.len(), rows.join(","))).await;
    assert_eq!(connection.wish().await.line, "api conference json_list");
    let list: Vec<String> = members
        .iter()
        .map(|(leg, convener)| format!(r#"{{"uuid":"{}","flags":{{"can_speak":true,"is_moderator":{convener}}}}}"#, leg.channel_id()))
        .collect();
    connection.answer(&format!(r#"[{{"conference_name":"sklic-1001","locked":false,"members":[{}]}}]"#, list.join(","))).await;
}

/// Answers what is asked about one leg alone.
async fn tells_of(connection: &mut Connection, leg: LegId) {
    let dump = format!(
        r#"{{"Unique-ID":"{}","Caller-Channel-Answered-Time":"1795366275337796","variable_CONF_NO":"1001","variable_SKLIC_GRACE":"60","variable_SKLIC_JOINED":"1795366278337796"}}"#,
        leg.channel_id()
    );
    assert_eq!(connection.wish().await.line, format!("api uuid_dump {} json", leg.0));
    connection.answer(&dump).await;
}

#[tokio::test]
async fn a_convener_who_went_in_the_gap_is_waited_for() {
    let (_server, mut connection, pbx, mut events) = linked().await;
    let (convener, waiting) = (legs()[0], legs()[1]);
    let snapshot = pbx.snapshot(vec![]);
    holds(&mut connection, &[(waiting, false)]).await;
    tells_of(&mut connection, waiting).await;
    assert_eq!(connection.wish().await.line, "api conference sklic-1001 play local_stream://sklic async");
    connection.answer("+OK\n").await;
    snapshot.await.expect("taken");
    // Once is enough.
    let snapshot = pbx.snapshot(vec![]);
    holds(&mut connection, &[(waiting, false)]).await;
    snapshot.await.expect("taken");
    // He is back, and nobody is taken out by a guard of the time before.
    let joined = CONFERENCE.lines().find(|line| line.contains("add-member") && line.contains(&convener.channel_id())).expect("recorded");
    connection.event(joined).await;
    assert!(matches!(next(&mut events).await, Event::Joined { leg, .. } if leg == convener));
    assert_eq!(connection.wish().await.line, "api conference sklic-1001 stop async");
    let mut freed = [connection.wish().await.line, connection.wish().await.line];
    freed.sort();
    let mut both = [convener, waiting].map(|leg| format!("api sched_del {}", leg.0));
    both.sort();
    assert_eq!(freed, both);
}

#[tokio::test]
async fn a_convener_who_came_back_in_the_gap_ends_the_waiting() {
    let (_server, mut connection, pbx, _events) = linked().await;
    let (convener, waiting) = (legs()[0], legs()[1]);
    let members = [(convener, true), (waiting, false)];
    let mut in_order = [convener, waiting];
    in_order.sort();
    for first in [true, false] {
        let snapshot = pbx.snapshot(vec![]);
        holds(&mut connection, &members).await;
        if first {
            for leg in in_order {
                tells_of(&mut connection, leg).await;
            }
            // Another service may have begun it.
            assert_eq!(connection.wish().await.line, "api conference sklic-1001 stop async");
            for leg in in_order {
                assert_eq!(connection.wish().await.line, format!("api sched_del {}", leg.0));
            }
            for _ in 0..3 {
                connection.answer("+OK\n").await;
            }
        }
        snapshot.await.expect("taken");
    }
}

#[tokio::test]
async fn a_convener_who_rings_while_the_service_is_started_anew_waits_for_nobody() {
    for role in ["convener", "participant"] {
        let (_server, mut connection, pbx, mut events) = linked().await;
        let leg = legs()[0];
        // Another process has called him: what this one knows it has from the switch.
        let snapshot = pbx.snapshot(vec![]);
        assert_eq!(connection.wish().await.line, "api show channels as json");
        connection.answer(&format!(r#"{{"row_count":1,"rows":[{{"uuid":"{}","callstate":"RINGING"}}]}}"#, leg.channel_id())).await;
        assert_eq!(connection.wish().await.line, "api conference json_list");
        connection.answer("[]").await;
        assert_eq!(connection.wish().await.line, format!("api uuid_dump {} json", leg.0));
        let dump = format!(
            r#"{{"Unique-ID":"{}","Caller-Channel-Progress-Time":"1795366275337796","variable_CONF_NO":"1001","variable_SKLIC_GRACE":"60","variable_SKLIC_ROLE":"{role}"}}"#,
            leg.channel_id()
        );
        connection.answer(&dump).await;
        snapshot.await.expect("taken");
        let answered = CONFERENCE.lines().find(|line| line.contains("CHANNEL_ANSWER") && line.contains(&leg.channel_id())).expect("recorded");
        connection.event(answered).await;
        while !matches!(next(&mut events).await, Event::Answered { .. }) {}
        drop(pbx.execute(Command::Close { room: ROOM }));
        // The convener would lose his flags, and all would pay for music that nobody ends.
        let expected =
            if role == "participant" { format!("api uuid_setvar {} SKLIC_AWAIT 1", leg.0) } else { "api conference sklic-1001 hup all".into() };
        assert_eq!(connection.wish().await.line, expected, "{role}");
    }
}

#[tokio::test]
async fn who_answers_while_no_convener_is_inside_may_wait_for_him() {
    for (grace_seconds, closed) in [(60, false), (0, false), (60, true)] {
        let (_server, mut connection, pbx, mut events) = linked().await;
        let leg = legs()[1];
        if closed {
            let closing = pbx.execute(Command::Close { room: ROOM });
            connection.wish().await;
            connection.answer("-ERR Conference sklic-1001 not found\n").await;
            assert_eq!(closing.await, Ok(()));
        }
        let dialling = pbx.execute(Command::Dial(Dial { role: Role::Participant, grace_seconds, ..dial(leg) }));
        let request = connection.wish().await;
        connection.reply(&format!("+OK Job-UUID: {}", request.job)).await;
        for line in CONFERENCE.lines().filter(|line| line.contains(&leg.channel_id())) {
            connection.event(line).await;
            if line.contains("CHANNEL_ANSWER") {
                break;
            }
        }
        assert_eq!(dialling.await, Ok(()));
        while !matches!(next(&mut events).await, Event::Answered { .. }) {}
        drop(pbx.execute(Command::Close { room: ROOM }));
        let line = connection.wish().await.line;
        let expected = if grace_seconds > 0 && !closed {
            format!("api uuid_setvar {} SKLIC_AWAIT 1", leg.0)
        } else {
            "api conference sklic-1001 hup all".into()
        };
        assert_eq!(line, expected, "{grace_seconds} {closed}");
    }
}
