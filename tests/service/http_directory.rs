//! Contacts, groups, import.

use axum::http::Method;
use serde_json::{Value, json};

use crate::api::{Api, User};

const CONTACTS: &str = "/api/v1/contacts";
const IMPORT: &str = "/api/v1/contacts/import";

async fn add(api: &Api, user: &User, name: &str, phone: &str) -> Value {
    api.post(user, CONTACTS, json!({"name": name, "phone": phone})).await.expect(201)
}

fn path(contact: &Value) -> String {
    format!("{CONTACTS}/{}", contact["id"].as_str().unwrap())
}

fn names(list: &Value) -> Vec<&str> {
    list["contacts"].as_array().unwrap().iter().map(|contact| contact["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn contacts_are_kept_changed_and_deleted() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let bor = add(&api, &user, " Bor ", "040 123 456").await;
    assert_eq!((&bor["name"], &bor["phone"]), (&json!("Bor"), &json!("+38640123456")));
    assert!(bor.get("email").is_none());
    let changed =
        api.put(&user, &path(&bor), json!({"name": "Bor B.", "phone": "19819", "email": "bor@example.test", "note": "a\r\nb"})).await.expect(200);
    assert_eq!(bor["code"].as_str().map(str::len), Some(8), "{bor}");
    assert_eq!(
        changed,
        json!({"id": bor["id"], "code": bor["code"], "name": "Bor B.", "phone": "19819", "email": "bor@example.test", "note": "a\nb"})
    );
    api.put(&user, &path(&bor), json!({"name": "Bor", "phone": "x"})).await.fields(&[("phone", "invalid_number")]);
    assert_eq!(api.get(&user, &path(&bor)).await.expect(200), changed);
    api.delete(&user, &path(&bor)).await.expect(204);
    api.get(&user, &path(&bor)).await.problem(404, "not_found");
    api.delete(&user, &path(&bor)).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_directory_is_searched_and_paged() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for name in ["Cene", "Ana", "Žiga", "Bor", "Ana", "100%"] {
        add(&api, &user, name, "040 123 456").await;
    }
    add(&api, &user, "Eva", "041 765 432").await;
    let all = api.get(&user, CONTACTS).await.expect(200);
    assert_eq!(names(&all).len(), 7);
    assert!(all.get("next").is_none());
    assert_eq!(names(&api.get(&user, &format!("{CONTACTS}?search=ana")).await.expect(200)), ["Ana", "Ana"]);
    assert_eq!(names(&api.get(&user, &format!("{CONTACTS}?search=765")).await.expect(200)), ["Eva"]);
    assert_eq!(names(&api.get(&user, &format!("{CONTACTS}?search=%25")).await.expect(200)), ["100%"]);
    let mut paged = Vec::new();
    let mut query = format!("{CONTACTS}?limit=2");
    loop {
        let page = api.get(&user, &query).await.expect(200);
        paged.extend(page["contacts"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        let next = next.replace('%', "%25").replace('Ž', "%C5%BD");
        query = format!("{CONTACTS}?limit=2&after={next}");
    }
    assert_eq!(json!(paged), all["contacts"]);
}

#[tokio::test]
async fn groups_hold_the_accounts_own_contacts() {
    let Some(api) = Api::fresh().await else { return };
    let (user, other) = (api.user("100200").await, api.user("100201").await);
    let (ana, bor) = (add(&api, &user, "Ana", "040 123 456").await, add(&api, &user, "Bor", "040 123 457").await);
    let foreign = add(&api, &other, "Cene", "040 123 458").await;
    let group = api.post(&user, "/api/v1/groups", json!({"name": "Uprava", "contact_ids": [bor["id"], ana["id"]]})).await.expect(201);
    assert_eq!(group["contact_ids"], json!([bor["id"], ana["id"]]));
    let path = format!("/api/v1/groups/{}", group["id"].as_str().unwrap());
    api.post(&user, "/api/v1/groups", json!({"name": "Uprava"})).await.problem(409, "name_taken");
    api.put(&user, &path, json!({"name": "Uprava", "contact_ids": [ana["id"], foreign["id"]]}))
        .await
        .fields(&[("contact_ids[1]", "unknown_contact")]);
    assert_eq!(api.get(&user, &path).await.expect(200), group);
    let changed = api.put(&user, &path, json!({"name": "Odbor", "contact_ids": [ana["id"]]})).await.expect(200);
    assert_eq!(changed, json!({"id": group["id"], "name": "Odbor", "contact_ids": [ana["id"]]}));
    api.delete(&user, &self::path(&ana)).await.expect(204);
    assert_eq!(api.get(&user, "/api/v1/groups").await.expect(200), json!([{"id": group["id"], "name": "Odbor", "contact_ids": []}]));
    api.put(&other, &path, json!({"name": "Moja"})).await.problem(404, "not_found");
    api.delete(&other, &path).await.problem(404, "not_found");
    api.delete(&user, &path).await.expect(204);
    api.get(&user, &path).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_good_file_is_imported_whole() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let file = "\u{feff}Phone;name;note\r\n040 123 456;\"Čopič; Žiga\";\"ena\ndve\"\r\n\r\n 041 765 432 ;<b>Eva</b>;\r\n";
    let imported = api.text(Method::POST, &user, IMPORT, "text/csv; charset=utf-8", file).await.expect(200);
    assert_eq!(imported, json!({"imported": 2, "skipped": 0, "errors": []}));
    let list = api.get(&user, CONTACTS).await.expect(200);
    let ziga = list["contacts"].as_array().unwrap().iter().find(|contact| contact["name"] == "Čopič; Žiga").unwrap();
    assert_eq!((&ziga["phone"], &ziga["note"]), (&json!("+38640123456"), &json!("ena\ndve")));
}

#[tokio::test]
async fn a_bad_line_stops_the_import_unless_it_may_be_skipped() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let file = "name,phone,email,note\nAna,040 123 456,,\nBor,,bor,\nCene,abc\n,041 765 432,,,more\n";
    let wanted = [
        ("lines[3].phone", "required"),
        ("lines[3].email", "invalid_email"),
        ("lines[4].phone", "invalid_number"),
        ("lines[5]", "invalid"),
        ("lines[5].name", "required"),
    ];
    let problem = api.text(Method::POST, &user, IMPORT, "text/csv", file).await.fields(&wanted);
    assert!(problem["detail"].as_str().unwrap().starts_with("3 lines are not right"), "{problem}");
    assert_eq!(api.get(&user, CONTACTS).await.expect(200)["contacts"], json!([]));
    let checked = api.text(Method::POST, &user, &format!("{IMPORT}?check_only=true"), "text/csv", file).await.expect(200);
    assert_eq!((&checked["imported"], &checked["skipped"]), (&json!(1), &json!(3)));
    assert_eq!(api.get(&user, CONTACTS).await.expect(200)["contacts"], json!([]));
    let imported = api.text(Method::POST, &user, &format!("{IMPORT}?skip_bad=true"), "text/csv", file).await.expect(200);
    assert_eq!((&imported["imported"], &imported["skipped"], imported["errors"].as_array().unwrap().len()), (&json!(1), &json!(3), 5));
    assert_eq!(names(&api.get(&user, CONTACTS).await.expect(200)), ["Ana"]);
}

#[tokio::test]
async fn lines_are_those_of_the_file() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    // CR LF, empty lines that are passed over, a note of two lines.
    let file = "name,phone,email,note\r\nAna,040 123 456,,\r\nBor,,,\r\n\r\n\r\nCene,abc,,\"ena\r\ndve\"\r\nDana,,,\r\n";
    let wanted = [("lines[3].phone", "required"), ("lines[6].phone", "invalid_number"), ("lines[8].phone", "required")];
    api.text(Method::POST, &user, IMPORT, "text/csv", file).await.fields(&wanted);
    api.text(Method::POST, &user, IMPORT, "text/csv", file.replace("\r\n", "\n")).await.fields(&wanted);
    let checked = api.text(Method::POST, &user, &format!("{IMPORT}?check_only=true"), "text/csv", file).await.expect(200);
    assert_eq!(checked["contacts"], json!([{"line": 2, "name": "Ana", "phone": "+38640123456"}]));
}

#[tokio::test]
async fn vcards_are_imported_and_told_by_line() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let file = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ana\r\nTEL:040 123 456\r\nEND:VCARD\r\nBEGIN:VCARD\r\nFN:Bor\r\nEMAIL:bor\r\nTEL:abc\r\nEND:VCARD\r\n\
        BEGIN:VCARD\r\nTEL:041 765 432\r\nEND:VCARD\r\n";
    let wanted = [("lines[9].phone", "invalid_number"), ("lines[8].email", "invalid_email"), ("lines[11].name", "required")];
    api.text(Method::POST, &user, IMPORT, "text/vcard; charset=utf-8", file).await.fields(&wanted);
    let imported = api.text(Method::POST, &user, &format!("{IMPORT}?skip_bad=true"), "text/vcard", file).await.expect(200);
    assert_eq!((&imported["imported"], &imported["skipped"]), (&json!(1), &json!(2)));
    assert_eq!(names(&api.get(&user, CONTACTS).await.expect(200)), ["Ana"]);
    api.text(Method::POST, &user, IMPORT, "text/vcard", "name,phone\n").await.fields(&[("lines[1]", "required")]);
}

#[tokio::test]
async fn people_behind_an_open_quotation_mark_are_not_lost() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let file = "name,phone,email,note\nAna,040 123 456,,\n\nBor,040 123 457,,\"ena\nCene,040 123 458,,\nDana,040 123 459,,\n";
    for query in ["", "?skip_bad=true", "?check_only=true"] {
        for end in ["", "\n\n", "\r\n", " "] {
            let path = format!("{IMPORT}{query}");
            let problem = api.text(Method::POST, &user, &path, "text/csv", format!("{file}{end}")).await.problem(400, "malformed_csv");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("begins on line 4 ") && detail.contains("Nothing was imported"), "{problem}");
        }
    }
    api.text(Method::POST, &user, IMPORT, "text/csv", "name,phone,note\nAna,040 123 456,\"").await.problem(400, "malformed_csv");
    assert_eq!(api.get(&user, CONTACTS).await.expect(200)["contacts"], json!([]));
    // Closed, whatever the file ends with; and a mark within a value is none that opens.
    for (end, name) in [("", "Ana"), ("\n", "Bor \"Bob\""), ("\r\n\r\n", "\"Cene, ml.\""), (" ", "Dana")] {
        let file = format!("name,phone,note\n{name},040 123 456,\"ena\ndve\"{end}");
        let imported = api.text(Method::POST, &user, IMPORT, "text/csv", file).await.expect(200);
        assert_eq!((&imported["imported"], &imported["skipped"]), (&json!(1), &json!(0)), "{name}: {imported}");
    }
    for blank in ["", "\n", "\r\n\n"] {
        api.text(Method::POST, &user, IMPORT, "text/csv", blank).await.fields(&[("lines[1]", "required")]);
    }
    // What looks like the service's own mark is a line like any other.
    api.text(Method::POST, &user, IMPORT, "text/csv", "name,phone\n\u{1}\nAna,040 123 456\n")
        .await
        .fields(&[("lines[2].name", "control_character"), ("lines[2].phone", "required")]);
}

#[tokio::test]
async fn a_card_in_another_encoding_is_refused_with_its_line() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let file = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-2;ENCODING=QUOTED-PRINTABLE:=C8opi=E8;Ana\r\nTEL:040 123 456\r\nEND:VCARD\r\n\
        BEGIN:VCARD\r\nFN:Bor\r\nTEL:040 123 457\r\nBEGIN:VCARD\r\nFN:Cene\r\nTEL:040 123 458\r\nEND:VCARD\r\n";
    let problem = api.text(Method::POST, &user, IMPORT, "text/vcard", file).await.fields(&[("lines[3]", "invalid")]);
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("export the file as UTF-8"), "{problem}");
    api.text(Method::POST, &user, &format!("{IMPORT}?skip_bad=true"), "text/vcard", file).await.expect(200);
    assert_eq!(names(&api.get(&user, CONTACTS).await.expect(200)), ["Bor", "Cene"]);
}

#[tokio::test]
async fn what_is_exported_is_imported_again() {
    let Some(api) = Api::fresh().await else { return };
    let (user, other) = (api.user("100200").await, api.user("100300").await);
    for (name, note) in [("<img src=x onerror=alert(1)>", "=1+1"), ("Ђорђе 📞; ml.", "ena\ndve, \"tri\""), ("@sum", "")] {
        api.post(&user, CONTACTS, json!({"name": name, "phone": "040 123 456", "note": note, "email": "a@example.test"})).await.expect(201);
    }
    let have = |list: &Value| -> Vec<Value> {
        let mut have = list["contacts"].as_array().unwrap().clone();
        // Who and by which code is never the same in two directories.
        for contact in have.iter_mut().filter_map(Value::as_object_mut) {
            contact.retain(|field, _| !matches!(field.as_str(), "id" | "code"));
        }
        have
    };
    let mine = have(&api.get(&user, CONTACTS).await.expect(200));
    for (path, kind) in [("/api/v1/contacts.csv", "text/csv"), ("/api/v1/contacts.vcf", "text/vcard")] {
        let file = api.get(&user, path).await;
        assert_eq!((file.status.as_u16(), file.header("content-disposition").starts_with("attachment")), (200, true));
        assert!(!file.text().contains("\n=") && !file.text().contains(";=1") && !file.text().contains(",=1"), "{}", file.text());
        api.text(Method::POST, &other, IMPORT, kind, file.body).await.expect(200);
        let theirs = api.get(&other, CONTACTS).await.expect(200);
        assert_eq!(have(&theirs), mine, "{path}");
        for contact in theirs["contacts"].as_array().unwrap() {
            api.delete(&other, &format!("{CONTACTS}/{}", contact["id"].as_str().unwrap())).await.expect(204);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_none_is_refused() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for (file, code) in [("", "required"), ("name\nAna\n", "required"), ("name,phone,fax\n", "unknown_field"), ("name,phone,name\n", "duplicate")] {
        api.text(Method::POST, &user, IMPORT, "text/csv", file).await.fields(&[("lines[1]", code)]);
    }
    let problem = api.text(Method::POST, &user, IMPORT, "text/csv", &b"name,phone\nAna,1\nB\xffr,2\n"[..]).await.problem(400, "not_utf8");
    assert!(problem["detail"].as_str().unwrap().starts_with("Line 3 "), "{problem}");
    api.text(Method::POST, &user, IMPORT, "application/json", "{}").await.problem(415, "wrong_content_type");
    let many = format!("name,phone\n{}", "Ana,040123456\n".repeat(10_001));
    api.text(Method::POST, &user, IMPORT, "text/csv", many).await.fields(&[("", "too_many")]);
    let full = format!("name,phone\n{}", "Ana,040123456\n".repeat(10_000));
    api.text(Method::POST, &user, IMPORT, "text/csv", full).await.expect(200);
    api.post(&user, CONTACTS, json!({"name": "Bor", "phone": "040 123 456"})).await.problem(409, "directory_full");
    api.text(Method::POST, &user, IMPORT, "text/csv", "name,phone\nAna,040123456\n").await.problem(409, "directory_full");
}
