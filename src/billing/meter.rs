//! From seconds to an amount: free seconds, increments, connect fee, rounding, VAT.

use super::money::Money;
use super::rate_row::Rate;

/// What a component has used up so far, from part to part.
///
/// Free seconds and connect fee are those of the rate at the component's start and count once for the whole component.
/// An increment that was begun before a cut covers the time after it, so that a cut alone makes nothing dearer.
#[derive(Default)]
pub(super) struct Meter {
    free_seconds: i64,
    connect_fee: Money,
    /// Seconds of the last increment that are still to come.
    covered: i64,
    begun: bool,
}

/// What a part costs.
pub(super) struct Metered {
    /// The billed seconds of the increments that begin in it.
    pub(super) seconds: i64,
    /// The amount without VAT.
    pub(super) net: Money,
    /// The VAT on it.
    pub(super) vat: Money,
}

impl Meter {
    /// The meter of a component that begins at this rate.
    pub(super) fn new(rate: &Rate) -> Self {
        Self { free_seconds: rate.free_seconds, connect_fee: rate.connect_fee, covered: 0, begun: false }
    }

    /// Lets time go by that is not billed; gives what is left of it beyond the free and the paid seconds.
    pub(super) fn pass(&mut self, seconds: i64) -> i64 {
        let free = seconds.min(self.free_seconds);
        let covered = (seconds - free).min(self.covered);
        self.free_seconds -= free;
        self.covered -= covered;
        seconds - free - covered
    }

    /// Points 3 to 6: what the next `seconds` of the component cost at this rate.
    ///
    /// `None` when the increments are not positive or an amount does not fit; the former does not pass the import.
    pub(super) fn bill(&mut self, rate: &Rate, seconds: i64) -> Option<Metered> {
        let due = self.pass(seconds);
        if due <= 0 {
            return Some(Metered { seconds: 0, net: Money::ZERO, vat: Money::ZERO });
        }
        if rate.first_increment <= 0 || rate.next_increment <= 0 {
            return None;
        }
        let first = if self.begun { 0 } else { rate.first_increment };
        let rest = due.saturating_sub(first).max(0);
        let steps = rest / rate.next_increment + i64::from(rest % rate.next_increment > 0);
        let billed = steps.checked_mul(rate.next_increment)?.checked_add(first)?;
        let fee = if self.begun { Money::ZERO } else { self.connect_fee };
        let sixtieths = i128::from(fee.0) * 60 + i128::from(rate.price_per_minute.0) * i128::from(billed);
        let net = Money::rounded(sixtieths, 60, rate.rounding_unit)?;
        let vat = rate.vat_percent.of(net, rate.rounding_unit)?;
        self.begun = true;
        self.covered = billed - due;
        Some(Metered { seconds: billed, net, vat })
    }
}
