//! What running conferences cost by now, by the same rating as their charges.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Shared;
use super::rows::{self, Paperwork};
use crate::billing::{Charge, ChargeStatus, Money, Payer, current};
use crate::conference::{Conference, RunningCost};
use crate::ids::{AccountId, ConferenceId};

/// What the living legs cost, with VAT, by account and conference.
#[derive(Default)]
pub(super) struct Spending {
    running: Mutex<HashMap<AccountId, HashMap<ConferenceId, Money>>>,
}

impl Spending {
    /// Notes what the living legs of a conference cost by now.
    fn note(&self, account: AccountId, conference: ConferenceId, gross: Money) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).entry(account).or_default().insert(conference, gross);
    }

    /// The conference runs here no more.
    pub(super) fn forget(&self, account: AccountId, conference: ConferenceId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_account) = running.get_mut(&account) {
            of_account.remove(&conference);
            if of_account.is_empty() {
                running.remove(&account);
            }
        }
    }

    /// What all living legs of the account cost by now.
    pub(super) fn running(&self, account: AccountId) -> Money {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&account).and_then(|of_account| Money::sum(of_account.values().copied())).unwrap_or_default()
    }
}

impl Paperwork {
    /// What the conference costs its convener by now. What its living legs cost is noted for the account's other conferences.
    pub(super) fn cost(&self, conference: &Conference, shared: &Shared, now: Timestamp) -> RunningCost {
        let tariff = self.plan.tariff.as_deref().or(self.account.tariff.as_deref());
        let living = conference.legs().filter(|leg| leg.is_live() && leg.answered_at.is_some());
        let live: Vec<Charge> =
            living.flat_map(|leg| shared.prices.rate(&rows::cdr_until(conference, leg, now), shared.prices.name(tariff))).collect();
        let owed = |charge: &&Charge| charge.status == ChargeStatus::Rated && charge.payer == Payer::Convener;
        let all = || current(&self.charges).chain(&live);
        let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap_or(Money(i64::MAX));
        shared.spending.note(self.account.id, conference.id(), sum(&mut live.iter().filter(owed).map(|charge| charge.gross)));
        let lacks_price = |charge: &&Charge| matches!(charge.status, ChargeStatus::Unrated | ChargeStatus::Error);
        RunningCost {
            net: sum(&mut all().filter(owed).map(|charge| charge.net)),
            gross: sum(&mut all().filter(owed).map(|charge| charge.gross)),
            spent_today: None,
            daily_cap: conference.spec().settings.spend_cap,
            currency: shared.prices.currency(),
            without_price: u32::try_from(all().filter(lacks_price).count()).unwrap_or(u32::MAX),
        }
    }
}
