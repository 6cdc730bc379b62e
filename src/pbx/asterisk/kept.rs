//! What the dialplan has written down and nobody has had dropped.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::actions;
use super::client::Reply;
use super::codec::Action;
use super::translate::parse_epoch;
use crate::ids::Room;
use crate::pbx::jobs::CALLERS_KEPT;
use crate::pbx::wire::HeaderBlock;

/// The families of the switch's database into which the dialplan writes, see `dialplan/asterisk/README.md`.
pub const FAMILIES: [&str; 2] = ["sklic-end", "sklic-room"];

/// Asks for everything under a family.
pub fn ask(family: &str) -> Action {
    Action::new("DBGetTree").with("Family", family)
}

/// Reads of which conferences something is written down: `/<family>/<room>/<key>`.
///
/// Callers who were never let in are under the number 0, which is no conference.
pub fn rooms(reply: &Reply) -> BTreeSet<Room> {
    let number = |event: &HeaderBlock| event.text("Key")?.split('/').nth(2)?.parse().ok().filter(|number| *number > 0);
    reply.items.iter().filter_map(number).map(Room).collect()
}

/// Drops what is kept of callers who were never let in, once it is old. `now` is the switch's time.
pub fn forget_old_callers(reply: &Reply, now: Timestamp) -> Vec<Action> {
    let old = |event: &HeaderBlock| {
        let key = event.text("Key")?;
        let name = key.strip_prefix("/sklic-end/0/")?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let ended = parse_epoch(event.text("Val")?.split('|').nth(4)?)?;
        (plain && now.duration_since(ended) > CALLERS_KEPT).then(|| actions::forget_caller(name))
    };
    reply.items.iter().filter_map(old).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pbx::wire::LineEnd;

    #[test]
    fn rooms_of_which_records_are_kept() {
        let block = |lines: String| HeaderBlock::new(Bytes::from(lines), LineEnd::CrLf);
        let item = |key: &str| block(format!("Event: DBGetTreeResponse\r\nKey: {key}\r\nVal: 1\r\n"));
        let keys = [
            "/sklic-end/1001/1257d06a8abc53798e5631e5692e1611",
            "/sklic-end/1001/aa",
            "/sklic-room/1002/closing",
            "/sklic-end/0/1795364582.24",
            "/sklic-room/x/away",
            "/sklic-room",
        ];
        let reply = Reply { response: block("Response: Success\r\n".to_owned()), items: keys.iter().map(|key| item(key)).collect() };
        assert_eq!(rooms(&reply), BTreeSet::from([Room(1001), Room(1002)]));
    }

    #[test]
    fn ends_of_callers_are_dropped_when_they_are_old() {
        let item = |key: &str, ended: i64| HeaderBlock::new(Bytes::from(format!("Key: {key}\r\nVal: 1|1.0|||{ended}.5|16||\r\n")), LineEnd::CrLf);
        let now = 1_795_364_582;
        let old = now - 8 * 86_400;
        let items = vec![
            item("/sklic-end/0/1.24", old),
            item("/sklic-end/0/2.24", now - 60),
            item("/sklic-end/1001/aa", old),
            item("/sklic-end/0/1@x", old),
            item("/sklic-end/0/", old),
        ];
        let reply = Reply { response: HeaderBlock::new(Bytes::new(), LineEnd::CrLf), items };
        let dropped = forget_old_callers(&reply, Timestamp::from_second(now).expect("a time"));
        assert_eq!(dropped, [actions::forget_caller("1.24")]);
    }
}
