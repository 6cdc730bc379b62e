//! Charges as their table holds them: read one by one, written by the thousand.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::schema::charges;
use super::text::refuse_nul;
use super::{Connection, StorageError, StorageResult};
use crate::billing::{Charge, ChargeId, ChargeReason, ChargeStatus, Component, Currency, Money, Payer, Percent, Prefix, RateRef, TariffName};
use crate::ids::{AccountId, ConferenceId, LegId};

/// A charge as the table holds it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = charges, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    id: ChargeId,
    leg: LegId,
    conference: ConferenceId,
    account: AccountId,
    component: Component,
    part: i32,
    payer: String,
    payer_line: Option<String>,
    status: ChargeStatus,
    reason: Option<ChargeReason>,
    tariff: Option<TariffName>,
    tariff_version: Option<i32>,
    prefix: Option<Prefix>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    started_at: Timestamp,
    seconds: i64,
    billed_seconds: i64,
    net: i64,
    vat_percent: i32,
    vat: i64,
    gross: i64,
    currency: Currency,
    revision: i32,
    reverses: Option<ChargeId>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
}

impl Row {
    /// When the row was written.
    pub(super) fn created_at(&self) -> Timestamp {
        self.created_at
    }

    pub(super) fn charge(self) -> StorageResult<Charge> {
        fn unsigned(what: &'static str, number: i32) -> StorageResult<u32> {
            u32::try_from(number).map_err(|_| StorageError::Unreadable { what, value: number.to_string() })
        }
        let payer = match self.payer.as_str() {
            "convener" => Payer::Convener,
            "caller" => Payer::Caller { line: self.payer_line },
            _ => return Err(StorageError::Unreadable { what: "payer", value: self.payer }),
        };
        let rate = match (self.tariff, self.tariff_version, self.prefix) {
            (Some(tariff), Some(version), Some(prefix)) => Some(RateRef { tariff, version: unsigned("tariff version", version)?, prefix }),
            _ => None,
        };
        Ok(Charge {
            id: self.id,
            leg: self.leg,
            conference: self.conference,
            account: self.account,
            component: self.component,
            part: unsigned("part", self.part)?,
            payer,
            status: self.status,
            reason: self.reason,
            rate,
            started_at: self.started_at,
            seconds: self.seconds,
            billed_seconds: self.billed_seconds,
            net: Money(self.net),
            vat_percent: Percent(unsigned("VAT", self.vat_percent)?),
            vat: Money(self.vat),
            gross: Money(self.gross),
            currency: self.currency,
            revision: unsigned("revision", self.revision)?,
            reverses: self.reverses,
        })
    }
}

/// A number that the column takes as a signed one.
fn signed(what: &'static str, number: u32) -> StorageResult<i32> {
    i32::try_from(number).map_err(|_| StorageError::Invalid { what: what.to_owned() })
}

/// What would make [`insert`] refuse a charge before it is sent.
pub(super) fn check(charge: &Charge) -> StorageResult<()> {
    if let Payer::Caller { line } = &charge.payer {
        refuse_nul(&[("payer_line", line)])?;
    }
    if let Some(rate) = &charge.rate {
        if rate.tariff.as_str().contains('\0') {
            return Err(StorageError::Unstorable { field: "tariff" });
        }
        signed("tariff_version", rate.version)?;
    }
    for (what, number) in [("part", charge.part), ("vat_percent", charge.vat_percent.0), ("revision", charge.revision)] {
        signed(what, number)?;
    }
    Ok(())
}

/// Writes charges, each with its time of rating; one that is there already stays as it is.
///
/// The columns are sent as arrays: planning a statement with a parameter for each value of each row takes longer than writing the rows.
pub(super) async fn insert(connection: &mut Connection, charges: &[(&Charge, Timestamp)]) -> StorageResult<()> {
    const INSERT: &str = "INSERT INTO charges (id, leg, conference, account, component, part, payer, payer_line, status, reason, \
            tariff, tariff_version, prefix, started_at, seconds, billed_seconds, net, vat_percent, vat, gross, currency, revision, reverses, created_at) \
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) \
        ON CONFLICT DO NOTHING";
    if charges.is_empty() {
        return Ok(());
    }
    for (charge, _) in charges {
        check(charge)?;
    }
    fn column<'a, T>(charges: &[(&'a Charge, Timestamp)], value: impl Fn(&'a Charge) -> T) -> Vec<T> {
        charges.iter().map(|(charge, _)| value(charge)).collect()
    }
    // What does not fit was refused above.
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let created_at: Vec<_> = charges.iter().map(|(_, at)| at.to_diesel()).collect();
    diesel::sql_query(INSERT)
        .bind::<Array<Uuid>, _>(column(charges, |charge| charge.id))
        .bind::<Array<Uuid>, _>(column(charges, |charge| charge.leg))
        .bind::<Array<Uuid>, _>(column(charges, |charge| charge.conference))
        .bind::<Array<Uuid>, _>(column(charges, |charge| charge.account))
        .bind::<Array<Text>, _>(column(charges, |charge| charge.component.word()))
        .bind::<Array<Integer>, _>(column(charges, |charge| number(charge.part)))
        .bind::<Array<Text>, _>(column(charges, |charge| if charge.payer == Payer::Convener { "convener" } else { "caller" }))
        .bind::<Array<Nullable<Text>>, _>(column(charges, |charge| match &charge.payer {
            Payer::Convener => None,
            Payer::Caller { line } => line.as_deref(),
        }))
        .bind::<Array<Text>, _>(column(charges, |charge| charge.status.word()))
        .bind::<Array<Nullable<Text>>, _>(column(charges, |charge| charge.reason.map(ChargeReason::word)))
        .bind::<Array<Nullable<Text>>, _>(column(charges, |charge| charge.rate.as_ref().map(|rate| rate.tariff.as_str())))
        .bind::<Array<Nullable<Integer>>, _>(column(charges, |charge| charge.rate.as_ref().map(|rate| number(rate.version))))
        .bind::<Array<Nullable<Text>>, _>(column(charges, |charge| charge.rate.as_ref().map(|rate| rate.prefix.as_str())))
        .bind::<Array<Timestamptz>, _>(column(charges, |charge| charge.started_at.to_diesel()))
        .bind::<Array<BigInt>, _>(column(charges, |charge| charge.seconds))
        .bind::<Array<BigInt>, _>(column(charges, |charge| charge.billed_seconds))
        .bind::<Array<BigInt>, _>(column(charges, |charge| charge.net.0))
        .bind::<Array<Integer>, _>(column(charges, |charge| number(charge.vat_percent.0)))
        .bind::<Array<BigInt>, _>(column(charges, |charge| charge.vat.0))
        .bind::<Array<BigInt>, _>(column(charges, |charge| charge.gross.0))
        .bind::<Array<Text>, _>(column(charges, |charge| charge.currency.code()))
        .bind::<Array<Integer>, _>(column(charges, |charge| number(charge.revision)))
        .bind::<Array<Nullable<Uuid>>, _>(column(charges, |charge| charge.reverses))
        .bind::<Array<Timestamptz>, _>(created_at)
        .execute(connection)
        .await?;
    Ok(())
}
