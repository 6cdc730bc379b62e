//! Price lists: versions and the longest-prefix lookup.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rate_row::{Component, Rate};

/// Why a price list cannot be used: which row, which column, what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateProblem {
    /// The row's place in the list that was given, from 0.
    pub row: usize,
    /// The column's name in the file.
    pub column: &'static str,
    /// What is wrong, in words.
    pub reason: String,
}

/// The name of a tariff, cheap to copy into every charge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", from = "String")]
#[schema(value_type = String, example = "base")]
pub struct TariffName(Arc<str>);

impl TariffName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TariffName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TariffName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TariffName({self})")
    }
}

impl From<&str> for TariffName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for TariffName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<TariffName> for String {
    fn from(name: TariffName) -> Self {
        name.as_str().to_owned()
    }
}

/// A node of the prefix tree: where each next digit leads, and which rates have exactly this prefix.
#[derive(Clone, Debug)]
struct Node {
    next: [u32; 10],
    first_rate: u32,
    rates: u32,
}

/// No node, and no rate.
const NONE: u32 = u32::MAX;

impl Node {
    const EMPTY: Self = Self { next: [NONE; 10], first_rate: 0, rates: 0 };
}

/// One version of a tariff: its rates, checked and indexed.
#[derive(Clone, Debug)]
pub struct TariffVersion {
    number: u32,
    valid_from: Timestamp,
    time_zone: TimeZone,
    rates: Vec<Rate>,
    // The first four nodes are the roots, see `root`.
    nodes: Vec<Node>,
}

/// The root of a component's tree; numbers with `+` and short ones never meet.
fn root(component: Component, plus: bool) -> usize {
    usize::from(component == Component::Conference) * 2 + usize::from(plus)
}

/// The digits of a number or prefix, and whether `+` stood before them.
fn digits(text: &str) -> (bool, &[u8]) {
    text.strip_prefix('+').map_or((false, text.as_bytes()), |digits| (true, digits.as_bytes()))
}

impl TariffVersion {
    /// The version `number`, in force from `valid_from` until the next version is, with the midnights of UTC.
    ///
    /// # Errors
    /// Everything that is wrong with single rows, or else every gap and overlap in the validity of one component and prefix.
    pub fn new(number: u32, valid_from: Timestamp, rates: Vec<Rate>) -> Result<Self, Vec<RateProblem>> {
        let mut problems = Vec::new();
        for (row, rate) in rates.iter().enumerate() {
            let of_row = rate.problems().into_iter();
            problems.extend(of_row.map(|(column, reason)| RateProblem { row, column, reason }));
        }
        if problems.is_empty() {
            problems = validity_problems(&rates);
        }
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.row);
            return Err(problems);
        }
        let mut rates = rates;
        rates.sort_by_key(|rate| (rate.component, rate.prefix, rate.valid_from));
        let nodes = index(&rates);
        Ok(Self { number, valid_from, time_zone: TimeZone::UTC, rates, nodes })
    }

    /// The same with the midnights of another time zone, at which [`Split::Midnight`](super::Split::Midnight) cuts.
    #[must_use]
    pub fn in_time_zone(self, time_zone: TimeZone) -> Self {
        Self { time_zone, ..self }
    }

    /// Where its midnights are.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// Its number; a later version has a higher one.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The first moment at which it is in force.
    #[must_use]
    pub fn valid_from(&self) -> Timestamp {
        self.valid_from
    }

    /// Its rates, by component, prefix and validity.
    #[must_use]
    pub fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// The rate with the longest prefix that begins `number` and is valid at `at`.
    #[must_use]
    pub fn find(&self, component: Component, number: &str, at: Timestamp) -> Option<&Rate> {
        let (plus, digits) = digits(number);
        let mut node = self.nodes.get(root(component, plus))?;
        let mut found = self.valid_rate(node, at);
        for digit in digits {
            let Some(next) = self.next(node, *digit) else {
                break;
            };
            node = next;
            found = self.valid_rate(node, at).or(found);
        }
        found
    }

    /// The moments at which a rate begins or ends whose prefix begins `number`.
    fn turns<'a>(&'a self, component: Component, number: &'a str) -> impl Iterator<Item = Timestamp> + 'a {
        let (plus, digits) = digits(number);
        let root = self.nodes.get(root(component, plus));
        let path = digits.iter().scan(root, |node, digit| {
            *node = node.and_then(|node| self.next(node, *digit));
            *node
        });
        root.into_iter().chain(path).flat_map(|node| self.rates_of(node)).flat_map(|rate| [Some(rate.valid_from), rate.valid_to]).flatten()
    }

    fn next(&self, node: &Node, digit: u8) -> Option<&Node> {
        let place = *node.next.get(usize::from(digit.checked_sub(b'0')?))?;
        self.nodes.get(usize::try_from(place).ok()?)
    }

    fn valid_rate(&self, node: &Node, at: Timestamp) -> Option<&Rate> {
        self.rates_of(node).iter().find(|rate| rate.is_valid_at(at))
    }

    fn rates_of(&self, node: &Node) -> &[Rate] {
        let place = |place| usize::try_from(place).unwrap_or(usize::MAX);
        let first = place(node.first_rate);
        self.rates.get(first..first.saturating_add(place(node.rates))).unwrap_or_default()
    }
}

/// The prefix tree over sorted rates.
fn index(rates: &[Rate]) -> Vec<Node> {
    let mut nodes = vec![Node::EMPTY; 4];
    for (place, rate) in (0_u32..).zip(rates) {
        let (plus, digits) = digits(rate.prefix.as_str());
        let mut at = root(rate.component, plus);
        for digit in digits {
            let branch = usize::from(digit - b'0');
            if nodes[at].next[branch] == NONE {
                // A list long enough to fill 32 bits would not fit into memory as text either.
                nodes[at].next[branch] = u32::try_from(nodes.len()).unwrap_or(NONE);
                nodes.push(Node::EMPTY);
            }
            at = usize::try_from(nodes[at].next[branch]).unwrap_or(0);
        }
        if nodes[at].rates == 0 {
            nodes[at].first_rate = place;
        }
        nodes[at].rates += 1;
    }
    nodes
}

/// Gaps and overlaps in the validity of rows with the same component and prefix.
///
/// A prefix may begin later than the tariff and end before it; in between it has exactly one rate at every moment.
fn validity_problems(rates: &[Rate]) -> Vec<RateProblem> {
    let mut order: Vec<usize> = (0..rates.len()).collect();
    order.sort_by_key(|row| (rates[*row].component, rates[*row].prefix, rates[*row].valid_from, *row));
    let mut problems = Vec::new();
    for pair in order.windows(2) {
        let (earlier, later) = (&rates[pair[0]], &rates[pair[1]]);
        if (earlier.component, earlier.prefix) != (later.component, later.prefix) {
            continue;
        }
        let what = format!("{} {}", later.component.word(), later.prefix);
        match earlier.valid_to {
            Some(end) if end == later.valid_from => {}
            Some(end) if end < later.valid_from => problems.push(RateProblem {
                row: pair[1],
                column: "valid_from",
                reason: format!("gap in the validity of {what}: nothing is valid from {end} to {}", later.valid_from),
            }),
            _ => problems.push(RateProblem {
                row: pair[1],
                column: "valid_from",
                reason: format!("overlap in the validity of {what}: another row is still valid at {}", later.valid_from),
            }),
        }
    }
    problems
}

/// A named tariff with its versions.
#[derive(Clone, Debug)]
pub struct Tariff {
    name: TariffName,
    versions: Vec<TariffVersion>,
}

impl Tariff {
    /// A tariff of these versions; each is in force from its beginning until the next one begins.
    ///
    /// Of two that begin at the same moment the one with the higher number is in force, so that a slip can be put right.
    #[must_use]
    pub fn new(name: TariffName, mut versions: Vec<TariffVersion>) -> Self {
        versions.sort_by_key(|version| (version.valid_from, version.number));
        Self { name, versions }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TariffName {
        &self.name
    }

    /// Its versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[TariffVersion] {
        &self.versions
    }

    /// The version in force at `at`; `None` before the first.
    #[must_use]
    pub fn version_at(&self, at: Timestamp) -> Option<&TariffVersion> {
        let later = self.versions.partition_point(|version| version.valid_from <= at);
        self.versions.get(later.checked_sub(1)?)
    }

    /// The rate for a component that begins at `at` on a dialled number, and its version.
    #[must_use]
    pub fn find(&self, component: Component, number: &str, at: Timestamp) -> Option<(&TariffVersion, &Rate)> {
        let version = self.version_at(at)?;
        Some((version, version.find(component, number, at)?))
    }

    /// The same without the prices of these versions: what begins in their time has none.
    #[must_use]
    pub fn without_prices_of(mut self, numbers: &BTreeSet<u32>) -> Self {
        for version in self.versions.iter_mut().filter(|version| numbers.contains(&version.number)) {
            version.rates = Vec::new();
            version.nodes = index(&version.rates);
        }
        self
    }

    /// The first moment after `at` and before `end` at which another rate than at `at`, or none, holds for a number.
    #[must_use]
    pub fn next_change(&self, component: Component, number: &str, at: Timestamp, end: Timestamp) -> Option<Timestamp> {
        let holds = |at| self.find(component, number, at).map(|(version, rate)| (version.number, rate.prefix, rate.valid_from));
        let versions = self.versions.iter().map(|version| version.valid_from);
        let rates = self.versions.iter().flat_map(|version| version.turns(component, number));
        let mut turns: Vec<Timestamp> = versions.chain(rates).filter(|turn| at < *turn && *turn < end).collect();
        turns.sort_unstable();
        let now = holds(at);
        turns.into_iter().find(|turn| holds(*turn) != now)
    }
}
