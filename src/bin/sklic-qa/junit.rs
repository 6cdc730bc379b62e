//! Verdicts as JUnit XML, for the tools that collect test results.

use crate::run::{First, Verdict};

/// A scenario that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why: such as `not for the simulator`.
    pub why: String,
}

/// The verdicts, and what was left out, as one test suite.
pub fn xml(verdicts: &[Verdict], skipped: &[Skipped]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    let took: f64 = verdicts.iter().map(|verdict| verdict.took.as_secs_f64()).sum();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <testsuite name=\"sklic scenarios\" tests=\"{}\" failures=\"{failed}\" skipped=\"{}\" time=\"{took:.1}\">\n",
        verdicts.len() + skipped.len(),
        skipped.len()
    );
    for verdict in verdicts {
        xml.push_str(&format!("  <testcase classname=\"scenario\" name=\"{}\" time=\"{:.1}\">", escaped(&verdict.name), verdict.took.as_secs_f64()));
        for failure in &verdict.failures {
            let first = failure.lines().next().unwrap_or("");
            xml.push_str(&format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(failure)));
        }
        if let Some(first) = &verdict.first {
            xml.push_str(&format!("<system-out>{}</system-out>", escaped(&told(first))));
        }
        xml.push_str("</testcase>\n");
    }
    for Skipped { name, why } in skipped {
        let (name, why) = (escaped(name), escaped(why));
        xml.push_str(&format!("  <testcase classname=\"scenario\" name=\"{name}\" time=\"0.0\"><skipped message=\"{why}\"/></testcase>\n"));
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// That there was a first run, how it failed, and where its traces are.
fn told(first: &First) -> String {
    let kept = first.kept.as_ref().map(|kept| format!("\nits traces, logs and recordings: {}", kept.display()));
    format!("played again alone, because the first run failed:\n{}{}", first.failures.join("\n"), kept.unwrap_or_default())
}

/// Text as XML takes it; characters that XML 1.0 does not know are left out.
fn escaped(text: &str) -> String {
    let known = text.chars().filter(|&character| character >= ' ' || matches!(character, '\n' | '\t'));
    let mut escaped = String::new();
    for character in known {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn verdict(name: &str, failures: &[&str]) -> Verdict {
        let failures = failures.iter().map(ToString::to_string).collect();
        Verdict { name: name.into(), failures, judged: 1, first: None, took: Duration::from_secs(2), kept: None }
    }

    #[test]
    fn failures_are_counted_and_escaped() {
        let xml = xml(&[verdict("good", &[]), verdict("bad", &["a < b & \"c\"\u{1}\nmore"])], &[]);
        assert!(xml.contains("tests=\"2\" failures=\"1\" skipped=\"0\" time=\"4.0\""), "{xml}");
        assert!(xml.contains("message=\"a &lt; b &amp; &quot;c&quot;\""), "{xml}");
        assert!(xml.contains("name=\"good\" time=\"2.0\"></testcase>"), "{xml}");
    }

    #[test]
    fn a_second_try_and_what_was_left_out_are_told() {
        let first = First { failures: vec!["busy: heard <nothing>".into()], kept: Some("/lab/qa/busy.first".into()) };
        let again = Verdict { first: Some(first), ..verdict("busy", &[]) };
        let skipped = Skipped { name: "dead".into(), why: "it kills the switch".into() };
        let xml = xml(&[again], &[skipped]);
        assert!(xml.contains("tests=\"2\" failures=\"0\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("busy: heard &lt;nothing&gt;") && xml.contains("/lab/qa/busy.first</system-out></testcase>"), "{xml}");
        assert!(xml.contains("name=\"dead\" time=\"0.0\"><skipped message=\"it kills the switch\"/></testcase>"), "{xml}");
    }
}
