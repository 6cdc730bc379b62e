//! One row of a price list, and what may not stand in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money::{Money, Percent};
use super::prefix::Prefix;

/// The two things that a leg can cost (R10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The telephone call, from answer to hang-up.
    Call,
    /// Being in the conference, from admission to leaving.
    Conference,
}

impl Component {
    /// Both components, in the order in which rows are written.
    pub const ALL: [Self; 2] = [Self::Call, Self::Conference];

    /// The stable word in API, database and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Conference => "conference",
        }
    }

    /// The component of a stable word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.word() == word)
    }
}

/// Where a component that lasts beyond such a moment is cut into parts, each rated by what is valid at its own start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Nowhere: the rate at the start holds for the whole (R12, point 1).
    #[default]
    None,
    /// At every midnight of the tariff's time zone.
    Midnight,
    /// Wherever another rate becomes valid for the number.
    TariffChange,
    /// At both.
    Both,
}

impl Split {
    /// Every way of cutting.
    pub const ALL: [Self; 4] = [Self::None, Self::Midnight, Self::TariffChange, Self::Both];

    /// The stable word in price lists and database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Midnight => "midnight",
            Self::TariffChange => "tariff_change",
            Self::Both => "both",
        }
    }

    /// The way of a stable word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.word() == word)
    }

    /// Whether midnights cut.
    #[must_use]
    pub const fn at_midnight(self) -> bool {
        matches!(self, Self::Midnight | Self::Both)
    }

    /// Whether a change of the rate cuts.
    #[must_use]
    pub const fn at_tariff_change(self) -> bool {
        matches!(self, Self::TariffChange | Self::Both)
    }
}

/// One row of a price list: what a component costs for numbers that begin with a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// The component that it prices.
    pub component: Component,
    /// The beginning of the dialled number.
    pub prefix: Prefix,
    /// Words for people, such as `Slovenia, mobile`.
    pub description: String,
    /// Due once when anything is due.
    pub connect_fee: Money,
    /// The price of sixty billed seconds.
    pub price_per_minute: Money,
    /// Seconds billed at least.
    pub first_increment: i64,
    /// The step, in seconds, in which the time after the first increment is billed.
    pub next_increment: i64,
    /// Seconds that come off first, once for each leg and component.
    pub free_seconds: i64,
    /// Net and VAT are whole multiples of this amount.
    pub rounding_unit: Money,
    /// VAT on the net amount.
    pub vat_percent: Percent,
    /// The first moment at which the rate is valid.
    pub valid_from: Timestamp,
    /// The first moment at which it is valid no more; `None` for ever.
    pub valid_to: Option<Timestamp>,
    /// Where a component that begins at this rate is cut.
    #[serde(default)]
    pub split: Split,
}

impl Rate {
    /// The highest price: a million units of the currency a minute. A slip of the decimal point is refused at import.
    pub const MAX_PRICE: Money = Money(10_000_000_000);
    /// The longest increment and the most free seconds: thirty-one days.
    pub const MAX_SECONDS: i64 = 31 * 86_400;
    /// The coarsest rounding unit: one hundred units of the currency.
    pub const MAX_ROUNDING_UNIT: Money = Money(1_000_000);
    /// The longest description, in characters.
    pub const MAX_DESCRIPTION: usize = 200;

    /// Whether the rate is valid at this moment.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|end| at < end)
    }

    /// What an importer must refuse about this row alone: column and reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, column: &'static str, reason: &dyn Fn() -> String| {
            if !holds {
                problems.push((column, reason()));
            }
        };
        for (column, price) in [("connect_fee", self.connect_fee), ("price_per_minute", self.price_per_minute)] {
            require(price >= Money::ZERO, column, &|| format!("{price} is negative"));
            require(price <= Self::MAX_PRICE, column, &|| format!("{price} is above the limit {}", Self::MAX_PRICE));
        }
        for (column, seconds) in [("first_increment", self.first_increment), ("next_increment", self.next_increment)] {
            require(seconds > 0, column, &|| format!("{seconds} is not a positive number of seconds"));
        }
        require(self.free_seconds >= 0, "free_seconds", &|| format!("{} is negative", self.free_seconds));
        for (column, seconds) in
            [("first_increment", self.first_increment), ("next_increment", self.next_increment), ("free_seconds", self.free_seconds)]
        {
            require(seconds <= Self::MAX_SECONDS, column, &|| format!("{seconds} is above the limit {} seconds", Self::MAX_SECONDS));
        }
        require(self.rounding_unit > Money::ZERO, "rounding_unit", &|| format!("{} is not positive", self.rounding_unit));
        require(self.rounding_unit <= Self::MAX_ROUNDING_UNIT, "rounding_unit", &|| {
            format!("{} is above the limit {}", self.rounding_unit, Self::MAX_ROUNDING_UNIT)
        });
        require(self.vat_percent <= Percent::WHOLE, "vat_percent", &|| format!("{} is above 100", self.vat_percent));
        require(self.description.chars().count() <= Self::MAX_DESCRIPTION, "description", &|| {
            format!("longer than {} characters", Self::MAX_DESCRIPTION)
        });
        require(!self.description.chars().any(char::is_control), "description", &|| "holds a control character".to_owned());
        require(self.valid_to.is_none_or(|end| self.valid_from < end), "valid_to", &|| "not after valid_from".to_owned());
        problems
    }
}
