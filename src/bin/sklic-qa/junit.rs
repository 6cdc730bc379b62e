//! Verdicts as JUnit XML, for the tools that collect test results.

use crate::run::Verdict;

/// The verdicts as one test suite.
pub fn xml(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    let took: f64 = verdicts.iter().map(|verdict| verdict.took.as_secs_f64()).sum();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"sklic scenarios\" tests=\"{}\" failures=\"{failed}\" time=\"{took:.1}\">\n",
        verdicts.len()
    );
    for verdict in verdicts {
        xml.push_str(&format!("  <testcase classname=\"scenario\" name=\"{}\" time=\"{:.1}\">", escaped(&verdict.name), verdict.took.as_secs_f64()));
        for failure in &verdict.failures {
            let first = failure.lines().next().unwrap_or("");
            xml.push_str(&format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(failure)));
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
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

    #[test]
    fn failures_are_counted_and_escaped() {
        let verdict = |name: &str, failures: &[&str]| Verdict {
            name: name.into(),
            failures: failures.iter().map(ToString::to_string).collect(),
            judged: 1,
            second_try: false,
            took: Duration::from_secs(2),
            kept: None,
        };
        let xml = xml(&[verdict("good", &[]), verdict("bad", &["a < b & \"c\"\u{1}\nmore"])]);
        assert!(xml.contains("tests=\"2\" failures=\"1\" time=\"4.0\""));
        assert!(xml.contains("message=\"a &lt; b &amp; &quot;c&quot;\""));
        assert!(xml.contains("name=\"good\" time=\"2.0\"></testcase>"));
    }
}
