//! The priced side, pure: CDR, payer, tariff, rating, charge.
//!
//! An ended leg becomes a [`Cdr`]: facts without a price.
//! [`rate`] applies a [`Tariff`] and a [`PayerTable`] to it and gives the [`Charge`] rows, one for each [`Component`], or for each part of one that the tariff cuts.
//! Everything here is a function of its arguments: no clock, no I/O, no randomness, and integers only.
//! The same arguments therefore give the same rows with the same identifiers, however often and wherever they are rated.

mod cdr;
mod charge;
mod estimate;
mod meter;
mod money;
mod payer;
mod prefix;
mod rate_row;
mod rating;
mod tariff;
mod tariff_csv;

pub use cdr::{Cdr, NegativeSpan, Span, WayOfEntry};
pub use charge::{Charge, ChargeId, ChargeReason, ChargeStatus, NotCorrectable, Payer, RateRef, correct, current, rerate, rerate_into};
pub use estimate::{Estimate, EstimateSums, PriceTag, estimate};
pub use money::{Currency, Money, ParseAmountError, Percent};
pub use payer::{Liability, PaidBy, PayerRow, PayerTable};
pub use prefix::{NotAPrefix, Prefix};
pub use rate_row::{Component, Rate, Split};
pub use rating::{rate, rate_into};
pub use tariff::{RateProblem, Tariff, TariffName, TariffVersion};
pub use tariff_csv::{COLUMNS, ImportOptions, MAX_REPORTED, SPLIT_COLUMN, TariffError, TariffErrors, parse_tariff};
