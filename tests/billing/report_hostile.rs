//! R16: what people and phones put into names, titles and numbers stays data in every form of the report.

use proptest::prelude::*;
use sklic::delivery::Branding;
use sklic::pbx::Language;
use sklic::report::{render_csv, render_html, render_mail, render_timeline};

use crate::report_support::{answered, keep, person, report_of};

const NAMES: [&str; 12] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "{{ view.subject }}{% raw %}",
    "Дарья Иванова",
    "👩‍👩‍👧 Družina 🇸🇮",
    "evil\u{202e}gnp.exe",
    "Ana\r\nBcc: everybody@example.test\r\n\r\n<b>",
    "\u{0}\u{1}\u{7f}\u{85}\u{9b}31m\u{fffe}\u{ffff}",
    "=HYPERLINK(\"http://evil.test\",\"x\")",
    "@SUM(A1);+1;-1",
    "' onmouseover='alert(1)",
    "]]></desc><script>alert(1)</script>",
];

fn hostile(language: Language) -> sklic::report::Report {
    let mut people: Vec<_> = NAMES.iter().map(|name| person(name, "+38615550211", vec![answered("+38615550211", 0, 10, 60)])).collect();
    people.push(person(&"Dolgoime".repeat(1_250), "<b>+386</b>", vec![answered("\"; DROP", 0, 10, 60)]));
    people.push(person(&"ž\u{0301}".repeat(5_000), "", vec![]));
    report_of("<h1>Naslov</h1>\r\nBcc: x@example.test\u{202e}", language, people)
}

#[test]
fn hostile_names_stay_text_in_every_form() {
    for language in [Language::Sl, Language::En] {
        let report = hostile(language);
        let mail = render_mail(&report, &Branding::default());
        let (page, picture, csv) = (render_html(&report), render_timeline(&report).unwrap(), render_csv(&report));
        keep(&format!("hostile-{}.html", language.code()), &page);
        keep(&format!("hostile-mail-{}.html", language.code()), &mail.html);
        keep(&format!("hostile-{}.svg", language.code()), &picture);
        assert!(mail.subject.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{:?}", mail.subject);
        assert!(mail.subject.chars().count() <= 201);
        for (form, text) in [("page", &page), ("mail", &mail.html), ("picture", &picture)] {
            for forbidden in ["<img", "<script", "<b>+", "<h1>N", "onerror=alert(1)>", "' onmouseover='", "]]>"] {
                assert!(!text.contains(forbidden), "{form} has {forbidden}");
            }
            assert!(text.contains("Дарья Иванова") && text.contains("👩‍👩‍👧"), "{form} has lost letters");
            assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;"), "{form} does not show what was typed");
        }
        for (form, text) in [("page", &page), ("mail", &mail.html), ("picture", &picture), ("csv", &csv), ("text", &mail.text)] {
            let bad = |character: char| {
                (character.is_control() && !matches!(character, '\n' | '\r'))
                    || matches!(character, '\u{202a}'..='\u{202e}' | '\u{fffe}' | '\u{ffff}')
            };
            assert!(!text.contains(bad), "{form} has an invisible character");
            assert!(text.len() < 120_000, "{form} is {} bytes long", text.len());
        }
        assert!(mail.text.lines().all(|line| !line.starts_with("Bcc")), "{}", mail.text);
        assert!(!picture.contains("Dolgoime".repeat(8).as_str()), "a name runs out of the picture");
        let delimiter = if language == Language::Sl { b';' } else { b',' };
        let text = csv.trim_start_matches('\u{feff}');
        let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        for record in rows.records() {
            for field in record.unwrap().iter() {
                assert!(!field.starts_with(['=', '@', '\t', '\r']), "{field}");
                assert!(!field.starts_with('+') || field.chars().all(|c| c == '+' || c == ' ' || c.is_ascii_digit()), "{field}");
            }
        }
    }
}

#[test]
fn two_hundred_people_fit() {
    let people = (0..200)
        .map(|count| {
            let number = format!("+3861555{count:04}");
            person(&format!("Udeleženec {count}"), &number, vec![answered(&number, count, count + 9, 2_000 + count)])
        })
        .collect();
    let report = report_of("Dvesto", Language::Sl, people);
    let mail = render_mail(&report, &Branding::default());
    keep("two-hundred.html", &render_html(&report));
    assert!(mail.html.len() < 600_000, "{} bytes", mail.html.len());
    assert!(mail.text.contains("Udeleženec 199"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_name_breaks_a_form(name: String, title: String, number: String, reason: String, zone in "\\PC{0,20}", times in any::<[i32; 3]>()) {
        let mut report = report_of(&title, Language::Sl, vec![person(&name, &number, vec![answered(&number, 0, 1, 2)])]);
        report.reason = Some(reason);
        report.time_zone = zone;
        let moment = |second: i32| jiff::Timestamp::from_second(i64::from(second)).ok();
        let leg = &mut report.participants[0].legs[0];
        (leg.dialled_at, leg.answered_at, leg.joined_at) = (moment(times[0]), moment(times[1]), moment(times[2]));
        let mail = render_mail(&report, &Branding::default());
        prop_assert!(!mail.subject.chars().any(char::is_control));
        let _ = render_html(&report);
        let tags = |text: &str| (text.matches("<svg").count(), text.matches("<g>").count(), text.matches("</g>").count());
        prop_assert_eq!(tags(&render_timeline(&report).unwrap()), (1, 1, 1));
    }
}
