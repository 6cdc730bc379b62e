//! A conference with a bit of everything, as storage would give it to the report.

use jiff::Timestamp;
use sklic::billing::{Cdr, Currency, PayerTable, Span, Tariff, WayOfEntry, rate};
use sklic::conference::Outcome;
use sklic::ids::{AccountId, ConferenceId, LegId};
use sklic::pbx::{Evidence, Language};
use sklic::report::{ConferenceState, LegInput, ParticipantInput, Report, ReportInput};
use uuid::Uuid;

use crate::support::import;

/// So many seconds after ten o'clock in Ljubljana on a Sunday in November.
pub fn at(seconds: i64) -> Timestamp {
    let ten: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    Timestamp::from_second(ten.as_second() + seconds).unwrap()
}

/// A leg that the service dialled at `dialled`, answered, admitted three seconds later, over at `ended`.
pub fn answered(number: &str, dialled: i64, picked_up: i64, ended: i64) -> LegInput {
    LegInput {
        answered_at: Some(at(picked_up)),
        joined_at: Some(at(picked_up + 3)),
        left_at: Some(at(ended)),
        ..attempt(number, dialled, ended, Outcome::Answered)
    }
}

/// A leg that the service dialled in vain.
pub fn attempt(number: &str, dialled: i64, ended: i64, outcome: Outcome) -> LegInput {
    LegInput {
        leg: LegId(Uuid::nil()),
        way_of_entry: WayOfEntry::WebOut,
        number: number.to_owned(),
        access_number: None,
        dialled_at: Some(at(dialled)),
        answered_at: None,
        joined_at: None,
        left_at: None,
        ended_at: Some(at(ended)),
        outcome: Some(outcome),
        evidence: Some(Evidence::Event),
    }
}

/// A leg of a caller.
pub fn dialled_in(way_of_entry: WayOfEntry, number: &str, access_number: &str, from: i64, to: i64) -> LegInput {
    LegInput { way_of_entry, access_number: Some(access_number.to_owned()), ..answered(number, from, from, to) }
}

/// A participant with his legs.
pub fn person(name: &str, number: &str, legs: Vec<LegInput>) -> ParticipantInput {
    ParticipantInput { name: name.to_owned(), number: number.to_owned(), convener: false, legs }
}

/// The report of a conference of these people, rated with the sample price list; the first is the convener.
pub fn report_of(title: &str, language: Language, mut participants: Vec<ParticipantInput>) -> Report {
    let conference = ConferenceId(Uuid::from_u128(1));
    let sample = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/tariffs/sample.csv")).unwrap();
    let tariff = Tariff::new("sample".into(), vec![import(&sample).unwrap()]);
    let mut charges = Vec::new();
    for (number, leg) in (0..).zip(participants.iter_mut().flat_map(|participant| &mut participant.legs)) {
        leg.leg = LegId::derive(conference, number);
        let span = |start: Option<Timestamp>, end| start.zip(end).map(|(start, end)| Span { start, end });
        let cdr = Cdr {
            leg: leg.leg,
            conference,
            account: AccountId(Uuid::from_u128(2)),
            way_of_entry: leg.way_of_entry,
            remote_number: leg.number.clone(),
            access_number: leg.access_number.clone(),
            calling_line: leg.access_number.as_ref().map(|_| leg.number.clone()),
            convener_pays: false,
            call_time: span(leg.answered_at, leg.ended_at),
            conference_time: span(leg.joined_at, leg.left_at),
            evidence: Evidence::Event,
        };
        charges.extend(rate(&cdr, &tariff, &PayerTable::default(), Currency::EUR, 0));
    }
    participants[0].convener = true;
    Report::of(ReportInput {
        conference,
        title: title.to_owned(),
        state: ConferenceState::Ended,
        reason: Some("convener_left".to_owned()),
        convener: participants[0].name.clone(),
        language,
        time_zone: "Europe/Ljubljana".to_owned(),
        started_at: Some(at(0)),
        running_since: Some(at(15)),
        ended_at: Some(at(2_862)),
        erased_at: None,
        currency: Currency::EUR,
        participants,
        charges,
    })
}

/// Answered, busy, no answer and called again, dialled in by three ways, an end nobody saw, never called, hung up in the greeting.
pub fn weekly(language: Language) -> Report {
    let unseen = LegInput { evidence: Some(Evidence::ProofOfLife), ..dialled_in(WayOfEntry::OnnetShort, "+38615550817", "19819", 300, 1_990) };
    let in_greeting = LegInput { joined_at: None, left_at: None, ..answered("+38670555144", 20, 33, 36) };
    report_of(
        if language == Language::Sl { "Tedenska koordinacija prodaje" } else { "Weekly sales call" },
        language,
        vec![
            person("Ana Kovač", "+38615550120", vec![answered("+38615550120", 0, 12, 2_862)]),
            person("Marko Novak", "+38615550211", vec![answered("+38615550211", 16, 27, 2_853)]),
            person(
                "Boštjan Čeh",
                "+38670555122",
                vec![attempt("+38670555122", 16, 61, Outcome::NoAnswer), answered("+38670555122", 760, 784, 2_859)],
            ),
            person(
                "Nežka Golob",
                "+4315550514",
                vec![
                    dialled_in(WayOfEntry::International, "+4315550514", "+38613099396", 20, 1_330),
                    dialled_in(WayOfEntry::International, "+4315550514", "+38613099396", 1_480, 2_859),
                ],
            ),
            person("Maja Zupan", "+38615550817", vec![unseen]),
            person(
                "Jože Krajnc",
                "+38640555136",
                vec![
                    attempt("+38640555136", 16, 30, Outcome::Busy),
                    attempt("+38640555136", 180, 199, Outcome::Busy),
                    attempt("+38641555136", 900, 917, Outcome::Rejected),
                ],
            ),
            person("Tjaša Bizjak", "+38670555144", vec![in_greeting]),
            person("Rok Hribar", "+38631555101", vec![]),
        ],
    )
}

/// Keeps a rendered file under `target/tmp`, to be looked at.
pub fn keep(name: &str, content: &str) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), content).unwrap();
}
