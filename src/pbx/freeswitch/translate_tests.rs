use super::*;

const LEG: &str = "sklic-0191d3a0c0de7000800000000000002a";

fn fields(json: &str) -> Fields {
    Fields::parse(json.replace("LEG", LEG).as_bytes()).expect("an event")
}

fn leg() -> LegId {
    LegId::from_channel_id(LEG).expect("a leg")
}

fn at(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// Events of FreeSWITCH 1.10.12, shortened to what is read and some of what is not, and what they mean.
#[test]
fn events_of_the_real_switch() {
    let sip = |q850, sip| What::Ended(EndCause { q850: Some(q850), sip: Some(sip), ..EndCause::default() });
    let end = |q850, ring_timeout| What::Ended(EndCause { q850: Some(q850), ring_timeout, ..EndCause::default() });
    let table = [
        (
            r#"{"Event-Name":"CHANNEL_CREATE","Event-Date-Timestamp":"1000","Channel-State":"CS_INIT","Unique-ID":"LEG","Answer-State":"ringing"}"#,
            What::Created,
        ),
        (r#"{"Event-Name":"CHANNEL_PROGRESS","Event-Date-Timestamp":"1000","Unique-ID":"LEG","Answer-State":"ringing"}"#, What::Ringing),
        (r#"{"Event-Name":"CHANNEL_PROGRESS_MEDIA","Event-Date-Timestamp":"1000","Unique-ID":"LEG","Answer-State":"early"}"#, What::EarlyMedia),
        (r#"{"Event-Name":"CHANNEL_ANSWER","Event-Date-Timestamp":"2000","Unique-ID":"LEG","Caller-Channel-Answered-Time":"1000"}"#, What::Answered),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Conference-Size":"1","Unique-ID":"LEG","Hear":"true","Speak":"false","Member-ID":"3","Action":"add-member"}"#,
            What::Joined { room: Room(1001), muted: true, member: Some(3), convener: false },
        ),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Unique-ID":"LEG","Speak":"true","Action":"del-member"}"#,
            What::Left { room: Room(1001) },
        ),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Unique-ID":"LEG","Action":"mute-member"}"#,
            What::Muted(true),
        ),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Unique-ID":"LEG","Action":"unmute-member"}"#,
            What::Muted(false),
        ),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Unique-ID":"LEG","Action":"start-talking"}"#,
            What::Talking(true),
        ),
        (
            r#"{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Event-Date-Timestamp":"1000","Conference-Name":"sklic-1001","Unique-ID":"LEG","Action":"stop-talking"}"#,
            What::Talking(false),
        ),
        (
            &hangup(
                "USER_BUSY",
                0,
                r#""variable_sip_hangup_disposition":"recv_refuse","variable_sip_term_status":"486","variable_hangup_cause_q850":"17","variable_proto_specific_hangup_cause":"sip:486""#,
            ),
            sip(17, 486),
        ),
        (
            &hangup(
                "NO_USER_RESPONSE",
                0,
                r#""variable_sip_hangup_disposition":"recv_refuse","variable_sip_term_status":"480","variable_hangup_cause_q850":"18""#,
            ),
            sip(18, 480),
        ),
        (
            &hangup(
                "NORMAL_TEMPORARY_FAILURE",
                0,
                r#""variable_sip_hangup_disposition":"recv_refuse","variable_sip_term_status":"503","variable_hangup_cause_q850":"41","variable_sip_reply_port":"5060""#,
            ),
            sip(41, 503),
        ),
        (
            // Nothing listens at the trunk's far end: the switch's own 503.
            &hangup(
                "NORMAL_TEMPORARY_FAILURE",
                0,
                r#""variable_sip_hangup_disposition":"recv_refuse","variable_sip_term_status":"503","variable_hangup_cause_q850":"41","variable_sip_reply_port":"0""#,
            ),
            end(27, false),
        ),
        (
            &hangup(
                "INVALID_NUMBER_FORMAT",
                0,
                r#""variable_sip_hangup_disposition":"recv_refuse","variable_sip_term_status":"404","variable_hangup_cause_q850":"28""#,
            ),
            sip(28, 404),
        ),
        (
            &hangup(
                "NO_ANSWER",
                0,
                r#""variable_sip_hangup_disposition":"send_cancel","variable_sip_invite_failure_status":"487","variable_hangup_cause_q850":"19""#,
            ),
            end(19, true),
        ),
        (&hangup("ORIGINATOR_CANCEL", 0, r#""variable_sip_hangup_disposition":"send_cancel","variable_hangup_cause_q850":"16""#), end(16, false)),
        (
            &hangup(
                "REQUESTED_CHAN_UNAVAIL",
                0,
                r#""variable_sip_hangup_disposition":"send_cancel","variable_hangup_cause_q850":"44","variable_proto_specific_hangup_cause":"sip:302""#,
            ),
            sip(44, 302),
        ),
        (
            &hangup(
                "NORMAL_CLEARING",
                500,
                r#""variable_sip_hangup_disposition":"recv_bye","variable_hangup_cause_q850":"16","variable_sip_term_status":"200""#,
            ),
            end(16, false),
        ),
        (
            &hangup("NORMAL_CLEARING", 500, r#""variable_SKLIC_REFUSED":"1","variable_hangup_cause_q850":"16""#),
            What::Ended(EndCause { q850: Some(16), join_refused: true, ..EndCause::default() }),
        ),
        (&hangup("MEDIA_TIMEOUT", 500, r#""variable_hangup_cause_q850":"604""#), What::Ended(EndCause::default())),
    ];
    for (json, what) in &table {
        assert_eq!(translate(&fields(json)), Some(Told::Leg { leg: leg(), at: at(1000), what: what.clone(), left: None }), "{json}");
    }
}

fn hangup(cause: &str, answered: u32, rest: &str) -> String {
    format!(
        r#"{{"Event-Name":"CHANNEL_HANGUP_COMPLETE","Event-Date-Timestamp":"2000","Hangup-Cause":"{cause}","Unique-ID":"LEG",
            "Hangup-Cause":"{cause}","Caller-Channel-Answered-Time":"{answered}","Caller-Channel-Hangup-Time":"1000",{rest}}}"#
    )
}

#[test]
fn rooms_and_jobs_are_told() {
    let told = |json: &str| translate(&fields(json));
    let room = |action: &str| {
        format!(r#"{{"Event-Subclass":"conference::maintenance","Event-Name":"CUSTOM","Conference-Name":"sklic-7","Action":"{action}"}}"#)
    };
    assert_eq!(told(&room("lock")), Some(Told::Locked { room: Room(7), locked: true }));
    assert_eq!(told(&room("unlock")), Some(Told::Locked { room: Room(7), locked: false }));
    let job = |failure: Option<&str>| Some(Told::Job { job: "7".into(), failure: failure.map(str::to_owned) });
    assert_eq!(told(r#"{"Event-Name":"BACKGROUND_JOB","Job-UUID":"7","Job-Command":"originate","_body":"+OK LEG\n"}"#), job(None));
    assert_eq!(
        told(r#"{"Event-Name":"BACKGROUND_JOB","Job-UUID":"7","_body":"-ERR DESTINATION_OUT_OF_ORDER\n"}"#),
        job(Some("DESTINATION_OUT_OF_ORDER"))
    );
    assert_eq!(told(r#"{"Event-Name":"BACKGROUND_JOB","Job-UUID":"7"}"#), job(Some("")));
    assert_eq!(told(r#"{"Event-Name":"HEARTBEAT","Event-Date-Timestamp":"1000"}"#), Some(Told::Heartbeat { at: at(1000) }));
    assert_eq!(
        told(r#"{"Event-Info":"System Shutting Down","Event-Name":"SHUTDOWN","Event-Date-Timestamp":"1000"}"#),
        Some(Told::Shutdown { at: at(1000) })
    );
}

#[test]
fn what_is_not_ours_is_nothing() {
    for json in [
        r#"{"Event-Name":"CHANNEL_CREATE","Unique-ID":"f86add92-c5c9-4a75-a17d-ecadb504f3db"}"#,
        r#"{"Event-Name":"CHANNEL_ANSWER"}"#,
        r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::register","Unique-ID":"LEG","Conference-Name":"sklic-1","Action":"lock"}"#,
        r#"{"Event-Name":"CUSTOM","Event-Subclass":"conference::maintenance","Conference-Name":"3000","Unique-ID":"LEG","Action":"add-member"}"#,
        r#"{"Event-Name":"CUSTOM","Event-Subclass":"conference::maintenance","Conference-Name":"sklic-1","Unique-ID":"LEG","Action":"floor-change"}"#,
        r#"{"Event-Name":"CUSTOM","Event-Subclass":"conference::maintenance","Conference-Name":"sklic-1","Action":"add-member"}"#,
        r#"{"Event-Name":"CHANNEL_DESTROY","Unique-ID":"LEG"}"#,
        r#"{"Unique-ID":"LEG"}"#,
    ] {
        assert_eq!(translate(&fields(json)), None, "{json}");
    }
}

#[test]
fn times_that_are_none_are_none() {
    assert_eq!(parse_micros(" 1795366301097799\n"), at(1_795_366_301_097_799));
    for bad in ["", "0", "-1", "x", "1.5", "99999999999999999999", "9223372036854775807"] {
        assert_eq!(parse_micros(bad), None, "{bad}");
    }
}

#[test]
fn the_end_tells_when_the_room_was_left() {
    let json = hangup("NORMAL_CLEARING", 500, r#""variable_CONF_NO":"1001","variable_SKLIC_JOINED":"600","variable_SKLIC_LEFT":"700""#);
    let Some(Told::Leg { left, .. }) = translate(&fields(&json)) else { panic!("a leg") };
    assert_eq!(left, at(700).map(|at| (Room(1001), at)));
}
