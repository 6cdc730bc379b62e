//! `sklic-qa bench`: the service beside the bare switch, in one run.

use crate::ami::Ami;
use crate::demo::table;
use crate::phone::{Phone, Plan};
use crate::sound::Voice;
use crate::stage::{Profile, Stage};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sklic::pbx::freeswitch::client::{Client, Heard};
use sklic::pbx::freeswitch::codec::Request;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How many people besides the convener.
const PEOPLE: usize = 200;
/// How many mutes are timed.
const MUTES: usize = 200;
const CONVENER: &str = "+38640100201";
const CROWD: &str = "+386403";
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured on one side.
struct Measured {
    all_in: Duration,
    mutes: Vec<Duration>,
    usage: Vec<(String, Usage)>,
}

/// What a process used while everybody was in and one talked.
#[derive(Clone, Copy)]
struct Usage {
    rss_mib: f64,
    cpu_percent: f64,
}

/// Measures and prints, beside the numbers that the design wants reached.
pub async fn bench(stage: &Stage) -> Result<()> {
    let folder = stage.lab.fresh_folder("bench")?;
    let sipp = stage.lab.root.join("tests/sipp");
    let plan = |name: &str, number: &str, range, file: &str, voice| Plan {
        name: name.to_owned(),
        number: number.to_owned(),
        range,
        sipp: sipp.join(file),
        voice,
        arguments: Vec::new(),
    };
    let switch = stage.switch()?;
    let convener = plan("convener", CONVENER, false, "uas-answer.xml", Some(Voice::Speech));
    let _convener = Phone::connect(convener, &stage.network, switch, &folder).await?;
    let crowd = plan("crowd", CROWD, true, "uas-answer-no-rtp.xml", None);
    let _crowd = Phone::connect(crowd, &stage.network, switch, &folder).await?;

    println!("{PEOPLE} people and their convener, first on the bare switch, then by the service …");
    // Without the service, which would end calls that are not its own.
    stage.service.lock().await.stop().await;
    let bare = match stage.pbx.as_str() {
        "freeswitch" => bare_freeswitch(stage).await,
        _ => bare_switch(stage).await,
    }
    .context("the bare switch")?;
    stage.service.lock().await.start().await?;
    let service = by_service(stage).await.context("the service")?;
    show(&bare, &service);
    Ok(())
}

fn number(index: usize) -> String {
    format!("{CROWD}{:05}", index + 1)
}

async fn bare_switch(stage: &Stage) -> Result<Measured> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, stage.lab.port("SKLIC_LAB_AMI_PORT")?));
    let mut ami = Ami::login(address, stage.lab.get("SKLIC_LAB_AMI_SECRET")?).await?;
    let room = format!("{}", 900_000_000 + std::process::id());
    let joined = |event: &crate::ami::Event| event.get("Event").is_some_and(|name| name == "ConfbridgeJoin");
    let began = Instant::now();
    originate(&mut ami, &room, 0, CONVENER, "convener").await?;
    ami.until(PATIENCE, joined).await?;
    for index in 0..PEOPLE {
        originate(&mut ami, &room, index + 1, &number(index), "participant").await?;
    }
    let mut channels = Vec::new();
    while channels.len() < PEOPLE {
        let event = ami.until(PATIENCE, joined).await?;
        channels.push(event.get("Channel").cloned().context("a member without a channel")?);
    }
    let all_in = began.elapsed();
    let usage = used(&[("switch", process_of(stage, stage.switch_part()).await?)]).await?;
    let conference = format!("sklic-{room}");
    let mut mutes = Vec::new();
    for (index, channel) in channels.iter().cycle().take(MUTES).enumerate() {
        let began = Instant::now();
        ami.send(&[("Action", "ConfbridgeMute"), ("ActionID", &format!("m{index}")), ("Conference", &conference), ("Channel", channel)]).await?;
        ami.until(PATIENCE, |event| event.get("Event").is_some_and(|name| name == "ConfbridgeMute") && event.get("Channel") == Some(channel)).await?;
        mutes.push(began.elapsed());
    }
    ami.send(&[("Action", "ConfbridgeKick"), ("Conference", &conference), ("Channel", "all")]).await?;
    // What the switch says about it is not read any more.
    drop(ami);
    everybody_gone(stage, began).await?;
    Ok(Measured { all_in, mutes, usage })
}

/// The same by the event socket. The calls are paced as the service paces them: the switch refuses what comes beyond its rate.
async fn bare_freeswitch(stage: &Stage) -> Result<Measured> {
    let address = format!("127.0.0.1:{}", stage.lab.port("SKLIC_LAB_ESL_PORT")?);
    let mut esl = Client::connect(&address, PATIENCE).await?;
    let secret = stage.lab.get("SKLIC_LAB_ESL_SECRET")?.to_owned().into();
    esl.login("", &secret, PATIENCE).await?;
    drop(esl.submit(Request::new("event json CUSTOM conference::maintenance"))?);
    let room = format!("{}", 900_000_000 + std::process::id());
    let began = Instant::now();
    place(&mut esl, &room, 0, CONVENER, "convener")?;
    action(&mut esl, "add-member", None).await?;
    let mut channels = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / FREESWITCH_RATE);
    let mut placed = 0;
    while channels.len() < PEOPLE {
        ensure!(began.elapsed() < PATIENCE, "only {} of the bare switch's people are in", channels.len());
        tokio::select! {
            _ = tick.tick(), if placed < PEOPLE => {
                place(&mut esl, &room, placed + 1, &number(placed), "participant")?;
                placed += 1;
            }
            channel = action(&mut esl, "add-member", None) => channels.push(channel?),
        }
    }
    let all_in = began.elapsed();
    let usage = used(&[("switch", process_of(stage, stage.switch_part()).await?)]).await?;
    let mut mutes = Vec::new();
    for channel in channels.iter().cycle().take(MUTES) {
        let began = Instant::now();
        drop(esl.submit(Request::new(format!("api conference sklic-{room} mute uuid={channel} quiet")))?);
        action(&mut esl, "mute-member", Some(channel)).await?;
        mutes.push(began.elapsed());
    }
    let over = esl.submit(Request::new(format!("api conference sklic-{room} hup all")))?;
    while over.is_empty() {
        esl.hear().await;
    }
    drop(esl);
    everybody_gone(stage, began).await?;
    Ok(Measured { all_in, mutes, usage })
}

/// Calls in a second on FreeSWITCH: below the lab's `sessions-per-second` of 60.
const FREESWITCH_RATE: u32 = 40;

/// Calls in a second by the service when it is measured. Asterisk has no limit of its own.
pub fn calls_per_second(pbx: &str) -> u32 {
    if pbx == "freeswitch" { FREESWITCH_RATE } else { 1000 }
}

fn place(esl: &mut Client, room: &str, index: usize, number: &str, role: &str) -> Result<()> {
    let leg = format!("{:016x}{index:016x}", std::process::id());
    let line = format!(
        "bgapi originate {{origination_uuid=sklic-{leg},CONF_NO={room},LEG_ID={leg},SKLIC_LANG=sl,SKLIC_GRACE=0,SKLIC_GUARD=0,SKLIC_MUTED=0,\
         originate_timeout=30,ignore_early_media=true}}sofia/gateway/trunk/{number} {role} XML sklic-out"
    );
    drop(esl.submit(Request::new(line))?);
    Ok(())
}

/// The channel of the next event of the conference with this action.
async fn action(esl: &mut Client, wanted: &str, channel: Option<&String>) -> Result<String> {
    loop {
        match tokio::time::timeout(PATIENCE, esl.hear()).await.context("the switch did not say what was awaited")? {
            Heard::Event(event) if event.get("Action") == Some(wanted) => {
                let of = event.get("Unique-ID").context("an event without a channel")?;
                if channel.is_none_or(|channel| channel == of) {
                    return Ok(of.to_owned());
                }
            }
            Heard::Lost(reason) => bail!("{reason}"),
            _ => {}
        }
    }
}

/// The calls last until everybody has heard the goodbye.
async fn everybody_gone(stage: &Stage, began: Instant) -> Result<()> {
    let quiet = Instant::now();
    while stage.network.calls_since(began).iter().any(crate::network::Call::is_alive) {
        ensure!(quiet.elapsed() < PATIENCE, "the calls do not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

pub async fn originate(ami: &mut Ami, room: &str, index: usize, number: &str, role: &str) -> Result<()> {
    let leg = format!("{:016x}{index:016x}", std::process::id());
    let dialled = sklic::clock::now().as_second().to_string();
    ami.send(&[
        ("Action", "Originate"),
        ("ActionID", &format!("o{index}")),
        ("Channel", &format!("PJSIP/{number}@trunk")),
        ("Context", "sklic-out"),
        ("Exten", role),
        ("Priority", "1"),
        ("Timeout", "30000"),
        ("Async", "true"),
        ("ChannelId", &format!("sklic-{leg}")),
        ("Variable", &format!("CONF_NO={room}")),
        ("Variable", &format!("LEG_ID={leg}")),
        ("Variable", "SKLIC_LANG=sl"),
        ("Variable", "SKLIC_GRACE=0"),
        ("Variable", &format!("SKLIC_DIALLED={dialled}")),
    ])
    .await
}

async fn by_service(stage: &Stage) -> Result<Measured> {
    let account = stage.subscriber(&Profile { name: "Ana Novak", phone: CONVENER, language: "sl", grace_seconds: 0, max_participants: None }).await?;
    let people: Vec<_> = (0..PEOPLE).map(|index| json!({ "name": format!("Gost {}", index + 1), "phone": number(index) })).collect();
    let view = account.api.call("POST", "/api/v1/conferences", Some(json!({ "title": "Meritev", "participants": people }))).await?;
    let id = view["id"].as_str().context("the conference has no id")?.to_owned();
    let folder = stage.lab.fresh_folder("bench-live")?;
    let live = crate::api::Live::open(&account.api, &id, &folder.join("sse.log")).await?;
    let mut changes = live.changes();
    let began = Instant::now();
    account.api.call("POST", &format!("/api/v1/conferences/{id}/start"), None).await?;
    loop {
        let inside = live.view().people.values().filter(|person| person.get("state").is_some_and(|state| state == "in")).count();
        if inside == PEOPLE + 1 {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "only {inside} are in after {} s", PATIENCE.as_secs());
        // A change or a second look; either way the count above decides.
        let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
    }
    let all_in = began.elapsed();
    let service = stage.service.lock().await.process_id().context("the service does not run")?;
    let usage = used(&[("switch", process_of(stage, stage.switch_part()).await?), ("service", service)]).await?;
    let ids: Vec<String> = live
        .view()
        .people
        .iter()
        .filter(|(_, person)| person.get("convener").is_some_and(|convener| convener == false))
        .map(|(id, _)| id.clone())
        .collect();
    let mut mutes = Vec::new();
    for person in ids.iter().take(MUTES) {
        let began = Instant::now();
        account.api.call("POST", &format!("/api/v1/conferences/{id}/participants/{person}/mute"), None).await?;
        while live.view().field(person, "muted") != "true" {
            ensure!(began.elapsed() < Duration::from_secs(5), "a mute was not confirmed in 5 s");
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
        }
        mutes.push(began.elapsed());
    }
    account.api.call("POST", &format!("/api/v1/conferences/{id}/end"), None).await?;
    let quiet = Instant::now();
    while live.view().head("state") != "ended" {
        ensure!(quiet.elapsed() < PATIENCE, "the conference does not end");
        let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
    }
    Ok(Measured { all_in, mutes, usage })
}

fn show(bare: &Measured, service: &Measured) {
    let (bare_p99, service_p99) = (percentile(&bare.mutes, 99), percentile(&service.mutes, 99));
    let ratio = service.all_in.as_secs_f64() / bare.all_in.as_secs_f64();
    let mute_ratio = service_p99.as_secs_f64() / bare_p99.as_secs_f64();
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
    let milliseconds = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0);
    let row = |cells: [String; 5]| cells.to_vec();
    let mut rows = vec![
        row([
            format!("{PEOPLE} people: from Start until all are in"),
            seconds(bare.all_in),
            seconds(service.all_in),
            format!("{ratio:.2} ×"),
            "≤ 1.10 ×".to_owned(),
        ]),
        row([
            "one mute until it is seen, median".to_owned(),
            milliseconds(percentile(&bare.mutes, 50)),
            milliseconds(percentile(&service.mutes, 50)),
            String::new(),
            String::new(),
        ]),
        row([
            "one mute until it is seen, p99".to_owned(),
            milliseconds(bare_p99),
            milliseconds(service_p99),
            format!("{mute_ratio:.2} ×"),
            "≤ 2 × and ≤ 25 ms".to_owned(),
        ]),
    ];
    for (side, measured) in [("bare", bare), ("service", service)] {
        for (name, usage) in &measured.usage {
            let what = format!("{name} with {} in ({side} run)", PEOPLE + 1);
            rows.push(row([
                what,
                format!("{:.1} MiB", usage.rss_mib),
                format!("{:.1} % of a core", usage.cpu_percent),
                String::new(),
                String::new(),
            ]));
        }
    }
    table(&["what", "bare switch / RSS", "service / CPU", "ratio", "target"], rows);
    let reached = ratio <= 1.10 && mute_ratio <= 2.0 && service_p99 <= Duration::from_millis(25);
    let build = if cfg!(debug_assertions) { " (a debug build; a release build is quicker)" } else { "" };
    println!("\nthe targets are {}{build}", if reached { "reached" } else { "NOT reached" });
}

fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

async fn process_of(stage: &Stage, name: &str) -> Result<u32> {
    let status = stage.lab.verb(&["status"]).await?;
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let digits: String = line.split("process ").nth(1).unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("lab.sh status does not say the process of {name}: {line}"))
}

/// Memory now, and processor time over five seconds (proc(5)).
async fn used(processes: &[(&str, u32)]) -> Result<Vec<(String, Usage)>> {
    let ticks = |id: u32| -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        // User and system time are the 14th and 15th field of all; two stand before the bracket.
        Ok(fields.get(11).context("short stat")?.parse::<u64>()? + fields.get(12).context("short stat")?.parse::<u64>()?)
    };
    let before: Vec<u64> = processes.iter().map(|(_, id)| ticks(*id)).collect::<Result<_>>()?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut usage = Vec::new();
    for ((name, id), before) in processes.iter().zip(before) {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        let rss: f64 = rss.trim().trim_end_matches("kB").trim().parse().unwrap_or(0.0);
        // A tick is 10 ms on every Linux that matters (USER_HZ = 100).
        let cpu = (ticks(*id)? - before) as f64 / began.elapsed().as_secs_f64();
        usage.push(((*name).to_owned(), Usage { rss_mib: rss / 1024.0, cpu_percent: cpu }));
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50), Duration::from_millis(51));
        assert_eq!(percentile(&values, 99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
