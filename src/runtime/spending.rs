//! What running conferences cost by now, by the same rating as their charges.
//!
//! A leg is counted once: here while it lives, in the database from its end on. Between the two, while its charges are being written,
//! it is counted nowhere: counted in both for a moment it could refuse a start, or end what runs, before the cap is reached.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::Shared;
use super::limits::day_of;
use super::rows::{self, Paperwork};
use crate::billing::{Charge, ChargeStatus, Money, Payer, current};
use crate::conference::{Conference, RunningCost};
use crate::ids::{AccountId, ConferenceId};

/// What the living legs cost, with VAT, by account and conference.
#[derive(Default)]
pub(super) struct Spending {
    accounts: Mutex<HashMap<AccountId, OfAccount>>,
}

/// The conferences of one account that run here.
#[derive(Default)]
struct OfAccount {
    conferences: HashMap<ConferenceId, Running>,
    /// How many writes of charges have begun or landed.
    moves: u64,
}

/// One of them.
#[derive(Default)]
struct Running {
    /// What its living legs cost by now.
    gross: Money,
    /// Writes of charges that have not landed.
    writes: u32,
}

impl Spending {
    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, OfAccount>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the living legs of a conference cost by now.
    fn note(&self, account: AccountId, conference: ConferenceId, gross: Money) {
        self.accounts().entry(account).or_default().conferences.entry(conference).or_default().gross = gross;
    }

    /// Charges of the conference are on their way to the database.
    pub(super) fn write_begins(&self, account: AccountId, conference: ConferenceId) {
        let mut accounts = self.accounts();
        let of_account = accounts.entry(account).or_default();
        of_account.moves += 1;
        of_account.conferences.entry(conference).or_default().writes += 1;
    }

    /// They are there.
    pub(super) fn write_lands(&self, account: AccountId, conference: ConferenceId) {
        let mut accounts = self.accounts();
        let Some(of_account) = accounts.get_mut(&account) else { return };
        of_account.moves += 1;
        if let Some(running) = of_account.conferences.get_mut(&conference) {
            running.writes = running.writes.saturating_sub(1);
        }
    }

    /// Another one as soon as charges of the account have moved, and `None` while some are on their way: what the database says it has
    /// charged goes with what is noted here only if this was the same before and after.
    pub(super) fn mark(&self, account: AccountId) -> Option<u64> {
        let accounts = self.accounts();
        let Some(of_account) = accounts.get(&account) else { return Some(0) };
        of_account.conferences.values().all(|running| running.writes == 0).then_some(of_account.moves)
    }

    /// The conference runs here no more.
    pub(super) fn forget(&self, account: AccountId, conference: ConferenceId) {
        let mut accounts = self.accounts();
        if let Some(of_account) = accounts.get_mut(&account) {
            of_account.conferences.remove(&conference);
            if of_account.conferences.is_empty() {
                accounts.remove(&account);
            }
        }
    }

    /// What all living legs of the account cost by now.
    pub(super) fn running(&self, account: AccountId) -> Money {
        let accounts = self.accounts();
        let gross = accounts.get(&account).and_then(|own| Money::sum(own.conferences.values().map(|running| running.gross)));
        gross.unwrap_or_default()
    }
}

impl Paperwork {
    /// What the legs that live would be charged if they ended now.
    fn living(&self, conference: &Conference, shared: &Shared, now: Timestamp) -> Vec<Charge> {
        let tariff = self.plan.tariff.as_deref().or(self.account.tariff.as_deref());
        let living = conference.legs().filter(|leg| leg.is_live() && leg.answered_at.is_some());
        living.flat_map(|leg| shared.prices.rate(&rows::cdr_until(conference, leg, now), shared.prices.name(tariff))).collect()
    }

    /// Notes for the account's other conferences and starts what they cost today.
    fn note_today(&self, conference: &Conference, shared: &Shared, living: &[Charge], now: Timestamp) {
        let today = of_day(living, day_of(now, &shared.rules)).filter(owed).map(|charge| charge.gross);
        shared.spending.note(self.account.id, conference.id(), Money::sum(today).unwrap_or(Money(i64::MAX)));
    }

    /// Notes it again, as when some of its legs live no more.
    pub(super) fn note_living(&self, conference: &Conference, shared: &Shared, now: Timestamp) {
        self.note_today(conference, shared, &self.living(conference, shared, now), now);
    }

    /// What the conference costs its convener by now. What its living legs cost is noted for the account's other conferences.
    pub(super) fn cost(&self, conference: &Conference, shared: &Shared, now: Timestamp) -> RunningCost {
        let live = self.living(conference, shared, now);
        self.note_today(conference, shared, &live, now);
        // What was charged before the service's currency was changed is no amount in the new one.
        let currency = shared.prices.currency();
        let all = || current(&self.charges).filter(move |charge| charge.currency == currency).chain(&live);
        let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap_or(Money(i64::MAX));
        let lacks_price = |charge: &&Charge| matches!(charge.status, ChargeStatus::Unrated | ChargeStatus::Error);
        RunningCost {
            net: sum(&mut all().filter(owed).map(|charge| charge.net)),
            gross: sum(&mut all().filter(owed).map(|charge| charge.gross)),
            spent_today: None,
            daily_cap: conference.spec().settings.spend_cap,
            currency,
            without_price: u32::try_from(all().filter(lacks_price).count()).unwrap_or(u32::MAX),
        }
    }
}

/// Whether the convener owes it.
fn owed(charge: &&Charge) -> bool {
    charge.status == ChargeStatus::Rated && charge.payer == Payer::Convener
}

/// Of the parts of living legs those that count for the day that began at `midnight`: what began in it, and the part that still lasts,
/// also when it began before and is not cut.
fn of_day(living: &[Charge], midnight: Timestamp) -> impl Iterator<Item = &Charge> {
    living.iter().enumerate().filter_map(move |(at, charge)| {
        let lasts = living.get(at + 1).is_none_or(|next| (next.leg, next.component) != (charge.leg, charge.component));
        (lasts || charge.started_at >= midnight).then_some(charge)
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::billing::{ChargeId, Component, Currency, Percent};
    use crate::ids::LegId;

    const MIDNIGHT: Timestamp = Timestamp::constant(1_767_222_000, 0);

    fn part(leg: u32, component: Component, part: u32, minutes: i64) -> Charge {
        let conference = ConferenceId(uuid::Uuid::nil());
        let leg = LegId::derive(conference, leg);
        Charge {
            id: ChargeId::of_row(leg, component, part, 0),
            leg,
            conference,
            account: AccountId(uuid::Uuid::nil()),
            component,
            part,
            payer: Payer::Convener,
            status: ChargeStatus::Rated,
            reason: None,
            rate: None,
            started_at: MIDNIGHT + SignedDuration::from_mins(minutes),
            seconds: 60,
            billed_seconds: 60,
            net: Money(1),
            vat_percent: Percent::default(),
            vat: Money::ZERO,
            gross: Money(1),
            currency: Currency::EUR,
            revision: 0,
            reverses: None,
        }
    }

    #[test]
    fn yesterdays_part_of_a_living_leg_is_yesterdays() {
        let living = [
            // Cut at midnight; not cut; cut twice, of which the last began yesterday.
            part(0, Component::Call, 0, -10),
            part(0, Component::Call, 1, 0),
            part(0, Component::Conference, 0, -9),
            part(1, Component::Call, 0, -30),
            part(1, Component::Call, 1, -20),
            part(2, Component::Call, 0, 5),
        ];
        let counted: Vec<i64> = of_day(&living, MIDNIGHT).map(|charge| charge.started_at.duration_since(MIDNIGHT).as_mins()).collect();
        assert_eq!(counted, [0, -9, -20, 5]);
    }

    #[test]
    fn what_the_database_says_fits_only_while_no_charge_moves() {
        let (spending, account) = (Spending::default(), AccountId(uuid::Uuid::nil()));
        let [one, other] = [1, 2].map(|number| ConferenceId(uuid::Uuid::from_u128(number)));
        spending.note(account, one, Money(500));
        spending.note(account, other, Money(70));
        let before = spending.mark(account);
        assert_eq!((before, spending.running(account)), (Some(0), Money(570)));
        // A leg ends: its charges are on their way and count nowhere.
        spending.write_begins(account, one);
        spending.note(account, one, Money(200));
        assert_eq!((spending.mark(account), spending.running(account)), (None, Money(270)));
        spending.write_lands(account, one);
        assert_ne!(spending.mark(account), before, "what was asked before may hold them or not");
        assert!(spending.mark(account).is_some());
        // One whose task breaks off leaves no write behind.
        spending.write_begins(account, other);
        spending.forget(account, other);
        assert_eq!((spending.mark(account).is_some(), spending.running(account)), (true, Money(200)));
        spending.forget(account, one);
        assert_eq!(spending.running(account), Money::ZERO);
    }
}
