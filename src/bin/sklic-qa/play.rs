//! Plays a scenario's steps on the stage and keeps what was seen and heard.

use crate::api::{Live, View};
use crate::network::Call;
use crate::phone::{Phone, Plan};
use crate::scenario::{PhonePlan, Scenario};
use crate::sound::Voice;
use crate::stage::{Profile, Stage, Subscriber};
use crate::step::{Action, Create, Step};
use crate::tell::Teller;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The PIN of every convener who starts by phone.
const PIN: &str = "730519";

/// When a step was begun and done.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Begun.
    pub began: Instant,
    /// Done.
    pub done: Instant,
}

/// One person of a scenario in this run.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name in the conference.
    pub person: String,
    /// Number, as typed.
    pub number: String,
}

/// A scenario being played.
pub struct Play<'a> {
    /// What is played.
    pub scenario: &'a Scenario,
    /// Where it is played.
    pub stage: &'a Stage,
    /// Traces, logs and recordings go here.
    pub folder: PathBuf,
    /// The convener's account.
    pub account: Subscriber,
    /// The people of each phone: one, or a crowd.
    pub members: BTreeMap<String, Vec<Member>>,
    /// The telephones.
    pub phones: BTreeMap<String, Phone>,
    /// The codes of those who are in the directory.
    codes: Mutex<BTreeMap<String, String>>,
    /// The conference's id, once planned.
    pub conference: Option<String>,
    /// Its live stream.
    pub live: Option<Live>,
    /// The named steps.
    pub marks: BTreeMap<String, Mark>,
    /// When it began.
    pub began: Instant,
    /// Says aloud what happens.
    pub teller: Teller,
}

impl<'a> Play<'a> {
    /// Makes the account and connects the phones.
    pub async fn prepare(scenario: &'a Scenario, stage: &'a Stage, folder: PathBuf, teller: Teller) -> Result<Self> {
        let began = Instant::now();
        let members: BTreeMap<String, Vec<Member>> = scenario.phones.iter().map(|plan| (plan.name.clone(), members_of(plan, stage))).collect();
        let convener = scenario.convener().and_then(|plan| members[&plan.name].first());
        let account = stage
            .subscriber(&Profile {
                name: convener.map_or("Brez Telefona", |member| &member.person),
                phone: convener.map_or("+38640999998", |member| &member.number),
                language: &scenario.account.language,
                grace_seconds: scenario.account.grace_seconds,
                max_participants: scenario.account.max_participants,
            })
            .await?;
        let mut play = Self {
            scenario,
            stage,
            folder,
            account,
            members,
            phones: BTreeMap::new(),
            codes: Mutex::default(),
            conference: None,
            live: None,
            marks: BTreeMap::new(),
            began,
            teller,
        };
        if stage.pbx != "simulator" {
            for plan in scenario.phones.iter().filter(|plan| plan.sipp.is_some()) {
                let phone = play.connect(plan).await?;
                play.phones.insert(plan.name.clone(), phone);
            }
        }
        Ok(play)
    }

    async fn connect(&self, plan: &PhonePlan) -> Result<Phone> {
        let range = plan.count.is_some();
        let number = &self.members[&plan.name][0].number;
        let number = if range { &number[..number.len() - 5] } else { number.as_str() };
        let plan = Plan {
            name: plan.name.clone(),
            number: number.to_owned(),
            range,
            sipp: self.sipp_file(plan.sipp.as_deref().unwrap_or_default()),
            voice: if range { None } else { Some(plan.says.parse::<Voice>()?) },
            arguments: plan.arguments.clone(),
        };
        Phone::connect(plan, &self.stage.network, self.stage.switch()?, &self.folder).await
    }

    fn sipp_file(&self, name: &str) -> PathBuf {
        self.stage.lab.root.join("tests/sipp").join(name)
    }

    /// Plays all steps; the error tells which one failed and why.
    pub async fn steps(&mut self) -> Result<()> {
        for (index, step) in self.scenario.steps.iter().enumerate() {
            if let Some(words) = &step.say {
                self.teller.say(words);
            }
            let began = Instant::now();
            let name = step.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
            let played = self.step(step).await;
            self.narrate();
            played.with_context(|| format!("step {}{name} ({}) failed", index + 1, step.verb))?;
            if let Some(name) = &step.name {
                self.marks.insert(name.clone(), Mark { began, done: Instant::now() });
            }
        }
        Ok(())
    }

    /// Tells what the stream has shown since the last time.
    pub fn narrate(&mut self) {
        if let Some(live) = &self.live {
            self.teller.narrate(&live.view(), self.scenario.convener().map(|plan| plan.person(0)).as_deref());
        }
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match &step.action {
            Action::Create(create) => self.create(create).await,
            Action::Start(_) => self.control("start").await,
            Action::Add(who) => {
                for body in self.participants(std::slice::from_ref(who)).await? {
                    self.post("participants", Some(body)).await?;
                }
                Ok(())
            }
            Action::Call(who) => self.control_one(who, "call").await,
            Action::CallMissing(_) => self.control("call_missing").await,
            Action::Mute(who) => self.control_one(who, "mute").await,
            Action::Unmute(who) => self.control_one(who, "unmute").await,
            Action::Remove(who) => self.control_one(who, "remove").await,
            Action::Admit(who) => self.control_one(who, "admit").await,
            Action::LowerHand(who) => self.control_one(who, "lower-hand").await,
            Action::Contact(who) => self.participants(std::slice::from_ref(who)).await.map(drop),
            Action::Follow(_) => self.follow().await,
            Action::MuteAll(_) => self.control("mute").await,
            Action::UnmuteAll(_) => self.control("unmute").await,
            Action::Lock(_) => self.control("lock").await,
            Action::Unlock(_) => self.control("unlock").await,
            Action::End(_) => self.control("end").await,
            Action::HangUp(who) => self.sign(who, "its BYE", |call| call.ended.is_some()).await,
            Action::Answer(who) => self.sign(who, "its answer", |call| call.answered.is_some()).await,
            Action::Die(who) => {
                self.phone(who)?.die().await;
                Ok(())
            }
            Action::Speak(speak) => {
                let voice = speak.says.parse()?;
                self.ears(&speak.phone)?.say(voice);
                Ok(())
            }
            Action::Key(key) => {
                let digits = self.digits(&key.digits).await?;
                self.ears(&key.phone)?.press(&digits);
                Ok(())
            }
            Action::DialIn(dial_in) => self.phone(&dial_in.phone)?.dial(&dial_in.number).await,
            Action::Behave(behave) => {
                let file = self.sipp_file(&behave.sipp);
                if self.stage.pbx == "simulator" { Ok(()) } else { self.phone(&behave.phone)?.become_another(file).await }
            }
            Action::Wait(wait) => self.wait(wait).await,
            Action::Listen(listen) => self.listen(&listen.by.0, listen.ms).await,
            Action::Request(request) => self.request(request).await,
            Action::KillService(_) => self.stage.service.lock().await.kill().await,
            Action::StartService(_) => self.stage.service.lock().await.start().await.map(drop),
            Action::FreezeService(_) => self.stage.service.lock().await.signal("STOP").await,
            Action::ThawService(_) => self.stage.service.lock().await.signal("CONT").await,
            Action::CutLink(_) => self.stage.link.as_ref().map(crate::link::Link::cut).context("this switch has no line to cut"),
            Action::RestoreLink(_) => self.stage.link.as_ref().map(crate::link::Link::mend).context("this switch has no line to mend"),
            Action::StopPostgres(_) => self.stage.lab.verb(&["stop", "postgres"]).await.map(drop),
            Action::StartPostgres(_) => self.stage.lab.verb(&["start", "postgres"]).await.map(drop),
            Action::StopPbx(_) => self.stage.lab.verb(&["stop", self.stage.switch_part()]).await.map(drop),
            Action::KillPbx(_) => self.stage.lab.verb(&["kill", self.stage.switch_part()]).await.map(drop),
            Action::StartPbx(_) => self.stage.lab.verb(&["start", self.stage.switch_part()]).await.map(drop),
        }
    }

    fn phone(&mut self, name: &str) -> Result<&mut Phone> {
        self.phones.get_mut(name).with_context(|| format!("`{name}` has no telephone here"))
    }

    pub(crate) fn ears(&self, name: &str) -> Result<&crate::rtp::Rtp> {
        let phone = self.phones.get(name).with_context(|| format!("`{name}` has no telephone here"))?;
        phone.rtp.as_deref().with_context(|| format!("the phone `{name}` has no audio"))
    }

    /// What is to be keyed, with codes, user number and PIN filled in.
    async fn digits(&self, written: &str) -> Result<String> {
        let mut digits = written.replace("{user_number}", &self.account.user_number);
        if digits.contains("{pin}") {
            let service = self.stage.service.lock().await;
            service.command(&["account", "pin", "--user-number", &self.account.user_number], Some(PIN)).await?;
            digits = digits.replace("{pin}", PIN);
        }
        for (name, code) in self.codes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            digits = digits.replace(&format!("{{code:{name}}}"), code);
        }
        match digits.find('{') {
            Some(at) => bail!("nobody knows what `{}` is: codes are those of phones with in_directory = true", &digits[at..]),
            None => Ok(digits),
        }
    }

    async fn follow(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let list = self.account.api.call("GET", "/api/v1/conferences", None).await?;
            let newest = list["conferences"].as_array().and_then(|all| all.first()).filter(|newest| newest["state"] != "planned");
            if let Some(id) = newest.and_then(|newest| newest["id"].as_str()) {
                self.live = Some(Live::open(&self.account.api, id, &self.folder.join("sse.log")).await?);
                self.conference = Some(id.to_owned());
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no conference of the account has been started: {list}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn create(&mut self, create: &Create) -> Result<()> {
        let mut body = json!({ "title": create.title, "participants": self.participants(&create.participants).await? });
        if let Some(beep) = create.entry_beep {
            body["entry_beep"] = beep.into();
        }
        if let Some(grace) = create.grace_seconds {
            body["grace_seconds"] = grace.into();
        }
        let view = self.account.api.call("POST", "/api/v1/conferences", Some(body)).await?;
        let id = view["id"].as_str().context("the new conference has no id")?.to_owned();
        self.live = Some(Live::open(&self.account.api, &id, &self.folder.join("sse.log")).await?);
        self.conference = Some(id);
        Ok(())
    }

    /// The people of phones as the API wants them; those of the directory are put there first.
    async fn participants(&self, names: &[String]) -> Result<Vec<Value>> {
        let mut people = Vec::new();
        for name in names {
            let from_directory = self.scenario.phone(name)?.in_directory;
            for member in &self.members[name] {
                let person = json!({ "name": member.person, "phone": member.number });
                if from_directory {
                    let contact = self.account.api.call("POST", "/api/v1/contacts", Some(person)).await?;
                    let code = contact["code"].as_str().context("the contact has no code")?.to_owned();
                    self.codes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.clone(), code);
                    people.push(json!({ "contact_id": contact["id"] }));
                } else {
                    people.push(person);
                }
            }
        }
        Ok(people)
    }

    async fn post(&self, action: &str, body: Option<Value>) -> Result<Value> {
        let id = self.conference.as_deref().context("there is no conference yet: `create` one first")?;
        self.account.api.call("POST", &format!("/api/v1/conferences/{id}/{action}"), body).await
    }

    async fn control(&mut self, action: &str) -> Result<()> {
        self.post(action, None).await.map(drop)
    }

    async fn control_one(&mut self, who: &str, action: &str) -> Result<()> {
        for id in self.ids(who)? {
            self.post(&format!("participants/{id}/{action}"), None).await?;
        }
        Ok(())
    }

    /// The participants of a phone's people.
    pub fn ids(&self, name: &str) -> Result<Vec<String>> {
        let live = self.live.as_ref().context("there is no conference yet: `create` one first")?;
        let view = live.view();
        self.members[name].iter().map(|member| id_of(&view, &member.person)).collect()
    }

    /// The calls of a phone since the scenario began.
    pub fn calls(&self, name: &str) -> Vec<Call> {
        let numbers: Vec<String> = self.members[name].iter().map(|member| crate::network::normal(&member.number)).collect();
        self.stage.network.calls_since(self.began).into_iter().filter(|call| numbers.contains(&call.number)).collect()
    }

    async fn sign(&mut self, who: &str, what: &str, done: impl Fn(&Call) -> bool) -> Result<()> {
        self.phone(who)?.give_sign().await?;
        let mut changes = self.stage.network.changes();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !self.calls(who).last().is_some_and(&done) {
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                bail!("the phone {who} was told, and {what} was not seen within 5 s");
            }
        }
        Ok(())
    }

    async fn listen(&mut self, who: &[String], ms: usize) -> Result<()> {
        if self.stage.pbx == "simulator" {
            return Ok(());
        }
        let wanted = ms * crate::sound::RATE / 1000;
        let before: Vec<usize> = who.iter().map(|name| Ok(self.ears(name)?.received())).collect::<Result<_>>()?;
        let deadline = Instant::now() + Duration::from_millis(ms as u64) + Duration::from_secs(10);
        loop {
            self.narrate();
            let mut missing = None;
            for (name, before) in who.iter().zip(&before) {
                let heard = self.ears(name)?.received() - before;
                if heard < wanted {
                    missing = Some(format!("the phone {name} received {} ms of audio instead of {ms}", heard * 1000 / crate::sound::RATE));
                }
            }
            match missing {
                None => return Ok(()),
                Some(words) if Instant::now() > deadline => bail!(words),
                Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Ends what still lives of the conference, whatever happened before, and waits for its end: its people hold places on the switch.
    pub async fn clear(&mut self) {
        let over = |live: &Live| ["ended", "failed", "planned"].contains(&live.view().head("state").as_str());
        if let Some(id) = self.conference.as_ref().filter(|_| !self.live.as_ref().is_some_and(over)) {
            // It is being cleared away: an error here is about what the scenario has already told.
            let asked = self.account.api.send("POST", &format!("/api/v1/conferences/{id}/end"), None).await;
            if let (Ok((202, _)), Some(live)) = (asked, &self.live) {
                let mut changes = live.changes();
                // What has not ended by then, the next scenario stumbles over, and tells.
                let _ = tokio::time::timeout(Duration::from_secs(20), async { while !over(live) && changes.changed().await.is_ok() {} }).await;
            }
        }
        self.live = None;
        self.phones.clear();
    }
}

fn id_of(view: &View, person: &str) -> Result<String> {
    let found = view.people.iter().find(|(_, fields)| fields.get("name").is_some_and(|name| name == person));
    found.map(|(id, _)| id.clone()).with_context(|| format!("{person} is not in the conference"))
}

fn members_of(plan: &PhonePlan, stage: &Stage) -> Vec<Member> {
    let count = plan.count.unwrap_or(1);
    let start = plan.number.as_deref();
    (0..count)
        .map(|index| {
            let number = match (plan.count, start) {
                _ if stage.pbx == "simulator" => simulated_number(plan, stage),
                (None, Some(number)) => number.to_owned(),
                (None, None) => stage.fresh_number(),
                (Some(_), start) => format!("{}{:05}", start.unwrap_or("+386403"), index + 1),
            };
            Member { person: plan.person(index), number }
        })
        .collect()
}

/// The simulated switch has phones by the last three digits; the first ones keep their price.
fn simulated_number(plan: &PhonePlan, stage: &Stage) -> String {
    let digits = match plan.sipp.as_deref() {
        None | Some("uas-notfound-404.xml" | "uas-early-media-404.xml") => "404",
        Some("uas-busy-486.xml") => "486",
        Some("uas-reject-603.xml") => "603",
        Some("uas-noanswer.xml") => "408",
        Some("uas-unavailable-480.xml") => "000",
        Some("uas-congestion-503.xml") => "503",
        Some("uas-early-media-answer.xml") => "183",
        Some(_) => "001",
    };
    let price = plan.number.as_deref().and_then(|number| number.get(..6)).unwrap_or("+38640");
    let fresh = stage.fresh_number();
    format!("{price}{}{digits}", &fresh[fresh.len() - 3..])
}
