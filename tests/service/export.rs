//! The hand-over: every charge that is money in exactly one batch, whatever fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sklic::accounting::{ExportError, Exported, Exporter};
use sklic::billing::Money;
use sklic::storage::charge_batches;
use sklic::storage::rated_legs::LegFilter;

use crate::accounting::{ended_conference, import, prices, rate_missing};
use crate::database::{Database, account};

/// A database with six charges that are money, two for information, two without price.
pub async fn rated() -> Option<Database> {
    let database = Database::fresh().await?;
    let ana = account(&database, "100200").await;
    ended_conference(&database, ana, 6).await;
    import(&database, "base", "0.10").await;
    rate_missing(&database).await;
    let other = "UPDATE charges SET status = 'informational' WHERE id IN (SELECT id FROM charges ORDER BY id LIMIT 2); \
                 UPDATE charges SET status = 'unrated', reason = 'no_rate' WHERE id IN (SELECT id FROM charges WHERE status = 'rated' ORDER BY id LIMIT 2);";
    database.connection().await.batch_execute(other).await.unwrap();
    Some(database)
}

pub fn exporter<'a>(database: &'a Database, folder: &'a Path, limit: i64) -> Exporter<'a> {
    Exporter { pool: &database.pool, folder, limit, before: None }
}

pub async fn export(exporter: &Exporter<'_>) -> Result<Vec<Exported>, ExportError> {
    let mut told = Vec::new();
    exporter.run(|exported| told.push(exported.clone())).await?;
    Ok(told)
}

/// What lies in a folder, hidden files too.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub fn file(folder: &Path, number: i64, kind: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("sklic-charges-{number:08}.{kind}"))).unwrap()
}

/// Reads a batch as a billing system would: the manifest, then both files against it. The charges' identifiers and the net sum.
pub fn read(folder: &Path, number: i64) -> (BTreeSet<String>, i64) {
    let manifest: Value = serde_json::from_slice(&file(folder, number, "manifest.json")).unwrap();
    assert_eq!(manifest["batch"], number);
    for (place, kind) in ["csv", "jsonl"].into_iter().enumerate() {
        let bytes = file(folder, number, kind);
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(manifest["files"][place]["sha256"], digest);
        assert_eq!(manifest["files"][place]["bytes"], bytes.len());
        assert_eq!(manifest["files"][place]["name"], format!("sklic-charges-{number:08}.{kind}"));
    }
    let lines: Vec<Value> = file(folder, number, "jsonl")
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let amount = |value: &Value| value.as_str().unwrap().parse::<Money>().unwrap().0;
    for field in ["net", "vat", "gross"] {
        assert_eq!(lines.iter().map(|line| amount(&line[field])).sum::<i64>(), amount(&manifest["sums"][0][field]), "{field}");
    }
    let csv = file(folder, number, "csv");
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let header = reader.headers().unwrap().clone();
    for (row, line) in reader.records().zip(&lines) {
        for (column, value) in header.iter().zip(&row.unwrap()) {
            let said = match &line[column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(said, value, "{column}");
        }
    }
    assert_eq!(manifest["charges"], lines.len());
    let ids = lines.iter().map(|line| line["charge"].as_str().unwrap().to_owned()).collect();
    (ids, lines.iter().map(|line| amount(&line["net"])).sum())
}

#[tokio::test]
async fn every_charge_that_is_money_is_in_exactly_one_batch() {
    let Some(database) = rated().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let batches = export(&exporter(&database, folder.path(), 4)).await.unwrap();
    assert_eq!(batches.iter().map(|batch| (batch.manifest.batch, batch.manifest.charges)).collect::<Vec<_>>(), [(1, 4), (2, 2)]);
    let (first, second) = (read(folder.path(), 1), read(folder.path(), 2));
    assert!(first.0.is_disjoint(&second.0));
    assert_eq!(first.0.len() + second.0.len(), 6, "informational and unrated rows are no money");
    assert_eq!(first.1 + second.1, 6 * 2_000);
    assert_eq!(names(folder.path()).len(), 6);
    assert!(export(&exporter(&database, folder.path(), 4)).await.unwrap().is_empty(), "nothing waits any more");
    // A correction is handed over as its two rows.
    import(&database, "base", "0.30").await;
    let prices = prices(&database).await;
    let rerating = sklic::accounting::Rerating { filter: LegFilter::default(), tariff: None, dry_run: false, prices: Arc::new(prices) };
    let again = rerating.run(&database.pool, None, |_| {}).await.unwrap();
    assert_eq!((again.reversed, again.written), (10, 10));
    export(&exporter(&database, folder.path(), 100)).await.unwrap();
    let third = read(folder.path(), 3);
    assert_eq!(third.0.len(), 6 + 10, "the reversals of those that were no money are none either");
    assert_eq!(first.1 + second.1 + third.1, 10 * 6_000, "all batches together are what stands now");
}

#[tokio::test]
async fn a_batch_can_be_had_again_byte_for_byte() {
    let Some(database) = rated().await else { return };
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    export(&exporter(&database, folder.path(), 4)).await.unwrap();
    for number in [2, 1, 1] {
        assert!(exporter(&database, other.path(), 1).again(number).await.unwrap().again);
    }
    assert_eq!(names(folder.path()), names(other.path()));
    for number in [1, 2] {
        for kind in ["csv", "jsonl", "manifest.json"] {
            assert!(file(folder.path(), number, kind) == file(other.path(), number, kind), "{number} {kind}");
        }
    }
    assert!(matches!(exporter(&database, other.path(), 1).again(3).await, Err(ExportError::Unknown(3))));
    // Rows that somebody has changed are not handed over under the old number.
    database.connection().await.batch_execute("UPDATE charges SET seconds = seconds + 1 WHERE batch = 1").await.unwrap();
    let third = tempfile::tempdir().unwrap();
    assert!(matches!(exporter(&database, third.path(), 1).again(1).await, Err(ExportError::Differs(1))));
    assert!(names(third.path()).is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_leaves_no_batch() {
    let Some(database) = rated().await else { return };
    let folder = tempfile::tempdir().unwrap();
    for bad in [folder.path().join("nowhere"), Path::new("/proc/self").to_owned(), Path::new("/dev/null").to_owned()] {
        let refused = export(&exporter(&database, &bad, 100)).await.unwrap_err();
        assert!(matches!(refused, ExportError::Folder { .. }), "{refused}");
    }
    let connection = &mut database.connection().await;
    assert!(charge_batches::list(connection, false).await.unwrap().is_empty());
    export(&exporter(&database, folder.path(), 100)).await.unwrap();
    assert_eq!(read(folder.path(), 1).0.len(), 6);
}

#[tokio::test]
async fn a_batch_whose_files_did_not_come_into_place_comes_with_the_next_export() {
    let Some(database) = rated().await else { return };
    let folder = tempfile::tempdir().unwrap();
    // The files are written and the batch is committed; then the second name cannot be given.
    let in_the_way = folder.path().join("sklic-charges-00000001.jsonl");
    std::fs::create_dir(&in_the_way).unwrap();
    // What a killed export left goes away.
    std::fs::write(folder.path().join(".sklic-charges-00000009.csv.1.part"), "half").unwrap();
    assert!(matches!(export(&exporter(&database, folder.path(), 4)).await, Err(ExportError::Folder { .. })));
    assert_eq!(names(folder.path()), ["sklic-charges-00000001.jsonl"], "no half batch lies there");
    assert_eq!(charge_batches::list(&mut *database.connection().await, true).await.unwrap().len(), 1);
    std::fs::remove_dir(&in_the_way).unwrap();
    let batches = export(&exporter(&database, folder.path(), 4)).await.unwrap();
    assert_eq!(batches.iter().map(|batch| (batch.manifest.batch, batch.again)).collect::<Vec<_>>(), [(1, true), (2, false)]);
    let (first, second) = (read(folder.path(), 1), read(folder.path(), 2));
    assert!(first.0.is_disjoint(&second.0));
    assert_eq!(first.0.len() + second.0.len(), 6);
    assert!(charge_batches::list(&mut *database.connection().await, true).await.unwrap().is_empty());
}

#[tokio::test]
async fn exports_at_the_same_time_share_no_row() {
    let Some(database) = rated().await else { return };
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let exporters: Vec<_> = folders.iter().map(|folder| exporter(&database, folder.path(), 1)).collect();
    let (a, b, c) = tokio::join!(export(&exporters[0]), export(&exporters[1]), export(&exporters[2]));
    let mut numbers: Vec<i64> = [a, b, c].into_iter().flat_map(|told| told.unwrap()).map(|exported| exported.manifest.batch).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let mut ids = BTreeSet::new();
    for folder in &folders {
        for number in 1..=6 {
            if folder.path().join(format!("sklic-charges-{number:08}.manifest.json")).exists() {
                ids.extend(read(folder.path(), number).0);
            }
        }
    }
    assert_eq!(ids.len(), 6);
}
