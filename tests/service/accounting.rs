//! Rating from the ledger: what was missed, and what costs something else now.

use std::sync::Arc;

use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sklic::accounting::{Outcome, Prices, Rerating};
use sklic::billing::{Charge, ChargeStatus, Currency, ImportOptions, Money, PayerTable, current, parse_tariff};
use sklic::ids::{AccountId, ConferenceId, LegId, WebhookId};
use sklic::numbers::Numbering;
use sklic::storage::accounts::Terms;
use sklic::storage::rated_legs::{LegFilter, TariffFilter};
use sklic::storage::{accounts, charges, operator, tariffs, webhooks};

use crate::database::{Database, account, conference, noon};

const HEADER: &str = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n";

/// Loads a price list of one price a minute for both components, as the next version of this tariff.
pub async fn import(database: &Database, name: &str, price: &str) {
    import_rows(database, name, &format!("call,+,World,0,{price},60,60,0,0.0001,22,,\nconference,+,World,0,{price},1,1,0,0.0001,22,,\n")).await;
}

/// Loads a price list of these rows, as the next version of this tariff.
pub async fn import_rows(database: &Database, name: &str, rows: &str) {
    let rows = format!("{HEADER}{rows}");
    let connection = &mut database.connection().await;
    let version = tariffs::next_version(connection, name).await.unwrap();
    let options = ImportOptions { version, valid_from: noon() - SignedDuration::from_hours(24), time_zone: TimeZone::UTC };
    let list = parse_tariff(rows.as_bytes(), &options).unwrap();
    tariffs::add(connection, name, Currency::EUR, &list, &[u8::try_from(version).unwrap(); 32], noon()).await.unwrap();
}

/// A conference of the account that is over, with so many legs of two minutes each, a minute apart; the third was not answered.
pub async fn ended_conference(database: &Database, account: AccountId, legs: u32) -> ConferenceId {
    let (id, people) = conference(database, account).await;
    let mut insert = String::new();
    for number in 0..legs {
        let leg = LegId::derive(id, number);
        let start = noon() + SignedDuration::from_mins(i64::from(number));
        let end = start + SignedDuration::from_secs(120);
        let answered = if number == 2 { "NULL, NULL, NULL".to_owned() } else { format!("'{start}', '{start}', '{end}'") };
        insert.push_str(&format!(
            "INSERT INTO legs (id, conference, participant, number, way_of_entry, phase, outcome, evidence, queued_at, answered_at, joined_at, left_at, ended_at) \
             VALUES ('{leg}', '{id}', '{}', '+38640123456', 'web_out', 'ended', 'answered', 'event', '{start}', {answered}, '{end}');",
            people[0].id
        ));
    }
    insert.push_str(&format!("UPDATE conferences SET state = 'ended', ended_at = '{}' WHERE id = '{id}'", noon()));
    database.connection().await.batch_execute(&insert).await.unwrap();
    id
}

pub async fn prices(database: &Database) -> Prices {
    let prices = Prices::new("base".to_owned(), PayerTable::default(), Currency::EUR, Numbering::default());
    prices.refresh(&database.pool, &mut None).await.unwrap();
    prices
}

/// Rates the legs that have no charges, or none with a price.
pub async fn rate_missing(database: &Database) -> Outcome {
    run(database, LegFilter { without_price: true, ..LegFilter::default() }, None, false).await
}

/// Rates all again, by what is imported now.
pub async fn rerate(database: &Database) -> Outcome {
    run(database, LegFilter::default(), None, false).await
}

async fn run(database: &Database, filter: LegFilter, tariff: Option<&str>, dry_run: bool) -> Outcome {
    let prices = prices(database).await;
    let rerating = Rerating { filter, tariff: tariff.map(str::to_owned), dry_run, prices: Arc::new(prices) };
    rerating.run(&database.pool, None, |_| {}).await.unwrap()
}

async fn charges_of(database: &Database, conference: ConferenceId) -> Vec<Charge> {
    charges::list_of_conference(&mut *database.connection().await, conference).await.unwrap()
}

fn net(charges: &[Charge]) -> Money {
    Money::sum(charges.iter().filter(|charge| charge.status == ChargeStatus::Rated).map(|charge| charge.net)).unwrap()
}

#[tokio::test]
async fn legs_without_charges_are_rated_once() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let id = ended_conference(&database, ana, 4).await;
    import(&database, "base", "0.10").await;
    let done = rate_missing(&database).await;
    assert_eq!((done.legs, done.changed, done.reversed, done.written), (3, 3, 0, 6), "the third was not answered");
    let written = charges_of(&database, id).await;
    assert_eq!(written.len(), 6);
    assert_eq!(net(&written), Money(6 * 2_000));
    assert!(written.iter().all(|charge| charge.account == ana && charge.revision == 0));
    let again = rate_missing(&database).await;
    assert_eq!((again.legs, again.written), (0, 0));
}

#[tokio::test]
async fn what_was_unrated_is_rated_again_when_its_price_is_there() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let id = ended_conference(&database, ana, 2).await;
    let done = rate_missing(&database).await;
    assert_eq!((done.written, done.without_price, done.difference("EUR")), (4, 4, Some(Money::ZERO)));
    assert!(charges_of(&database, id).await.iter().all(|charge| charge.status == ChargeStatus::Unrated));
    assert_eq!(operator::count_unrated(&mut *database.connection().await).await.unwrap(), 4);
    let again = rate_missing(&database).await;
    assert_eq!((again.legs, again.changed, again.without_price), (2, 0, 4), "there is still no price");
    import(&database, "base", "0.10").await;
    let done = rate_missing(&database).await;
    assert_eq!((done.legs, done.changed, done.reversed, done.written, done.without_price), (2, 2, 4, 4, 0));
    assert_eq!(operator::count_unrated(&mut *database.connection().await).await.unwrap(), 0, "nothing waits for a price any more");
    assert_eq!(rate_missing(&database).await.legs, 0);
    let rows = charges_of(&database, id).await;
    assert_eq!(net(&rows), Money(4 * 2_000));
    assert_eq!(current(&rows).count(), 4);
    assert!(current(&rows).all(|charge| charge.status == ChargeStatus::Rated && charge.revision == 1));
}

#[tokio::test]
async fn rating_what_has_no_price_leaves_the_prices_of_everything_else() {
    let Some(database) = Database::fresh().await else { return };
    let (ana, bor) = (account(&database, "100200").await, account(&database, "100201").await);
    // Of Ana's only the call has a price, Bor's have both, and one more conference of Ana's has no charges yet.
    let id = ended_conference(&database, ana, 2).await;
    import_rows(&database, "base", "call,+,World,0,0.10,60,60,0,0.0001,22,,\n").await;
    rate_missing(&database).await;
    import(&database, "gold", "0.10").await;
    let of_bor = ended_conference(&database, bor, 2).await;
    accounts::set_terms(&mut *database.connection().await, bor, Terms { tariff: Some(Some("gold".to_owned())), ..Terms::default() }).await.unwrap();
    assert_eq!(rate_missing(&database).await.without_price, 2, "Ana's still have none");
    let fresh = ended_conference(&database, ana, 1).await;
    for name in ["base", "gold"] {
        import(&database, name, "0.30").await;
    }
    let done = rate_missing(&database).await;
    assert_eq!((done.legs, done.changed, done.reversed, done.written, done.without_price), (3, 3, 2, 4, 0));
    // Two calls at the old price, two conference times at the new one.
    assert_eq!(net(&charges_of(&database, id).await), Money(2 * 2_000 + 2 * 6_000));
    assert_eq!(net(&charges_of(&database, of_bor).await), Money(4 * 2_000));
    assert_eq!(net(&charges_of(&database, fresh).await), Money(2 * 6_000));
}

#[tokio::test]
async fn rating_again_writes_only_what_differs_and_finds_nothing_the_second_time() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let id = ended_conference(&database, ana, 4).await;
    import(&database, "base", "0.10").await;
    rate_missing(&database).await;
    let unchanged = run(&database, LegFilter::default(), None, false).await;
    assert_eq!((unchanged.legs, unchanged.changed), (3, 0));
    import(&database, "base", "0.25").await;
    let tried = run(&database, LegFilter::default(), None, true).await;
    assert_eq!((tried.reversed, tried.written), (6, 6));
    assert_eq!(charges_of(&database, id).await.len(), 6, "a dry run writes nothing");
    // Only the first minute: one leg of two components.
    let filter = || LegFilter { from: Some(noon()), to: Some(noon() + SignedDuration::from_secs(60)), ..LegFilter::default() };
    let part = run(&database, filter(), None, false).await;
    assert_eq!((part.legs, part.reversed, part.written), (1, 2, 2));
    let rest = run(&database, LegFilter::default(), None, false).await;
    assert_eq!((rest.legs, rest.changed, rest.reversed, rest.written), (3, 2, 4, 4));
    let rows = charges_of(&database, id).await;
    assert_eq!((rows.len(), net(&rows)), (18, Money(6 * 5_000)));
    assert_eq!(run(&database, LegFilter::default(), None, false).await.changed, 0);
    // Two at the same time write what one would.
    import(&database, "base", "0.05").await;
    let (one, other) = tokio::join!(run(&database, LegFilter::default(), None, false), run(&database, LegFilter::default(), None, false));
    assert_eq!(one.written + other.written, 6);
    assert_eq!(net(&charges_of(&database, id).await), Money(6 * 1_000));
}

#[tokio::test]
async fn an_account_is_charged_by_its_own_tariff_and_the_past_stays() {
    let Some(database) = Database::fresh().await else { return };
    let (ana, bor) = (account(&database, "100200").await, account(&database, "100201").await);
    let (of_ana, of_bor) = (ended_conference(&database, ana, 1).await, ended_conference(&database, bor, 1).await);
    import(&database, "base", "0.10").await;
    import(&database, "gold", "0.01").await;
    let terms = Terms { tariff: Some(Some("gold".to_owned())), ..Terms::default() };
    assert!(accounts::set_terms(&mut *database.connection().await, bor, terms).await.unwrap());
    rate_missing(&database).await;
    assert_eq!((net(&charges_of(&database, of_ana).await), net(&charges_of(&database, of_bor).await)), (Money(4_000), Money(400)));
    // A conference that was started by one tariff keeps it, whatever the account has now.
    let fix = format!("UPDATE conferences SET tariff = 'gold' WHERE id = '{of_bor}'");
    database.connection().await.batch_execute(&fix).await.unwrap();
    accounts::set_terms(&mut *database.connection().await, bor, Terms { tariff: Some(None), ..Terms::default() }).await.unwrap();
    let of_gold = LegFilter { tariff: Some(TariffFilter { name: "gold".to_owned(), is_default: false }), ..LegFilter::default() };
    assert_eq!(run(&database, of_gold.clone(), None, false).await.legs, 1);
    assert_eq!(run(&database, LegFilter::default(), None, false).await.changed, 0);
    let of_base = LegFilter { tariff: Some(TariffFilter { name: "base".to_owned(), is_default: true }), ..LegFilter::default() };
    assert_eq!(run(&database, of_base, None, false).await.legs, 1, "Ana's, which names none");
    // Moved to another one by the operator, for good.
    assert_eq!(run(&database, of_gold.clone(), Some("base"), false).await.changed, 1);
    assert_eq!(net(&charges_of(&database, of_bor).await), Money(4_000));
    assert_eq!(run(&database, LegFilter::default(), None, false).await.changed, 0);
    assert_eq!(run(&database, of_gold, None, false).await.legs, 0);
}

#[tokio::test]
async fn a_run_goes_on_from_where_another_was_broken_off() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    ended_conference(&database, ana, 4).await;
    import(&database, "base", "0.10").await;
    let prices = prices(&database).await;
    let rerating = Rerating { filter: LegFilter::default(), tariff: None, dry_run: true, prices: Arc::new(prices) };
    let all = rerating.run(&database.pool, None, |_| {}).await.unwrap();
    assert_eq!(all.last.map(|(at, _)| at), Some(noon() + SignedDuration::from_mins(3)));
    let second: Option<(Timestamp, LegId)> = Some((noon(), LegId(uuid::Uuid::max())));
    assert_eq!(rerating.run(&database.pool, second, |_| {}).await.unwrap().legs, 2);
    assert_eq!(rerating.run(&database.pool, all.last, |_| {}).await.unwrap().legs, 0);
}

#[tokio::test]
async fn a_new_price_list_reverses_only_what_costs_something_else() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let id = ended_conference(&database, ana, 4).await;
    import(&database, "base", "0.10").await;
    rate_missing(&database).await;
    import(&database, "base", "0.10").await;
    assert_eq!(rerate(&database).await.changed, 0, "the same prices in another version");
    // A conference that runs is left to its owner.
    let running = format!("UPDATE conferences SET state = 'running', ended_at = NULL WHERE id = '{id}'");
    database.connection().await.batch_execute(&running).await.unwrap();
    import(&database, "base", "0.20").await;
    assert_eq!(rerate(&database).await.legs, 0);
}

#[tokio::test]
async fn charges_that_are_rated_afterwards_are_told_to_the_webhooks_that_want_them() {
    let Some(database) = Database::fresh().await else { return };
    let (ana, bor) = (account(&database, "100200").await, account(&database, "100201").await);
    let id = ended_conference(&database, ana, 2).await;
    ended_conference(&database, bor, 2).await;
    let connection = &mut database.connection().await;
    for (kinds, disabled_at) in
        [(vec![], None), (vec![Some("charge.written".to_owned())], Some(noon())), (vec![Some("report.ready".to_owned())], None)]
    {
        let webhook = webhooks::Webhook {
            id: WebhookId::fresh(),
            account: Some(ana),
            name: "CRM".into(),
            url: "https://example.test/".into(),
            secret: "0123456789abcdef".into(),
            kinds,
            created_at: noon(),
            disabled_at: None,
        };
        let made = webhook.id;
        webhooks::add(connection, webhook, 5).await.unwrap().unwrap();
        if disabled_at.is_some() {
            connection.batch_execute(&format!("UPDATE webhooks SET disabled_at = now() WHERE id = '{made}'")).await.unwrap();
        }
    }
    import(&database, "base", "0.10").await;
    rate_missing(&database).await;
    import(&database, "base", "0.20").await;
    rerate(&database).await;
    rerate(&database).await;
    // The first of the webhooks alone hears of it: four rows, then their reversals and the four new ones, each once and in order.
    let told: Vec<Told> = diesel::sql_query(TOLD).load(connection).await.unwrap();
    let rows = charges_of(&database, id).await;
    assert_eq!((told.len(), rows.len()), (12, 12));
    assert!(told.iter().zip(1..).all(|(told, number)| told.sequence == number), "{told:?}");
    let ids: std::collections::BTreeSet<String> = rows.iter().map(|row| row.id.to_string()).collect();
    assert_eq!(told.iter().map(|told| told.charge.clone()).collect::<std::collections::BTreeSet<_>>(), ids);
    let net = told.iter().map(|told| told.net.parse::<Money>().unwrap().0).sum::<i64>();
    assert_eq!(net, 4 * 4_000, "what was told sums up to what stands");
}

#[tokio::test]
async fn a_price_list_in_another_currency_prices_nothing() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let id = ended_conference(&database, ana, 1).await;
    import(&database, "base", "0.10").await;
    let francs = Prices::new("base".to_owned(), PayerTable::default(), "CHF".parse().unwrap(), Numbering::default());
    francs.refresh(&database.pool, &mut None).await.unwrap();
    let filter = LegFilter { without_price: true, ..LegFilter::default() };
    let rerating = Rerating { filter, tariff: None, dry_run: false, prices: Arc::new(francs) };
    let done = rerating.run(&database.pool, None, |_| {}).await.unwrap();
    assert_eq!((done.written, done.without_price), (2, 2));
    assert!(charges_of(&database, id).await.iter().all(|charge| charge.status == ChargeStatus::Unrated && charge.net == Money::ZERO));
}

/// What waits for the webhooks of whomever.
const TOLD: &str = "SELECT (payload -> 'event' ->> 'sequence')::bigint AS sequence, payload -> 'event' -> 'data' ->> 'charge_id' AS charge, \
    payload -> 'event' -> 'data' ->> 'net' AS net FROM outbox WHERE kind = 'webhook' AND payload -> 'event' ->> 'type' = 'charge.written' ORDER BY 1";

#[derive(Debug, diesel::QueryableByName)]
struct Told {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    sequence: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    charge: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    net: String,
}
