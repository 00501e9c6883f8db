//! The reports that Trivy's operator keeps in a cluster, one custom resource for each workload: as `kubectl get -o json` prints
//! one of them.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, each, pass};
use super::scan::{self, Found, Score, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape,
    Sketch, value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Reports of Trivy's operator.
pub(super) const FORMAT: Format = Format {
    name: "trivy-operator",
    about: "Trivy's operator: VulnerabilityReport, ExposedSecretReport, ConfigAuditReport and those of the same form",
    versions: "aquasecurity.github.io/v1alpha1",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &["match"],
    read,
};

const GROUP: &str = "aquasecurity.github.io/";

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object && sketch.get("apiVersion").starts_with(GROUP)
}

/// What the kinds of resources look for, and in what.
fn kind_of(resource: &str) -> Option<(ScanKind, ScanScope)> {
    match resource {
        "VulnerabilityReport" | "ClusterVulnerabilityReport" => Some((ScanKind::Vulnerability, ScanScope::Image)),
        "ExposedSecretReport" => Some((ScanKind::Secret, ScanScope::Image)),
        "ConfigAuditReport"
        | "ClusterConfigAuditReport"
        | "RbacAssessmentReport"
        | "ClusterRbacAssessmentReport"
        | "InfraAssessmentReport"
        | "ClusterInfraAssessmentReport" => Some((ScanKind::Misconfiguration, ScanScope::Cluster)),
        _ => None,
    }
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let sketch = document.sketch()?;
    let (version, resource) = (sketch.get("apiVersion"), sketch.get("kind"));
    if version != "aquasecurity.github.io/v1alpha1" {
        let what = format!("{version:?} is not read: aquasecurity.github.io/v1alpha1 is");
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("apiVersion"));
    }
    let Some((kind, scope)) = kind_of(resource) else {
        let what = format!("{resource:?} is no report of one workload's vulnerabilities, secrets or configuration");
        return Err(Rejection::new(Reason::UnknownFormat, what).at("kind"));
    };
    let mut tally = Tally::new(kind);
    tally.tells_fixes = kind == ScanKind::Vulnerability;
    let mut reading = Reading { body: Body { details, tally, head: Head::default() }, there: false };
    document.json_seed(Object(&mut reading))?;
    if !reading.there {
        return Err(Rejection::missing("report"));
    }
    let Body { tally, head, .. } = reading.body;
    let status = match (scan::failed(given, tally.found(), scan::no_code), tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, true) => ScanStatus::Completed,
        (false, false) => ScanStatus::NotRun,
    };
    let mut named = Named::default();
    let artifact = head.artifact.unwrap_or_default();
    if scope == ScanScope::Image {
        if let Some(digest) = scan::filled(artifact.digest.clone()) {
            named.digests.push(value::digest("report.artifact.digest", &digest)?);
        }
        named.name = scan::subject(&artifact.name(head.registry.unwrap_or_default()));
    }
    let scanner = head.scanner.unwrap_or_default();
    let fact = ScanFinished {
        name: named.name.clone(),
        scope: Some(scope),
        tool_version: scan::version(scanner.version.as_deref()),
        ..tally.finished("trivy", status)
    };
    let generated_at = value::time("report.updateTimestamp", head.updated_at.as_deref().unwrap_or_default())?;
    Ok(Report { format: "trivy-operator/v1alpha1".to_owned(), generated_at, named, facts: vec![fact.into()] })
}

#[derive(Default)]
struct Head {
    artifact: Option<Artifact>,
    registry: Option<Registry>,
    scanner: Option<Scanner>,
    updated_at: Option<String>,
}

#[derive(Default, Deserialize)]
struct Artifact {
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

impl Artifact {
    fn name(&self, registry: Registry) -> String {
        let server = registry.server.filter(|server| !server.is_empty()).map_or(String::new(), |server| server + "/");
        let tag = self.tag.as_deref().filter(|tag| !tag.is_empty()).map_or(String::new(), |tag| format!(":{tag}"));
        match &self.repository {
            Some(repository) if !repository.is_empty() => format!("{server}{repository}{tag}"),
            _ => String::new(),
        }
    }
}

#[derive(Default, Deserialize)]
struct Registry {
    server: Option<String>,
}

#[derive(Default, Deserialize)]
struct Scanner {
    version: Option<String>,
}

/// A vulnerability, a check or a secret.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    severity: Option<String>,
    #[serde(rename = "vulnerabilityID")]
    vulnerability_id: Option<String>,
    resource: Option<String>,
    installed_version: Option<String>,
    fixed_version: Option<String>,
    #[serde(default, deserialize_with = "Score::lenient")]
    score: Option<Score>,
    #[serde(rename = "packagePURL")]
    purl: Option<String>,
    #[serde(rename = "checkID")]
    check_id: Option<String>,
    success: Option<bool>,
    messages: Option<Vec<String>>,
    #[serde(rename = "ruleID")]
    rule_id: Option<String>,
    target: Option<String>,
    r#match: Option<String>,
    published_date: Option<String>,
}

struct Reading<'a> {
    body: Body<'a>,
    there: bool,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "report" => self.there = map.next_value_seed(Object(&mut self.body))?,
            _ => return pass(map),
        }
        Ok(())
    }
}

struct Body<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    head: Head,
}

impl Members for Body<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match (name, self.tally.kind()) {
            ("artifact", _) => self.head.artifact = map.next_value()?,
            ("registry", _) => self.head.registry = map.next_value()?,
            ("scanner", _) => self.head.scanner = map.next_value()?,
            ("updateTimestamp", _) => self.head.updated_at = map.next_value()?,
            ("vulnerabilities", ScanKind::Vulnerability)
            | ("checks", ScanKind::Misconfiguration)
            | ("secrets", ScanKind::Secret) => {
                let listed = map.next_value_seed(each(|item| self.item(item)))?;
                self.tally.listed |= listed;
            }
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Body<'_> {
    fn item(&mut self, item: Item) {
        let kind = self.tally.kind();
        if item.success == Some(true) {
            return;
        }
        let severity = Severity::of(item.severity.as_deref().unwrap_or_default());
        let id = item.vulnerability_id.or(item.check_id).or(item.rule_id).unwrap_or_default();
        let (package, version) = (item.resource.unwrap_or_default(), item.installed_version.unwrap_or_default());
        let target = item.target.unwrap_or_default();
        let fixed_in = scan::filled(item.fixed_version);
        let mut key = vec![id.as_str(), &package, &version];
        if kind != ScanKind::Vulnerability {
            key.extend([target.as_str(), item.r#match.as_deref().unwrap_or_default()]);
            key.extend(item.messages.iter().flatten().map(String::as_str));
        }
        self.tally.add(Found {
            key: &key,
            severity: Some(severity),
            fixable: fixed_in.is_some(),
            cvss: item.score,
            ..Found::default()
        });
        if self.details.wanted() {
            let component = scan::filled(Some(package)).map(|name| Component {
                purl: scan::filled(item.purl),
                name,
                version: scan::filled(Some(version)),
                licences: Vec::new(),
            });
            self.details.finding(Finding {
                kind,
                id,
                aliases: Vec::new(),
                severity,
                component,
                fixed_in,
                disclosed_at: item.published_date.as_deref().and_then(value::zoned_time),
                place: scan::filled(Some(target)),
                suppressed: false,
            });
        }
    }
}
