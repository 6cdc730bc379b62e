//! Every operation of the API's description, asked by nobody and by another account.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

use crate::api::{Answer, Api, User, request};

/// One operation of the description.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub described: Value,
}

/// All operations.
pub fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(sklic::http::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            found.push(Operation { method, path: path.clone(), described: described.clone() });
        }
    }
    assert!(found.len() > 40, "only {} operations are described", found.len());
    found
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Nobody needs to be signed in for it.
    pub fn is_open(&self) -> bool {
        self.described["security"].as_array().is_some_and(|ways| ways.iter().any(|way| *way == json!({})))
    }

    /// A request that is in good form, so that only the caller can be wrong.
    fn request(&self, ids: &[(&str, &str)], user: Option<&User>) -> Request<Body> {
        let path = ids.iter().fold(self.path.clone(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
        let builder = match user {
            Some(user) => request(self.method.clone(), &path, user),
            None => Request::builder().method(self.method.clone()).uri(&path),
        };
        let content = &self.described["requestBody"]["content"];
        if content["text/csv"].is_object() {
            return builder.header(header::CONTENT_TYPE, "text/csv").body(Body::from("name,phone\nAna,040123456\n")).unwrap();
        }
        if !content["application/json"].is_object() {
            return builder.body(Body::empty()).unwrap();
        }
        let body = match (self.path.rsplit('/').next().unwrap(), self.path.matches('/').count()) {
            ("call", _) => json!({"phone": "+38659900009"}),
            ("me", _) => json!({"name": "Ana"}),
            ("password", _) => json!({"current_password": "x", "new_password": "dolgo novo geslo"}),
            ("participants" | "contacts", _) => json!({"name": "Bor", "phone": "+38659900009"}),
            ("groups", _) => json!({"name": "Uprava"}),
            ("{id}", _) if self.path.contains("contacts") => json!({"name": "Bor", "phone": "+38659900009"}),
            ("{id}", _) if self.path.contains("groups") => json!({"name": "Uprava"}),
            ("messages" | "preview", _) => json!({"channels": ["sms"], "text": "Živjo"}),
            ("webhooks", _) => json!({"name": "a", "url": "ftp://a"}),
            ("estimate", _) => json!({"participants": [{"name": "Bor", "phone": "+38659900009"}]}),
            ("replay", _) => json!({"since": "2020-01-01T00:00:00Z"}),
            ("plans" | "check", _) => json!({"title": "Uprava", "starts": "2020-01-01T09:00"}),
            ("{pid}", _) if self.path.contains("plans") => json!({"starts": "2020-01-01T09:00"}),
            _ => json!({"title": "Sestanek"}),
        };
        builder.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
    }
}

#[tokio::test]
async fn nobody_gets_in_anywhere() {
    let Some(api) = Api::fresh().await else { return };
    let owner = api.user("100200").await;
    let ids = owned_ids(&api, &owner).await;
    let forged = User { token: "sklic_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(), ..owner.clone() };
    let mut closed = 0;
    for operation in operations() {
        for kind in ids.kinds(&operation) {
            let answer = api.send(operation.request(&kind, None)).await;
            if operation.is_open() {
                assert_ne!(answer.status, 404, "{}", operation.name());
                continue;
            }
            closed += 1;
            assert_eq!(answer.status, 401, "{}: {}", operation.name(), answer.text());
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            answer.problem(401, "not_signed_in");
            let answer = api.send(operation.request(&kind, Some(&forged))).await;
            assert_eq!(answer.status, 401, "{}", operation.name());
        }
    }
    assert!(closed > 35, "only {closed} operations are closed");
    // Nothing of all this has changed anything.
    ids.assert_unchanged(&api, &owner).await;
}

#[tokio::test]
async fn another_accounts_things_are_not_there() {
    let Some(api) = Api::fresh().await else { return };
    let (owner, stranger) = (api.user("100200").await, api.user("100201").await);
    let ids = owned_ids(&api, &owner).await;
    let mut asked = 0;
    for operation in operations() {
        // The operator's pages are refused as such: see http_operator.rs.
        if operation.is_open() || !operation.path.contains('{') || operation.path.contains("/operator/") {
            continue;
        }
        for kind in ids.kinds(&operation) {
            asked += 1;
            let foreign = api.send(operation.request(&kind, Some(&stranger))).await;
            assert_eq!(foreign.status, 404, "{}: {}", operation.name(), foreign.text());
            let unknown: Vec<(&str, &str)> = kind.iter().map(|(name, _)| (*name, "019aa7c4-6c0e-7b3c-8b8e-0d7a3f1e2c4d")).collect();
            let unknown = api.send(operation.request(&unknown, Some(&stranger))).await;
            assert_eq!(without_instance(foreign), without_instance(unknown), "{}", operation.name());
            let rubbish: Vec<(&str, &str)> = kind.iter().map(|(name, _)| (*name, "1%20OR%201=1")).collect();
            api.send(operation.request(&rubbish, Some(&stranger))).await.problem(404, "not_found");
        }
    }
    assert!(asked > 25, "only {asked} operations take an identifier");
    let charges = format!("/api/v1/charges?conference={}", ids.conference);
    api.get(&stranger, &charges).await.problem(404, "not_found");
    let foreign = json!({"title": "a", "participants": [{"contact_id": ids.contact}]});
    api.post(&stranger, "/api/v1/conferences", foreign).await.fields(&[("participants[0].contact_id", "unknown_contact")]);
    ids.assert_unchanged(&api, &owner).await;
    for path in ["contacts", "conferences"] {
        let list = api.get(&stranger, &format!("/api/v1/{path}")).await.expect(200);
        assert!(!list.to_string().contains(&ids.contact) && !list.to_string().contains(&ids.conference), "{list}");
    }
}

fn without_instance(answer: Answer) -> Value {
    let mut problem = answer.problem(404, "not_found");
    problem.as_object_mut().unwrap().remove("instance");
    problem
}

/// Things that an account has.
struct Ids {
    contact: String,
    group: String,
    conference: String,
    plan: String,
    webhook: String,
    participant: String,
    before: (Value, Value, Value),
}

async fn owned_ids(api: &Api, owner: &User) -> Ids {
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let contact = id(&api.post(owner, "/api/v1/contacts", json!({"name": "Bor", "phone": "+38659900002"})).await.expect(201));
    let group = id(&api.post(owner, "/api/v1/groups", json!({"name": "Uprava", "contact_ids": [contact]})).await.expect(201));
    let conference = api.plan(owner, &["+38659900003"]).await;
    let participant = id(&conference["participants"][1]);
    let starts = sklic::clock::now().to_zoned(jiff::tz::TimeZone::UTC).datetime().checked_add(jiff::Span::new().days(3)).unwrap();
    let plan = id(&api.post(owner, "/api/v1/plans", json!({"title": "Uprava", "starts": starts.to_string()})).await.expect(201));
    let hook = json!({"name": "CRM", "url": "https://192.0.0.0.example.invalid/"});
    let webhook = id(&api.post(owner, "/api/v1/webhooks", hook).await.expect(201));
    let before = everything(api, owner, &id(&conference)).await;
    Ids { contact, group, conference: id(&conference), plan, webhook, participant, before }
}

async fn everything(api: &Api, owner: &User, conference: &str) -> (Value, Value, Value) {
    (
        api.get(owner, "/api/v1/contacts").await.expect(200),
        api.get(owner, "/api/v1/groups").await.expect(200),
        api.get(owner, &format!("/api/v1/conferences/{conference}")).await.expect(200),
    )
}

impl Ids {
    /// The identifiers that fit an operation's path.
    fn kinds<'a>(&'a self, operation: &Operation) -> Vec<Vec<(&'static str, &'a str)>> {
        let path = &operation.path;
        let id = if path.contains("/contacts/") {
            self.contact.as_str()
        } else if path.contains("/webhooks/") {
            &self.webhook
        } else if path.contains("/plans/") {
            &self.plan
        } else if path.contains("/groups/") {
            &self.group
        } else {
            &self.conference
        };
        vec![vec![("id", id), ("pid", &self.participant)]]
    }

    async fn assert_unchanged(&self, api: &Api, owner: &User) {
        assert_eq!(everything(api, owner, &self.conference).await, self.before);
    }
}
