//! The hand-over to the billing system: numbered batches, each charge in exactly one.
//!
//! A batch is made in this order: its charges are marked with its number, its files are written under temporary names and forced to the disk,
//! the transaction is committed, the files get their names.
//! Whatever fails before the commit (a full disk, a folder that cannot be written to, a kill) leaves no batch and no file:
//! the charges wait for the next export.
//! A kill between commit and names leaves a batch whose files are not there: the next export begins by making them again, from the rows, byte for byte.
//! So the doubt goes to a file that is handed over again under the same number and with the same bytes, never to a charge in two batches or in none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel_async::AsyncConnection as _;
use jiff::Timestamp;

use super::batch_files::{self, FORMAT, Manifest, Staged};
use crate::clock;
use crate::storage::charge_batches::{self, Batch};
use crate::storage::{Connection, Pool, StorageError};

/// The most charges of one batch if nothing else is asked for.
pub const MOST_CHARGES: i64 = 100_000;

/// How long an export waits for another one.
const WAIT: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// Why a hand-over failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database. When it went away in the commit, the next export knows what became of the batch.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder or the disk.
    #[error("cannot write to {folder}: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Another export runs for too long.
    #[error("another export is under way")]
    Busy,
    /// There is no such batch.
    #[error("there is no batch {0}")]
    Unknown(i64),
    /// The batch was written in a form that this release does not know.
    #[error("batch {number} has the form {format}, which this release does not know")]
    Format {
        /// Which batch.
        number: i64,
        /// Its form.
        format: i32,
    },
    /// The rows of the batch are not those that were handed over: somebody has changed them. Nothing was put in place.
    #[error("batch {0} would not have the bytes that it had: its rows were changed in the database")]
    Differs(i64),
}

impl From<diesel::result::Error> for ExportError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// A batch that lies in its folder.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What it holds.
    pub manifest: Manifest,
    /// It had been made before and was written again.
    pub again: bool,
}

/// Hands charges over into one folder.
pub struct Exporter<'a> {
    /// The ledger.
    pub pool: &'a Pool,
    /// Where the files go.
    pub folder: &'a Path,
    /// The most charges of one batch.
    pub limit: i64,
    /// Only what began before this moment.
    pub before: Option<Timestamp>,
}

impl Exporter<'_> {
    /// Hands over everything that waits: first batches whose files may be missing, then new ones.
    ///
    /// # Errors
    /// See [`ExportError`]; the batches before stay handed over, and `told` has been told of each.
    pub async fn run(&self, mut told: impl FnMut(&Exported)) -> Result<(), ExportError> {
        let mut connection = self.alone().await?;
        for batch in charge_batches::list(&mut connection, true).await? {
            told(&self.write_again(&mut connection, &batch).await?);
        }
        while let Some(staged) = self.stage(&mut connection).await? {
            self.place(&mut connection, &staged).await?;
            told(&Exported { manifest: staged.manifest.clone(), again: false });
        }
        Ok(())
    }

    /// Writes one batch again, byte for byte.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub async fn again(&self, number: i64) -> Result<Exported, ExportError> {
        let mut connection = self.alone().await?;
        let batch = charge_batches::lookup(&mut connection, number).await?.ok_or(ExportError::Unknown(number))?;
        self.write_again(&mut connection, &batch).await
    }

    /// A connection that alone may export, for as long as it lives. What killed exports left in the folder is taken away.
    async fn alone(&self) -> Result<Connection, ExportError> {
        let until = tokio::time::Instant::now() + WAIT;
        loop {
            if let Some(connection) = charge_batches::exclusive(self.pool).await? {
                batch_files::clean(self.folder).map_err(|why| self.refused(why))?;
                return Ok(connection);
            }
            if tokio::time::Instant::now() > until {
                return Err(ExportError::Busy);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The next batch, committed, with its files under temporary names.
    async fn stage(&self, connection: &mut Connection) -> Result<Option<Staged>, ExportError> {
        let staged = connection.transaction(async |connection| {
            charge_batches::take_time(connection).await?;
            let number = charge_batches::next_number(connection).await?;
            let charges = charge_batches::fill(connection, number, self.before, self.limit).await?;
            if charges == 0 {
                return Ok(None);
            }
            let rows = charge_batches::charges_of(connection, number).await?;
            // As the database keeps it, so that the manifest reads the same when it is made again.
            let created_at = Timestamp::from_microsecond(clock::now().as_microsecond()).unwrap_or_default();
            let mut batch =
                Batch { number, format: FORMAT, created_at, charges, csv_sha256: Vec::new(), jsonl_sha256: Vec::new(), handed_over_at: None };
            let staged = Staged::write(self.folder, &batch, &rows).map_err(|why| self.refused(why))?;
            (batch.csv_sha256, batch.jsonl_sha256) = (staged.csv.to_vec(), staged.jsonl.to_vec());
            charge_batches::add(connection, batch).await?;
            Ok::<_, ExportError>(Some(staged))
        });
        staged.await
    }

    async fn write_again(&self, connection: &mut Connection, batch: &Batch) -> Result<Exported, ExportError> {
        if batch.format != FORMAT {
            return Err(ExportError::Format { number: batch.number, format: batch.format });
        }
        let rows = charge_batches::charges_of(connection, batch.number).await?;
        let staged = Staged::write(self.folder, batch, &rows).map_err(|why| self.refused(why))?;
        if (&staged.csv[..], &staged.jsonl[..]) != (&batch.csv_sha256[..], &batch.jsonl_sha256[..]) {
            return Err(ExportError::Differs(batch.number));
        }
        self.place(connection, &staged).await?;
        Ok(Exported { manifest: staged.manifest.clone(), again: true })
    }

    async fn place(&self, connection: &mut Connection, staged: &Staged) -> Result<(), ExportError> {
        staged.place().map_err(|why| self.refused(why))?;
        charge_batches::set_handed_over(connection, staged.manifest.batch, clock::now()).await?;
        Ok(())
    }

    fn refused(&self, why: io::Error) -> ExportError {
        ExportError::Folder { folder: self.folder.to_owned(), why }
    }
}
