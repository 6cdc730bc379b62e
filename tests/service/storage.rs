//! The repositories.

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sklic::billing::{
    Charge, ChargeId, ChargeReason, ChargeStatus, Component, Currency, ImportOptions, Money, Payer, Percent, RateRef, parse_tariff,
};
use sklic::ids::{ConferenceId, ContactId, GroupId, LegId};
use sklic::storage::contacts::{ContactFields, ContactPage};
use sklic::storage::plans::{self, Added};
use sklic::storage::sessions::NewSession;
use sklic::storage::{
    PoolOptions, SchemaState, StorageError, accounts, api_tokens, charges, conferences, contacts, groups, participants, schema_state, sessions,
    switch_nodes, tariffs,
};

use crate::database::{Database, account, conference, noon, person};
use crate::smtp::until;

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[tokio::test]
async fn migrations_run_undo_and_run_again() {
    let Some(database) = Database::fresh().await else { return };
    assert_eq!(schema_state(&database.pool).await.unwrap(), SchemaState::Current);
    assert_eq!(sklic::storage::migrate(&database.pool).await.unwrap(), Vec::<String>::new());
    sklic::storage::revert_all(&database.pool).await.unwrap();
    let SchemaState::Behind { missing } = schema_state(&database.pool).await.unwrap() else { panic!("nothing is left") };
    // Two services that start at once.
    let (one, other) = tokio::join!(sklic::storage::migrate(&database.pool), sklic::storage::migrate(&database.pool));
    assert_eq!([one.unwrap(), other.unwrap()].concat(), missing);
    assert_eq!(schema_state(&database.pool).await.unwrap(), SchemaState::Current);
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
    database.connection().await.batch_execute(later).await.unwrap();
    assert_eq!(schema_state(&database.pool).await.unwrap(), SchemaState::Ahead { unknown: vec!["29991231000000".to_owned()] });
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    word: String,
}

#[tokio::test]
async fn diesel_sees_the_tables_as_they_are() {
    let Some(database) = Database::fresh().await else { return };
    let query = "SELECT table_name || '.' || column_name || ' ' || CASE udt_name WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' \
            WHEN 'int4' THEN 'Integer' WHEN 'int8' THEN 'BigInt' WHEN 'bool' THEN 'Bool' WHEN 'timestamptz' THEN 'Timestamptz' \
            WHEN 'jsonb' THEN 'Jsonb' WHEN 'bytea' THEN 'Bytea' WHEN '_text' THEN 'Array<Nullable<Text>>' WHEN '_int4' THEN 'Array<Nullable<Integer>>' ELSE udt_name END || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END AS word \
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations' \
        ORDER BY table_name COLLATE \"C\", ordinal_position";
    let columns: Vec<Column> = diesel::sql_query(query).load(&mut database.connection().await).await.unwrap();
    let real: Vec<String> = columns.into_iter().map(|column| column.word).collect();
    let mut written = Vec::new();
    let mut table = "";
    for line in include_str!("../../src/storage/schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name;
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ").filter(|_| line.ends_with(',')) {
            let kind = kind.strip_prefix("Nullable<").map_or_else(|| kind.to_owned(), |inner| inner.replace('>', "?"));
            written.push(format!("{table}.{column} {kind}"));
        }
    }
    assert_eq!(written, real);
    let query = "SELECT c.relname::text AS word FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace \
        AND c.relname <> '__diesel_schema_migrations' AND obj_description(c.oid) IS NULL";
    let silent: Vec<Column> = diesel::sql_query(query).load(&mut database.connection().await).await.unwrap();
    assert!(silent.is_empty(), "table without a comment: {:?}", silent.iter().map(|table| &table.word).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_account_logs_in_until_it_is_disabled() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let mut connection = database.connection().await;
    let connection = &mut connection;

    let found = accounts::find_by_user_number(connection, "100200").await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.created_at, found.disabled_at), (ana, "Ana Novak", noon(), None));
    assert_eq!(accounts::lookup(connection, ana).await.unwrap(), Some(found));
    assert_eq!(accounts::find_credentials(connection, "100200").await.unwrap().map(|found| found.account), Some(ana));
    for nobody in ["100201", "", "100200 ", "1' OR '1'='1", "100200\0"] {
        assert!(accounts::find_credentials(connection, nobody).await.unwrap().is_none(), "{nobody:?}");
    }

    let token = [7; 32];
    let session =
        NewSession { token_hash: token, account: ana, created_at: noon(), expires_at: noon() + seconds(60), user_agent: Some("č".repeat(500)) };
    sessions::add(connection, session).await.unwrap();
    sessions::touch(connection, &token, noon() + seconds(5)).await.unwrap();
    let session = sessions::find(connection, &token, noon() + seconds(59)).await.unwrap().unwrap();
    assert_eq!((session.account, session.last_seen_at), (ana, noon() + seconds(5)));
    assert_eq!(sessions::find(connection, &token, noon() + seconds(60)).await.unwrap(), None);
    assert_eq!(sessions::find(connection, &[8; 32], noon()).await.unwrap(), None);

    let api_token = [9; 32];
    let id = api_tokens::add(connection, ana, "skripta", &api_token, noon()).await.unwrap();
    assert_eq!(api_tokens::find_account(connection, &api_token).await.unwrap(), Some(ana));

    assert!(accounts::set_disabled(connection, ana, Some(noon())).await.unwrap());
    assert!(accounts::find_credentials(connection, "100200").await.unwrap().is_none());
    assert_eq!(sessions::find(connection, &token, noon()).await.unwrap(), None);
    assert_eq!(api_tokens::find_account(connection, &api_token).await.unwrap(), None);
    assert!(accounts::set_disabled(connection, ana, None).await.unwrap());
    assert_eq!(api_tokens::find_account(connection, &api_token).await.unwrap(), Some(ana));

    assert!(api_tokens::revoke(connection, ana, id, noon()).await.unwrap());
    assert!(!api_tokens::revoke(connection, ana, id, noon()).await.unwrap());
    assert_eq!(api_tokens::find_account(connection, &api_token).await.unwrap(), None);
    assert_eq!(sessions::sweep(connection, noon() + seconds(60)).await.unwrap(), 1);
    assert!(!sessions::revoke(connection, &token).await.unwrap());

    let preferences = accounts::Preferences { language: Some("en".to_owned()), grace_seconds: Some(30), ..accounts::Preferences::default() };
    assert!(accounts::change_preferences(connection, ana, preferences).await.unwrap());
    assert!(!accounts::change_preferences(connection, ana, accounts::Preferences::default()).await.unwrap());
    assert!(accounts::set_password(connection, ana, "$argon2id$other").await.unwrap());
    let changed = accounts::lookup(connection, ana).await.unwrap().unwrap();
    assert_eq!((changed.language.as_str(), changed.grace_seconds, changed.name.as_str()), ("en", 30, "Ana Novak"));
    assert_eq!(accounts::list(connection, Some("100199"), 10).await.unwrap().len(), 1);
    assert_eq!(accounts::list(connection, Some("100200"), 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_user_number_is_taken_once() {
    let Some(database) = Database::fresh().await else { return };
    account(&database, "100200").await;
    let mut again = accounts::NewAccount {
        id: sklic::ids::AccountId::fresh(),
        user_number: "100200".to_owned(),
        name: "Bor".to_owned(),
        phone: "+38640000001".to_owned(),
        email: "bor@example.test".to_owned(),
        language: "sl".to_owned(),
        time_zone: "Europe/Ljubljana".to_owned(),
        password_hash: String::new(),
        staff: true,
        grace_seconds: 0,
        entry_beep: true,
        max_participants: Some(10),
        created_at: noon(),
    };
    let connection = &mut database.connection().await;
    let error = accounts::add(connection, again.clone()).await.unwrap_err();
    assert!(matches!(&error, StorageError::Conflict { .. }) && error.is_of("accounts_user_number_key") && !error.is_passing(), "{error:?}");
    let (owner, contact) = (account(&database, "100300").await, ContactId::fresh());
    contacts::add(connection, owner, &[(contact, fields("Cene", "+38640000002"))], noon()).await.unwrap();
    again.user_number = contacts::lookup(connection, owner, contact).await.unwrap().unwrap().code.unwrap();
    let error = accounts::add(connection, again.clone()).await.unwrap_err();
    assert!(error.is_of("accounts_user_number_key"), "whose code it is would be asked for a PIN: {error:?}");
    again.user_number = "10a".to_owned();
    assert!(accounts::add(connection, again.clone()).await.unwrap_err().is_of("accounts_user_number_digits"));
    again.user_number = "100201".to_owned();
    again.name = "B\0r".to_owned();
    assert!(matches!(accounts::add(connection, again).await.unwrap_err(), StorageError::Unstorable { field: "name" }));
}

fn fields(name: &str, phone: &str) -> ContactFields {
    ContactFields { name: name.to_owned(), phone: phone.to_owned(), email: None, note: None }
}

fn page(search: Option<&str>, after: Option<(String, ContactId)>, limit: i64) -> ContactPage {
    ContactPage { search: search.map(str::to_owned), after, limit }
}

#[tokio::test]
async fn a_directory_is_read_in_pages_and_searched() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let connection = &mut database.connection().await;
    // Many of one name: the cursor must not skip or repeat them.
    let new: Vec<_> = (0..57).map(|n| (ContactId::fresh(), fields(if n < 40 { "Janez" } else { "Žiga 50%" }, &format!("+3864000{n:04}")))).collect();
    contacts::add(connection, ana, &new, noon()).await.unwrap();
    assert_eq!(contacts::count(connection, ana).await.unwrap(), 57);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let found = contacts::list(connection, ana, &page(None, after, 10)).await.unwrap();
        let Some(last) = found.last() else { break };
        after = Some((last.name.clone(), last.id));
        seen.extend(found.into_iter().map(|contact| contact.id));
    }
    let mut wanted: Vec<_> = new.iter().map(|(id, _)| *id).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
    for (search, count) in [("žIGA", 17), ("50%", 17), ("%", 17), ("_", 0), ("+38640000012", 1), ("'", 0), ("\0", 0), ("\\", 0)] {
        assert_eq!(contacts::list(connection, ana, &page(Some(search), None, 100)).await.unwrap().len(), count, "{search:?}");
    }
    for (bad, constraint) in [
        (fields("", "+38640000000"), "contacts_name_length"),
        (fields(&"č".repeat(201), "+38640000000"), "contacts_name_length"),
        (fields("Janez", "12a"), "contacts_phone_form"),
        (fields("Janez", "+38640\n000000"), "contacts_phone_form"),
    ] {
        let one_good = (ContactId::fresh(), fields("Dober", "+38640999999"));
        let error = contacts::add(connection, ana, &[one_good, (ContactId::fresh(), bad)], noon()).await.unwrap_err();
        assert!(error.is_of(constraint), "{error:?}");
    }
    assert_eq!(contacts::count(connection, ana).await.unwrap(), 57, "all or none");
    let id = new[0].0;
    let changed = contacts::change(connection, ana, id, &fields("Špela", "112"), noon() + seconds(1)).await.unwrap().unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.phone.as_str(), changed.created_at, changed.updated_at),
        ("Špela", "112", noon(), noon() + seconds(1))
    );
    assert!(contacts::remove(connection, ana, id).await.unwrap());
    assert_eq!(contacts::lookup(connection, ana, id).await.unwrap(), None);
    assert_eq!(contacts::find(connection, ana, &[id, new[1].0]).await.unwrap().len(), 1);
    let many: Vec<_> = (0..12_000).map(|n| (ContactId::fresh(), fields("Uvoz", &format!("+386500{n:05}")))).collect();
    contacts::add(connection, ana, &many, noon()).await.unwrap();
    assert_eq!(contacts::count(connection, ana).await.unwrap(), 12_056);
}

#[tokio::test]
async fn a_group_keeps_its_contacts_in_order() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let connection = &mut database.connection().await;
    let new: Vec<_> = ["Cene", "Ana", "Bor"].iter().map(|name| (ContactId::fresh(), fields(name, "+38640000000"))).collect();
    contacts::add(connection, ana, &new, noon()).await.unwrap();
    let [cene, ana_contact, bor] = [new[0].0, new[1].0, new[2].0];
    let group = GroupId::fresh();
    groups::add(connection, ana, group, "Uprava", &[bor, cene, bor], noon()).await.unwrap();
    assert_eq!(groups::lookup(connection, ana, group).await.unwrap().unwrap().contacts, [bor, cene]);
    assert!(groups::add(connection, ana, GroupId::fresh(), "Uprava", &[], noon()).await.unwrap_err().is_of("groups_account_name_key"));
    assert!(groups::change(connection, ana, group, "Uprava 2", &[ana_contact, bor], noon() + seconds(1)).await.unwrap());
    assert!(contacts::remove(connection, ana, bor).await.unwrap());
    let found = groups::list(connection, ana).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].contacts.as_slice(), found[0].updated_at),
        ("Uprava 2", [ana_contact].as_slice(), noon() + seconds(1))
    );
    let error = groups::change(connection, ana, group, "Uprava 3", &[ContactId::fresh()], noon()).await.unwrap_err();
    assert!(error.is_of("group_members_contact_fkey"), "{error:?}");
    assert_eq!(groups::lookup(connection, ana, group).await.unwrap().unwrap().name, "Uprava 2", "nothing of a refused change stays");
    assert!(groups::remove(connection, ana, group).await.unwrap());
    assert!(!groups::remove(connection, ana, group).await.unwrap());
}

#[tokio::test]
async fn conferences_are_planned_listed_and_changed_before_their_start_only() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(conference(&database, ana).await.0);
    }
    let connection = &mut database.connection().await;
    let newest = conferences::list(connection, ana, None, None, 2).await.unwrap();
    let next = conferences::list(connection, ana, None, Some(newest[1].id), 2).await.unwrap();
    let ids: Vec<ConferenceId> = newest.iter().chain(&next).map(|conference| conference.id).collect();
    assert_eq!(ids, [all[4], all[3], all[2], all[1]]);
    assert!(newest[0].room > newest[1].room);
    assert_eq!(newest[0].settings, json!({"language": "sl"}));
    assert_eq!(conferences::find_by_room(connection, newest[0].room).await.unwrap().unwrap().id, all[4]);

    let id = all[0];
    let mut third = person(id, 99);
    third.name = "Tretja".to_owned();
    assert_eq!(plans::add_person(connection, ana, third.clone(), 2, None).await.unwrap(), Added::Full);
    let added = participants::add(connection, ana, third.clone()).await.unwrap().unwrap();
    assert_eq!(added.position, 2);
    let roster = participants::list(connection, ana, id).await.unwrap();
    assert_eq!(roster.iter().map(|person| (person.position, person.convener)).collect::<Vec<_>>(), [(0, true), (1, false), (2, false)]);
    let mut second_convener = person(id, 0);
    second_convener.name = "Drugi".to_owned();
    assert!(participants::add(connection, ana, second_convener).await.unwrap_err().is_of("participants_convener_key"));
    assert!(participants::remove(connection, ana, id, added.id).await.unwrap());
    assert!(!participants::remove(connection, ana, id, roster[0].id).await.unwrap(), "the convener stays");
    assert!(conferences::change_plan(connection, ana, id, "Nov naslov", Some(noon())).await.unwrap());
    assert_eq!(conferences::list_due(connection, noon(), 10).await.unwrap().len(), 1);
    assert_eq!(conferences::list_due(connection, noon() - seconds(1), 10).await.unwrap().len(), 0);

    assert!(conferences::list_open(connection).await.unwrap().is_empty());
    connection.batch_execute(&format!("UPDATE conferences SET state = 'running' WHERE id = '{id}'")).await.unwrap();
    assert_eq!(conferences::list_open(connection).await.unwrap().iter().map(|open| open.id).collect::<Vec<_>>(), [id]);
    assert!(participants::add(connection, ana, third).await.unwrap().is_none());
    assert!(!participants::remove(connection, ana, id, roster[1].id).await.unwrap());
    assert!(!conferences::change_plan(connection, ana, id, "Prepozno", None).await.unwrap());
    assert!(connection.batch_execute(&format!("UPDATE conferences SET state = 'ended' WHERE id = '{id}'")).await.is_err(), "an end has its time");
}

/// A charge of the leg, as rating makes it.
fn charge(account: sklic::ids::AccountId, conference: ConferenceId, leg: LegId, component: Component, started_at: Timestamp) -> Charge {
    Charge {
        id: ChargeId::of_row(leg, component, 0, 0),
        part: 0,
        leg,
        conference,
        account,
        component,
        payer: Payer::Convener,
        status: ChargeStatus::Rated,
        reason: None,
        rate: Some(RateRef { tariff: "base".into(), version: 3, prefix: "+3864".parse().unwrap() }),
        started_at,
        seconds: 83,
        billed_seconds: 120,
        net: Money(48_278),
        vat_percent: Percent(2_200),
        vat: Money(10_621),
        gross: Money(58_899),
        currency: Currency::EUR,
        revision: 0,
        reverses: None,
    }
}

#[tokio::test]
async fn a_charge_reads_back_and_is_never_changed() {
    let Some(database) = Database::fresh().await else { return };
    let ana = account(&database, "100200").await;
    let (id, people) = conference(&database, ana).await;
    let connection = &mut database.connection().await;
    let leg = LegId::derive(id, 0);
    let insert = format!(
        "INSERT INTO legs (id, conference, participant, number, way_of_entry, phase, queued_at) \
         VALUES ('{leg}', '{id}', '{}', '+38640123456', 'web_out', 'queued', now())",
        people[0].id
    );
    connection.batch_execute(&insert).await.unwrap();
    let call = charge(ana, id, leg, Component::Call, noon());
    let unrated = Charge {
        payer: Payer::Caller { line: Some("+38613000000".to_owned()) },
        status: ChargeStatus::Unrated,
        reason: Some(ChargeReason::NoRate),
        rate: None,
        ..charge(ana, id, leg, Component::Conference, noon() + seconds(1))
    };
    charges::add(connection, &[call.clone(), unrated.clone()], noon()).await.unwrap();
    let dearer = Charge { net: Money(1), vat: Money(1), gross: Money(2), ..call.clone() };
    charges::add(connection, &[dearer], noon()).await.unwrap();
    assert_eq!(charges::list_of_conference(connection, id).await.unwrap(), [call.clone(), unrated.clone()]);
    charges::add(connection, &[call.reversal().unwrap()], noon()).await.unwrap();
    let filter = charges::ChargeFilter { conference: Some(id), ..charges::ChargeFilter::default() };
    let first = charges::list(connection, ana, &filter, 2).await.unwrap();
    let rest = charges::list(connection, ana, &charges::ChargeFilter { after: Some((first[1].started_at, first[1].id)), ..filter }, 2).await.unwrap();
    assert_eq!((first.len(), rest), (2, vec![unrated]));
    let window = charges::ChargeFilter { from: Some(noon() + seconds(1)), to: Some(noon() + seconds(2)), ..charges::ChargeFilter::default() };
    assert_eq!(charges::list(connection, ana, &window, 10).await.unwrap().len(), 1);
    let wrong_sum = Charge { gross: Money(1), ..charge(ana, id, leg, Component::Call, noon()).reversal().unwrap() };
    let wrong_sum = Charge { id: ChargeId::of_row(leg, Component::Call, 0, 7), revision: 7, reverses: None, ..wrong_sum };
    assert!(charges::add(connection, &[wrong_sum], noon()).await.unwrap_err().is_of("charges_gross_sum"));
    let nowhere = charge(ana, id, LegId::derive(id, 9), Component::Call, noon());
    assert!(matches!(charges::add(connection, &[nowhere], noon()).await.unwrap_err(), StorageError::Missing { .. }));
}

#[tokio::test]
async fn a_tariff_reads_back_with_all_its_versions() {
    let Some(database) = Database::fresh().await else { return };
    let connection = &mut database.connection().await;
    assert!(tariffs::lookup(connection, "base").await.unwrap().is_none());
    let file = "component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to\n\
        call,+,Svet,0.1,0.5,60,60,0,0.0001,22,,\ncall,+386,\"Slovenija, fiksno\",0,0.0349,1,1,10,0.01,22,,\nconference,+,Konferenca,0,0.02,60,1,0,0.0001,9.5,,2030-01-01\n";
    for wanted in 1..=2 {
        let version = tariffs::next_version(connection, "base").await.unwrap();
        assert_eq!(version, wanted);
        let options = ImportOptions { version, valid_from: noon() + seconds(i64::from(wanted)), time_zone: jiff::tz::TimeZone::UTC };
        let parsed = parse_tariff(file.as_bytes(), &options).unwrap();
        tariffs::add(connection, "base", Currency::EUR, &parsed, &[u8::try_from(wanted).unwrap(); 32], noon()).await.unwrap();
        let again = tariffs::add(connection, "base", Currency::EUR, &parsed, &[0; 32], noon()).await.unwrap_err();
        assert!(again.is_of("tariffs_name_version_key"), "{again:?}");
        let tariff = tariffs::lookup(connection, "base").await.unwrap().unwrap();
        assert_eq!(tariff.versions().len(), usize::try_from(wanted).unwrap());
        assert_eq!(tariff.versions().last().unwrap().rates(), parsed.rates());
        assert_eq!(tariff.find(Component::Call, "+38613099396", noon() + seconds(60)).unwrap().0.number(), wanted);
    }
    assert_eq!(tariffs::find_beginning(connection, "base", noon() + seconds(2)).await.unwrap().unwrap().version, 2);
    assert_eq!(tariffs::find_beginning(connection, "base", noon() + seconds(3)).await.unwrap(), None);
    assert_eq!(tariffs::list(connection).await.unwrap().len(), 2);
}

#[tokio::test]
async fn proof_of_life_never_goes_back() {
    let Some(database) = Database::fresh().await else { return };
    let connection = &mut database.connection().await;
    assert_eq!(switch_nodes::lookup(connection, "pbx1").await.unwrap(), None);
    switch_nodes::note(connection, "pbx1", Some(noon()), noon() + seconds(10)).await.unwrap();
    switch_nodes::note(connection, "pbx1", None, noon() + seconds(5)).await.unwrap();
    let node = switch_nodes::lookup(connection, "pbx1").await.unwrap().unwrap();
    assert_eq!((node.booted_at, node.last_heard_at), (Some(noon()), noon() + seconds(10)));
    switch_nodes::note(connection, "pbx1", Some(noon() + seconds(20)), noon() + seconds(21)).await.unwrap();
    let node = switch_nodes::lookup(connection, "pbx1").await.unwrap().unwrap();
    assert_eq!((node.booted_at, node.last_heard_at), (Some(noon() + seconds(20)), noon() + seconds(21)));
}

#[tokio::test]
async fn a_pool_that_is_used_up_is_a_passing_fault() {
    let Some(database) = Database::fresh().await else { return };
    let options = PoolOptions { connections: 1.try_into().unwrap(), wait: std::time::Duration::from_millis(500), ..PoolOptions::default() };
    let pool = sklic::storage::Pool::new(&database.url, options).unwrap();
    // Connecting may take longer than the wait on a busy machine.
    let held = loop {
        match pool.get().await {
            Ok(held) => break held,
            Err(fault) => assert!(fault.is_passing(), "{fault:?}"),
        }
    };
    assert!(pool.get().await.err().is_some_and(|error| error.is_passing()));
    drop(held);
    until("there is one again", async || pool.get().await.is_ok()).await;
}
