//! Section `[billing]`: currency, tariff, and who pays what.

use serde::Deserialize;

use crate::billing::{Currency, Liability, PaidBy, PayerRow, PayerTable, WayOfEntry};
use crate::numbers::Numbering;

/// Rating.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BillingConfig {
    /// ISO 4217 code of the currency of all tariffs.
    pub currency: String,
    /// Name of the tariff by which accounts are charged that have none of their own.
    pub tariff: String,
    /// Who pays what, where it differs from R10.
    pub payers: Vec<PayerConfig>,
}

impl Default for BillingConfig {
    fn default() -> Self {
        Self { currency: "EUR".into(), tariff: "base".into(), payers: Vec::new() }
    }
}

/// One `[[billing.payers]]`: who pays both components of a way of entry, or of one access number of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayerConfig {
    /// The way of entry.
    pub way_of_entry: WayOfEntry,
    /// The access number, as people write it; every one of the way without it.
    #[serde(default)]
    pub access_number: Option<String>,
    /// Who pays the call component.
    pub call: ShareConfig,
    /// Who pays the conference component.
    pub conference: ShareConfig,
}

/// Who pays a component, and whether our row is money.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareConfig {
    /// `convener` or `caller`.
    pub payer: PaidBy,
    /// `rated` or `informational`.
    #[serde(default)]
    pub status: ShareStatus,
}

/// What our row for a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareStatus {
    /// Money: it is exported.
    #[default]
    Rated,
    /// For information: another network charges it, or nobody does.
    Informational,
}

impl From<ShareConfig> for Liability {
    fn from(share: ShareConfig) -> Self {
        Self { payer: share.payer, informational: share.status == ShareStatus::Informational }
    }
}

impl BillingConfig {
    /// What types alone cannot say; the key and what is wrong with it.
    pub(super) fn check(&self, numbering: &Numbering) -> Result<(), String> {
        self.currency().map_err(|why| format!("currency: {why}"))?;
        if self.tariff.is_empty() || self.tariff.chars().count() > 100 {
            return Err("tariff: a tariff's name has 1 to 100 characters".into());
        }
        self.payers(numbering).map(drop)
    }

    /// The currency of all tariffs.
    ///
    /// # Errors
    /// When it is no ISO 4217 code; [`Config::load`](super::Config::load) has refused that already.
    pub fn currency(&self) -> Result<Currency, String> {
        self.currency.parse().map_err(|_| format!("{:?} is not an ISO 4217 code", self.currency))
    }

    /// The table of who pays what (R10).
    ///
    /// # Errors
    /// A row that makes no sense, by its place; [`Config::load`](super::Config::load) has refused that already.
    pub fn payers(&self, numbering: &Numbering) -> Result<PayerTable, String> {
        let mut rows: Vec<PayerRow> = Vec::new();
        for (at, row) in self.payers.iter().enumerate() {
            let way = row.way_of_entry;
            let (call, conference) = (Liability::from(row.call), Liability::from(row.conference));
            if way == WayOfEntry::WebOut && [call, conference].iter().any(|share| share.payer == PaidBy::Caller) {
                return Err(format!("payers[{at}]: nobody called in by web_out, so only the convener can pay"));
            }
            let access_number = match &row.access_number {
                Some(_) if way == WayOfEntry::WebOut => return Err(format!("payers[{at}].access_number: web_out has none")),
                Some(number) => Some(access_number(number, numbering).map_err(|why| format!("payers[{at}].access_number: {why}"))?),
                None => None,
            };
            if rows.iter().any(|known| known.way_of_entry == way && known.access_number == access_number) {
                return Err(format!("payers[{at}]: there is such a row already"));
            }
            rows.push(PayerRow { way_of_entry: way, access_number, call, conference });
        }
        Ok(PayerTable { rows })
    }
}

/// An access number in normal form. A short one need not be among those that may be dialled.
///
/// # Errors
/// When it is no number, with what was typed.
pub fn access_number(typed: &str, numbering: &Numbering) -> Result<String, String> {
    if (1..=8).contains(&typed.len()) && typed.bytes().all(|byte| byte.is_ascii_digit()) && !typed.starts_with('0') {
        return Ok(typed.to_owned());
    }
    numbering.normalise(typed).map_err(|why| format!("{typed:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::Component;

    fn payers(text: &str) -> Result<PayerTable, String> {
        let config: BillingConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.payers(&Numbering::default())
    }

    #[test]
    fn rows_stand_for_a_way_or_an_access_number() {
        let table = payers(
            "[[payers]]\nway_of_entry = \"national\"\naccess_number = \"01 309 93 97\"\ncall = { payer = \"caller\", status = \"informational\" }\nconference = { payer = \"caller\" }\n\
             [[payers]]\nway_of_entry = \"onnet_short\"\naccess_number = \"19819\"\ncall = { payer = \"convener\" }\nconference = { payer = \"convener\", status = \"informational\" }\n",
        )
        .unwrap();
        let pays = |way, number, component| table.liability(way, Some(number), component);
        assert_eq!(pays(WayOfEntry::National, "+38613099397", Component::Conference), Liability::CALLER);
        assert_eq!(pays(WayOfEntry::National, "+38613099396", Component::Conference), Liability::CONVENER);
        assert_eq!(pays(WayOfEntry::OnnetShort, "19819", Component::Call), Liability::CONVENER);
        assert!(pays(WayOfEntry::OnnetShort, "19819", Component::Conference).informational);
        assert_eq!(payers("").unwrap(), PayerTable::default());
    }

    #[test]
    fn rows_without_sense_are_refused() {
        let both = |payer| format!("call = {{ payer = \"{payer}\" }}\nconference = {{ payer = \"{payer}\" }}\n");
        for (rows, why) in [
            (format!("[[payers]]\nway_of_entry = \"web_out\"\n{}", both("caller")), "payers[0]: nobody called in"),
            (format!("[[payers]]\nway_of_entry = \"web_out\"\naccess_number = \"19819\"\n{}", both("convener")), "payers[0].access_number"),
            (format!("[[payers]]\nway_of_entry = \"national\"\naccess_number = \"ena\"\n{}", both("caller")), "payers[0].access_number: \"ena\""),
            (
                format!("[[payers]]\nway_of_entry = \"national\"\n{0}[[payers]]\nway_of_entry = \"national\"\n{0}", both("caller")),
                "payers[1]: there is",
            ),
            ("[[payers]]\nway_of_entry = \"fax\"\n".to_owned(), "fax"),
            (format!("[[payers]]\nway_of_entry = \"national\"\n{}", both("nobody")), "nobody"),
        ] {
            let refused = payers(&rows).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
