//! What holds for whatever is charged, corrected and handed over, and however the hand-overs fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use sklic::billing::Money;
use sklic::ids::AccountId;

use crate::accounting::{ended_conference, import, rate_missing, rerate};
use crate::database::{Database, account};
use crate::export::{export, exporter, file, names, read};

/// How many histories are tried.
const HISTORIES: usize = 5;

/// One thing that an operator does, or that happens to him.
#[derive(Clone, Debug)]
enum Deed {
    /// A conference with legs of this length is over, and is charged.
    Charge { legs: u32, seconds: u32 },
    /// Another price a minute, in 1/10000, and all is rated again.
    Reprice(u32),
    /// A hand-over in batches of at most so many.
    Export { limit: i64, fault: Fault },
}

/// How a hand-over fails, if it does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Not,
    /// The folder is gone before it begins.
    NoFolder,
    /// Something lies where a file of the next batch is to come: the batch is committed, its files are not in place.
    InTheWay(&'static str),
    /// The connection breaks off while the second batch is filled.
    CutInSecondBatch,
}

fn deed() -> impl Strategy<Value = Deed> {
    let fault = prop_oneof![
        2 => Just(Fault::Not),
        1 => Just(Fault::NoFolder),
        1 => Just(Fault::InTheWay("csv")),
        1 => Just(Fault::InTheWay("jsonl")),
        1 => Just(Fault::InTheWay("manifest.json")),
        1 => Just(Fault::CutInSecondBatch),
    ];
    prop_oneof![
        2 => (1_u32..6, 1_u32..4_000).prop_map(|(legs, seconds)| Deed::Charge { legs, seconds }),
        1 => (0_u32..9_999).prop_map(Deed::Reprice),
        3 => (1_i64..9, fault).prop_map(|(limit, fault)| Deed::Export { limit, fault }),
    ]
}

struct Books {
    database: Database,
    account: AccountId,
    folder: tempfile::TempDir,
}

impl Books {
    async fn do_it(&self, deed: &Deed) {
        let connection = &mut self.database.connection().await;
        match deed {
            Deed::Charge { legs, seconds } => {
                let id = ended_conference(&self.database, self.account, *legs).await;
                let end = format!("answered_at + {seconds} * interval '1 second'");
                connection
                    .batch_execute(&format!(
                        "UPDATE legs SET left_at = {end}, ended_at = {end} WHERE conference = '{id}' AND answered_at IS NOT NULL"
                    ))
                    .await
                    .unwrap();
                rate_missing(&self.database).await;
            }
            Deed::Reprice(price) => {
                import(&self.database, "base", &format!("0.{price:04}")).await;
                rerate(&self.database).await;
            }
            Deed::Export { limit, fault } => self.export(*limit, *fault).await,
        }
    }

    async fn export(&self, limit: i64, fault: Fault) {
        let (folder, connection) = (self.folder.path(), &mut self.database.connection().await);
        let batches = |folder: &Path| names(folder).iter().filter(|name| name.ends_with(".manifest.json")).count();
        let next = batches(folder) + 1;
        match fault {
            Fault::Not => drop(export(&exporter(&self.database, folder, limit)).await.unwrap()),
            Fault::NoFolder => assert!(export(&exporter(&self.database, &folder.join("gone"), limit)).await.is_err()),
            Fault::InTheWay(kind) => {
                let stone = folder.join(format!("sklic-charges-{next:08}.{kind}"));
                std::fs::create_dir(&stone).unwrap();
                // With nothing to hand over there is nothing to fail.
                let _ = export(&exporter(&self.database, folder, limit)).await;
                std::fs::remove_dir(&stone).unwrap();
            }
            Fault::CutInSecondBatch => {
                let trigger = format!(
                    "CREATE OR REPLACE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS \
                         $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$; \
                     CREATE OR REPLACE TRIGGER cut BEFORE INSERT ON charge_batches FOR EACH ROW WHEN (NEW.number > {next}) EXECUTE FUNCTION cut()"
                );
                connection.batch_execute(&trigger).await.unwrap();
                let _ = export(&exporter(&self.database, folder, limit)).await;
                connection.batch_execute("DROP TRIGGER cut ON charge_batches").await.unwrap();
            }
        }
    }

    /// What the billing system has got: each charge with the batch in which it came, and the sums that the manifests name.
    fn handed_over(&self) -> (BTreeMap<String, i64>, [i64; 3]) {
        let (mut charges, mut sums) = (BTreeMap::new(), [0; 3]);
        let manifests =
            names(self.folder.path()).into_iter().filter_map(|name| name.strip_suffix(".manifest.json")?.rsplit('-').next()?.parse().ok());
        for number in manifests.collect::<BTreeSet<i64>>() {
            for id in read(self.folder.path(), number).0 {
                assert_eq!(charges.insert(id.clone(), number), None, "charge {id} is in two batches");
            }
            let manifest: Value = serde_json::from_slice(&file(self.folder.path(), number, "manifest.json")).unwrap();
            for (sum, field) in sums.iter_mut().zip(["net", "vat", "gross"]) {
                *sum += manifest["sums"][0][field].as_str().unwrap().parse::<Money>().unwrap().0;
            }
        }
        (charges, sums)
    }

    /// The rows that are money, and their sums.
    async fn ledger(&self) -> (BTreeSet<String>, [i64; 3]) {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            id: String,
            #[diesel(sql_type = BigInt)]
            net: i64,
            #[diesel(sql_type = BigInt)]
            vat: i64,
            #[diesel(sql_type = BigInt)]
            gross: i64,
        }
        let connection = &mut self.database.connection().await;
        let money = "SELECT id::text, net, vat, gross FROM charges WHERE status = 'rated'";
        let rows: Vec<Row> = diesel::sql_query(money).load(connection).await.unwrap();
        let sum = |value: fn(&Row) -> i64| rows.iter().map(value).sum::<i64>();
        let sums = [sum(|row| row.net), sum(|row| row.vat), sum(|row| row.gross)];
        (rows.into_iter().map(|row| row.id).collect(), sums)
    }
}

#[tokio::test]
async fn batches_sum_up_to_the_charges_and_hold_each_once_whatever_fails() {
    let Some(database) = Database::fresh().await else { return };
    let account = account(&database, "100200").await;
    import(&database, "base", "0.10").await;
    let books = Books { database, account, folder: tempfile::tempdir().unwrap() };
    let histories = prop::collection::vec(deed(), 1..8);
    let mut runner = TestRunner::deterministic();
    for _ in 0..HISTORIES {
        let history = histories.new_tree(&mut runner).unwrap().current();
        for deed in &history {
            books.do_it(deed).await;
            let (ledger, _) = books.ledger().await;
            let (handed_over, _) = books.handed_over();
            assert!(handed_over.keys().all(|id| ledger.contains(id)), "after {deed:?} of {history:?}: something was handed over that is no charge");
        }
        // Then one that does not fail.
        books.export(3, Fault::Not).await;
        let (ledger, sums) = books.ledger().await;
        let (handed_over, handed_over_sums) = books.handed_over();
        assert_eq!(handed_over.into_keys().collect::<BTreeSet<_>>(), ledger, "{history:?}");
        assert_eq!(handed_over_sums, sums, "{history:?}");
        assert!(!names(books.folder.path()).iter().any(|name| name.contains(".part")), "{history:?}");
    }
}
