//! Bad input: a clear problem, and nothing has changed.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, header};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::{Api, User, request};

const CONFERENCES: &str = "/api/v1/conferences";
const CONTACTS: &str = "/api/v1/contacts";

async fn assert_nothing_there(api: &Api, user: &User) {
    assert_eq!(api.get(user, CONFERENCES).await.expect(200)["conferences"], json!([]));
    assert_eq!(api.get(user, CONTACTS).await.expect(200)["contacts"], json!([]));
    assert_eq!(api.get(user, "/api/v1/groups").await.expect(200), json!([]));
}

fn with_person(person: Value) -> Value {
    json!({"title": "Sestanek", "participants": [{"name": "Ana", "phone": "+38659900002"}, person]})
}

#[tokio::test]
async fn bad_numbers_name_their_place() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for (phone, code) in [
        ("040abc123", "invalid_number"),
        ("040123456\n", "invalid_number"),
        ("\n040123456", "invalid_number"),
        ("040123456\r\nAction: Originate", "invalid_number"),
        ("040123456,1", "invalid_number"),
        ("040123456@trunk", "invalid_number"),
        ("${EXTEN}", "invalid_number"),
        ("040 123 456&PJSIP/evil", "invalid_number"),
        ("040123456\0", "invalid_number"),
        ("٠٤٠١٢٣٤٥٦", "invalid_number"),
        ("112", "invalid_number"),
        ("", "required"),
        ("  ", "required"),
        ("0401234567890123456789012345678901234567890", "too_long"),
        ("+442071838750", "not_allowed"),
        ("19819", "not_allowed"),
    ] {
        let answer = api.post(&user, CONFERENCES, with_person(json!({"name": "Bor", "phone": phone}))).await;
        answer.fields(&[("participants[1].phone", code)]);
        if code != "not_allowed" {
            api.post(&user, CONTACTS, json!({"name": "Bor", "phone": phone})).await.fields(&[("phone", code)]);
        }
    }
    assert_nothing_there(&api, &user).await;
}

#[tokio::test]
async fn bad_people_and_titles_name_their_place() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let unknown = "019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d";
    for (body, fields) in [
        (json!({"participants": []}), &[("title", "required")][..]),
        (json!({"title": null}), &[("title", "required")]),
        (json!({"title": " "}), &[("title", "required")]),
        (json!({"title": 7}), &[("title", "wrong_type")]),
        (json!({"title": "a\u{0}b"}), &[("title", "control_character")]),
        (json!({"title": "a\nb"}), &[("title", "control_character")]),
        (json!({"title": "č".repeat(201)}), &[("title", "too_long")]),
        (json!({"title": "a", "titel": "b"}), &[("titel", "unknown_field")]),
        (json!({"title": "a", "scheduled_at": "tomorrow"}), &[("scheduled_at", "invalid")]),
        (json!({"title": "a", "scheduled_at": "1999-01-01T00:00:00Z"}), &[("scheduled_at", "out_of_range")]),
        (json!({"title": "a", "grace_seconds": -1}), &[("grace_seconds", "invalid")]),
        (json!({"title": "a", "grace_seconds": 3601}), &[("grace_seconds", "out_of_range")]),
        (json!({"title": "a", "entry_beep": "yes"}), &[("entry_beep", "wrong_type")]),
        (json!({"title": "a", "participants": {}}), &[("participants", "wrong_type")]),
        (with_person(json!("Bor")), &[("participants[1]", "wrong_type")]),
        (with_person(json!({})), &[("participants[1].name", "required"), ("participants[1].phone", "required")]),
        (with_person(json!({"name": "Bor"})), &[("participants[1].phone", "required")]),
        (with_person(json!({"phone": "+38659900003"})), &[("participants[1].name", "required")]),
        (with_person(json!({"name": "B\u{7}or", "phone": "+38659900003"})), &[("participants[1].name", "control_character")]),
        (with_person(json!({"name": "Bor", "phone": "+38659900003", "fax": "1"})), &[("participants[1].fax", "unknown_field")]),
        (with_person(json!({"name": "Bor", "phone": "+38659900003", "email": "bor"})), &[("participants[1].email", "invalid_email")]),
        (
            with_person(json!({"name": "Bor", "phone": "+38659900003", "email": "a@b.si\r\nBcc: c@d.si"})),
            &[("participants[1].email", "invalid_email")],
        ),
        (with_person(json!({"contact_id": unknown})), &[("participants[1].contact_id", "unknown_contact")]),
        (with_person(json!({"contact_id": "7"})), &[("participants[1].contact_id", "invalid")]),
        (
            with_person(json!({"contact_id": unknown, "phone": "1"})),
            &[("participants[1].phone", "conflict"), ("participants[1].contact_id", "unknown_contact")],
        ),
        (json!({"title": "a", "participants": vec![json!({"name": "Bor", "phone": "+38659900003"}); 20]}), &[("participants", "too_many")]),
    ] {
        let shown = body.to_string();
        let answer = api.post(&user, CONFERENCES, body).await;
        assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
        answer.fields(fields);
    }
    for (body, fields) in [
        (json!({"name": "Bor"}), &[("phone", "required")][..]),
        (json!({"phone": "040123456"}), &[("name", "required")]),
        (json!({"name": "Bor", "phone": "040123456", "note": "a\u{0}"}), &[("note", "control_character")]),
        (json!({"name": "Bor", "phone": "040123456", "note": "č".repeat(2001)}), &[("note", "too_long")]),
        (json!({"name": "", "phone": "x", "email": "y"}), &[("name", "required"), ("phone", "invalid_number"), ("email", "invalid_email")]),
    ] {
        api.post(&user, CONTACTS, body).await.fields(fields);
    }
    api.post(&user, "/api/v1/groups", json!({"name": "Uprava", "contact_ids": [unknown]})).await.fields(&[("contact_ids[0]", "unknown_contact")]);
    for (body, fields) in [
        (json!({"language": "de"}), &[("language", "invalid")][..]),
        (json!({"time_zone": "Mars/Olympus"}), &[("time_zone", "invalid")]),
        (json!({"time_zone": "../../etc/passwd"}), &[("time_zone", "invalid")]),
        (json!({"time_zone": "Etc/Unknown"}), &[("time_zone", "invalid")]),
        (json!({"email": ""}), &[("email", "required")]),
        (json!({"phone": "+442071838750"}), &[("phone", "not_allowed")]),
        (json!({"staff": true}), &[("staff", "unknown_field")]),
    ] {
        api.patch(&user, "/api/v1/me", body).await.fields(fields);
    }
    assert_nothing_there(&api, &user).await;
}

#[tokio::test]
async fn what_is_no_json_is_told_with_its_place() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for body in ["", "{", "{\"title\": \"a\"", "{\"title\": \"a\",\n  title}", "\u{feff}{}", "{\"title\": \"\\ud800\"}"] {
        let problem = api.text(Method::POST, &user, CONFERENCES, "application/json", body).await.problem(400, "malformed_json");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("line ") && detail.contains("column "), "{detail}");
    }
    let problem = api.text(Method::POST, &user, CONFERENCES, "application/json", "{\"title\": \"a\",\n  title}").await.json();
    assert!(problem["detail"].as_str().unwrap().contains("line 2 column 3"), "{problem}");
    api.text(Method::POST, &user, CONFERENCES, "application/json", &b"{\"title\": \"\xff\"}"[..]).await.problem(400, "malformed_json");
    let deep = "[".repeat(100_000);
    api.text(Method::POST, &user, CONFERENCES, "application/json", deep).await.expect(422);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"] {
        api.text(Method::POST, &user, CONFERENCES, content_type, "{}").await.problem(415, "wrong_content_type");
    }
    assert_nothing_there(&api, &user).await;
}

#[tokio::test]
async fn big_bodies_are_refused_before_they_are_read() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let ten_megabytes = vec![b' '; 10 * 1024 * 1024];
    api.text(Method::POST, &user, CONFERENCES, "application/json", ten_megabytes.clone()).await.problem(413, "too_large");
    api.text(Method::POST, &user, "/api/v1/contacts/import", "text/csv", ten_megabytes).await.problem(413, "too_large");
    // Announced as big: the first byte is not waited for.
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let announced = request(Method::POST, CONFERENCES, &user)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, "10485760")
        .body(never)
        .unwrap();
    let begin = Instant::now();
    api.send(announced).await.problem(413, "too_large");
    assert!(begin.elapsed() < Duration::from_secs(2));
    // Not announced and without end.
    let endless = Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096]))));
    api.text(Method::POST, &user, CONFERENCES, "application/json", endless).await.problem(413, "too_large");
    assert_nothing_there(&api, &user).await;
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_changes_nothing_when_it_is_too_big() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let view = api.plan(&user, &["+38659900002"]).await;
    let path = format!("{CONFERENCES}/{}", view["id"].as_str().unwrap());
    let start = format!("{path}/start");
    for (method, path) in [(Method::POST, &start), (Method::DELETE, &path)] {
        api.text(method.clone(), &user, path, "application/json", vec![b' '; 10 * 1024 * 1024]).await.problem(413, "too_large");
        // Not announced.
        let endless = Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096]))));
        api.text(method.clone(), &user, path, "application/json", endless).await.problem(413, "too_large");
        let broken = Body::from_stream(futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]));
        api.text(method, &user, path, "application/json", broken).await.problem(400, "malformed");
    }
    assert_eq!(api.get(&user, &path).await.expect(200)["state"], "planned");
    // What clients send by habit does no harm.
    api.text(Method::POST, &user, &start, "application/json", "{}").await.expect(202);
}

#[tokio::test]
async fn a_whole_directory_fits_into_a_group_and_a_large_conference_into_a_request() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let unknown = "019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d";
    let group = api.post(&user, "/api/v1/groups", json!({"name": "Vsi", "contact_ids": vec![unknown; 10_000]})).await;
    assert_eq!(
        group.problem(422, "invalid_fields")["errors"][0],
        json!({"field": "contact_ids[0]", "code": "unknown_contact", "message": "there is no such contact"})
    );
    let people = vec![json!({"name": "Žiga Čopič", "phone": "+386 59 900 002", "email": "ziga.copic@podjetje.example.test"}); 5_000];
    let starts = "2026-01-01T10:00:00";
    for (path, body) in [
        (CONFERENCES, json!({"title": "Vsi", "participants": people})),
        ("/api/v1/estimate", json!({"participants": people})),
        ("/api/v1/plans", json!({"title": "Vsi", "starts": starts, "length_minutes": 60, "participants": people})),
    ] {
        let problem = api.post(&user, path, body).await.problem(422, "invalid_fields");
        let errors = problem["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error["field"] == "participants" && error["code"] == "too_many"), "{path}: {problem}");
    }
}

#[tokio::test]
async fn times_before_the_telephone_are_out_of_range() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let webhook = api.post(&user, "/api/v1/webhooks", json!({"name": "CRM", "url": "https://93.184.215.14/"})).await.expect(201);
    let replay = format!("/api/v1/webhooks/{}/replay", webhook["id"].as_str().unwrap());
    for time in ["-009999-01-03T00:00:00Z", "-004713-11-24T00:00:00Z", "1969-12-31T23:59:59Z"] {
        for field in ["from", "to"] {
            api.get(&user, &format!("/api/v1/charges?{field}={time}")).await.fields(&[(field, "out_of_range")]);
        }
        let after = format!("/api/v1/charges?after=019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d_{time}");
        api.get(&user, &after).await.fields(&[("after", "invalid")]);
        api.post(&user, &replay, json!({"since": time})).await.fields(&[("since", "out_of_range")]);
        let at = json!({"title": "a", "scheduled_at": time});
        api.post(&user, CONFERENCES, at).await.fields(&[("scheduled_at", "out_of_range")]);
        let starts = time.trim_end_matches('Z');
        let plan = json!({"title": "a", "starts": starts, "length_minutes": 60, "participants": []});
        api.post(&user, "/api/v1/plans", plan).await.fields(&[("starts", "out_of_range")]);
    }
    api.get(&user, "/api/v1/charges?from=1970-01-01T00:00:00Z&to=9999-12-30T00:00:00Z").await.expect(200);
    api.post(&user, &replay, json!({"since": "9999-12-30T00:00:00Z"})).await.expect(202);
}

#[tokio::test]
async fn a_webhooks_url_is_kept_in_the_form_in_which_it_is_read() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let make = async |url: &str| api.post(&user, "/api/v1/webhooks", json!({"name": "CRM", "url": url})).await;
    for url in ["https://93.184.215.14/\0", "https://93.184.215.14/a\nb", "https://93.184.215.14/\t", "\rhttps://93.184.215.14/", "https://\u{85}"] {
        make(url).await.fields(&[("url", "control_character")]);
    }
    // The second is too long only once it is written out.
    for path in ["a".repeat(2_000), "č".repeat(1_000)] {
        make(&format!("https://93.184.215.14/{path}")).await.fields(&[("url", "too_long")]);
    }
    // Shorter than any URL that is kept, but it names a host.
    assert_eq!(make("http:a").await.expect(201)["url"], "http://a/");
    assert_eq!(make(" HTTPS://93.184.215.14:443/a b ").await.expect(201)["url"], "https://93.184.215.14/a%20b");
    let listed = api.get(&user, "/api/v1/webhooks").await.expect(200);
    assert_eq!(listed["webhooks"].as_array().unwrap().len(), 2, "{listed}");
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for path in ["/api/v1/nothing", "/api/v2/me", "/nothing", "/api/v1/conferences/x/y/z", "/../etc/passwd", "/%00"] {
        api.get(&user, path).await.problem(404, "not_found");
    }
    for path in ["/assets/%ff", "/api/v1/delivery_reports/%ff", "/api/v1/conferences/%ff", "/api/v1/sessions/%ff"] {
        let method = if path.contains("sessions") { Method::DELETE } else { Method::GET };
        api.text(method, &user, path, "text/plain", Body::empty()).await.problem(404, "not_found");
    }
    api.text(Method::POST, &user, "/api/v1/delivery_reports/%ff", "text/plain", Body::empty()).await.problem(404, "not_found");
    api.delete(&user, "/api/v1/me").await.problem(405, "method_not_allowed");
    api.send(Request::put("/api/v1/login").body(Body::empty()).unwrap()).await.problem(405, "method_not_allowed");
    for path in ["/api/v1/conferences?limit=0", "/api/v1/conferences?limit=x", "/api/v1/conferences?limit=201"] {
        let problem = api.get(&user, path).await.problem(422, "invalid_fields");
        assert_eq!(problem["errors"][0]["field"], "limit", "{problem}");
    }
    api.get(&user, "/api/v1/conferences?order=title").await.fields(&[("order", "unknown_field")]);
    api.get(&user, "/api/v1/contacts?after=rubbish").await.fields(&[("after", "invalid")]);
    api.get(&user, "/api/v1/contacts?search=%00").await.expect(200);
}

#[tokio::test]
async fn any_text_is_data() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for text in ["<img src=x onerror=alert(1)>", "Анна Петрова 🎉", "Robert'); DROP TABLE contacts;--", "=1+1", "{{7*7}} ${x} %s %n", "a\u{202e}b"]
    {
        let contact = api.post(&user, CONTACTS, json!({"name": text, "phone": "040 123 456", "note": format!("{text}\n{text}")})).await.expect(201);
        assert_eq!(contact["name"], text);
        assert_eq!(contact["phone"], "+38640123456");
        let path = format!("{CONTACTS}/{}", contact["id"].as_str().unwrap());
        assert_eq!(api.get(&user, &path).await.expect(200), contact);
        let body = json!({"title": text, "participants": [{"contact_id": contact["id"]}]});
        let view = api.post(&user, CONFERENCES, body).await.expect(201);
        assert_eq!((&view["title"], &view["participants"][1]["name"]), (&json!(text), &json!(text)));
    }
}
