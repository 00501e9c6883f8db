//! Grype's JSON.
//!
//! `manifestDigest` is that of the manifest as the image is stored where Grype ran, and `imageID` that of its configuration:
//! neither names what is in a registry, only `repoDigests` does.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fold::{Members, Object, Scalar, each, pass};
use super::scan::{self, Found, Score, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Rejection, Report, Severity, Shape, Sketch,
    value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Grype's reports.
pub(super) const FORMAT: Format = Format {
    name: "grype",
    about: "Grype: vulnerabilities",
    versions: "JSON of every version from 0.7",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    // A long list hides what comes after it.
    sketch.shape == Shape::Object
        && sketch.has("matches")
        && (sketch.get("descriptor.name") == "grype" || sketch.text.contains("\"matchDetails\""))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut tally = Tally::new(ScanKind::Vulnerability);
    tally.tells_fixes = true;
    let mut reading = Reading { details, tally, source: None, descriptor: Descriptor::default() };
    document.json_seed(Object(&mut reading))?;
    let Reading { tally, source, descriptor, .. } = reading;
    let status = match (scan::failed(given, tally.found(), scan::no_code), tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, true) => ScanStatus::Completed,
        (false, false) => ScanStatus::NotRun,
    };
    let source = source.unwrap_or_default();
    let scope = match source.kind.as_deref() {
        Some("image") => Some(ScanScope::Image),
        Some("directory" | "file") => Some(ScanScope::Filesystem),
        Some(kind) if kind.contains("sbom") => Some(ScanScope::Sbom),
        _ => None,
    };
    let target = source.target.unwrap_or_default();
    let mut named = Named { name: target.user_input.as_deref().and_then(scan::subject), ..Named::default() };
    for (n, text) in target.repo_digests.iter().flatten().enumerate() {
        if !text.is_empty() {
            let digest = value::digest(&format!("source.target.repoDigests[{n}]"), text)?;
            if !named.digests.contains(&digest) {
                named.digests.push(digest);
            }
        }
    }
    let database = descriptor.db.unwrap_or_default();
    let fact = ScanFinished {
        database_updated_at: value::zoned_time(database.built()),
        database_version: scan::version(database.version()),
        filters: descriptor.configuration.as_ref().and_then(Configuration::filters),
        name: named.name.clone(),
        platform: scan::platform(target.os.text(), target.architecture.text(), target.variant.text()),
        scope,
        // What was built by hand has a sentence in brackets.
        tool_version: scan::version(descriptor.version.as_deref().filter(|version| !version.starts_with('['))),
        ..tally.finished("grype", status)
    };
    let generated_at = value::zoned_time(descriptor.timestamp.text());
    Ok(Report { format: "grype".to_owned(), generated_at, named, facts: vec![fact.into()] })
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    source: Option<Source>,
    descriptor: Descriptor,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "matches" => {
                let listed = map.next_value_seed(each(|found| self.found(found, false)))?;
                self.tally.listed |= listed;
            }
            "ignoredMatches" => drop(map.next_value_seed(each(|found| self.found(found, true)))?),
            "source" => self.source = map.next_value()?,
            "descriptor" => self.descriptor = map.next_value::<Option<Descriptor>>()?.unwrap_or_default(),
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn found(&mut self, found: Match, suppressed: bool) {
        let Match { vulnerability, related, artifact } = found;
        let severity = Severity::of(vulnerability.severity.as_deref().unwrap_or_default());
        let fix = vulnerability.fix.unwrap_or_default();
        // A fix that the vendor does not take over may have versions, too.
        let fixable = fix.state.as_deref() == Some("fixed");
        // What is new enough to tell of exploits tells of their probability.
        self.tally.tells_exploited |= vulnerability.known_exploited.is_some() || vulnerability.epss.is_some();
        let cvss = base_score(vulnerability.cvss)
            .or_else(|| related.iter().flatten().fold(None, |max, one| Score::max(max, base_score(one.cvss.clone()))));
        let version = artifact.version.clone().unwrap_or_default();
        self.tally.add(Found {
            key: &[&vulnerability.id, &artifact.name, &version, artifact.r#type.as_deref().unwrap_or_default()],
            severity: Some(severity),
            fixable,
            suppressed,
            exploited: vulnerability.known_exploited.is_some_and(|list| !list.is_empty()),
            cvss,
        });
        if self.details.wanted() {
            let aliases = related.into_iter().flatten().filter_map(|one| one.id);
            let aliases = aliases.filter(|id| *id != vulnerability.id).collect();
            let place = artifact.locations.into_iter().flatten().find_map(|location| scan::filled(location.path));
            self.details.finding(Finding {
                kind: ScanKind::Vulnerability,
                id: vulnerability.id,
                aliases,
                severity,
                component: Some(Component {
                    purl: scan::filled(artifact.purl),
                    name: artifact.name,
                    version: scan::filled(artifact.version),
                    licences: artifact.licenses.into_iter().flatten().filter_map(|licence| licence.0).collect(),
                }),
                fixed_in: fix.versions.filter(|list| fixable && !list.is_empty()).map(|list| list.join(", ")),
                disclosed_at: None,
                place,
                suppressed,
            });
        }
    }
}

/// The highest base score: of CVSS 3 and 4, or of CVSS 2 where there is no other.
fn base_score(scores: Option<Vec<Cvss>>) -> Option<Score> {
    let (mut new, mut old) = (None, None);
    for cvss in scores.into_iter().flatten() {
        let score = cvss.metrics.and_then(|metrics| metrics.base_score);
        if cvss.version.text().starts_with('2') {
            old = Score::max(old, score);
        } else {
            new = Score::max(new, score);
        }
    }
    new.or(old)
}

#[derive(Deserialize)]
struct Match {
    vulnerability: Vulnerability,
    #[serde(rename = "relatedVulnerabilities")]
    related: Option<Vec<Related>>,
    artifact: Artifact,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vulnerability {
    id: String,
    severity: Option<String>,
    cvss: Option<Vec<Cvss>>,
    known_exploited: Option<Vec<serde::de::IgnoredAny>>,
    epss: Option<serde::de::IgnoredAny>,
    fix: Option<Fix>,
}

#[derive(Deserialize)]
struct Related {
    id: Option<String>,
    cvss: Option<Vec<Cvss>>,
}

#[derive(Clone, Deserialize)]
struct Cvss {
    #[serde(default)]
    version: Scalar,
    metrics: Option<Metrics>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    #[serde(default, deserialize_with = "Score::lenient")]
    base_score: Option<Score>,
}

#[derive(Default, Deserialize)]
struct Fix {
    versions: Option<Vec<String>>,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Artifact {
    name: String,
    version: Option<String>,
    r#type: Option<String>,
    purl: Option<String>,
    licenses: Option<Vec<Scalar>>,
    locations: Option<Vec<Location>>,
}

#[derive(Deserialize)]
struct Location {
    path: Option<String>,
}

#[derive(Default, Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "target")]
    target: Option<Target>,
}

/// An image, or the name of anything else.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    user_input: Option<String>,
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    os: Scalar,
    #[serde(default)]
    architecture: Scalar,
    #[serde(default)]
    variant: Scalar,
}

fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Target>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Option<Target>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an image or a name")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            // Some versions wrote a JSON string within the string.
            let text = text.trim_matches('"').to_owned();
            Ok(Some(Target { user_input: Some(text), ..Target::default() }))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Target::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Either)
}

#[derive(Default, Deserialize)]
struct Descriptor {
    version: Option<String>,
    #[serde(default)]
    timestamp: Scalar,
    db: Option<Database>,
    configuration: Option<Configuration>,
}

/// What Grype itself was told to leave out.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration {
    #[serde(default, deserialize_with = "flag")]
    only_fixed: bool,
    #[serde(default, deserialize_with = "flag")]
    only_notfixed: bool,
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(false))
}

impl Configuration {
    fn filters(&self) -> Option<Vec<String>> {
        let told = [(self.only_fixed, "--only-fixed"), (self.only_notfixed, "--only-notfixed")];
        let filters: Vec<_> = told.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()).collect();
        (!filters.is_empty()).then_some(filters)
    }
}

/// The database: newer versions have it one level down.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Database {
    #[serde(default)]
    built: Scalar,
    #[serde(default)]
    schema_version: Scalar,
    status: Option<Box<Self>>,
}

impl Database {
    fn built(&self) -> &str {
        self.status.as_ref().map_or(self.built.text(), |status| status.built.text())
    }

    fn version(&self) -> Option<&str> {
        self.status.as_ref().map_or(self.schema_version.0.as_deref(), |status| status.schema_version.0.as_deref())
    }
}
