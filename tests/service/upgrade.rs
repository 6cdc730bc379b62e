//! A database of the first schema, with what the service of then had written, under today's service.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use sklic::ids::AccountId;
use sklic::storage::{SchemaState, accounts, schema_state};

use crate::api::{Api, User, generous};
use crate::database::Database;

/// The migrations of the first schema that a service worked with.
const FIRST: [&str; 6] = [
    "2026-11-22-100000_create_accounts",
    "2026-11-22-100100_create_directory",
    "2026-11-22-100200_create_conferences",
    "2026-11-22-100300_create_charges",
    "2026-11-22-100400_create_outbox",
    "2026-11-22-100500_create_switch_nodes",
];
/// The conference and the account of the recorded journals.
const CONFERENCE: &str = "00000000-0000-0000-0000-0000000000c0";
const ACCOUNT: &str = "00000000-0000-0000-0000-0000000000a0";
const PLANNED: &str = "00000000-0000-0000-0000-0000000000c9";

/// A database as the service of the first schema left it: an account with a contact, a planned conference, and one whose journal this is.
async fn first_schema(journal: &str, head: &str, more: &str) -> Option<Database> {
    let database = Database::fresh().await?;
    let mut connection = database.connection().await;
    let mut sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;\
        CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT now());"
        .to_owned();
    for name in FIRST {
        sql += &std::fs::read_to_string(format!("sql/migrations/{name}/up.sql")).unwrap();
        let version: String = name.split('_').next().unwrap().replace('-', "");
        sql += &format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}');");
    }
    sql += &format!(
        "INSERT INTO accounts (id, user_number, name, phone, email, language, time_zone, password_hash, created_at) VALUES \
            ('{ACCOUNT}', '100200', 'Ana Novak', '+38659900000', 'ana@example.test', 'sl', 'Europe/Ljubljana', '$argon2id$none', '2026-01-01');\
        INSERT INTO contacts (id, account, name, phone, created_at, updated_at) VALUES \
            (gen_random_uuid(), '{ACCOUNT}', 'Bor', '+38659900002', '2026-01-01', '2026-01-01');\
        INSERT INTO switch_nodes (name, last_heard_at) VALUES ('pbx1', '2026-01-01T09:00:12.8Z');\
        INSERT INTO conferences (id, account, title, state, settings, created_at) VALUES ('{PLANNED}', '{ACCOUNT}', 'Naslednji', 'planned', '{{}}', '2026-01-01');\
        INSERT INTO participants (id, conference, position, name, phone, convener) VALUES \
            (gen_random_uuid(), '{PLANNED}', 0, 'Ana Novak', '+38659900009', true), (gen_random_uuid(), '{PLANNED}', 1, 'Bor', '+38659900002', false);\
        INSERT INTO conferences (id, account, room, title, state, reason, started_at, running_since, ended_at, settings, node, created_at) VALUES \
            ('{CONFERENCE}', '{ACCOUNT}', 7001, 'Board meeting', {head}, '{{}}', 'pbx1', '2026-01-01');"
    );
    let lines: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let spec = &lines[0]["entry"]["spec"];
    let people = std::iter::once(&spec["convener"]).chain(spec["participants"].as_array().unwrap());
    for (position, person) in people.enumerate() {
        let (id, name, phone) = (person["id"].as_str().unwrap(), person["name"].as_str().unwrap(), person["phone"].as_str().unwrap());
        sql += &format!(
            "INSERT INTO participants (id, conference, position, name, phone, convener) VALUES ('{id}', '{CONFERENCE}', {position}, '{name}', '{phone}', {});",
            position == 0
        );
    }
    for line in &lines {
        let (seq, at, entry) = (&line["seq"], line["at"].as_str().unwrap(), line["entry"].to_string().replace('\'', "''"));
        sql += &format!("INSERT INTO journal (conference, seq, at, entry) VALUES ('{CONFERENCE}', {seq}, '{at}', '{entry}');");
    }
    connection.batch_execute(&(sql + more)).await.unwrap();
    let SchemaState::Behind { missing } = schema_state(&database.pool).await.unwrap() else { panic!("it is the first schema") };
    let migrated = sklic::storage::migrate(&database.pool).await.unwrap();
    assert_eq!((migrated, schema_state(&database.pool).await.unwrap()), (missing, SchemaState::Current));
    let account = accounts::lookup(&mut connection, ACCOUNT.parse::<uuid::Uuid>().map(AccountId).unwrap()).await.unwrap().unwrap();
    assert_eq!(account.line, Some(account.phone), "it was eligible by its telephone");
    drop(connection);
    Some(database)
}

async fn serve(database: Database) -> (Api, User) {
    let pool = database.pool.clone();
    let api = Api::on(database, pool, generous()).await;
    let user = api.token_of(ACCOUNT.parse::<uuid::Uuid>().map(AccountId).unwrap()).await;
    (api, user)
}

#[tokio::test]
async fn what_an_earlier_release_has_written_is_read_and_goes_on() {
    let leg = "9275ae18-63f8-5a59-a1ee-35232adf42cf";
    let more = format!(
        "INSERT INTO legs (id, conference, participant, number, way_of_entry, phase, outcome, evidence, queued_at, answered_at, ended_at) VALUES \
            ('{leg}', '{CONFERENCE}', '00000000-0000-0000-0000-000000001000', '+38659900000', 'web_out', 'ended', 'answered', 'event', '2026-01-01T09:00:00Z', '2026-01-01T09:00:04Z', '2026-01-01T09:02:27Z');\
        INSERT INTO charges (id, leg, conference, account, component, payer, status, tariff, tariff_version, prefix, started_at, seconds, billed_seconds, net, vat_percent, vat, gross, currency, revision, created_at) VALUES \
            (gen_random_uuid(), '{leg}', '{CONFERENCE}', '{ACCOUNT}', 'call', 'convener', 'rated', 'base', 1, '+386', '2026-01-01T09:00:04Z', 143, 143, 1000, 2200, 220, 1220, 'EUR', 0, '2026-01-01T09:02:30Z');"
    );
    let head = "'ended', 'convener_left', '2026-01-01T09:00:00Z', '2026-01-01T09:00:07Z', '2026-01-01T09:02:30Z'";
    let Some(database) = first_schema(include_str!("../conference/journals/board_meeting.jsonl"), head, &more).await else { return };
    let (api, user) = serve(database).await;

    let report = api.get(&user, &format!("/api/v1/conferences/{CONFERENCE}/report")).await.expect(200);
    assert_eq!((&report["state"], &report["participants"].as_array().unwrap().len()), (&json!("ended"), &7));
    assert_eq!((&report["participants"][0]["legs"][0]["call"]["net"], &report["totals"]["net"]), (&json!("0.10"), &json!("0.10")), "{report}");
    let charges = api.get(&user, "/api/v1/charges").await.expect(200);
    assert_eq!((&charges["charges"][0]["leg"], &charges["charges"][0]["part"]), (&json!(leg), &json!(0)));
    let contacts = api.get(&user, "/api/v1/contacts").await.expect(200);
    assert!(contacts["contacts"][0]["code"].as_str().is_some_and(|code| code.len() == 8), "who was there before codes has got one: {contacts}");
    api.press(&user, &format!("/api/v1/conferences/{PLANNED}/start")).await.expect(202);
    api.until(&user, PLANNED, "everybody in", |view| view["participants"].as_array().unwrap().iter().all(|person| person["state"] == "in")).await;
}

#[tokio::test]
async fn a_conference_that_ran_under_an_earlier_release_is_taken_over_and_ends() {
    let journal: String = include_str!("../conference/journals/service_killed_and_link_cut.jsonl").split_inclusive('\n').take(11).collect();
    let head = "'running', NULL, '2026-01-01T09:00:00Z', '2026-01-01T09:00:07.4Z', NULL";
    let Some(database) = first_schema(&journal, head, "").await else { return };
    let (api, user) = serve(database).await;
    // The switch has been started since: what lived then is over.
    let view = api.until(&user, CONFERENCE, "its end", |view| matches!(view["state"].as_str(), Some("ended" | "failed"))).await;
    assert_eq!(view["ended_at"], "2026-01-01T09:00:12.8Z", "{view}");
    let report = api.get(&user, &format!("/api/v1/conferences/{CONFERENCE}/report")).await.expect(200);
    let own = &report["participants"][0]["legs"][0];
    assert_eq!((&own["evidence"], &own["ended_at"]), (&json!("proof_of_life"), &json!("2026-01-01T09:00:12.8Z")), "{report}");
    let charges = api.get(&user, "/api/v1/charges").await.expect(200);
    assert_eq!(charges["charges"].as_array().unwrap().len(), 3, "of the two who were in, one at the last proof only: {charges}");
}
