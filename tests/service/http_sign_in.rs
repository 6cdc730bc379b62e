//! Signing in, sessions, other sites' pages, limits on the rate of requests.

use axum::body::Body;
use axum::http::{Method, Request, header};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sklic::clock;
use sklic::http::{HttpConfig, secrets};
use sklic::storage::sessions::NewSession;
use sklic::storage::{accounts, api_tokens, sessions};

use crate::api::{Answer, Api, PASSWORD, cookie_of, from_address, generous, request, with_cookie};

const ME: &str = "/api/v1/me";

async fn me(api: &Api, cookie: &str) -> Answer {
    api.send(with_cookie(Method::GET, ME, cookie).body(Body::empty()).unwrap()).await
}

async fn send(api: &Api, method: Method, path: &str, cookie: &str, body: Option<Value>) -> Answer {
    let builder = with_cookie(method, path, cookie);
    let request = match body {
        Some(body) => builder.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        None => builder.body(Body::empty()),
    };
    api.send(request.unwrap()).await
}

#[tokio::test]
async fn a_session_lives_from_sign_in_to_sign_out() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let answer = api.login("100200", PASSWORD).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("sklic_session=") && set.contains("; HttpOnly") && set.contains("; SameSite=Lax") && set.contains("; Path=/"), "{set}");
    assert!(!set.contains("Secure"), "{set}");
    let cookie = cookie_of(&answer);
    let account = answer.expect(200);
    assert_eq!(account["account_id"], json!(user.account));
    assert_eq!((&account["name"], &account["language"], &account["time_zone"]), (&json!("Ana Novak"), &json!("sl"), &json!("Europe/Ljubljana")));
    assert!(!account.to_string().contains("argon2"));
    assert_eq!(me(&api, &cookie).await.expect(200), account);
    // Another cookie's bytes are not a session.
    me(&api, "sklic_session=x").await.problem(401, "not_signed_in");
    me(&api, "__Host-sklic_session=x").await.problem(401, "not_signed_in");
    let out = send(&api, Method::POST, "/api/v1/logout", &cookie, None).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    out.expect(204);
    me(&api, &cookie).await.problem(401, "not_signed_in");
    send(&api, Method::POST, "/api/v1/logout", &cookie, None).await.expect(204);
}

#[tokio::test]
async fn under_tls_the_cookie_is_bound_to_the_host() {
    let Some(api) = Api::with(HttpConfig { public_url: "https://sklic.example.test/".into(), ..generous() }).await else { return };
    api.user("100200").await;
    let answer = api.login("100200", PASSWORD).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-sklic_session=") && set.contains("; Secure") && set.contains("; Path=/") && !set.contains("Domain"), "{set}");
    me(&api, &cookie_of(&answer)).await.expect(200);
}

#[tokio::test]
async fn wrong_logins_do_not_tell_what_was_wrong() {
    let Some(api) = Api::fresh().await else { return };
    api.user("100200").await;
    let user = api.user("100201").await;
    accounts::set_disabled(&mut *api.database.connection().await, user.account, Some(clock::now())).await.unwrap();
    let mut problems = Vec::new();
    for (user_number, password) in [("100200", "napačno"), ("999999", PASSWORD), ("100201", PASSWORD), ("100200\u{0}", PASSWORD), ("' OR 1=1", "x")]
    {
        let answer = api.login(user_number, password).await;
        assert!(answer.headers.get(header::SET_COOKIE).is_none());
        let mut problem = answer.problem(401, "wrong_login");
        problem.as_object_mut().unwrap().remove("instance");
        problems.push(problem);
    }
    assert!(problems.iter().all(|problem| *problem == problems[0]), "{problems:?}");
    api.login("", "x").await.fields(&[("user_number", "required")]);
    api.login("100200", "").await.fields(&[("password", "required")]);
    // A disabled account's token and sessions stop working with it.
    api.get(&user, ME).await.problem(401, "not_signed_in");
}

#[tokio::test]
async fn wrong_passwords_make_wait_longer_and_longer() {
    let Some(api) = Api::fresh().await else { return };
    api.user("100200").await;
    api.user("100201").await;
    for _ in 0..5 {
        api.login("100200", "napačno").await.problem(401, "wrong_login");
    }
    let answer = api.login("100200", PASSWORD).await;
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    answer.problem(429, "locked_out");
    // Neither another user number nor another address has to wait.
    api.login("100201", PASSWORD).await.expect(200);
    let body = json!({"user_number": "100200", "password": PASSWORD}).to_string();
    let mut elsewhere = Request::post("/api/v1/login").header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    from_address(&mut elsewhere, [127, 0, 0, 2].into());
    api.send(elsewhere).await.expect(200);
}

#[tokio::test]
async fn logins_of_one_address_are_counted() {
    let Some(api) = Api::with(HttpConfig { logins_per_minute: 3, ..generous() }).await else { return };
    for number in 0..3 {
        api.login(&format!("10020{number}"), "napačno").await.problem(401, "wrong_login");
    }
    let answer = api.login("100209", "napačno").await;
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 60);
    answer.problem(429, "too_many_requests");
}

#[tokio::test]
async fn sessions_end_by_time() {
    let Some(api) = Api::with(HttpConfig { session_idle_minutes: 30, ..generous() }).await else { return };
    let user = api.user("100200").await;
    let now = clock::now();
    let minutes = SignedDuration::from_mins;
    let mut connection = api.database.connection().await;
    for (token, begin, end, valid) in [("fresh", 0, 60, true), ("used", 29, 60, true), ("idle", 31, 60, false), ("over", 5, -1, false)] {
        let session = NewSession {
            token_hash: secrets::token_hash(token),
            account: user.account,
            created_at: now - minutes(begin),
            expires_at: now + minutes(end),
            user_agent: None,
        };
        sessions::add(&mut connection, session).await.unwrap();
        let answer = me(&api, &format!("sklic_session={token}")).await;
        assert_eq!(answer.status.as_u16(), if valid { 200 } else { 401 }, "{token}");
    }
    // Use keeps a session alive.
    let used = sessions::find(&mut connection, &secrets::token_hash("used"), now).await.unwrap().unwrap();
    assert!(used.last_seen_at >= now - minutes(1));
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let Some(api) = Api::fresh().await else { return };
    let (user, other) = (api.user("100200").await, api.user("100201").await);
    let mut cookies = Vec::new();
    for _ in 0..3 {
        cookies.push(cookie_of(&api.login("100200", PASSWORD).await));
    }
    let foreign = cookie_of(&api.login("100201", PASSWORD).await);
    let list = send(&api, Method::GET, "/api/v1/sessions", &cookies[0], None).await.expect(200);
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list.iter().filter(|session| session["current"] == true).count(), 1);
    let another = list.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("/api/v1/sessions/{another}");
    api.delete(&other, &path).await.problem(404, "not_found");
    send(&api, Method::DELETE, &path, &cookies[0], None).await.expect(204);
    let mut alive = 0;
    for cookie in &cookies {
        alive += usize::from(me(&api, cookie).await.status == 200);
    }
    assert_eq!(alive, 2);
    send(&api, Method::DELETE, "/api/v1/sessions", &cookies[0], None).await.expect(204);
    for cookie in &cookies {
        me(&api, cookie).await.problem(401, "not_signed_in");
    }
    me(&api, &foreign).await.expect(200);
    api.get(&user, ME).await.expect(200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let (here, there) = (cookie_of(&api.login("100200", PASSWORD).await), cookie_of(&api.login("100200", PASSWORD).await));
    let path = "/api/v1/me/password";
    let body = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    api.put(&user, path, body(PASSWORD, "novo dolgo geslo")).await.problem(403, "forbidden");
    send(&api, Method::PUT, path, &here, Some(body("napačno", "novo dolgo geslo"))).await.fields(&[("current_password", "wrong_password")]);
    send(&api, Method::PUT, path, &here, Some(body(PASSWORD, "kratko"))).await.fields(&[("new_password", "too_short")]);
    send(&api, Method::PUT, path, &here, Some(body(PASSWORD, "novo dolgo geslo"))).await.expect(204);
    me(&api, &here).await.expect(200);
    me(&api, &there).await.problem(401, "not_signed_in");
    api.login("100200", PASSWORD).await.problem(401, "wrong_login");
    api.login("100200", "novo dolgo geslo").await.expect(200);
}

#[tokio::test]
async fn other_sites_pages_change_nothing() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    let cookie = cookie_of(&api.login("100200", PASSWORD).await);
    let host = "127.0.0.1:8080";
    for (headers, allowed) in [
        (&[][..], false),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8080")], false),
        (&[("origin", "http://127.0.0.1:8080")], true),
        (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true),
        (&[("origin", "http://evil.example")], false),
        (&[("origin", "http://127.0.0.1:8080.evil.example")], false),
        (&[("origin", "http://127.0.0.1")], false),
        (&[("origin", "null")], false),
        (&[("origin", "")], false),
        (&[("referer", "http://127.0.0.1:8080/")], false),
    ] {
        let ask = |method: Method, body: &'static str| {
            let mut builder = Request::builder().method(method).uri("/api/v1/contacts").header(header::COOKIE, &cookie);
            builder = builder.header(header::CONTENT_TYPE, "application/json");
            if !headers.iter().any(|(name, _)| *name == "host") {
                builder = builder.header(header::HOST, host);
            }
            for (name, value) in headers {
                builder = builder.header(*name, *value);
            }
            builder.body(Body::from(body)).unwrap()
        };
        let answer = api.send(ask(Method::POST, r#"{"name":"Bor","phone":"040123456"}"#)).await;
        assert_eq!(answer.status.as_u16(), if allowed { 201 } else { 403 }, "{headers:?}: {}", answer.text());
        if !allowed {
            answer.problem(403, "cross_site");
        }
        // Reading is another matter: the browser does not show the answer to the other page.
        assert_eq!(api.send(ask(Method::GET, "")).await.status, 200, "{headers:?}");
    }
    // Programs prove themselves by a token that no browser sends by itself.
    api.post(&user, "/api/v1/contacts", json!({"name": "Bor", "phone": "040123456"})).await.expect(201);
    // Nor can another page sign somebody in.
    let body = json!({"user_number": "100200", "password": PASSWORD}).to_string();
    let login = Request::post("/api/v1/login").header(header::CONTENT_TYPE, "application/json").header("sec-fetch-site", "cross-site");
    api.send(login.body(Body::from(body)).unwrap()).await.problem(403, "cross_site");
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing() {
    let Some(api) = Api::fresh().await else { return };
    let user = api.user("100200").await;
    api.get(&user, ME).await.expect(200);
    let mut connection = api.database.connection().await;
    let tokens = api_tokens::list(&mut connection, user.account).await.unwrap();
    assert!(tokens[0].last_used_at.is_some(), "its use was noted");
    assert!(api_tokens::revoke(&mut connection, user.account, tokens[0].id, clock::now()).await.unwrap());
    api.get(&user, ME).await.problem(401, "not_signed_in");
}

#[tokio::test]
async fn too_many_requests_have_to_wait() {
    let few = HttpConfig { account_requests_per_second: 1, account_burst: 5, ..generous() };
    let Some(api) = Api::with(few).await else { return };
    let (user, other) = (api.user("100200").await, api.user("100201").await);
    for _ in 0..5 {
        api.get(&user, ME).await.expect(200);
    }
    let answer = api.get(&user, ME).await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.problem(429, "too_many_requests");
    api.get(&other, ME).await.expect(200);

    let few = HttpConfig { address_requests_per_second: 1, address_burst: 5, ..generous() };
    let Some(api) = Api::with(few).await else { return };
    let user = api.user("100200").await;
    for _ in 0..5 {
        api.send(Request::get("/healthz").body(Body::empty()).unwrap()).await.expect(200);
    }
    api.get(&user, ME).await.problem(429, "too_many_requests");
    let mut elsewhere = request(Method::GET, ME, &user).body(Body::empty()).unwrap();
    from_address(&mut elsewhere, [127, 0, 0, 2].into());
    api.send(elsewhere).await.expect(200);
}
