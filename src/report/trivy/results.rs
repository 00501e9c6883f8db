//! The results of a report of Trivy, target by target.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::MapAccess;

use crate::event::Data;
use crate::event::artifact::{ScanFinished, ScanKind, ScanStatus};
use crate::report::fold::{Members, each, pass};
use crate::report::scan::{self, Found, Score, Tally};
use crate::report::{Component, Details, Finding, Given, Severity, value};

/// What was found, by kind.
pub(super) struct Results<'a> {
    details: &'a mut dyn Details,
    vulnerabilities: Tally,
    misconfigurations: Tally,
    secrets: Tally,
    licences: Tally,
    /// Whether there is a target whose packages are listed, and no list of vulnerabilities.
    inventory: bool,
    /// Which target it is: what has no place of its own is told apart by it.
    number: u64,
    target: Target,
}

/// What a result says of itself. Its members may come in any order.
#[derive(Default)]
struct Target {
    name: String,
    class: String,
    packages: bool,
    vulnerabilities: bool,
    other: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    name: Option<String>,
    version: Option<String>,
    identifier: Option<Identifier>,
    licenses: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Identifier {
    #[serde(rename = "PURL")]
    purl: Option<String>,
}

/// A finding of any kind: also what was found and modified later has all of them under the same names.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    severity: Option<String>,
    status: Option<String>,
    // Of a vulnerability.
    #[serde(rename = "VulnerabilityID")]
    vulnerability_id: Option<String>,
    #[serde(rename = "VendorIDs")]
    vendor_ids: Option<Vec<String>>,
    pkg_name: Option<String>,
    pkg_path: Option<String>,
    pkg_identifier: Option<Identifier>,
    installed_version: Option<String>,
    fixed_version: Option<String>,
    published_date: Option<String>,
    #[serde(rename = "CVSS")]
    cvss: Option<BTreeMap<String, Cvss>>,
    // Of a misconfiguration.
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "AVDID")]
    avd_id: Option<String>,
    message: Option<String>,
    cause_metadata: Option<Cause>,
    // Of a secret.
    #[serde(rename = "RuleID")]
    rule_id: Option<String>,
    start_line: Option<u64>,
    end_line: Option<u64>,
    // Of a licence.
    name: Option<String>,
    file_path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cause {
    resource: Option<String>,
    start_line: Option<u64>,
    end_line: Option<u64>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(rename = "V2Score", default, deserialize_with = "Score::lenient")]
    v2: Option<Score>,
    #[serde(rename = "V3Score", default, deserialize_with = "Score::lenient")]
    v3: Option<Score>,
    #[serde(rename = "V40Score", default, deserialize_with = "Score::lenient")]
    v40: Option<Score>,
}

/// Something that was found and then declared to be of no account.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified {
    r#type: Option<String>,
    finding: Option<Item>,
}

impl<'a> Results<'a> {
    pub(super) fn new(details: &'a mut dyn Details) -> Self {
        let mut vulnerabilities = Tally::new(ScanKind::Vulnerability);
        vulnerabilities.tells_fixes = true;
        Self {
            details,
            vulnerabilities,
            misconfigurations: Tally::new(ScanKind::Misconfiguration),
            secrets: Tally::new(ScanKind::Secret),
            licences: Tally::new(ScanKind::Licence),
            inventory: false,
            number: 0,
            target: Target::default(),
        }
    }

    /// One event for each kind that the report has a section for; where it has none, that vulnerabilities were not looked for.
    pub(super) fn facts(mut self, whole: &ScanFinished, given: &Given, broken: bool) -> Vec<Data> {
        self.vulnerabilities.listed |= self.inventory && !self.licences.listed;
        let tallies = [&self.vulnerabilities, &self.misconfigurations, &self.secrets, &self.licences];
        let found = tallies.iter().any(|tally| tally.found());
        let failed = scan::failed(given, found, scan::no_code);
        let status = match (failed, broken) {
            (true, _) => ScanStatus::Failed,
            (false, true) => ScanStatus::Partial,
            (false, false) => ScanStatus::Completed,
        };
        let mut facts: Vec<Data> = tallies
            .iter()
            .filter(|tally| tally.listed)
            .map(|tally| {
                let fact = tally.finished(&whole.tool, status);
                let whole = whole.clone();
                ScanFinished {
                    database_version: whole.database_version,
                    name: whole.name,
                    platform: whole.platform,
                    scope: whole.scope,
                    started_at: whole.started_at,
                    tool_version: whole.tool_version,
                    ..fact
                }
                .into()
            })
            .collect();
        if facts.is_empty() {
            let status = if failed || broken { ScanStatus::Failed } else { ScanStatus::NotRun };
            facts.push(ScanFinished { status, ..whole.clone() }.into());
        }
        facts
    }

    fn item(&mut self, kind: ScanKind, item: Item, suppressed: bool) {
        match kind {
            ScanKind::Vulnerability => self.vulnerability(item, suppressed),
            ScanKind::Misconfiguration => self.misconfiguration(item, suppressed),
            ScanKind::Secret => self.secret(item, suppressed),
            _ => self.licence(item, suppressed),
        }
    }

    fn vulnerability(&mut self, item: Item, suppressed: bool) {
        let id = item.vulnerability_id.unwrap_or_default();
        let (package, version) = (item.pkg_name.unwrap_or_default(), item.installed_version.unwrap_or_default());
        let status = item.status.unwrap_or_default();
        let fixed_in = scan::filled(item.fixed_version);
        let severity = severity(item.severity.as_deref());
        let suppressed = suppressed || status == "not_affected";
        self.vulnerabilities.add(Found {
            key: &[&id, &package, &version],
            severity: Some(severity),
            fixable: fixed_in.is_some() || status == "fixed",
            suppressed,
            cvss: item.cvss.and_then(base_score),
            ..Found::default()
        });
        if self.details.wanted() {
            self.details.finding(Finding {
                kind: ScanKind::Vulnerability,
                id,
                aliases: item.vendor_ids.unwrap_or_default(),
                severity,
                component: Some(Component {
                    purl: scan::filled(item.pkg_identifier.unwrap_or_default().purl),
                    name: package,
                    version: scan::filled(Some(version)),
                    licences: Vec::new(),
                }),
                fixed_in,
                disclosed_at: item.published_date.as_deref().and_then(value::zoned_time),
                place: scan::filled(item.pkg_path).or_else(|| scan::filled(Some(self.target.name.clone()))),
                suppressed,
            });
        }
    }

    fn misconfiguration(&mut self, item: Item, suppressed: bool) {
        let status = item.status.unwrap_or_default();
        if status == "PASS" {
            self.misconfigurations.listed = true;
            return;
        }
        let id = scan::filled(item.id).or(item.avd_id).unwrap_or_default();
        let cause = item.cause_metadata.unwrap_or_default();
        let severity = severity(item.severity.as_deref());
        let suppressed = suppressed || status == "EXCEPTION";
        let lines = format!("{}-{}", cause.start_line.unwrap_or(0), cause.end_line.unwrap_or(0));
        self.misconfigurations.add(Found {
            key: &[
                &id,
                &self.number.to_string(),
                cause.resource.as_deref().unwrap_or_default(),
                &lines,
                item.message.as_deref().unwrap_or_default(),
            ],
            severity: Some(severity),
            suppressed,
            ..Found::default()
        });
        self.placed(ScanKind::Misconfiguration, id, severity, cause.start_line, suppressed);
    }

    fn secret(&mut self, item: Item, suppressed: bool) {
        let id = item.rule_id.unwrap_or_default();
        let severity = severity(item.severity.as_deref());
        let lines = format!("{}-{}", item.start_line.unwrap_or(0), item.end_line.unwrap_or(0));
        self.secrets.add(Found {
            key: &[&id, &self.number.to_string(), &lines],
            severity: Some(severity),
            suppressed,
            ..Found::default()
        });
        self.placed(ScanKind::Secret, id, severity, item.start_line, suppressed);
    }

    fn licence(&mut self, item: Item, suppressed: bool) {
        let id = item.name.unwrap_or_default();
        let (package, file) = (item.pkg_name.unwrap_or_default(), item.file_path.unwrap_or_default());
        let severity = severity(item.severity.as_deref());
        self.licences.add(Found {
            key: &[&id, &package, &file],
            severity: Some(severity),
            suppressed,
            ..Found::default()
        });
        if self.details.wanted() {
            let licences = vec![id.clone()];
            let component = scan::filled(Some(package));
            self.details.finding(Finding {
                kind: ScanKind::Licence,
                id,
                aliases: Vec::new(),
                severity,
                component: component.map(|name| Component { name, licences, ..Component::default() }),
                fixed_in: None,
                disclosed_at: None,
                place: scan::filled(Some(file)),
                suppressed,
            });
        }
    }

    /// Hands over a finding that is at a place and not in a component.
    fn placed(&mut self, kind: ScanKind, id: String, severity: Severity, line: Option<u64>, suppressed: bool) {
        if self.details.wanted() {
            let place = scan::place(&self.target.name, line);
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

    fn package(&mut self, package: Package) {
        if self.details.wanted() {
            self.details.component(Component {
                purl: scan::filled(package.identifier.unwrap_or_default().purl),
                name: package.name.unwrap_or_default(),
                version: scan::filled(package.version),
                licences: package.licenses.unwrap_or_default(),
            });
        }
    }

    fn list<'de, A: MapAccess<'de>>(&mut self, kind: ScanKind, map: &mut A) -> Result<bool, A::Error> {
        map.next_value_seed(each(|item: Option<Item>| self.item(kind, item.unwrap_or_default(), false)))
    }
}

/// The highest base score that any source gives: of CVSS 3 and 4, or of CVSS 2 where there is no other.
fn base_score(sources: BTreeMap<String, Cvss>) -> Option<Score> {
    let (mut new, mut old) = (None, None);
    for source in sources.into_values() {
        new = Score::max(new, Score::max(source.v3, source.v40));
        old = Score::max(old, source.v2);
    }
    new.or(old)
}

fn severity(word: Option<&str>) -> Severity {
    Severity::of(word.unwrap_or_default())
}

/// One result: a target, and what was found in it.
impl Members for Results<'_> {
    fn begin(&mut self) {
        self.number = self.number.saturating_add(1);
        self.target = Target::default();
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "Target" => self.target.name = map.next_value::<Option<String>>()?.unwrap_or_default(),
            "Class" => self.target.class = map.next_value::<Option<String>>()?.unwrap_or_default(),
            "Packages" => self.target.packages = map.next_value_seed(each(|package| self.package(package)))?,
            "Vulnerabilities" => self.target.vulnerabilities = self.list(ScanKind::Vulnerability, map)?,
            "Misconfigurations" => {
                let listed = self.list(ScanKind::Misconfiguration, map)?;
                self.misconfigurations.listed |= listed;
                self.target.other |= listed;
            }
            "MisconfSummary" => {
                self.misconfigurations.listed = true;
                self.target.other = true;
                return pass(map);
            }
            "Secrets" => {
                let listed = self.list(ScanKind::Secret, map)?;
                self.secrets.listed |= listed;
                self.target.other |= listed;
            }
            "Licenses" => {
                let listed = self.list(ScanKind::Licence, map)?;
                self.licences.listed |= listed;
                self.target.other |= listed;
            }
            "ExperimentalModifiedFindings" => {
                let modified = each(|modified: Modified| {
                    let kind = match modified.r#type.as_deref() {
                        Some("misconfiguration") => ScanKind::Misconfiguration,
                        Some("secret") => ScanKind::Secret,
                        Some("license") => ScanKind::Licence,
                        _ => ScanKind::Vulnerability,
                    };
                    self.item(kind, modified.finding.unwrap_or_default(), true);
                });
                map.next_value_seed(modified)?;
            }
            _ => return pass(map),
        }
        Ok(())
    }

    fn end(&mut self) {
        match self.target.class.as_str() {
            "config" => self.misconfigurations.listed = true,
            "secret" => self.secrets.listed = true,
            "license" | "license-file" => self.licences.listed = true,
            // Packages; schema 1 says no class.
            "os-pkgs" | "lang-pkgs" | "" if !self.target.vulnerabilities => {
                if self.target.packages {
                    self.inventory = true;
                } else {
                    self.vulnerabilities.listed |= !(self.target.class.is_empty() && self.target.other);
                }
            }
            _ => {}
        }
        self.vulnerabilities.listed |= self.target.vulnerabilities;
    }
}
