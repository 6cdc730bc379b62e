//! What the dialplan has written down and nobody has had dropped: the port's question, beside the jobs that all adapters know.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::actions;
use super::client::Reply;
use super::codec::Action;
use super::translate::parse_epoch;
use crate::ids::{LegId, Room};
use crate::pbx::jobs::{Answer, Handle};
use crate::pbx::wire::HeaderBlock;
use crate::pbx::{Capabilities, Command, CommandFailure, Pbx, Snapshot};

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

/// How long the end of a caller who was never let in is kept: no service was away for so long and still wants to know.
const CALLERS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 7);

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

/// The port's side of this adapter.
pub struct Asterisk {
    handle: Handle,
    asked: mpsc::UnboundedSender<Answer<Vec<Room>>>,
}

impl Asterisk {
    /// The port's side, and where its questions come out.
    pub fn new(handle: Handle) -> (Self, mpsc::UnboundedReceiver<Answer<Vec<Room>>>) {
        let (asked, questions) = mpsc::unbounded_channel();
        (Self { handle, asked }, questions)
    }
}

impl Pbx for Asterisk {
    fn capabilities(&self) -> Capabilities {
        self.handle.capabilities()
    }

    fn execute(&self, command: Command) -> BoxFuture<'static, Result<(), CommandFailure>> {
        self.handle.execute(command)
    }

    fn snapshot(&self, expected: Vec<LegId>) -> BoxFuture<'static, Result<Snapshot, CommandFailure>> {
        self.handle.snapshot(expected)
    }

    /// While there is no link the question waits for one.
    fn kept_rooms(&self) -> BoxFuture<'static, Result<Vec<Room>, CommandFailure>> {
        let (answer, receiver) = oneshot::channel();
        // When the task is gone, its end of the answer is, too.
        let _ = self.asked.send(answer);
        Box::pin(async move { receiver.await.unwrap_or(Err(CommandFailure::NoLink)) })
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.handle.close()
    }
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
