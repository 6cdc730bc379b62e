//! Rating: legs a second on one core, and a month's legs from PostgreSQL and back.

use super::build_words;
use crate::demo::table;
use crate::lab::Lab;
use anyhow::{Context, Result, anyhow, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sklic::accounting::{Outcome, Prices, Rerating};
use sklic::billing::{Cdr, Currency, ImportOptions, PayerTable, Span, Tariff, TariffVersion, WayOfEntry, parse_tariff, rate_into};
use sklic::ids::{AccountId, ConferenceId, LegId};
use sklic::numbers::Numbering;
use sklic::pbx::Evidence;
use sklic::storage::rated_legs::LegFilter;
use sklic::storage::{Pool, PoolOptions, migrate, tariffs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Legs rated in memory.
const IN_MEMORY: usize = 2_000_000;
/// Legs a second a core that are wanted (DESIGN 6).
const WANTED_A_SECOND: f64 = 1_000_000.0;
/// Legs for one of which the wanted time holds: a month of ten million within two minutes.
const WANTED_FOR: f64 = 10_000_000.0;
const WANTED: Duration = Duration::from_secs(120);
/// Prefixes that become dearer: all, and those of one leg in a hundred.
const EVERY: &str = "";
const RARE: &str = "+3859";
const DATABASE: &str = "sklic_bench";

/// Measures and prints, beside the numbers that the design wants reached. `legs` lie in the database.
pub async fn bench(root: &Path, legs: u64) -> Result<()> {
    let list = std::fs::read(root.join("sql/tariffs/sample.csv")).context("sql/tariffs/sample.csv")?;
    in_memory(&list)?;
    let mut lab = Lab::open(root, &["postgres"]).await?;
    let url = lab.make_database(DATABASE).await?;
    let measured = from_database(&lab, &url, &list, legs).await;
    lab.drop_database(DATABASE).await?;
    lab.close().await;
    measured
}

/// A version of the sample's price list in which the call prices of these prefixes are higher by a cent for each version before it.
fn version(list: &[u8], number: u32, dearer: &str) -> Result<TariffVersion> {
    let options = ImportOptions { version: number, valid_from: "2026-01-01T00:00:00Z".parse()?, time_zone: TimeZone::UTC };
    let read = parse_tariff(list, &options).map_err(|errors| anyhow!("the sample tariff: {errors}"))?;
    let mut rates = read.rates().to_vec();
    for rate in rates.iter_mut().filter(|rate| rate.prefix.as_str().starts_with(dearer)) {
        rate.price_per_minute.0 += 100 * i64::from(number - 1);
    }
    TariffVersion::new(number, options.valid_from, rates).map_err(|problems| anyhow!("the dearer tariff: {problems:?}"))
}

/// Rates legs of all four ways of entry, again and again, on this thread alone.
fn in_memory(list: &[u8]) -> Result<()> {
    let tariff = Tariff::new("base".into(), vec![version(list, 1, EVERY)?]);
    let payers = PayerTable::default();
    let start: Timestamp = "2026-03-01T11:00:00Z".parse()?;
    let cdrs: Vec<Cdr> = (0..10_000_u32).map(|number| cdr(number, start)).collect();
    let mut charges = Vec::new();
    let mut rows = 0;
    let began = Instant::now();
    for cdr in cdrs.iter().cycle().take(IN_MEMORY) {
        charges.clear();
        rate_into(cdr, &tariff, &payers, Currency::EUR, 0, &mut charges);
        rows += charges.len();
    }
    let a_second = IN_MEMORY as f64 / began.elapsed().as_secs_f64();
    let rows_of = vec![vec![
        "legs rated a second on one core".to_owned(),
        format!("{a_second:.0}"),
        format!("{:.2} ×", a_second / WANTED_A_SECOND),
        format!("≥ {WANTED_A_SECOND:.0}"),
    ]];
    table(&["what", "measured", "of the target", "target"], rows_of);
    println!("\n{rows} rows; {}{}\n", verdict(a_second >= WANTED_A_SECOND), build_words());
    Ok(())
}

fn cdr(number: u32, start: Timestamp) -> Cdr {
    let way_of_entry = WayOfEntry::ALL[number as usize % 4];
    let access_number = match way_of_entry {
        WayOfEntry::WebOut => None,
        WayOfEntry::OnnetShort => Some("19819"),
        WayOfEntry::National | WayOfEntry::International => Some("+38613099396"),
    };
    let end = start + SignedDuration::from_secs(60 + i64::from(number % 3_000));
    Cdr {
        leg: LegId(Uuid::from_u128(u128::from(number))),
        conference: ConferenceId(Uuid::from_u128(1)),
        account: AccountId(Uuid::from_u128(2)),
        way_of_entry,
        remote_number: format!("+3864{number:07}"),
        access_number: access_number.map(str::to_owned),
        calling_line: access_number.map(|_| "+38640123456".to_owned()),
        convener_pays: false,
        call_time: Some(Span { start, end }),
        conference_time: Some(Span { start: start + SignedDuration::from_secs(3), end }),
        evidence: Evidence::Event,
    }
}

async fn from_database(lab: &Lab, url: &str, list: &[u8], legs: u64) -> Result<()> {
    println!("{legs} legs in PostgreSQL are rated, and rated again …");
    let pool = Pool::new(url, PoolOptions { statement: Duration::from_secs(600), ..PoolOptions::default() })?;
    migrate(&pool).await?;
    let ledger = format!("\\set legs {legs}\n{}", include_str!("ledger.sql"));
    lab.sql_at(url, &ledger).await?;
    let mut rows = Vec::new();
    let mut took = Vec::new();
    for (what, dearer) in [
        ("rated for the first time", Some(EVERY)),
        ("rated again, and nothing differs", None),
        ("rated again, and one leg in a hundred differs", Some(RARE)),
        ("rated again, and every leg differs", Some(EVERY)),
    ] {
        if let Some(dearer) = dearer {
            import(&pool, list, dearer).await?;
        }
        // What autovacuum would have done within a month.
        lab.sql_at(url, "VACUUM ANALYZE charges;").await?;
        let began = Instant::now();
        let filter = LegFilter { without_price: took.is_empty(), ..LegFilter::default() };
        let outcome = rate(&pool, filter).await?;
        took.push(began.elapsed());
        ensure!(outcome.legs == legs && outcome.without_price == 0, "not every leg was rated: {outcome:?}");
        let month = began.elapsed().as_secs_f64() / legs as f64 * WANTED_FOR;
        rows.push(vec![
            what.to_owned(),
            format!("{:.1} s", took[took.len() - 1].as_secs_f64()),
            (outcome.reversed + outcome.written).to_string(),
            format!("{month:.0} s"),
            format!("{:.2} ×", month / WANTED.as_secs_f64()),
            format!("≤ {} s", WANTED.as_secs()),
        ]);
    }
    table(&[&format!("{legs} legs"), "took", "rows written", "a month of 10 million", "of the target", "target"], rows);
    let wanted = WANTED.mul_f64(legs as f64 / WANTED_FOR);
    println!("\nrating again: {}{}\n", verdict(took[1..].iter().all(|took| *took <= wanted)), build_words());
    Ok(())
}

/// The price list's next version.
async fn import(pool: &Pool, list: &[u8], dearer: &str) -> Result<()> {
    let connection = &mut *pool.get().await?;
    let number = tariffs::next_version(connection, "base").await?;
    let version = version(list, number, dearer)?;
    tariffs::add(connection, "base", Currency::EUR, &version, &[u8::try_from(number)?; 32], sklic::clock::now()).await?;
    Ok(())
}

async fn rate(pool: &Pool, filter: LegFilter) -> Result<Outcome> {
    let prices = Prices::new("base".to_owned(), PayerTable::default(), Currency::EUR, Numbering::default());
    prices.refresh(pool, &mut None).await?;
    let rerating = Rerating { filter, tariff: None, dry_run: false, prices: Arc::new(prices) };
    Ok(rerating.run(pool, None, |_| {}).await?)
}

fn verdict(reached: bool) -> &'static str {
    if reached { "the target is reached" } else { "the target is NOT reached" }
}
