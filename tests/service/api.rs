//! The HTTP side in this process, on a database of its own and the simulated switch.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sklic::billing::PayerTable;
use sklic::clock;
use sklic::config::{ConferenceConfig, DialInConfig};
use sklic::delivery::{Bell, Desk, WebhooksConfig};
use sklic::http::{AppState, HttpConfig, secrets};
use sklic::ids::{AccountId, LegId};
use sklic::lines::{Lines, LinesConfig};
use sklic::numbers::Numbering;
use sklic::pbx::simulator::{Exchange, Simulator, SimulatorConfig};
use sklic::runtime::{Opener, Reach, Rules, Runtime, Switch};
use sklic::storage::accounts::NewAccount;
use sklic::storage::{Pool, Writer, WriterOptions, accounts, api_tokens};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::database::Database;

/// The password of every account here.
pub const PASSWORD: &str = "dolgo in skrivno geslo";

static PASSWORD_HASH: LazyLock<String> = LazyLock::new(|| secrets::hash_password(PASSWORD).unwrap());

/// How long a state is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The HTTP side under test.
pub struct Api {
    pub database: Database,
    pub state: AppState,
    pub stop: CancellationToken,
    /// The first switch, which is mostly the only one.
    pub simulator: Arc<Simulator>,
    /// All switches, `pbx1` and so on.
    pub simulators: Vec<Arc<Simulator>>,
    /// Whether this service node reaches switches that another one drives.
    pub cable: Arc<AtomicBool>,
    /// How often it has tried to.
    pub tries: Arc<AtomicUsize>,
    link_patience_seconds: u32,
    runtime: Runtime,
    router: Router,
}

/// What most tests do not care about.
struct Extras {
    lines: Option<Arc<Lines>>,
    /// The switches, and the most members of each.
    switches: Vec<(Arc<Simulator>, u32)>,
    /// How long a switch may be lost, in seconds.
    link_patience_seconds: u32,
}

impl Default for Extras {
    fn default() -> Self {
        Self { lines: None, switches: vec![(simulator(), 400)], link_patience_seconds: ConferenceConfig::default().link_patience_seconds }
    }
}

/// Who sends a request.
#[derive(Clone)]
pub struct User {
    pub account: AccountId,
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the status and gives the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks that this is a problem of this status and kind, and gives it.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.expect(status);
        assert_eq!(problem["type"], format!("urn:sklic:problem:{kind}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["instance"].as_str().is_some_and(|id| id.starts_with("urn:uuid:")), "{problem}");
        problem
    }

    /// Checks that these fields are wrong in these ways, in order.
    #[track_caller]
    pub fn fields(self, wanted: &[(&str, &str)]) -> Value {
        let problem = self.problem(422, "invalid_fields");
        let errors = problem["errors"].as_array().unwrap();
        let got: Vec<(&str, &str)> = errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect();
        assert_eq!(got, wanted, "{problem}");
        problem
    }
}

/// Settings in which no test meets a limit by chance.
pub fn generous() -> HttpConfig {
    HttpConfig {
        account_requests_per_second: 10_000,
        account_burst: 10_000,
        address_requests_per_second: 10_000,
        address_burst: 10_000,
        logins_per_minute: 10_000,
        live_check_seconds: 1,
        ..HttpConfig::default()
    }
}

/// A switch of which nobody has opened the link.
/// Where the simulated switch of this number takes calls of the others on its exchange.
fn sip_address(at: usize) -> String {
    format!("pbx{}.test:5060", at + 1)
}

fn simulator() -> Arc<Simulator> {
    let (sender, _) = tokio::sync::mpsc::unbounded_channel();
    Simulator::start(SimulatorConfig { time_scale: 0.02, ..SimulatorConfig::default() }, sender)
}

impl Api {
    pub async fn fresh() -> Option<Self> {
        Self::with(generous()).await
    }

    pub async fn with(config: HttpConfig) -> Option<Self> {
        let database = Database::fresh().await?;
        let pool = database.pool.clone();
        Some(Self::on(database, pool, config).await)
    }

    /// On a pool that may lead elsewhere than straight to the database.
    pub async fn on(database: Database, pool: Pool, config: HttpConfig) -> Self {
        Self::built(database, pool, config, Desk::default(), Bell::default()).await
    }

    /// With messages that can be sent.
    pub async fn with_messages(desk: Desk, bell: Bell) -> Option<Self> {
        let database = Database::fresh().await?;
        let pool = database.pool.clone();
        Some(Self::built(database, pool, generous(), desk, bell).await)
    }

    /// On a database that is there already, with messages that can be sent.
    pub async fn built_on(database: Database, pool: Pool, desk: Desk, bell: Bell) -> Self {
        Self::built(database, pool, generous(), desk, bell).await
    }

    /// With so much patience with a switch that is lost.
    pub async fn with_link_patience(seconds: u32) -> Option<Self> {
        let database = Database::fresh().await?;
        let pool = database.pool.clone();
        let sending = (Desk::default(), WebhooksConfig::default(), Bell::default());
        let extras = Extras { link_patience_seconds: seconds, ..Extras::default() };
        Some(Self::assembled(database, pool, generous(), sending, Arc::default(), extras).await)
    }

    /// With as many switches, each with room for so many.
    pub async fn with_switches(members: &[u32]) -> Option<Self> {
        let database = Database::fresh().await?;
        let pool = database.pool.clone();
        let sending = (Desk::default(), WebhooksConfig::default(), Bell::default());
        let exchange = Exchange::default();
        let simulated = |at| {
            // A caller is taken within ten seconds of theirs: one, which a loaded machine keeps to.
            let config = SimulatorConfig { time_scale: 0.1, exchange: exchange.clone(), sip_address: sip_address(at), ..SimulatorConfig::default() };
            Simulator::start(config, tokio::sync::mpsc::unbounded_channel().0)
        };
        let switches = members.iter().enumerate().map(|(at, members)| (simulated(at), *members)).collect();
        let extras = Extras { switches, ..Extras::default() };
        Some(Self::assembled(database, pool, generous(), sending, Arc::default(), extras).await)
    }

    /// The same service with another desk, as after a restart.
    pub async fn again_with(&self, desk: Desk, bell: Bell) -> Self {
        let database = self.database.shared();
        let pool = database.pool.clone();
        Self::built(database, pool, generous(), desk, bell).await
    }

    /// The same service after a restart, without any patience with a switch that is lost.
    pub async fn again_without_patience(&self) -> Self {
        let database = self.database.shared();
        let pool = database.pool.clone();
        let sending = (Desk::default(), WebhooksConfig::default(), Bell::default());
        Self::assembled(database, pool, generous(), sending, Arc::default(), Extras { link_patience_seconds: 0, ..Extras::default() }).await
    }

    /// The service's inside.
    pub fn runtime(&self) -> Runtime {
        self.runtime.clone()
    }

    /// A token of an account that is there.
    pub async fn token_of(&self, account: AccountId) -> User {
        let token = secrets::new_api_token();
        api_tokens::add(&mut *self.database.connection().await, account, "test", &secrets::token_hash(&token), clock::now()).await.unwrap();
        User { account, token }
    }

    /// With an inventory of lines in this file.
    pub async fn with_lines(file: &std::path::Path) -> Option<Self> {
        sklic::delivery::install_crypto();
        let database = Database::fresh().await?;
        let pool = database.pool.clone();
        let config = LinesConfig { file: Some(file.to_owned()), url: None, timeout_seconds: 1, keep_seconds: 0 };
        let numbering = Numbering { accept_prefixes: vec!["+386599".into()], ..Numbering::default() };
        let lines = Some(Arc::new(Lines::new(config, numbering).unwrap()));
        let sending = (Desk::default(), WebhooksConfig::default(), Bell::default());
        Some(Self::assembled(database, pool, generous(), sending, Arc::default(), Extras { lines, ..Extras::default() }).await)
    }

    /// On a database that is there already, with webhooks.
    pub async fn built_with(database: Database, pool: Pool, desk: Desk, bell: Bell, webhooks: WebhooksConfig) -> Self {
        let wake = bell.clone();
        let due = Arc::new(Notify::new());
        let api = Self::assembled(database, pool, generous(), (desk, webhooks, bell), Arc::clone(&due), Extras::default()).await;
        tokio::spawn(wake.follow(due, api.stop.clone()));
        api
    }

    async fn built(database: Database, pool: Pool, config: HttpConfig, desk: Desk, bell: Bell) -> Self {
        Self::assembled(database, pool, config, (desk, WebhooksConfig::default(), bell), Arc::default(), Extras::default()).await
    }

    async fn assembled(
        database: Database,
        pool: Pool,
        config: HttpConfig,
        (desk, webhooks, bell): (Desk, WebhooksConfig, Bell),
        due: Arc<Notify>,
        extras: Extras,
    ) -> Self {
        Self::node("test", database, pool, config, (desk, webhooks, bell), due, extras).await
    }

    /// Another service node of this name on the same database, with the same switch.
    pub async fn beside(&self, name: &str) -> Self {
        let database = self.database.shared();
        let pool = database.pool.clone();
        let sending = (Desk::default(), WebhooksConfig::default(), Bell::default());
        let switches = self.simulators.iter().map(|simulator| (Arc::clone(simulator), 400)).collect();
        let extras = Extras { switches, link_patience_seconds: self.link_patience_seconds, ..Extras::default() };
        Self::node(name, database, pool, generous(), sending, Arc::default(), extras).await
    }

    /// The living leg of the person with this number.
    pub async fn simulator_leg(&self, user: &User, view: &Value, phone: &str) -> LegId {
        let conference = view["id"].as_str().unwrap().parse().unwrap();
        let participant = view["participants"].as_array().unwrap().iter().find(|person| person["phone"] == phone).unwrap()["id"].clone();
        let legs = sklic::storage::legs::list(&mut *self.database.connection().await, user.account, conference).await.unwrap();
        legs.into_iter().find(|leg| leg.participant.to_string() == participant && leg.ended_at.is_none()).unwrap().id
    }

    /// Stops as the service does.
    pub async fn close(&self) {
        self.stop.cancel();
        self.runtime.close().await;
    }

    async fn node(
        node: &str,
        database: Database,
        pool: Pool,
        config: HttpConfig,
        (desk, webhooks, bell): (Desk, WebhooksConfig, Bell),
        due: Arc<Notify>,
        extras: Extras,
    ) -> Self {
        sklic::delivery::install_crypto();
        let stop = CancellationToken::new();
        let conference = ConferenceConfig {
            max_participants: 20,
            allowed_prefixes: vec!["+386".into()],
            link_patience_seconds: extras.link_patience_seconds,
            ..ConferenceConfig::default()
        };
        let numbering = Numbering { short_codes: vec!["19819".into()], accept_prefixes: vec!["+386599".into()], ..Numbering::default() };
        // Read now: the first caller is not to wait for the plans of the world's numbers, which take seconds on a loaded machine.
        let _ = numbering.normalise("+38640123456");
        let rules = Rules {
            conference: conference.clone(),
            access_numbers: sklic::config::shipped_access_numbers(),
            dial_in: DialInConfig { trusted_trunks: vec!["trunk".into()], ..DialInConfig::default() },
            numbering: numbering.clone(),
            payers: PayerTable::default(),
            tariff: "base".into(),
            currency: "EUR".parse().unwrap(),
            branding: desk.branding.clone(),
            lines: extras.lines,
        };
        let (cable, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let mut switches = Vec::new();
        for (at, (simulator, max_members)) in extras.switches.iter().enumerate() {
            let opened = Arc::clone(simulator);
            let open: Opener = Box::new(move |sender| opened.open(sender));
            let (tried, cable, tries) = (Arc::clone(simulator), Arc::clone(&cable), Arc::clone(&tries));
            let reach: Reach = Box::new(move || -> BoxFuture<'static, bool> {
                tries.fetch_add(1, Ordering::Relaxed);
                Box::pin(std::future::ready(cable.load(Ordering::Relaxed) && tried.is_plugged()))
            });
            let (name, sip_address) = (format!("pbx{}", at + 1), Some(sip_address(at)));
            switches.push(Switch { name, open, reach, calls_per_second: 100, max_members: *max_members, sip_address, drain: false });
        }
        let link_patience_seconds = extras.link_patience_seconds;
        let simulators: Vec<Arc<Simulator>> = extras.switches.into_iter().map(|(simulator, _)| simulator).collect();
        let writer = Writer::start(pool.clone(), WriterOptions::default(), due);
        let runtime = Runtime::launch(node.into(), pool.clone(), writer, rules, switches, stop.clone()).await.unwrap();
        let state = AppState::new(pool, runtime.clone(), config, numbering, conference, None).with_messages(desk, webhooks, bell);
        let (router, simulator) = (sklic::http::router(state.clone()), Arc::clone(&simulators[0]));
        Self { database, state, stop, simulator, simulators, cable, tries, link_patience_seconds, runtime, router }
    }

    /// An account with a token.
    pub async fn user(&self, user_number: &str) -> User {
        self.account(user_number, false).await
    }

    /// An account of the operator's own, with a token.
    pub async fn staff(&self, user_number: &str) -> User {
        self.account(user_number, true).await
    }

    async fn account(&self, user_number: &str, staff: bool) -> User {
        let account = AccountId::fresh();
        let new = NewAccount {
            id: account,
            user_number: user_number.into(),
            name: "Ana Novak".into(),
            phone: "+38659900001".into(),
            email: "ana@example.test".into(),
            language: "sl".into(),
            time_zone: "Europe/Ljubljana".into(),
            password_hash: PASSWORD_HASH.clone(),
            staff,
            grace_seconds: 0,
            entry_beep: false,
            max_participants: None,
            created_at: clock::now(),
        };
        let mut connection = self.database.connection().await;
        accounts::add(&mut connection, new).await.unwrap();
        let token = secrets::new_api_token();
        api_tokens::add(&mut connection, account, "test", &secrets::token_hash(&token), clock::now()).await.unwrap();
        User { account, token }
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
            from_address(&mut request, [127, 0, 0, 1].into());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, user: &User, path: &str) -> Answer {
        self.send(request(Method::GET, path, user).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, user: &User, path: &str) -> Answer {
        self.send(request(Method::DELETE, path, user).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, user: &User, path: &str, body: Value) -> Answer {
        self.json(Method::POST, user, path, &body).await
    }

    /// A POST without a body.
    pub async fn press(&self, user: &User, path: &str) -> Answer {
        self.send(request(Method::POST, path, user).body(Body::empty()).unwrap()).await
    }

    pub async fn put(&self, user: &User, path: &str, body: Value) -> Answer {
        self.json(Method::PUT, user, path, &body).await
    }

    pub async fn patch(&self, user: &User, path: &str, body: Value) -> Answer {
        self.json(Method::PATCH, user, path, &body).await
    }

    async fn json(&self, method: Method, user: &User, path: &str, body: &Value) -> Answer {
        self.text(method, user, path, "application/json", body.to_string()).await
    }

    /// A body as it is.
    pub async fn text(&self, method: Method, user: &User, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        self.send(request(method, path, user).header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap()).await
    }

    pub async fn login(&self, user_number: &str, password: &str) -> Answer {
        let body = json!({"user_number": user_number, "password": password}).to_string();
        let request = Request::post("/api/v1/login").header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
        self.send(request).await
    }

    /// Plans a conference with these numbers, and gives its view.
    pub async fn plan(&self, user: &User, numbers: &[&str]) -> Value {
        let people: Vec<Value> = numbers.iter().enumerate().map(|(at, phone)| json!({"name": format!("Oseba {at}"), "phone": phone})).collect();
        self.post(user, "/api/v1/conferences", json!({"title": "Sestanek", "participants": people})).await.expect(201)
    }

    /// Waits until the conference's view is as wanted.
    pub async fn until(&self, user: &User, conference: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/conferences/{conference}");
        let waiting = async {
            loop {
                let view = self.get(user, &path).await.expect(200);
                if wanted(&view) {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(view) => view,
            Err(_) => panic!("{what} did not come: {}", self.get(user, &path).await.json()),
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A request with the user's token.
pub fn request(method: Method, path: &str, user: &User) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {}", user.token))
}

/// As if the request came from there.
pub fn from_address(request: &mut Request<Body>, address: IpAddr) {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 40_000)));
}

/// The cookie that a sign-in set, as it is sent back.
pub fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// A request with a session's cookie, from the service's own page.
pub fn with_cookie(method: Method, path: &str, cookie: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::COOKIE, cookie).header("sec-fetch-site", "same-origin")
}
