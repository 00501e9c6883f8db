//! The second time through a log: what was found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::MapAccess;

use super::Scan;
use super::survey::{Rule, Run};
use crate::event::artifact::ScanKind;
use crate::report::fold::{Members, Objects, Scalar, each, pass};
use crate::report::scan::{self, Found, Score};
use crate::report::{Details, Finding, Severity};

/// Counts the results of all runs.
pub(super) struct Results<'a> {
    details: &'a mut dyn Details,
    runs: &'a [Run],
    /// Which scan each run is part of.
    places: &'a [usize],
    scans: &'a mut [Scan],
    /// How many results each run lists.
    listed: Vec<u64>,
}

impl<'a> Results<'a> {
    pub(super) fn new(
        details: &'a mut dyn Details,
        runs: &'a [Run],
        places: &'a [usize],
        scans: &'a mut [Scan],
    ) -> Self {
        Self { details, runs, places, scans, listed: Vec::new() }
    }

    /// How many results each run lists.
    pub(super) fn finish(self) -> Vec<u64> {
        self.listed
    }
}

impl Members for Results<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "runs" => drop(map.next_value_seed(Objects(&mut RunResults(self)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

struct RunResults<'a, 'd>(&'a mut Results<'d>);

impl Members for RunResults<'_, '_> {
    fn begin(&mut self) {
        self.0.listed.push(0);
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "results" => drop(map.next_value_seed(each(|result| self.0.result(result)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultText {
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleRef>,
    level: Option<String>,
    kind: Option<String>,
    message: Option<Message>,
    locations: Option<Vec<Location>>,
    suppressions: Option<Vec<Suppression>>,
    baseline_state: Option<String>,
    fingerprints: Option<BTreeMap<String, Scalar>>,
    partial_fingerprints: Option<BTreeMap<String, Scalar>>,
    properties: Option<Properties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleRef {
    id: Option<String>,
    index: Option<i64>,
    tool_component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    index: Option<i64>,
}

#[derive(Default, Deserialize)]
struct Message {
    text: Option<String>,
    id: Option<String>,
    arguments: Option<Vec<Scalar>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<Physical>,
    logical_locations: Option<Vec<Logical>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Option<Artifact>,
    region: Option<Region>,
}

#[derive(Default, Deserialize)]
struct Artifact {
    uri: Option<String>,
    index: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<i64>,
    start_column: Option<i64>,
    end_line: Option<i64>,
    end_column: Option<i64>,
    char_offset: Option<i64>,
    byte_offset: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    fully_qualified_name: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

/// Tools that have more severities than SARIF has levels write their own beside.
#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    issue_severity: Scalar,
    #[serde(default)]
    severity: Scalar,
}

fn index(n: Option<i64>) -> Option<usize> {
    // -1 stands for none.
    n.and_then(|n| usize::try_from(n).ok())
}

impl Results<'_> {
    fn result(&mut self, result: ResultText) {
        if let Some(n) = self.listed.last_mut() {
            *n += 1;
        }
        let Some(number) = self.listed.len().checked_sub(1) else { return };
        let Some(run) = self.runs.get(number) else { return };
        let Some(scan) = self.places.get(number).and_then(|place| self.scans.get_mut(*place)) else { return };
        // What is gone since the baseline, what passed and what does not apply was not found.
        let no_finding = matches!(result.kind.as_deref(), Some("pass" | "notApplicable" | "informational"));
        if no_finding || result.baseline_state.as_deref() == Some("absent") {
            return;
        }
        let rule_ref = result.rule.as_ref();
        let named = result.rule_id.as_deref().or_else(|| rule_ref.and_then(|rule| rule.id.as_deref()));
        let named = named.filter(|id| !id.is_empty());
        let component = rule_ref.and_then(|rule| rule.tool_component.as_ref()).and_then(|one| index(one.index));
        let at = index(result.rule_index).or_else(|| rule_ref.and_then(|rule| index(rule.index)));
        let rule = run.rule(component, at, named.unwrap_or_default());
        let id = named.or_else(|| rule.and_then(|rule| rule.id.as_deref())).unwrap_or_default().to_owned();
        let severity = severity(&result, rule);
        let suppressed = is_suppressed(result.suppressions.as_deref());
        // Only Trivy is known to look for several kinds, and says which by tags.
        let trivy = run.tool.eq_ignore_ascii_case("trivy");
        let kind = rule.and_then(|rule| rule.kind).filter(|_| trivy).unwrap_or(scan.kind);
        let cvss = rule.filter(|_| kind == ScanKind::Vulnerability).and_then(|rule| {
            // Trivy makes the other up where there is none.
            let other = rule.security_severity.clone().filter(|_| !trivy);
            rule.cvss.clone().or(other)
        });
        let first = result.locations.as_deref().and_then(<[Location]>::first);
        let place = first.and_then(Location::place);
        let key = key(&id, &result);
        if let Some(tally) = scan.tally(kind) {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            tally.add(Found { key: &key, severity: Some(severity), suppressed, cvss, ..Found::default() });
        }
        if self.details.wanted() {
            self.details.finding(Finding {
                kind,
                id,
                aliases: Vec::new(),
                severity,
                component: None,
                fixed_in: None,
                disclosed_at: None,
                place,
                suppressed,
            });
        }
    }
}

/// The level of the result, else of its rule, else `warning`; what is not a failure has none unless it says so. SARIF has one
/// level for what is high and what is critical: these are told apart by the tool's own word, or else by number.
fn severity(result: &ResultText, rule: Option<&Rule>) -> Severity {
    let fails = matches!(result.kind.as_deref(), None | Some("fail"));
    let level = match (&result.level, rule.and_then(|rule| rule.level.as_deref())) {
        (Some(level), _) => level,
        (None, _) if !fails => "none",
        (None, Some(level)) => level,
        (None, None) => "warning",
    };
    let severity = Severity::of(level);
    if severity != Severity::High {
        return severity;
    }
    let own = result.properties.as_ref().map(|own| [own.issue_severity.text(), own.severity.text()]);
    let own = own.into_iter().flatten().map(Severity::of).find(|severity| *severity != Severity::Unknown);
    let tagged = rule.and_then(|rule| rule.critical);
    let critical = own
        .map(|own| own == Severity::Critical)
        .or(tagged)
        .unwrap_or_else(|| rule.and_then(|rule| rule.security_severity.as_ref()).is_some_and(Score::is_critical));
    if critical { Severity::Critical } else { Severity::High }
}

/// A result is suppressed if something says so, and nothing of that is rejected or under review.
fn is_suppressed(suppressions: Option<&[Suppression]>) -> bool {
    suppressions.is_some_and(|list| {
        let open = |one: &Suppression| matches!(one.status.as_deref(), Some("rejected" | "underReview"));
        !list.is_empty() && !list.iter().any(open)
    })
}

/// What tells a result from others of the same rule: where it is, what it says, and the tool's fingerprints. Some tools put all
/// that they find in an image at one place, and some name no place at all.
fn key(id: &str, result: &ResultText) -> Vec<String> {
    let mut key = vec![id.to_owned()];
    for location in result.locations.iter().flatten() {
        let physical = location.physical_location.as_ref();
        let artifact = physical.and_then(|physical| physical.artifact_location.as_ref());
        key.push(artifact.and_then(|artifact| artifact.uri.clone()).unwrap_or_default());
        key.push(format!("{:?}", artifact.and_then(|artifact| artifact.index)));
        if let Some(region) = physical.and_then(|physical| physical.region.as_ref()) {
            let lines = (region.start_line, region.start_column, region.end_line, region.end_column);
            key.push(format!("{lines:?} {:?} {:?}", region.char_offset, region.byte_offset));
        }
        for logical in location.logical_locations.iter().flatten() {
            key.extend(logical.fully_qualified_name.clone().or_else(|| logical.name.clone()));
        }
    }
    if let Some(message) = &result.message {
        key.extend(message.text.clone());
        key.extend(message.id.clone());
        key.extend(message.arguments.iter().flatten().map(|one| one.text().to_owned()));
    }
    for (name, value) in [&result.fingerprints, &result.partial_fingerprints].into_iter().flatten().flatten() {
        key.push(format!("{name}={}", value.text()));
    }
    key
}

impl Location {
    fn place(&self) -> Option<String> {
        let physical = self.physical_location.as_ref()?;
        let line = physical.region.as_ref().and_then(|region| region.start_line);
        let uri = physical.artifact_location.as_ref()?.uri.as_deref()?;
        scan::place(uri, line.and_then(|line| u64::try_from(line).ok()))
    }
}
