//! The description of the API is whole and true.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::api::Api;
use crate::http_access::operations;

fn document() -> Value {
    serde_json::to_value(sklic::http::openapi()).unwrap()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let known: BTreeSet<String> = document["components"]["securitySchemes"].as_object().unwrap().keys().cloned().collect();
    for operation in operations() {
        for way in operation.described["security"].as_array().into_iter().flatten() {
            assert!(way.as_object().unwrap().keys().all(|name| known.contains(name)), "{}", operation.name());
        }
    }
}

#[test]
fn every_schema_is_used_and_described() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let described = property.get("description").is_some() || property.get("$ref").is_some() || property.get("oneOf").is_some();
            assert!(described, "{name}.{field} has no description");
        }
    }
}

#[test]
fn every_operation_tells_what_it_answers() {
    let mut names = BTreeSet::new();
    for operation in operations() {
        let (name, described) = (operation.name(), &operation.described);
        assert!(names.insert(described["operationId"].as_str().unwrap().to_owned()), "{name}: its id is used twice");
        assert!(described["summary"].as_str().is_some_and(|summary| !summary.is_empty() && !summary.contains('.')), "{name} has no summary");
        assert!(described["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{name} has no tag");
        let responses = described["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        for (status, response) in responses {
            let content = response["content"].as_object();
            if status.starts_with(['4', '5']) && !(name == "GET /readyz" && status == "503") {
                let schema = &content.unwrap_or_else(|| panic!("{name}: {status} has no content"))["application/problem+json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{name}: {status}");
            } else if status != "204" {
                assert!(content.is_some_and(|content| !content.is_empty()), "{name}: {status} has no content");
            }
        }
        let has = |status: &str| responses.contains_key(status);
        assert!(has("429") && has("500") && has("503"), "{name}");
        assert_eq!(has("401"), !operation.is_open() || operation.path.ends_with("/login"), "{name}");
        assert_eq!(has("404"), operation.path.contains('{'), "{name}");
        assert_eq!(
            has("422"),
            described.get("requestBody").is_some() || name.contains("GET") && described["parameters"].to_string().contains("\"query\""),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_description_is_served_and_names_what_was_agreed() {
    let Some(api) = Api::fresh().await else { return };
    let served = api.send(Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap()).await.expect(200);
    assert_eq!(served, document());
    let names: BTreeSet<String> = operations().iter().map(|operation| operation.name().replace("/api/v1", "")).collect();
    for name in [
        "POST /login",
        "POST /logout",
        "GET /me",
        "PATCH /me",
        "PUT /me/password",
        "GET /sessions",
        "DELETE /sessions",
        "DELETE /sessions/{id}",
        "GET /contacts",
        "POST /contacts",
        "GET /contacts/{id}",
        "PUT /contacts/{id}",
        "DELETE /contacts/{id}",
        "POST /contacts/import",
        "GET /contacts.csv",
        "GET /contacts.vcf",
        "GET /groups",
        "POST /groups",
        "PUT /groups/{id}",
        "DELETE /groups/{id}",
        "GET /conferences",
        "POST /conferences",
        "GET /conferences/{id}",
        "PATCH /conferences/{id}",
        "DELETE /conferences/{id}",
        "POST /conferences/{id}/start",
        "POST /conferences/{id}/participants",
        "DELETE /conferences/{id}/participants/{pid}",
        "POST /conferences/{id}/participants/{pid}/call",
        "POST /conferences/{id}/participants/{pid}/mute",
        "POST /conferences/{id}/participants/{pid}/unmute",
        "POST /conferences/{id}/participants/{pid}/remove",
        "POST /conferences/{id}/mute",
        "POST /conferences/{id}/unmute",
        "POST /conferences/{id}/lock",
        "POST /conferences/{id}/unlock",
        "POST /conferences/{id}/end",
        "POST /conferences/{id}/call_missing",
        "GET /conferences/{id}/live",
        "GET /conferences/{id}/report",
        "GET /conferences/{id}/report.json",
        "GET /conferences/{id}/report.html",
        "GET /conferences/{id}/report.csv",
        "GET /conferences/{id}/estimate",
        "POST /estimate",
        "GET /charges",
        "GET /operator/health",
        "GET /operator/conferences",
        "GET /operator/accounts",
        "GET /operator/accounts/{user_number}",
        "GET /operator/tariffs",
        "GET /operator/tariffs/{id}/rates",
        "GET /operator/deliveries",
        "POST /operator/deliveries/{id}/retry",
        "GET /conferences/{id}/messages",
        "POST /conferences/{id}/messages",
        "POST /conferences/{id}/messages/preview",
        "GET /webhooks",
        "POST /webhooks",
        "DELETE /webhooks/{id}",
        "GET /webhooks/{id}/deliveries",
        "POST /webhooks/{id}/replay",
        "GET /plans",
        "POST /plans",
        "POST /plans/check",
        "GET /plans/{id}",
        "PATCH /plans/{id}",
        "DELETE /plans/{id}",
        "PATCH /plans/{id}/conferences/{pid}",
        "DELETE /plans/{id}/conferences/{pid}",
        "GET /plans/{id}/messages",
        "GET /delivery_reports/{gateway}",
        "POST /delivery_reports/{gateway}",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    ] {
        assert!(names.contains(name), "{name} is not described");
    }
}

#[tokio::test]
async fn every_answer_carries_the_safe_headers() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    for path in ["/", "/api/v1/me", "/api/v1/openapi.json", "/nothing", "/healthz"] {
        let answer = api.get(&user, path).await;
        // The console names what it needs; everything else may load from the service at most.
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") || (path == "/" && policy.contains("default-src 'none'")), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        // The console's own page holds no data and is asked for again each time; all else is never kept.
        let caching = answer.header("cache-control");
        assert!(caching == "no-store" || (path == "/" && caching == "no-cache"), "{path}: {caching}");
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
    let root = api.get(&user, "/").await.text();
    let console = root.contains("<div id=\"app\">");
    assert!(console || (root.contains("make") && root.contains("lang=\"sl\"") && root.contains("lang=\"en\"")), "{root}");
}
