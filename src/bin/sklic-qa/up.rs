//! `sklic-qa up`: lab, service and demo phones, until Ctrl-C. One of the phones calls in when it is told to.

use std::io::BufRead as _;
use std::time::Duration;

use crate::demo::table;
use crate::phone::{Phone, Plan};
use crate::sound::Voice;
use crate::stage::{Profile, Stage};
use anyhow::{Context as _, Result};

/// The phone that calls in, by its file.
const CALLS_IN: &str = "uac-dial-in.xml";
/// How long a phone that calls in waits to hear something before it keys.
const EAR: Duration = Duration::from_secs(15);
/// How much it hears first, in samples: by then somebody listens to keys.
const HEARD_FIRST: usize = 5 * crate::sound::RATE / 2;

/// The demo phones: what they do, their number, their SIPp file.
const PHONES: [(&str, &str, &str); 16] = [
    ("convener", "+38640100001", "uas-answer.xml"),
    ("answers", "+38640100002", "uas-answer.xml"),
    ("answers too", "+38640100003", "uas-answer.xml"),
    ("plays early media, then answers", "+38640100004", "uas-early-media-answer.xml"),
    ("is busy", "+38640100005", "uas-busy-486.xml"),
    ("does not answer", "+38640100006", "uas-noanswer.xml"),
    ("rejects the call", "+38640100007", "uas-reject-603.xml"),
    ("does not exist", "+38640100008", "uas-notfound-404.xml"),
    ("is out of reach", "+38640100009", "uas-unavailable-480.xml"),
    ("finds no circuit", "+38640100010", "uas-congestion-503.xml"),
    ("answers too", "+38640100011", "uas-answer.xml"),
    ("answers too", "+38640100012", "uas-answer.xml"),
    ("answers too", "+38640100013", "uas-answer.xml"),
    ("answers too", "+38640100014", "uas-answer.xml"),
    ("answers too", "+38640100015", "uas-answer.xml"),
    ("calls in when it is told to", "+38640100016", CALLS_IN),
];

/// Connects the demo phones and prints how to use them. They live as long as what is returned.
pub async fn furnish(stage: &Stage) -> Result<Vec<Phone>> {
    let folder = stage.lab.fresh_folder("up")?;
    let mut phones = Vec::new();
    if stage.pbx != "simulator" {
        for (index, (_, number, sipp)) in PHONES.iter().enumerate() {
            let plan = Plan {
                name: format!("phone-{}", index + 1),
                number: (*number).to_owned(),
                range: false,
                sipp: stage.lab.root.join("tests/sipp").join(sipp),
                voice: Some(Voice::Speech),
                arguments: Vec::new(),
            };
            phones.push(Phone::connect(plan, &stage.network, stage.switch()?, &folder).await?);
        }
    }
    let account =
        stage.subscriber(&Profile { name: "Ana Novak", phone: PHONES[0].1, language: "sl", grace_seconds: 0, max_participants: None }).await?;
    println!("\nThe service runs: {}", stage.url);
    println!("  user number  {}\n  password     {}\n", account.user_number, account.password);
    let rows = PHONES.iter().map(|(what, number, _)| vec![(*number).to_owned(), (*what).to_owned()]);
    table(&["number", "this phone"], rows.collect());
    println!("\nTo call in with the last one, type `dial 013099396 CODE#`; then `key *6`, or `bye`.");
    println!("Mails arrive in {}\nLog: {}\nCtrl-C ends everything.", stage.lab.get("SKLIC_LAB_MAIL_DIR")?, stage.log.display());
    Ok(phones)
}

/// Does what is typed, line by line, with the phone that calls in; never returns.
pub async fn obey(mut phones: Vec<Phone>) -> Result<bool> {
    let (typed, mut lines) = tokio::sync::mpsc::unbounded_channel();
    // Reading from a terminal cannot be interrupted: the thread ends with the process.
    std::thread::spawn(move || std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| typed.send(line)));
    while let (Some(line), Some(phone)) = (lines.recv().await, phones.last_mut()) {
        if let Err(error) = act(phone, &line).await {
            println!("{line}: {error:#}");
        }
    }
    // Kept until the end: a phone that is dropped hangs up.
    std::future::pending::<()>().await;
    drop(phones);
    Ok(true)
}

async fn act(phone: &mut Phone, line: &str) -> Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [] => Ok(()),
        ["dial", number] => phone.dial(number).await,
        ["dial", number, digits] => {
            let ears = phone.rtp.clone().context("this phone has no audio")?;
            let before = ears.received();
            phone.dial(number).await?;
            let heard = async {
                while ears.received() < before + HEARD_FIRST {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(EAR, heard).await.context("too little was heard")?;
            ears.press(digits);
            Ok(())
        }
        ["key", digits] => {
            phone.rtp.as_deref().context("this phone has no audio")?.press(digits);
            Ok(())
        }
        ["bye"] => phone.give_sign().await,
        _ => anyhow::bail!("`dial NUMBER [KEYS]`, `key KEYS` or `bye`"),
    }
}
