//! Limits against fraud (R13): the operator's, narrowed or widened for one account, and applied before a call is placed.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use super::{ControlError, Runtime};
use crate::billing::Money;
use crate::clock;
use crate::conference::{AtCap, Refusal, Settings};
use crate::config::ConferenceConfig;
use crate::ids::AccountId;
use crate::lines::Standing;
use crate::storage::accounts::Account;
use crate::storage::participants::Participant;
use crate::storage::{Connection, StorageError, charges};

/// The account's wish to call numbers of the operator's country only.
const NATIONAL: &str = "national";

/// What one account may do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// People in a conference, the convener included; the account's own limit cannot exceed the operator's.
    pub max_participants: u32,
    /// Conferences at once; the account's own limit cannot exceed the operator's.
    pub max_conferences: u32,
    /// Planned conferences that have not been started.
    pub max_planned: u32,
    /// Length of a conference, in seconds; the account's own limit cannot exceed the operator's.
    pub max_length_seconds: u32,
    /// Beginnings of numbers that may be called: the account's own list instead of the operator's. `None`: every number.
    pub allowed_prefixes: Option<Vec<String>>,
    /// What may be spent in a day, with VAT: the account's own cap instead of the operator's.
    pub daily_spend_cap: Option<Money>,
    /// The part of it at which the convener is warned.
    pub spend_warning: Option<Money>,
    /// What happens at the cap.
    pub at_cap: AtCap,
}

impl Limits {
    /// The operator's limits with what is set for this account.
    #[must_use]
    pub fn of(rules: &ConferenceConfig, account: &Account) -> Self {
        let own = |own: Option<i32>, most: u32| own.and_then(|own| u32::try_from(own).ok()).map_or(most, |own| own.min(most));
        let listed = account.allowed_prefixes.as_ref().map(|list| serde_json::from_value::<Vec<String>>(list.clone()).unwrap_or_default());
        let operators = || Some(rules.allowed_prefixes.clone()).filter(|list| !list.is_empty());
        let daily_spend_cap = account.daily_spend_cap.map(Money).or(rules.daily_spend_cap);
        let percent = i128::from(rules.spend_warning_percent);
        Self {
            max_participants: own(account.max_participants, rules.max_participants),
            max_conferences: own(account.max_conferences, rules.max_conferences_per_account),
            max_planned: rules.max_planned_per_account,
            max_length_seconds: own(account.max_length_seconds, rules.max_length_seconds),
            allowed_prefixes: listed.or_else(operators),
            daily_spend_cap,
            spend_warning: daily_spend_cap.and_then(|cap| Money::rounded(i128::from(cap.0) * percent, 100, Money::SMALLEST)),
            at_cap: account.at_cap.as_deref().and_then(AtCap::from_word).unwrap_or(rules.at_cap),
        }
    }

    /// Whether a number in normal form may be called.
    #[must_use]
    pub fn allows(&self, number: &str) -> bool {
        self.allowed_prefixes.as_ref().is_none_or(|list| list.iter().any(|prefix| number.starts_with(prefix.as_str())))
    }

    /// The settings of a conference within these limits.
    pub(super) fn settings(&self, rules: Settings) -> Settings {
        Settings {
            max_participants: self.max_participants,
            max_length_seconds: self.max_length_seconds,
            spend_cap: self.daily_spend_cap,
            spend_warning: self.spend_warning,
            at_cap: self.at_cap,
            allowed_prefixes: self.allowed_prefixes.clone(),
            ..rules
        }
    }
}

/// The midnight with which the day of `now` began, where the operator's days begin.
pub(super) fn day_of(now: Timestamp, rules: &ConferenceConfig) -> Timestamp {
    let zone = TimeZone::get(&rules.spend_time_zone).unwrap_or(TimeZone::UTC);
    now.to_zoned(zone).start_of_day().map_or(now, |midnight| midnight.timestamp())
}

impl Runtime {
    /// The price lists in force.
    #[must_use]
    pub fn prices(&self) -> &crate::accounting::Prices {
        &self.inner.shared.prices
    }

    /// The inventory of lines, if one is configured.
    #[must_use]
    pub fn lines(&self) -> Option<&crate::lines::Lines> {
        self.inner.rules.lines.as_deref()
    }

    /// What the account has spent today, with VAT: what is charged to it, and what its conferences on this service cost by now.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn spent_today(&self, connection: &mut Connection, account: AccountId) -> Result<Money, StorageError> {
        let since = day_of(clock::now(), &self.inner.rules.conference);
        let charged = charges::spent(connection, account, since, self.prices().currency()).await?;
        Ok(charged.plus(self.inner.shared.spending.running(account)).unwrap_or(Money(i64::MAX)))
    }

    /// Beginnings of the international numbers that the account's owner lets his conferences call; `None`: every number.
    /// Of the directory are those who call in anyway, and whose number was typed was looked up there.
    pub(super) fn wished_prefixes(&self, owner: &Account) -> Option<Vec<String>> {
        (owner.callable == NATIONAL).then(|| self.inner.rules.numbering.country_prefix().into_iter().collect())
    }

    /// Refuses a start beyond the account's limits, before anybody is called; how many conferences are open is counted when it is claimed,
    /// and the account's line is [asked for](Self::owns_line) apart.
    pub(super) async fn may_start(&self, connection: &mut Connection, owner: &Account, people: &[Participant]) -> Result<(), ControlError> {
        if owner.disabled_at.is_some() {
            info!(account.id = %owner.id, "a start is refused: the account is locked");
            return Err(ControlError::AccountDisabled);
        }
        let limits = Limits::of(&self.inner.rules.conference, owner);
        let wished = |person: &Participant| person.convener || owner.callable != NATIONAL || self.inner.rules.numbering.is_national(&person.phone);
        let callable = |person: &Participant| limits.allows(&person.phone) && wished(person);
        if let Some(person) = people.iter().find(|person| !person.removed && !callable(person)) {
            return Err(ControlError::NumberNotAllowed { name: person.name.clone() });
        }
        // It may have been lowered after the plan was made.
        let limit = limits.max_participants;
        if people.iter().filter(|person| !person.removed).count() > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(ControlError::Refused(Refusal::Full { limit }));
        }
        if let Some(cap) = limits.daily_spend_cap
            && self.spent_today(connection, owner.id).await? >= cap
        {
            info!(account.id = %owner.id, "a start is refused: what the account may spend in a day is spent");
            return Err(ControlError::SpendReached);
        }
        Ok(())
    }

    /// Refuses an account whose line is gone. While the inventory cannot be asked, what was last known of the line holds;
    /// where nothing is known nobody is refused: it must not silence paying subscribers.
    pub(super) async fn owns_line(&self, owner: &Account) -> Result<(), ControlError> {
        let Some(lines) = &self.inner.rules.lines else { return Ok(()) };
        let line = owner.line.as_deref().unwrap_or(&owner.phone);
        let standing = match lines.standing(line).await {
            Ok(standing) => Some(standing),
            Err(fault) => {
                metrics::counter!("sklic_line_checks_failed_total").increment(1);
                let known = lines.last_known(line);
                warn!(account.id = %owner.id, %fault, ?known, "the inventory of lines could not be asked; what was last known of the line holds");
                known
            }
        };
        if standing == Some(Standing::Gone) {
            metrics::counter!("sklic_starts_without_line_total").increment(1);
            return Err(ControlError::LineGone);
        }
        Ok(())
    }
}
