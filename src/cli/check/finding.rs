//! What a check has found, and the report that all of them make.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Could not be looked at; nothing is known to be wrong.
    Unknown,
    /// Works, and will hurt one day.
    Warning,
    /// Calls, charges, mails or messages fail with it.
    Error,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it; stable, for monitoring.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where: a key of the configuration, a switch, a server.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A finding that keeps something from working.
    pub fn error(id: &'static str, place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, severity: Severity::Error, place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A finding that will hurt one day.
    pub fn warning(id: &'static str, place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(id, place, problem, remedy) }
    }

    /// What could not be looked at.
    pub fn unknown(id: &'static str, place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Unknown, ..Self::error(id, place, problem, remedy) }
    }
}

/// One check and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The group of checks, such as `database` or `switch pbx1`.
    pub subject: String,
    /// What it found; empty: all is right.
    pub findings: Vec<Finding>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst of all findings: `ok`, `unknown`, `warning` or `error`.
    pub status: &'static str,
    /// The groups in the order in which they were looked at.
    pub checks: Vec<Outcome>,
}

impl Report {
    /// The report of these groups.
    pub fn new(checks: Vec<Outcome>) -> Self {
        let status = match worst(&checks) {
            None => "ok",
            Some(Severity::Unknown) => "unknown",
            Some(Severity::Warning) => "warning",
            Some(Severity::Error) => "error",
        };
        Self { status, checks }
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|outcome| &outcome.findings)
    }

    /// The exit status that monitoring plugins use: 0 all right (also where something could not be looked at), 1 warning, 2 error.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match worst(&self.checks) {
            None | Some(Severity::Unknown) => 0,
            Some(Severity::Warning) => 1,
            Some(Severity::Error) => 2,
        }
    }
}

fn worst(checks: &[Outcome]) -> Option<Severity> {
    checks.iter().flat_map(|outcome| &outcome.findings).map(|finding| finding.severity).max()
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for outcome in &self.checks {
            if outcome.findings.is_empty() {
                writeln!(f, "ok       {}", outcome.subject)?;
            }
            for finding in &outcome.findings {
                let word = match finding.severity {
                    Severity::Unknown => "unknown",
                    Severity::Warning => "WARNING",
                    Severity::Error => "ERROR",
                };
                writeln!(f, "{word:<8} {} [{}]", outcome.subject, finding.id)?;
                writeln!(f, "         {}: {}", finding.place, finding.problem)?;
                writeln!(f, "         → {}", finding.remedy)?;
            }
        }
        Ok(())
    }
}
