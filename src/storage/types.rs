//! How the service's own types are kept in columns.

use std::io::Write as _;

use diesel::deserialize::{self, FromSql, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types;
use uuid::Uuid;

use super::StorageError;
use crate::billing::{ChargeId, ChargeReason, ChargeStatus, Component, Currency, Prefix, TariffName, WayOfEntry};
use crate::ids::{AccountId, ConferenceId, ContactId, GroupId, LegId, MessageId, ParticipantId, PassId, PlanId, ServiceNodeId, WebhookId};

// What diesel's derives `AsExpression` and `FromSqlRow` write, here because identifiers know nothing of the database.
macro_rules! uuid_column {
    ($($id:ty),+) => {$(
        impl ToSql<sql_types::Uuid, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.0.as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<sql_types::Uuid, Pg> for $id {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(bytes).map(Self)
            }
        }

        impl Queryable<sql_types::Uuid, Pg> for $id {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }

        impl AsExpression<sql_types::Uuid> for $id {
            type Expression = Bound<sql_types::Uuid, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl<'a> AsExpression<sql_types::Uuid> for &'a $id {
            type Expression = Bound<sql_types::Uuid, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl AsExpression<sql_types::Nullable<sql_types::Uuid>> for $id {
            type Expression = Bound<sql_types::Nullable<sql_types::Uuid>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl<'a> AsExpression<sql_types::Nullable<sql_types::Uuid>> for &'a $id {
            type Expression = Bound<sql_types::Nullable<sql_types::Uuid>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl ToSql<sql_types::Nullable<sql_types::Uuid>, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                ToSql::<sql_types::Uuid, Pg>::to_sql(self, out)
            }
        }
    )+};
}

uuid_column!(AccountId, ContactId, GroupId, ConferenceId, ParticipantId, LegId, ChargeId, MessageId, PassId, PlanId, ServiceNodeId, WebhookId);

// Words and numbers that are read as what they mean, without a copy of the text between: millions are read when legs are rated again.
macro_rules! text_column {
    ($($type:ty, $what:literal, $read:expr);+) => {$(
        impl FromSql<sql_types::Text, Pg> for $type {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                let text = std::str::from_utf8(bytes.as_bytes())?;
                let read: fn(&str) -> Option<Self> = $read;
                read(text).ok_or_else(|| StorageError::Unreadable { what: $what, value: text.to_owned() }.into())
            }
        }

        impl Queryable<sql_types::Text, Pg> for $type {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
    )+};
}

text_column! {
    Component, "component", Component::from_word;
    ChargeStatus, "charge status", ChargeStatus::from_word;
    ChargeReason, "charge reason", ChargeReason::from_word;
    WayOfEntry, "way of entry", WayOfEntry::from_word;
    Prefix, "prefix", |text| text.parse().ok();
    Currency, "currency", |text| text.parse().ok();
    TariffName, "tariff", |text| Some(text.into())
}
