//! The price lists in force, kept fresh from the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tracing::error;

use crate::billing::{Cdr, Charge, Component, Currency, Estimate, Liability, PayerTable, Tariff, WayOfEntry, estimate, rate_into};
use crate::config::{AccessNumber, access_number};
use crate::numbers::Numbering;
use crate::storage::{self, Pool, StorageError};

/// Changed when a tariff was imported: how many versions there are, and the newest import.
pub type Mark = (usize, Option<Timestamp>);

/// The tariffs by name, and who pays what.
pub struct Prices {
    tariffs: RwLock<Arc<BTreeMap<String, Arc<Tariff>>>>,
    default: String,
    payers: PayerTable,
    currency: Currency,
    numbering: Numbering,
}

impl Prices {
    /// What accounts are charged by that have no tariff of their own is `default`.
    #[must_use]
    pub fn new(default: String, payers: PayerTable, currency: Currency, numbering: Numbering) -> Self {
        Self { tariffs: RwLock::default(), default, payers, currency, numbering }
    }

    /// The currency of all charges; tariffs in another one price nothing.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The name of the tariff by which an account with this one, or with none of its own, is charged.
    #[must_use]
    pub fn name<'a>(&'a self, own: Option<&'a str>) -> &'a str {
        own.unwrap_or(&self.default)
    }

    /// The tariff of this name; without any import one that has no rates, so that legs become `unrated` rows and raise the alarm.
    #[must_use]
    pub fn tariff(&self, name: &str) -> Arc<Tariff> {
        let known = self.tariffs.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned().unwrap_or_else(|| Arc::new(Tariff::new(name.into(), Vec::new())))
    }

    /// The charges of a leg by the tariff of this name. Its access number may be written as people read it.
    #[must_use]
    pub fn rate(&self, cdr: &Cdr, tariff: &str) -> Vec<Charge> {
        let mut charges = Vec::new();
        self.rate_into(cdr, &self.tariff(tariff), &mut charges);
        charges
    }

    /// Like [`rate`](Self::rate), but adds the rows to `charges`: for rating many legs by a tariff that was looked up once.
    pub fn rate_into(&self, cdr: &Cdr, tariff: &Tariff, charges: &mut Vec<Charge>) {
        match cdr.access_number.as_deref() {
            Some(number) if !is_normal(number) => {
                let access_number = Some(access_number(number, &self.numbering).unwrap_or_default());
                rate_into(&Cdr { access_number, ..cdr.clone() }, tariff, &self.payers, self.currency, 0, charges);
            }
            _ => rate_into(cdr, tariff, &self.payers, self.currency, 0, charges),
        }
    }

    /// Whether a caller by this way over this access number costs the convener anything.
    #[must_use]
    pub fn convener_owes(&self, way: WayOfEntry, number: &str) -> bool {
        self.owes(way, number, Liability::CONVENER)
    }

    /// Whether a caller by this way over this access number owes us anything: then somebody must vouch for his line.
    #[must_use]
    pub fn caller_owes(&self, way: WayOfEntry, number: &str) -> bool {
        self.owes(way, number, Liability::CALLER)
    }

    /// Whether it makes no difference to anybody's bill by which of these access numbers a caller comes in.
    #[must_use]
    pub fn same_payers<'a>(&self, numbers: impl IntoIterator<Item = &'a AccessNumber>) -> bool {
        let mut payers = numbers.into_iter().map(|number| {
            let name = access_number(&number.number, &self.numbering).ok();
            Component::ALL.map(|component| self.payers.liability(number.way_of_entry, name.as_deref(), component))
        });
        let first = payers.next();
        payers.all(|other| Some(other) == first)
    }

    fn owes(&self, way: WayOfEntry, number: &str, who: Liability) -> bool {
        let number = access_number(number, &self.numbering).ok();
        Component::ALL.into_iter().any(|component| self.payers.liability(way, number.as_deref(), component) == who)
    }

    /// What calling a number costs the convener by the tariff of this name.
    #[must_use]
    pub fn estimate(&self, tariff: &str, number: &str, at: Timestamp) -> Estimate {
        estimate(&self.tariff(tariff), &self.payers, number, at)
    }

    /// Reads all tariffs if something was imported since `mark`.
    ///
    /// # Errors
    /// A fault of the database, or a stored tariff that cannot be read; the tariffs then stay as they were.
    pub async fn refresh(&self, pool: &Pool, mark: &mut Option<Mark>) -> Result<(), StorageError> {
        let mut connection = pool.get().await?;
        let imported = storage::tariffs::list(&mut connection).await?;
        let found = (imported.len(), imported.iter().map(|tariff| tariff.imported_at).max());
        if *mark == Some(found) {
            return Ok(());
        }
        // An amount in another currency would be taken for one in ours: its versions price nothing, which raises the alarm.
        let mut foreign: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for summary in &imported {
            let versions = foreign.entry(&summary.name).or_default();
            if summary.currency != self.currency.code() {
                error!(tariff.name = %summary.name, tariff.version = summary.version, currency = %summary.currency, configured = %self.currency,
                    "a version of a tariff has another currency than the configuration (billing.currency): what begins in its time has no price");
                versions.extend(u32::try_from(summary.version));
            }
        }
        let mut tariffs = BTreeMap::new();
        for (name, versions) in foreign {
            if let Some(tariff) = storage::tariffs::lookup(&mut connection, name).await? {
                tariffs.insert(name.to_owned(), Arc::new(tariff.without_prices_of(&versions)));
            }
        }
        *self.tariffs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tariffs);
        *mark = Some(found);
        Ok(())
    }
}

/// Whether an access number needs no second look at its form: `+` and digits, as the configuration's are kept, or a short number.
fn is_normal(number: &str) -> bool {
    let (digits, fits) = match number.strip_prefix('+') {
        Some(digits) => (digits, true),
        None => (number, number.len() <= 8),
    };
    fits && !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::PayerRow;

    #[test]
    fn who_owes_anything_follows_the_table() {
        let prices = |rows| Prices::new("base".to_owned(), PayerTable { rows }, Currency::EUR, Numbering::default());
        let owe = |prices: &Prices, way, number| (prices.caller_owes(way, number), prices.convener_owes(way, number));
        let shipped = prices(Vec::new());
        assert_eq!(owe(&shipped, WayOfEntry::OnnetShort, "19819"), (true, false));
        assert_eq!(owe(&shipped, WayOfEntry::National, "01 309 93 96"), (false, true), "another network charges his call");
        let row = |way_of_entry, access_number: Option<&str>, call, conference| PayerRow {
            way_of_entry,
            access_number: access_number.map(str::to_owned),
            call,
            conference,
        };
        let turned = prices(vec![
            row(WayOfEntry::OnnetShort, None, Liability::CONVENER, Liability::CONVENER),
            row(WayOfEntry::National, Some("+38613099396"), Liability::CALLER_INFORMATIONAL, Liability::CALLER),
        ]);
        assert_eq!(owe(&turned, WayOfEntry::OnnetShort, "19819"), (false, true));
        assert_eq!(owe(&turned, WayOfEntry::National, "01 309 93 96"), (true, false));
        assert_eq!(owe(&turned, WayOfEntry::National, "01 309 93 97"), (false, true), "of another number");
        let numbers = crate::config::shipped_access_numbers();
        let of_form = |form: &'static str| numbers.iter().filter(move |number| number.forms.iter().any(|one| one == form));
        assert!(shipped.same_payers(of_form("013099396")) && shipped.same_payers(of_form("19819")) && shipped.same_payers(of_form("1")));
        assert!(!turned.same_payers(of_form("013099396")), "national callers pay themselves, others do not");
        assert!(turned.same_payers(of_form("19819")));
    }
}
