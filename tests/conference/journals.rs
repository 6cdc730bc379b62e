//! Journals on file: what was written once is read and replayed for ever, with the same states and the same effects.
//!
//! A journal under `journals/` is one JSON object a line, as `sklic replay --journal` prints it.
//! A journal from life holds names and numbers of people: replace them before it is added here.
//! Beside it lies what must follow from each line; `SKLIC_BLESS=1` writes that anew, and the difference is to be looked at.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use sklic::conference::{Conference, ConferenceHead, Control, Effect, Entry, Input, Leg};
use sklic::ids::LegId;

use crate::world::{Line, read_journal, write_journal};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conference/journals");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

/// Replays a journal and tells, a line for each entry, the phase it led to and what followed.
fn tell(lines: &[Line]) -> Result<(Conference, String), String> {
    let mut told = String::new();
    let entries = lines.iter().map(|line| (line.at, line.entry.clone()));
    let conference = Conference::replay(entries, |seq, conference, effects| {
        let line: Value = json!({ "seq": seq, "phase": conference.phase().word(), "effects": effects });
        told += &format!("{line}\n");
    });
    conference.map(|conference| (conference, told)).map_err(|fault| fault.to_string())
}

#[test]
fn journals_replay_with_the_same_effects() {
    let files = files();
    assert!(files.len() >= 3, "only {} journals found", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = read_journal(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        // A later release may write more settings; it reads the same from what it wrote itself.
        assert_eq!(read_journal(&write_journal(&lines)).as_ref(), Ok(&lines), "{} is not read back the same", path.display());
        let (conference, told) = tell(&lines).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        assert!(conference.phase().is_over(), "{} ends in the middle", path.display());
        let golden = path.with_extension("effects");
        if std::env::var_os("SKLIC_BLESS").is_some() {
            std::fs::write(&golden, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        for (number, (told, expected)) in (1..).zip(told.lines().zip(expected.lines())) {
            assert_eq!(told, expected, "{} line {number} has other effects", path.display());
        }
        assert_eq!(told.lines().count(), expected.lines().count(), "{}", path.display());
    }
}

/// Whatever the rows say at the end is what the effects said last: rows can be built from the journal alone.
#[test]
fn the_last_saved_rows_are_the_state() {
    for path in files() {
        let lines = read_journal(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut legs = std::collections::BTreeMap::new();
        let mut head: Option<ConferenceHead> = None;
        let entries = lines.into_iter().map(|line| (line.at, line.entry));
        let conference = Conference::replay(entries, |_, _, effects| {
            for effect in effects {
                match effect {
                    Effect::SaveLeg { leg } => _ = legs.insert(leg.id, Leg { deadline: None, overdue: false, ..(**leg).clone() }),
                    Effect::Push { delta } => head = delta.conference.clone().or(head.take()),
                    _ => {}
                }
            }
        })
        .unwrap();
        assert!(conference.legs().all(|leg| legs.get(&leg.id) == Some(&Leg { deadline: None, overdue: false, ..leg.clone() })), "{}", path.display());
        assert_eq!(head, Some(conference.head_view()), "{}", path.display());
    }
}

/// A journal that is not one is refused with the line that is wrong.
#[test]
fn what_is_no_journal_is_refused() {
    let text = std::fs::read_to_string(&files()[0]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let spoilt = |lines: &[&str]| read_journal(&lines.join("\n")).and_then(|lines| tell(&lines).map(|_| ())).unwrap_err();
    assert!(spoilt(&lines[1..]).contains("open"), "{}", spoilt(&lines[1..]));
    assert!(spoilt(&[lines[0], lines[2]]).contains("does not follow"));
    assert!(spoilt(&[lines[0], "{\"seq\":2}"]).contains("line 2"));
    assert!(spoilt(&[lines[0], &lines[0].replace("\"seq\":1", "\"seq\":2")]).contains('2'));
    assert!(spoilt(&[lines[0], &lines[1].replace("\"start\"", "\"stop\"")]).contains("line 2"));
}

/// What cannot be read may have lined up legs: those of the other entries keep their numbers, and no number is given twice.
#[test]
fn a_gap_in_a_journal_moves_no_leg() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conference/journals/board_meeting.jsonl");
    let mut lines = read_journal(&std::fs::read_to_string(file).unwrap()).unwrap();
    // To where Fani is in, who was added after Bor was called again.
    lines.truncate(34);
    let (whole, _) = tell(&lines).unwrap();
    let leg = |number| LegId::derive(whole.id(), number);
    let queued: Vec<Timestamp> = (0..).map_while(|number| whole.leg(leg(number)).map(|leg| leg.queued_at)).collect();
    assert_eq!(queued.len(), 8);
    let (bor, fani) = (whole.leg(leg(6)).unwrap().participant, whole.leg(leg(7)).unwrap().participant);
    let call = |line: &Line| matches!(line.entry, Entry::Input { input: Input::Control { control: Control::Call { .. } } });
    let mut entries: Vec<_> = lines.iter().map(|line| (line.at, (!call(line)).then(|| line.entry.clone()))).collect();
    let mut past = Conference::replay_past(entries.clone(), &queued, |_, _| {}).unwrap();
    assert_eq!(past.live_leg(fani).map(|leg| leg.id), Some(leg(7)));
    let (now, input) = (lines[33].at, Input::Control { control: Control::Call { participant: bor, number: None } });
    past.handle(now, input.clone()).unwrap();
    assert_eq!(past.live_leg(bor).map(|leg| leg.id), Some(leg(8)));
    // The next replay comes to the same.
    entries.push((now, Some(Entry::Input { input })));
    let again = Conference::replay_past(entries, &[queued, vec![now]].concat(), |_, _| {}).unwrap();
    assert_eq!(again.live_leg(bor).map(|leg| leg.id), Some(leg(8)));
}
