//! The expected sums, worked out from a price as a person would do it on paper.
//!
//! This is the counterweight to the service's own rating and shares no code with it.
//! Amounts are in 1/10000 of the currency's unit.

use crate::scenario::Price;
use anyhow::{Context, Result, ensure};

/// What a leg's component costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Seconds after free seconds and increments.
    pub billed: u64,
    /// Without VAT.
    pub net: i128,
    /// VAT.
    pub vat: i128,
}

/// Reads a decimal such as `0.0790` as 1/10000, or `22` percent as 1/10000 of a percent.
pub fn decimal(text: &str) -> Result<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    ensure!(part.len() <= 4 && !whole.is_empty(), "`{text}` is no amount with at most four decimals");
    let whole: i128 = whole.parse().with_context(|| format!("`{text}` is no amount"))?;
    let part: i128 = format!("{part:0<4}").parse().with_context(|| format!("`{text}` is no amount"))?;
    Ok(sign * (whole * 10_000 + part))
}

/// An amount as text.
pub fn amount(tenthousandths: i128) -> String {
    let (sign, value) = (if tenthousandths < 0 { "-" } else { "" }, tenthousandths.abs());
    format!("{sign}{}.{:04}", value / 10_000, value % 10_000)
}

/// Rounds a fraction half away from zero; both are positive here.
fn rounded(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator) / (2 * denominator)
}

/// What so many seconds cost.
pub fn sum(price: &Price, seconds: u64) -> Result<Sum> {
    ensure!(price.first > 0 && price.next > 0, "an increment is at least a second");
    let left = seconds.saturating_sub(price.free);
    if left == 0 {
        return Ok(Sum { billed: 0, net: 0, vat: 0 });
    }
    let mut billed = price.first;
    while billed < left {
        billed += price.next;
    }
    let net = decimal(&price.connect_fee)? + rounded(decimal(&price.per_minute)? * i128::from(billed), 60);
    Ok(Sum { billed, net, vat: rounded(net * decimal(&price.vat)?, 1_000_000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(connect_fee: &str, per_minute: &str, first: u64, next: u64, free: u64) -> Price {
        Price { connect_fee: connect_fee.into(), per_minute: per_minute.into(), first, next, free, vat: "22".into() }
    }

    #[test]
    fn sums_are_those_of_the_paper() {
        for (price, seconds, billed, net, vat) in [
            // A minute begun is a minute: 0.05 + 0.12 = 0.17; 22 % of it 0.0374.
            (price("0.0500", "0.1200", 60, 60, 0), 7, 60, 1700, 374),
            (price("0.0500", "0.1200", 60, 60, 0), 61, 120, 2900, 638),
            // By the second: 0.079 × 7 / 60 = 0.0092166… → 0.0092; 22 % = 0.002024 → 0.0020.
            (price("0", "0.0790", 1, 1, 0), 7, 7, 92, 20),
            // Half away from zero: 0.03 × 1 / 60 = 0.0005.
            (price("0", "0.0300", 1, 1, 0), 1, 1, 5, 1),
            // 60/30 after 10 free seconds: 75 − 10 = 65 → 90 s at 0.09 = 0.135.
            (price("0", "0.0900", 60, 30, 10), 75, 90, 1350, 297),
            // Inside the free seconds nothing is due, the connect fee neither.
            (price("0.0500", "0.1200", 60, 60, 10), 10, 0, 0, 0),
        ] {
            assert_eq!(sum(&price, seconds).unwrap(), Sum { billed, net, vat }, "{price:?} for {seconds} s");
        }
    }

    #[test]
    fn amounts_are_read_and_written() {
        assert_eq!(decimal("0.079").unwrap(), 790);
        assert_eq!(decimal("-1.5").unwrap(), -15_000);
        assert_eq!(amount(790), "0.0790");
        assert_eq!(amount(-15_000), "-1.5000");
        for wrong in ["", "x", "1.23456", ".5", "1,5"] {
            assert!(decimal(wrong).is_err(), "{wrong}");
        }
    }
}
