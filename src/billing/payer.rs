//! Who pays which component of a leg (R10): a table, with the rules' own as the shipped default.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cdr::WayOfEntry;
use super::rate_row::Component;

/// Whose account or line a component belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaidBy {
    /// The convener's account.
    Convener,
    /// The calling line that the network vouches for.
    Caller,
}

/// Who pays a component, and whether our row is money or only information.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
pub struct Liability {
    /// The payer.
    pub payer: PaidBy,
    /// Whether another network charges it already: the row then keeps its amount and exports nothing (R12, point 7).
    pub informational: bool,
}

impl Liability {
    /// The convener pays, and our row says how much.
    pub const CONVENER: Self = Self { payer: PaidBy::Convener, informational: false };
    /// The calling line pays, and our row says how much.
    pub const CALLER: Self = Self { payer: PaidBy::Caller, informational: false };
    /// The caller pays it to the originating network; our row is for information.
    pub const CALLER_INFORMATIONAL: Self = Self { payer: PaidBy::Caller, informational: true };
}

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayerRow {
    /// The way of entry for which the row holds.
    pub way_of_entry: WayOfEntry,
    /// The access number (normal form) for which it holds; `None` for every one of that way.
    #[serde(default)]
    pub access_number: Option<String>,
    /// Who pays the call component.
    pub call: Liability,
    /// Who pays the conference component.
    pub conference: Liability,
}

/// Access number and component to payer.
///
/// A row that names the access number goes before one that does not; a way without any row follows the shipped default.
/// The number dialled decides, not the caller's network.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PayerTable {
    /// The rows that differ from the shipped default.
    pub rows: Vec<PayerRow>,
}

impl PayerTable {
    /// Who pays `component` of a leg that came in by this way over this access number.
    #[must_use]
    pub fn liability(&self, way: WayOfEntry, access_number: Option<&str>, component: Component) -> Liability {
        let of_way = || self.rows.iter().filter(|row| row.way_of_entry == way);
        let (call, conference) = of_way()
            .find(|row| row.access_number.is_some() && row.access_number.as_deref() == access_number)
            .or_else(|| of_way().find(|row| row.access_number.is_none()))
            .map_or_else(|| shipped(way), |row| (row.call, row.conference));
        match component {
            Component::Call => call,
            Component::Conference => conference,
        }
    }
}

/// The table of R10: call component, conference component.
const fn shipped(way: WayOfEntry) -> (Liability, Liability) {
    match way {
        WayOfEntry::WebOut => (Liability::CONVENER, Liability::CONVENER),
        // Caller and number are in the operator's own network, so nobody else charges the call.
        WayOfEntry::OnnetShort => (Liability::CALLER, Liability::CALLER),
        WayOfEntry::National | WayOfEntry::International => (Liability::CALLER_INFORMATIONAL, Liability::CONVENER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_the_access_number_goes_before_a_row_for_the_way_and_that_before_the_default() {
        let row = |access_number: Option<&str>, conference| PayerRow {
            way_of_entry: WayOfEntry::National,
            access_number: access_number.map(str::to_owned),
            call: Liability::CALLER_INFORMATIONAL,
            conference,
        };
        let free = Liability { payer: PaidBy::Convener, informational: true };
        let table = PayerTable { rows: vec![row(None, Liability::CALLER), row(Some("+38613099397"), free)] };
        let pays = |table: &PayerTable, number| table.liability(WayOfEntry::National, Some(number), Component::Conference);
        assert_eq!(pays(&table, "+38613099396"), Liability::CALLER);
        assert_eq!(pays(&table, "+38613099397"), free);
        assert_eq!(pays(&PayerTable::default(), "+38613099396"), Liability::CONVENER);
        assert_eq!(table.liability(WayOfEntry::WebOut, None, Component::Call), Liability::CONVENER);
    }
}
