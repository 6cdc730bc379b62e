//! The mail, the page, the text, the spreadsheet and the picture, in both languages.

use sklic::billing::WayOfEntry;
use sklic::conference::Outcome;
use sklic::delivery::Branding;
use sklic::pbx::{Evidence, Language};
use sklic::report::{ConferenceState, LegInput, Report, file_name, render_csv, render_html, render_mail, render_text, render_timeline};

use crate::report_support::{answered, attempt, dialled_in, keep, person, report_of, weekly};

const LANGUAGES: [Language; 2] = [Language::Sl, Language::En];

/// Every way in which a report is shown, under a name.
fn everywhere(report: &Report) -> Vec<(&'static str, String)> {
    let mail = render_mail(report, &Branding::default());
    vec![
        ("mail", mail.html),
        ("text", mail.text),
        ("page", render_html(report)),
        ("csv", render_csv(report)),
        ("svg", render_timeline(report).unwrap_or_default()),
    ]
}

#[test]
fn the_mail_is_complete_in_both_languages() {
    let [sl, en] = LANGUAGES.map(|language| render_mail(&weekly(language), &Branding::default()));
    assert_eq!(sl.subject, "Poročilo: Tedenska koordinacija prodaje, 22. 11. 2026");
    assert_eq!(en.subject, "Report: Weekly sales call, 22 Nov 2026");
    for (mail, kind, csv, svg) in
        [(&sl, "sl", "porocilo-2026-11-22.csv", "porocilo-2026-11-22.svg"), (&en, "en", "report-2026-11-22.csv", "report-2026-11-22.svg")]
    {
        let files: Vec<_> = mail.attachments.iter().map(|file| (file.name.as_str(), file.media_type)).collect();
        assert_eq!(files, [(csv, "text/csv; charset=utf-8"), (svg, "image/svg+xml")]);
        keep(&format!("mail-{kind}.html"), &mail.html);
        keep(&format!("mail-{kind}.txt"), &mail.text);
    }
    assert_eq!(sl, render_mail(&weekly(Language::Sl), &Branding::default()), "the same report gives the same mail");
    for text in [
        "nedelja, 22. november 2026, 10:00–10:47",
        "V konferenci je bilo 5 od 8 udeležencev.",
        "10:00:15–10:47:42  0:47:27",
        "Klic sprejet",
        "Ni odgovora",
        "klic s spleta, 2. poskus",
        "klic na +386 1 309 93 96, 2. klic",
        "klic na 19819",
        "plača klicatelj",
        "Povezava s centralo je bila prekinjena",
        "brez vstopa v konferenco",
        "Brez klica",
        "Skupaj brez DDV",
        "DDV 22 % od ",
        "+386 1 555 01 20",
        "Vsi časi so v časovnem pasu Europe/Ljubljana.",
    ] {
        assert!(sl.text.contains(text), "{text} is not in\n{}", sl.text);
    }
    for text in ["5 of 8 participants were in.", "called from the web, attempt 2", "dialled 19819", "caller pays", "Not called", "VAT 22% on €"] {
        assert!(en.text.contains(text), "{text} is not in\n{}", en.text);
    }
}

#[test]
fn page_and_picture_are_complete_in_both_languages() {
    for language in LANGUAGES {
        let report = weekly(language);
        let (page, picture) = (render_html(&report), render_timeline(&report).unwrap());
        keep(&format!("page-{}.html", language.code()), &page);
        keep(&format!("timeline-{}.svg", language.code()), &picture);
        assert!(page.starts_with("<!doctype html>"), "{}", &page[..80]);
        assert!(page.contains(&format!("<html lang=\"{}\">", language.code())));
        assert!(page.contains(&picture), "the picture stands in the page");
        assert!(!page.contains("report-") && !page.contains("outcome-") && !page.contains("legend-"), "a message has no words");
        assert!(picture.contains("<title id=\"tl-title\">") && picture.contains("<desc id=\"tl-desc\">"));
        assert!(picture.contains("aria-labelledby=\"tl-title tl-desc\""));
        for label in [">10:00<", ">10:10<", ">10:40<"] {
            assert!(picture.contains(label), "{label} is not on the axis:\n{picture}");
        }
        // Seven people were called; three failed attempts have a mark, the fourth is Boštjan's first.
        assert_eq!(picture.matches("class=\"tl-in\"").count(), 6);
        assert_eq!(picture.matches("class=\"tl-fail\"").count(), 4);
        assert_eq!(picture.matches("class=\"tl-unsure\"").count(), 1);
        assert_eq!(picture.matches("class=\"tl-caption").count(), 3, "three were never in, and it says why");
    }
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    for (form, text) in everywhere(&weekly(Language::Sl)) {
        let text = text.replace("http://www.w3.org/2000/svg", "").to_lowercase();
        for forbidden in ["http:", "https:", "src=", "href=", "@import", "<script", "javascript:", "url(h", "onload", "onerror"] {
            assert!(!text.contains(forbidden), "{form} has {forbidden}");
        }
    }
}

#[test]
fn the_spreadsheet_has_a_row_for_each_leg() {
    for (language, delimiter, point) in [(Language::Sl, b';', ","), (Language::En, b',', ".")] {
        let file = render_csv(&weekly(language));
        keep(&format!("report-{}.csv", language.code()), &file);
        let text = file.strip_prefix('\u{feff}').expect("spreadsheets need the byte-order mark");
        assert!(text.lines().count() > 1 && text.matches("\r\n").count() == text.matches('\n').count());
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<Vec<String>> = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!((header.len(), rows.len()), (24, 12), "eleven legs, and one who was not called");
        assert!(rows.iter().all(|row| row.len() == 24));
        assert_eq!(rows[0][0..4], ["Ana Kovač", if point == "," { "da" } else { "yes" }, "+386 1 555 01 20", "1"]);
        assert_eq!(rows[0][8..10], ["2026-11-22 10:00:15", "2026-11-22 10:47:42"]);
        assert_eq!(rows[0][15..18], ["2850".to_owned(), format!("1{point}4250"), format!("0{point}3135")]);
        assert_eq!(rows[0][22..], ["EUR", "Europe/Ljubljana"]);
        assert_eq!(rows[9][2], "+386 41 555 136", "the number of the leg, not of the person");
    }
    assert!(render_csv(&weekly(Language::Sl)).starts_with("\u{feff}udeleženec;sklicatelj;številka;poskus;način vstopa;"));
}

#[test]
fn every_outcome_way_and_reason_has_words_in_both_languages() {
    use Outcome::{Answered, Busy, Cancelled, Congested, Failed, InvalidNumber, NoAnswer, NotAccepted, Rejected, Unreachable};
    let outcomes = [Answered, Busy, NoAnswer, Rejected, Unreachable, InvalidNumber, Congested, NotAccepted, Cancelled, Failed];
    let number = "+38615550211";
    for language in LANGUAGES {
        let mut seen = Vec::new();
        for outcome in outcomes {
            let legs = vec![attempt(number, 0, 20, outcome)];
            let text = render_text(&report_of("T", language, vec![person("X", number, legs)]));
            assert!(!text.contains("outcome-"), "{outcome:?} has no words:\n{text}");
            seen.push(text);
        }
        for way in WayOfEntry::ALL {
            let legs = vec![LegInput { access_number: None, way_of_entry: way, ..answered(number, 0, 5, 60) }];
            seen.push(render_text(&report_of("T", language, vec![person("X", number, legs)])));
        }
        for evidence in [Evidence::SwitchRecord, Evidence::Snapshot, Evidence::ProofOfLife] {
            let legs = vec![LegInput { evidence: Some(evidence), ..dialled_in(WayOfEntry::National, number, "+38613099396", 5, 60) }];
            seen.push(render_text(&report_of("T", language, vec![person("X", number, legs)])));
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "two read the same");
        for reason in [
            "convener_left",
            "ended_by_convener",
            "convener_away",
            "max_length",
            "spend_cap",
            "switch_failed",
            "convener_hung_up",
            "convener_busy",
            "convener_no_answer",
            "convener_rejected",
            "convener_unreachable",
            "convener_invalid_number",
            "convener_congested",
            "convener_not_accepted",
            "convener_failed",
        ] {
            let with = |reason: Option<&str>| {
                let report = weekly(language);
                render_text(&Report { reason: reason.map(str::to_owned), ..report })
            };
            assert_ne!(with(Some(reason)), with(None), "{reason} has no words");
        }
    }
}

#[test]
fn a_failed_conference_says_so_first() {
    let convener = person("Ana Kovač", "+38615550120", vec![attempt("+38615550120", 0, 15, Outcome::Busy)]);
    let others = person("Marko Novak", "+38615550211", vec![]);
    for (language, subject, alert) in [
        (
            Language::Sl,
            "Telekonferenca ni uspela: Nujno, 22. 11. 2026",
            "Številka sklicatelja je bila zasedena, zato nismo poklicali nikogar drugega.",
        ),
        (Language::En, "Conference failed: Nujno, 22 Nov 2026", "The convener’s number was busy, so nobody else was called."),
    ] {
        let report = Report {
            state: ConferenceState::Failed,
            reason: Some("convener_busy".to_owned()),
            running_since: None,
            ended_at: Some(crate::report_support::at(15)),
            seconds: 0,
            ..report_of("Nujno", language, vec![convener.clone(), others.clone()])
        };
        let mail = render_mail(&report, &Branding::default());
        keep(&format!("failed-{}.html", language.code()), &mail.html);
        keep(&format!("failed-page-{}.html", language.code()), &render_html(&report));
        assert_eq!(mail.subject, subject);
        for (form, text) in [("text", mail.text.replace('\n', " ")), ("mail", mail.html), ("page", render_html(&report))] {
            assert!(text.contains(alert), "{form}: {text}");
        }
        assert_eq!(report.totals.gross.0, 0);
    }
}

#[test]
fn nobody_called_means_no_picture() {
    let report = report_of("T", Language::En, vec![person("X", "+38615550211", vec![])]);
    assert_eq!(render_timeline(&report), None);
    assert_eq!(render_mail(&report, &Branding::default()).attachments.len(), 1);
    let bare = Report { started_at: None, running_since: None, ended_at: None, participants: vec![], ..report };
    assert_eq!(file_name(&bare), "report");
    for (form, text) in everywhere(&bare) {
        assert!(form == "svg" || !text.is_empty());
    }
}

#[test]
fn a_time_zone_that_is_not_known_reads_as_utc_and_says_so() {
    let report = Report { time_zone: "Mars/Olympus".to_owned(), ..weekly(Language::En) };
    let text = render_text(&report);
    assert!(text.contains("09:00:15–09:47:42"), "{text}");
    assert!(text.contains("The time zone Mars/Olympus is not known, so all times are in UTC."), "{text}");
    // As an earlier release let it be typed.
    let text = render_text(&Report { time_zone: "europe/ljubljana".to_owned(), ..report });
    assert!(text.contains("All times are local times in europe/ljubljana."), "{text}");
}

#[test]
fn a_conference_over_midnight_and_the_end_of_summer_time_tells_its_days() {
    let at = |text: &str| text.parse().ok();
    let leg = LegInput {
        dialled_at: at("2026-10-24T21:59:40Z"),
        answered_at: at("2026-10-24T21:59:50Z"),
        joined_at: at("2026-10-24T21:59:55Z"),
        left_at: at("2026-10-25T01:30:00Z"),
        ended_at: at("2026-10-25T01:30:00Z"),
        ..answered("+38615550211", 0, 0, 1)
    };
    let report = Report {
        started_at: at("2026-10-24T21:59:40Z"),
        running_since: at("2026-10-24T21:59:55Z"),
        ended_at: at("2026-10-25T01:30:00Z"),
        ..report_of("T", Language::Sl, vec![person("X", "+38615550211", vec![leg])])
    };
    let text = render_text(&report);
    // From 23:59:55 summer time to 2:30 standard time are three hours and a half, not two.
    assert!(text.contains("23:59:55–02:30:00 (25. 10.)  3:30:05"), "{text}");
}

#[test]
fn the_mail_goes_out_under_the_operators_name() {
    let branding = Branding { name: "T-2 <telekonferenca>".into(), colour: "#aa0033".into(), footer: "Pomoč: 064 064 064".into() };
    for language in LANGUAGES {
        let mail = render_mail(&weekly(language), &branding);
        assert!(mail.text.ends_with("T-2 <telekonferenca>\nPomoč: 064 064 064\n"), "{}", mail.text);
        assert!(mail.html.contains("color:#aa0033") && mail.html.contains("T-2 &lt;telekonferenca&gt;") && mail.html.contains("Pomoč: 064 064 064"));
    }
}
