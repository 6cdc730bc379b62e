//! What a call would cost, before it is placed.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::cdr::WayOfEntry;
use super::money::{Money, Percent};
use super::payer::{PaidBy, PayerTable};
use super::rate_row::{Component, Rate};
use super::tariff::Tariff;

/// The price of one component for one number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct PriceTag {
    /// Words of the price list, such as `Slovenia, mobile`.
    pub description: String,
    /// Due once, without VAT.
    pub connect_fee: Money,
    /// The price of sixty billed seconds, without VAT.
    pub price_per_minute: Money,
    /// Seconds billed at least.
    pub first_increment: i64,
    /// The step, in seconds, in which the time after that is billed.
    pub next_increment: i64,
    /// Seconds that come off first.
    pub free_seconds: i64,
    /// VAT on it.
    pub vat_percent: Percent,
}

impl From<&Rate> for PriceTag {
    fn from(rate: &Rate) -> Self {
        Self {
            description: rate.description.clone(),
            connect_fee: rate.connect_fee,
            price_per_minute: rate.price_per_minute,
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            free_seconds: rate.free_seconds,
            vat_percent: rate.vat_percent,
        }
    }
}

/// What calling one number from the service costs the convener.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct Estimate {
    /// The call. Absent when the convener does not pay it, or there is no price for it.
    pub call: Option<PriceTag>,
    /// Being in the conference, likewise.
    pub conference: Option<PriceTag>,
    /// The price list has no price for what the convener would pay: the charge would be `unrated`.
    pub unrated: bool,
}

/// What calling `number` (in normal form) at `at` costs the convener.
#[must_use]
pub fn estimate(tariff: &Tariff, payers: &PayerTable, number: &str, at: Timestamp) -> Estimate {
    let mut estimate = Estimate::default();
    for component in Component::ALL {
        let liability = payers.liability(WayOfEntry::WebOut, None, component);
        if liability.informational || liability.payer != PaidBy::Convener {
            continue;
        }
        let price = tariff.find(component, number, at).map(|(_, rate)| PriceTag::from(rate));
        estimate.unrated |= price.is_none();
        match component {
            Component::Call => estimate.call = price,
            Component::Conference => estimate.conference = price,
        }
    }
    estimate
}

/// Sums of several estimates: without and with VAT. An amount too large to be kept is told as the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct EstimateSums {
    /// Connect fees, without VAT.
    pub connect_net: Money,
    /// Connect fees, with VAT.
    pub connect_gross: Money,
    /// A minute for all of them, without VAT.
    pub minute_net: Money,
    /// A minute for all of them, with VAT.
    pub minute_gross: Money,
}

impl EstimateSums {
    /// Adds an estimate.
    pub fn add(&mut self, estimate: &Estimate) {
        for price in estimate.call.iter().chain(&estimate.conference) {
            let parts = [
                (&mut self.connect_net, &mut self.connect_gross, price.connect_fee),
                (&mut self.minute_net, &mut self.minute_gross, price.price_per_minute),
            ];
            for (net, gross, amount) in parts {
                let vat = price.vat_percent.of(amount, Money::SMALLEST).unwrap_or_default();
                let most = Money(i64::MAX);
                *net = net.plus(amount).unwrap_or(most);
                *gross = amount.plus(vat).and_then(|with_vat| gross.plus(with_vat)).unwrap_or(most);
            }
        }
    }
}
