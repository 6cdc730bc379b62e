//! Why the database did not do what it was asked, and whether asking again may help.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

/// The result of a query.
pub type StorageResult<T> = Result<T, StorageError>;

/// Why a query or a write failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be reached, the connection was lost, or it is not taking writes now: the same may succeed later.
    #[error("the database cannot be reached")]
    Unavailable {
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is such a row already, or a written row differs from what is to be written again.
    #[error("{what} is taken already")]
    Conflict {
        /// The constraint, such as `accounts_user_number_key`, or in plain words what is taken.
        what: String,
    },
    /// The row refers to something that is not there, or not in this account.
    #[error("{what} refers to something that is not there")]
    Missing {
        /// The constraint, such as `group_members_contact_fkey`.
        what: String,
    },
    /// A value is outside what the table takes.
    #[error("{what} does not hold")]
    Invalid {
        /// The constraint, such as `contacts_name_length`, or the column.
        what: String,
    },
    /// A text holds a NUL character, which PostgreSQL cannot keep. Nothing was sent.
    #[error("{field} holds a NUL character")]
    Unstorable {
        /// The field.
        field: &'static str,
    },
    /// An entry does not follow the last one of its conference's journal. Nothing of its batch was written.
    #[error("the journal of conference {conference} has no entry {missing} before the one to be written")]
    Gap {
        /// The conference.
        conference: crate::ids::ConferenceId,
        /// The first sequence number that is missing.
        missing: i64,
    },
    /// Another process of the service has taken the switch over: what this one would write is void. Nothing of its batch was written.
    #[error("the switch {switch} is driven by another service node now")]
    Fenced {
        /// The switch.
        switch: String,
    },
    /// The writer has been closed and takes no more batches.
    #[error("the writer is closed")]
    Closed,
    /// The database refused the query for another reason: a fault of the service or of its schema.
    #[error("the database refused the query")]
    Database {
        /// What it said.
        #[source]
        source: DieselError,
    },
    /// A row does not read as what it should be.
    #[error("a stored {what} cannot be read: {value:?}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: String,
    },
}

impl StorageError {
    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether this is the named constraint's complaint.
    #[must_use]
    pub fn is_of(&self, constraint: &str) -> bool {
        matches!(self, Self::Conflict { what } | Self::Missing { what } | Self::Invalid { what } if what == constraint)
    }

    pub(crate) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

/// The name of the constraint, else of the column, else the message.
fn culprit(information: &dyn DatabaseErrorInformation) -> String {
    information.constraint_name().or(information.column_name()).unwrap_or(information.message()).to_owned()
}

impl From<DieselError> for StorageError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, information) = &error else {
            return match error {
                // The transaction could not be ended because its connection is gone.
                DieselError::BrokenTransactionManager => Self::unavailable(error),
                // What a column's own type has against its value, see `types.rs`.
                DieselError::DeserializationError(fault) => match fault.downcast() {
                    Ok(unreadable) => *unreadable,
                    Err(fault) => Self::Database { source: DieselError::DeserializationError(fault) },
                },
                other => Self::Database { source: other },
            };
        };
        match kind {
            DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ExclusionViolation => Self::Conflict { what: culprit(information.as_ref()) },
            DatabaseErrorKind::ForeignKeyViolation | DatabaseErrorKind::RestrictViolation => Self::Missing { what: culprit(information.as_ref()) },
            DatabaseErrorKind::CheckViolation | DatabaseErrorKind::NotNullViolation => Self::Invalid { what: culprit(information.as_ref()) },
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::SerializationFailure
            // A standby that has not been promoted yet.
            | DatabaseErrorKind::ReadOnlyTransaction => Self::unavailable(error),
            // The driver does not pass the SQLSTATE on; the words follow the server's language.
            // A server that is being stopped ends its connections (57P01, 57P02), in words that are not translated here.
            _ if ends_connection(information.message()) => Self::unavailable(error),
            // A server that is too slow, or two transactions that waited for each other (57014, 40P01): the next try may find it better.
            _ if was_broken_off(information.message()) => Self::unavailable(error),
            // What was to be written is not at fault when the server has no room for it (class 53).
            _ if lacks_room(information.message()) => Self::unavailable(error),
            _ => Self::Database { source: error },
        }
    }
}

/// Whether an untranslated message of PostgreSQL says that the server ended the connection (`tcop/postgres.c`, `ProcessInterrupts`).
fn ends_connection(message: &str) -> bool {
    message.starts_with("terminating connection")
}

/// Whether an untranslated message of PostgreSQL says that a statement took too long, or was chosen to end a deadlock (`tcop/postgres.c`, `storage/lmgr/deadlock.c`).
fn was_broken_off(message: &str) -> bool {
    message.starts_with("canceling statement due to") || message == "deadlock detected"
}

/// Whether a message of PostgreSQL says that its disk is full or its memory (`storage/smgr/md.c`, `storage/file/fd.c`, `utils/mmgr`; the system's ENOSPC and EDQUOT).
///
/// A server that speaks another language is not understood: such a write is tried a few times and then given up.
fn lacks_room(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "could not extend file"].iter().any(|words| message.contains(words))
        || message.starts_with("out of ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: DatabaseErrorKind, message: &str) -> StorageError {
        StorageError::from(DieselError::DatabaseError(kind, Box::new(message.to_owned())))
    }

    #[test]
    fn passing_and_lasting_faults_are_told_apart() {
        for kind in [
            DatabaseErrorKind::ClosedConnection,
            DatabaseErrorKind::UnableToSendCommand,
            DatabaseErrorKind::SerializationFailure,
            DatabaseErrorKind::ReadOnlyTransaction,
        ] {
            assert!(refused(kind, "x").is_passing());
        }
        assert!(refused(DatabaseErrorKind::Unknown, "terminating connection due to administrator command").is_passing());
        for message in [
            "could not extend file \"pg_tblspc/16944/PG_15_202209061/16945/17132\": No space left on device",
            "could not write to file \"base/pgsql_tmp/pgsql_tmp1.0\": No space left on device",
            "could not extend file \"base/1/2\": wrote only 4096 of 8192 bytes at block 7",
            "out of shared memory",
            "canceling statement due to statement timeout",
            "deadlock detected",
        ] {
            assert!(refused(DatabaseErrorKind::Unknown, message).is_passing(), "{message}");
        }
        assert!(StorageError::from(DieselError::BrokenTransactionManager).is_passing());
        for kind in [
            DatabaseErrorKind::UniqueViolation,
            DatabaseErrorKind::CheckViolation,
            DatabaseErrorKind::ForeignKeyViolation,
            DatabaseErrorKind::Unknown,
        ] {
            assert!(!refused(kind, "x").is_passing());
        }
        assert!(matches!(refused(DatabaseErrorKind::UniqueViolation, "x"), StorageError::Conflict { .. }));
        assert!(matches!(refused(DatabaseErrorKind::ForeignKeyViolation, "x"), StorageError::Missing { .. }));
        assert!(matches!(refused(DatabaseErrorKind::CheckViolation, "x"), StorageError::Invalid { .. }));
    }
}
