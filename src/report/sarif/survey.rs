//! The first time through a log: which tools ran, what their rules say, and how it went.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};

use crate::event::Timestamp;
use crate::event::artifact::ScanKind;
use crate::report::fold::{Members, Object, Objects, Scalar, each, pass};
use crate::report::scan::{self, Score};
use crate::report::value;

/// What is known of a log but for its results.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) version: Option<String>,
    pub(super) runs: Vec<Run>,
}

impl Members for Survey {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.version = map.next_value::<Scalar>()?.0,
            "runs" => drop(map.next_value_seed(Objects(&mut RunReader(&mut self.runs)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

/// A run of a tool.
#[derive(Default)]
pub(super) struct Run {
    pub(super) tool: String,
    pub(super) version: Option<String>,
    /// Rules of the tool itself, and of its extensions.
    driver: Rules,
    extensions: Vec<Rules>,
    /// Whether there is a list of results.
    pub(super) results: bool,
    /// Whether an invocation says that it failed.
    pub(super) failed: bool,
    /// Whether the tool tells of errors on the way.
    pub(super) disturbed: bool,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) exit_code: Option<i32>,
    /// Revisions of what was scanned; only the first few.
    pub(super) revisions: Vec<String>,
}

/// Rules by index and by id.
#[derive(Default)]
struct Rules {
    rules: Vec<Rule>,
    by_id: HashMap<String, usize>,
}

/// What a rule says of the results that are found by it.
#[derive(Default)]
pub(super) struct Rule {
    /// What results are called that only say which rule of the list it is.
    pub(super) id: Option<String>,
    pub(super) level: Option<String>,
    /// The severity in numbers, which hosts of code use.
    pub(super) security_severity: Option<Score>,
    pub(super) cvss: Option<Score>,
    /// Whether its tags say critical or something less.
    pub(super) critical: Option<bool>,
    /// What it looks for, by its tags.
    pub(super) kind: Option<ScanKind>,
}

impl Run {
    /// The rule of a result, by index or else by id. An id may have a suffix for a part of the rule: `CA1000/1`.
    pub(super) fn rule(&self, component: Option<usize>, index: Option<usize>, id: &str) -> Option<&Rule> {
        let rules = match component {
            Some(n) => self.extensions.get(n)?,
            None => &self.driver,
        };
        let by_id = |id: &str| rules.by_id.get(id).and_then(|n| rules.rules.get(*n));
        let part = || id.rsplit_once('/').and_then(|(whole, _)| by_id(whole));
        index.and_then(|n| rules.rules.get(n)).or_else(|| by_id(id)).or_else(part)
    }
}

/// Reads runs, one after the other.
struct RunReader<'a>(&'a mut Vec<Run>);

impl RunReader<'_> {
    fn run(&mut self) -> Option<&mut Run> {
        self.0.last_mut()
    }
}

impl Members for RunReader<'_> {
    fn begin(&mut self) {
        self.0.push(Run::default());
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let Some(run) = self.run() else { return pass(map) };
        match name {
            "tool" => drop(map.next_value_seed(Object(&mut Tool(run)))?),
            // Not looked into yet.
            "results" => run.results = map.next_value::<Option<IgnoredAny>>()?.is_some(),
            "invocations" => drop(map.next_value_seed(each(|invocation| run.invoked(invocation)))?),
            "versionControlProvenance" => {
                let provenance = each(|one: Provenance| {
                    let revision = scan::filled(one.revision_id).filter(|_| run.revisions.len() < 10);
                    run.revisions.extend(revision);
                });
                map.next_value_seed(provenance)?;
            }
            _ => return pass(map),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provenance {
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: Option<bool>,
    exit_code: Option<i64>,
    #[serde(default)]
    start_time_utc: Scalar,
    #[serde(default)]
    end_time_utc: Scalar,
    tool_execution_notifications: Option<Vec<Notification>>,
}

#[derive(Deserialize)]
struct Notification {
    level: Option<String>,
}

impl Run {
    fn invoked(&mut self, invocation: Invocation) {
        self.failed |= invocation.execution_successful == Some(false);
        let errors = invocation.tool_execution_notifications.into_iter().flatten();
        self.disturbed |= errors.filter(|one| one.level.as_deref() == Some("error")).count() > 0;
        let started_at = value::zoned_time(invocation.start_time_utc.text());
        self.started_at = [self.started_at, started_at].into_iter().flatten().min();
        self.ended_at = self.ended_at.max(value::zoned_time(invocation.end_time_utc.text()));
        let exit_code = invocation.exit_code.and_then(|code| i32::try_from(code).ok());
        self.exit_code = self.exit_code.filter(|code| *code != 0).or(exit_code);
    }
}

struct Tool<'a>(&'a mut Run);

impl Members for Tool<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "driver" => drop(map.next_value_seed(Object(&mut Driver(self.0)))?),
            "extensions" => drop(map.next_value_seed(Objects(&mut Extension(&mut self.0.extensions)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

struct Driver<'a>(&'a mut Run);

impl Members for Driver<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => {
                let name = map.next_value::<String>()?;
                self.0.tool = value::cut(name.trim(), scan::NAME_BYTES_MAX);
            }
            "semanticVersion" => {
                let version = scan::filled(map.next_value::<Scalar>()?.0);
                self.0.version = version.or(self.0.version.take());
            }
            "version" => {
                let version = map.next_value::<Scalar>()?.0;
                self.0.version = self.0.version.take().or(scan::filled(version));
            }
            "rules" => drop(map.next_value_seed(each(|rule| self.0.driver.add(rule)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

struct Extension<'a>(&'a mut Vec<Rules>);

impl Members for Extension<'_> {
    fn begin(&mut self) {
        self.0.push(Rules::default());
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match (name, self.0.last_mut()) {
            ("rules", Some(rules)) => drop(map.next_value_seed(each(|rule| rules.add(rule)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleText {
    id: Option<String>,
    default_configuration: Option<Configuration>,
    properties: Option<Properties>,
}

#[derive(Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(rename = "security-severity", default, deserialize_with = "Score::lenient")]
    security_severity: Option<Score>,
    #[serde(rename = "cvssv3_baseScore", default, deserialize_with = "Score::lenient")]
    cvss: Option<Score>,
    tags: Option<Vec<Scalar>>,
}

impl Rules {
    fn add(&mut self, text: RuleText) {
        let properties = text.properties.unwrap_or_default();
        let mut rule = Rule {
            id: text.id.clone(),
            level: text.default_configuration.and_then(|configuration| configuration.level),
            security_severity: properties.security_severity,
            cvss: properties.cvss,
            critical: None,
            kind: None,
        };
        for tag in properties.tags.iter().flatten() {
            match tag.text() {
                "CRITICAL" => rule.critical = Some(true),
                "HIGH" | "MEDIUM" | "LOW" | "UNKNOWN" => rule.critical = Some(false),
                "vulnerability" => rule.kind = Some(ScanKind::Vulnerability),
                "misconfiguration" => rule.kind = Some(ScanKind::Misconfiguration),
                "secret" => rule.kind = Some(ScanKind::Secret),
                "license" => rule.kind = Some(ScanKind::Licence),
                _ => {}
            }
        }
        if let Some(id) = text.id {
            self.by_id.entry(id).or_insert(self.rules.len());
        }
        self.rules.push(rule);
    }
}
