//! What processes of the service tell each other, by PostgreSQL's own means: rows for what is asked, `NOTIFY` to wake up.

use std::pin::Pin;

use diesel::prelude::*;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::StreamExt as _;
use serde_json::Value;
use uuid::Uuid;

use super::{Connection, Pool, StorageError, StorageResult};
use crate::ids::ServiceNodeId;

/// What a notice is about; each has a channel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Somebody asks something; the payload is the process that is asked.
    Asked,
    /// An answer is there; the payload is the crossing.
    Answered,
    /// A conference's journal has grown; the payload is the conference.
    Journal,
    /// A planned conference was edited; the payload is the conference.
    Edited,
    /// A process shows a conference that it does not own; the payload is the conference.
    Watched,
    /// What is told to windows and is in no journal: who talks, what it costs; the payload is JSON.
    Passing,
    /// A lease was given back, or handed on.
    Lease,
}

impl Channel {
    /// All of them.
    const ALL: [Self; 7] = [Self::Asked, Self::Answered, Self::Journal, Self::Edited, Self::Watched, Self::Passing, Self::Lease];

    /// Its name in the database.
    const fn word(self) -> &'static str {
        match self {
            Self::Asked => "sklic_asked",
            Self::Answered => "sklic_answered",
            Self::Journal => "sklic_journal",
            Self::Edited => "sklic_edited",
            Self::Watched => "sklic_watched",
            Self::Passing => "sklic_passing",
            Self::Lease => "sklic_lease",
        }
    }
}

/// The longest payload that PostgreSQL takes, in bytes.
const LONGEST_PAYLOAD: usize = 7_999;

/// Tells every process; one that does not listen at the moment misses it, so that a notice is never more than a wake-up.
///
/// Payloads that are too long are left out.
///
/// # Errors
/// A fault of the database.
pub async fn notify(connection: &mut Connection, channel: Channel, payloads: &[String]) -> StorageResult<()> {
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).filter(|payload| payload.len() <= LONGEST_PAYLOAD).collect();
    if payloads.is_empty() {
        return Ok(());
    }
    let tell = "SELECT pg_notify($1, payload) FROM unnest($2) AS payload";
    diesel::sql_query(tell).bind::<Text, _>(channel.word()).bind::<Array<Text>, _>(payloads).execute(connection).await?;
    Ok(())
}

/// A connection that hears notices.
pub struct Listener {
    connection: Connection,
}

impl Listener {
    /// Listens on all channels from here on.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn open(pool: &Pool) -> StorageResult<Self> {
        let mut connection = pool.take().await?;
        for channel in Channel::ALL {
            diesel::sql_query(format!("LISTEN {}", channel.word())).execute(&mut connection).await?;
        }
        Ok(Self { connection })
    }

    /// The next notice; waits for it.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the connection is lost: notices may have been missed.
    pub async fn next(&mut self) -> StorageResult<(Channel, String)> {
        loop {
            let mut notices = Box::pin(self.connection.notifications_stream());
            let notice = Pin::new(&mut notices).next().await;
            drop(notices);
            let Some(Ok(notice)) = notice else {
                return Err(StorageError::unavailable("the connection that hears notices is lost"));
            };
            if let Some(channel) = Channel::ALL.into_iter().find(|channel| channel.word() == notice.channel) {
                return Ok((channel, notice.payload));
            }
        }
    }

    /// Whether the connection still answers: a peer that is gone without a word is never heard again.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn probe(&mut self) -> StorageResult<()> {
        diesel::sql_query("SELECT 1").execute(&mut self.connection).await?;
        Ok(())
    }
}

/// Asks another process.
///
/// # Errors
/// A fault of the database.
pub async fn ask(connection: &mut Connection, id: Uuid, to: ServiceNodeId, request: &Value) -> StorageResult<()> {
    let ask = "WITH asked AS (INSERT INTO crossings (id, to_node, request, asked_at) VALUES ($1, $2, $3, clock_timestamp())) SELECT pg_notify($4, $2::text)";
    diesel::sql_query(ask)
        .bind::<SqlUuid, _>(id)
        .bind::<SqlUuid, _>(to)
        .bind::<Jsonb, _>(request)
        .bind::<Text, _>(Channel::Asked.word())
        .execute(connection)
        .await?;
    Ok(())
}

/// What is asked of a process.
#[derive(Clone, Debug, QueryableByName)]
pub struct Asked {
    /// The crossing.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The request.
    #[diesel(sql_type = Jsonb)]
    pub request: Value,
}

/// Takes what is asked of a process, each once; what nobody waits for any more is left out.
///
/// # Errors
/// A fault of the database.
pub async fn take(connection: &mut Connection, node: ServiceNodeId) -> StorageResult<Vec<Asked>> {
    let take = "UPDATE crossings SET taken_at = clock_timestamp() \
        WHERE to_node = $1 AND taken_at IS NULL AND asked_at > clock_timestamp() - interval '4 seconds' RETURNING id, request";
    Ok(diesel::sql_query(take).bind::<SqlUuid, _>(node).load(connection).await?)
}

/// Answers a crossing.
///
/// # Errors
/// A fault of the database.
pub async fn answer(connection: &mut Connection, id: Uuid, answer: &Value) -> StorageResult<()> {
    let tell = "WITH answered AS (UPDATE crossings SET answer = $2 WHERE id = $1) SELECT pg_notify($3, $1::text)";
    diesel::sql_query(tell).bind::<SqlUuid, _>(id).bind::<Jsonb, _>(answer).bind::<Text, _>(Channel::Answered.word()).execute(connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Nullable<Jsonb>)]
    answer: Option<Value>,
}

/// The answer, if it is there.
///
/// # Errors
/// A fault of the database.
pub async fn answer_of(connection: &mut Connection, id: Uuid) -> StorageResult<Option<Value>> {
    let found: Option<Answer> =
        diesel::sql_query("SELECT answer FROM crossings WHERE id = $1").bind::<SqlUuid, _>(id).get_result(connection).await.optional()?;
    Ok(found.and_then(|found| found.answer))
}

/// Takes a request back; `false` when somebody has taken it already.
///
/// # Errors
/// A fault of the database.
pub async fn withdraw(connection: &mut Connection, id: Uuid) -> StorageResult<bool> {
    let untaken = "DELETE FROM crossings WHERE id = $1 AND taken_at IS NULL";
    Ok(diesel::sql_query(untaken).bind::<SqlUuid, _>(id).execute(connection).await? == 1)
}

/// Nobody waits for this answer any more.
///
/// # Errors
/// A fault of the database.
pub async fn forget(connection: &mut Connection, id: Uuid) -> StorageResult<()> {
    let old = "DELETE FROM crossings WHERE id = $1 OR asked_at < clock_timestamp() - interval '1 minute'";
    diesel::sql_query(old).bind::<SqlUuid, _>(id).execute(connection).await?;
    Ok(())
}
