//! All SQL.
//!
//! A file for each aggregate holds its rows and its queries; the queries take a connection, so that callers put several into one transaction.
//! A query on an account's data takes the [`AccountId`](crate::ids::AccountId) and binds it: another account's row is not found, whatever id is asked for.
//! The few queries that cross accounts serve the service itself and say so.
//! What a running conference writes goes through the [`Writer`], in groups and in order.
//!
//! Nothing here reads the clock: the time of a row is an argument.

pub mod accounts;
pub mod api_tokens;
pub mod charge_batches;
mod charge_rows;
pub mod charges;
pub mod conferences;
pub mod contacts;
pub mod crossings;
pub mod dial_in;
pub mod doctor;
mod error;
pub mod groups;
pub mod journal;
pub mod leases;
pub mod legs;
pub mod messages;
mod migrations;
pub mod operator;
pub mod outbox;
pub mod participants;
pub mod passes;
pub mod plans;
mod pool;
pub mod rated_legs;
pub mod retention;
mod schema;
pub mod series;
pub mod sessions;
pub mod switch_nodes;
pub mod tariffs;
mod text;
mod types;
pub mod webhooks;
mod writer;

pub use error::{StorageError, StorageResult};
pub use migrations::{SchemaState, migrate, revert_all, schema_state};
pub use pool::{Connection, Pool, PoolOptions, Pooled};
pub(crate) use writer::gauge_available;
pub use writer::{Batch, RowChange, Ticket, Writer, WriterOptions};
