//! What is exported, what the catalogue says and what dashboard and alerts name are the same metrics.

use std::collections::BTreeSet;
use std::path::Path;

use sklic::telemetry::names;

/// Every word that begins with `sklic_` in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("sklic_")).map(str::to_owned).collect()
}

fn catalogue() -> BTreeSet<String> {
    names::ALL.iter().map(|metric| metric.name.to_owned()).collect()
}

/// All Rust sources below a folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|ending| ending == "rs") && !entry.ends_with("telemetry/names.rs") {
            found.push(std::fs::read_to_string(&entry).expect("text"));
        }
    }
}

/// The names that stand first in the macros which count and measure.
fn exported() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in std::fs::read_dir("src")
        .expect("the sources")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir() && !path.ends_with("bin"))
    {
        sources(&folder, &mut texts);
    }
    let mut found = BTreeSet::new();
    for text in texts {
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(kind) {
                let rest = text[at + kind.len()..].trim_start();
                if let Some(name) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    found.insert(name.to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn the_catalogue_is_what_the_service_exports() {
    let (exported, catalogue) = (exported(), catalogue());
    let unknown: Vec<_> = exported.difference(&catalogue).collect();
    assert!(unknown.is_empty(), "exported and not in telemetry/names.rs: {unknown:?}");
    let idle: Vec<_> = catalogue.difference(&exported).collect();
    assert!(idle.is_empty(), "in telemetry/names.rs and exported nowhere: {idle:?}");
    assert_eq!(names::ALL.len(), catalogue.len(), "a name stands twice");
}

#[test]
fn dashboard_and_alerts_name_only_what_is_exported_in_the_form_in_which_it_is() {
    let mut allowed = BTreeSet::new();
    for metric in names::ALL {
        match metric.kind {
            names::Kind::Counter | names::Kind::Gauge => drop(allowed.insert(metric.name.to_owned())),
            names::Kind::Quick | names::Kind::Slow | names::Kind::Counts => {
                allowed.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name)))
            }
        }
    }
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(Path::new("packaging/monitoring").join(file)).expect("the file");
        let named = metrics_in(&text);
        assert!(named.len() > 5, "{file} names hardly any metric: {named:?}");
        let unknown: Vec<_> = named.difference(&allowed).collect();
        assert!(unknown.is_empty(), "{file} names what is not exported: {unknown:?}");
    }
    let dashboard = std::fs::read_to_string("packaging/monitoring/dashboard.json").expect("the file");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10));
}

#[test]
fn histograms_are_rendered_with_buckets_that_can_be_added_up() {
    let recorder = sklic::telemetry::metrics().expect("the bounds hold").build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        names::describe();
        metrics::histogram!("sklic_post_dial_delay_seconds", "switch" => "pbx1").record(2.5);
        metrics::counter!("sklic_seizures_total", "switch" => "pbx1").increment(3);
    });
    let text = handle.render();
    assert!(text.contains("sklic_post_dial_delay_seconds_bucket{switch=\"pbx1\",le=\"3\"} 1"), "{text}");
    assert!(text.contains("sklic_post_dial_delay_seconds_bucket{switch=\"pbx1\",le=\"2\"} 0"), "{text}");
    assert!(
        text.contains("# HELP sklic_seizures_total Calls that the service has placed") && text.contains("sklic_seizures_total{switch=\"pbx1\"} 3"),
        "{text}"
    );
}

/// What alert rules ask of which it is said how much it has grown.
fn watched_for_growth(alerts: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned();
    alerts.split("increase(").skip(1).map(name).collect()
}

#[tokio::test]
async fn counters_that_alerts_watch_are_told_before_their_first_event() {
    let handle = sklic::telemetry::start_metrics().expect("no other test installs a recorder");
    names::begin_switch("pbx1");
    let text = handle.render();
    let alerts = std::fs::read_to_string("packaging/monitoring/alerts.yml").expect("the file");
    let watched = watched_for_growth(&alerts);
    assert!(watched.len() > 5 && watched.iter().all(|name| name.ends_with("_total")), "{watched:?}");
    for name in watched {
        let mut samples = text.lines().filter_map(|line| line.strip_prefix(&*name)).filter(|rest| rest.starts_with([' ', '{']));
        assert!(samples.any(|rest| rest.ends_with(" 0")), "{name} begins with its first event, of which no alert would hear:\n{text}");
    }
    for word in ["status=\"unrated\"", "status=\"error\"", "subject=\"line\"", "subject=\"code\"", "subject=\"access_number\""] {
        assert!(text.contains(&format!("{{{word}}} 0")), "{word}:\n{text}");
    }
}

#[test]
fn a_customers_webhook_holds_no_alert() {
    let alerts = std::fs::read_to_string("packaging/monitoring/alerts.yml").expect("the file");
    let outbox: Vec<&str> = alerts.lines().filter(|line| line.contains("expr:") && line.contains("sklic_outbox_")).collect();
    assert!(!outbox.is_empty() && outbox.iter().all(|line| line.contains("kind!=\"webhook\"")), "{outbox:?}");
}
