//! Trivy's JSON: reports of images, file systems, repositories, machines, bills of materials and clusters.
//!
//! A report has results by target, each of a class; what was looked for shows only by these. Trivy leaves a list that is
//! empty out, so a target of packages without the list of vulnerabilities has none. Only where licences are listed and
//! packages without any vulnerability, too, it cannot be told whether vulnerabilities were looked for: then nothing is said
//! of them. Of secrets nothing is said where none is listed, for the same reason.
//!
//! Image ids and `ArtifactID` are no digests of manifests: only `RepoDigests` has these.

mod results;

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Objects, Scalar, pass};
use super::scan;
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch, value};
use crate::event::Timestamp;
use crate::event::artifact::{ScanFinished, ScanScope, ScanStatus};
use results::Results;

/// Trivy's reports.
pub(super) const FORMAT: Format = Format {
    name: "trivy",
    about: "Trivy: vulnerabilities, misconfigurations, secrets and licences",
    versions: "JSON of schema 1 and 2, `trivy k8s`, and the predicate of `--format cosign-vuln`",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    // The match is masked, but its neighbour lines are not. Misconfigurations have excerpts under the same names, which hold
    // secrets often enough.
    secret_members: |_| &["Match", "Content", "Highlighted"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| sketch.has(name));
    match sketch.shape {
        Shape::Object => {
            sketch.has("SchemaVersion") && any(&["ArtifactName", "ArtifactType", "Results"])
                || sketch.has("ClusterName")
                || is_predicate(sketch)
        }
        Shape::Array => sketch.has("Target") && any(&["Vulnerabilities", "Misconfigurations", "Type", "Class"]),
        _ => false,
    }
}

/// Whether it is what `--format cosign-vuln` writes: the report stands inside.
fn is_predicate(sketch: &Sketch) -> bool {
    sketch.has("scanner.result") && sketch.get("scanner.uri").contains("aquasecurity/trivy")
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let sketch = document.sketch()?;
    let predicate = is_predicate(&sketch);
    if sketch.has("SchemaVersion") {
        // A later schema is refused as such, and not for the first member that has changed.
        check_version(sketch.get("SchemaVersion"), sketch.has("ClusterName"))?;
    }
    let mut reading = Reading::new(details);
    let there = match sketch.shape {
        // Schema 1 is what is in `Results` today, without anything around it.
        Shape::Array => document.json_seed(Objects(&mut reading.results))?,
        _ => document.json_seed(Object(&mut reading))?,
    };
    if there && sketch.shape != Shape::Array && !predicate {
        let version = reading.schema_version.as_ref().map_or("", Scalar::text);
        if !reading.cluster || !version.is_empty() {
            check_version(version, reading.cluster)?;
        }
    }
    let format = match (sketch.shape, reading.cluster) {
        (Shape::Object, false) => "trivy/2",
        (Shape::Object, true) => "trivy-k8s",
        _ => "trivy/1",
    };
    reading.report(format, given, predicate)
}

/// Reports of clusters say 0, or nothing.
fn check_version(version: &str, cluster: bool) -> Result<(), Rejection> {
    match version {
        "2" => Ok(()),
        "0" | "" if cluster => Ok(()),
        "" => Err(Rejection::missing("SchemaVersion")),
        other => {
            let what = format!("{other} is not read: 2 is, and the bare list that was 1");
            Err(Rejection::new(Reason::UnsupportedVersion, what).at("SchemaVersion"))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tool {
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    repo_digests: Option<Vec<String>>,
    image_config: Option<ImageConfig>,
    commit: Option<String>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(default)]
    architecture: Scalar,
    #[serde(default)]
    os: Scalar,
    #[serde(default)]
    variant: Scalar,
}

#[derive(Deserialize)]
struct Database {
    #[serde(default)]
    version: Scalar,
}

/// When the scan was, in a predicate.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    scan_started_on: Option<String>,
    scan_finished_on: Option<String>,
}

/// What is known of a report while it is read.
struct Reading<'a> {
    schema_version: Option<Scalar>,
    created_at: Scalar,
    artifact_name: Option<String>,
    artifact_type: Option<String>,
    tool_version: Option<String>,
    database_version: Option<String>,
    times: Times,
    metadata: Metadata,
    cluster: bool,
    /// Whether a part of a cluster could not be scanned.
    broken: bool,
    results: Results<'a>,
}

impl<'a> Reading<'a> {
    fn new(details: &'a mut dyn Details) -> Self {
        Self {
            schema_version: None,
            created_at: Scalar::default(),
            artifact_name: None,
            artifact_type: None,
            tool_version: None,
            database_version: None,
            times: Times::default(),
            metadata: Metadata::default(),
            cluster: false,
            broken: false,
            results: Results::new(details),
        }
    }

    fn report(self, format: &str, given: &Given, predicate: bool) -> Result<Report, Rejection> {
        let name = self.artifact_name.as_deref().and_then(scan::subject);
        let named = Named { name: name.clone(), ..named(&self.metadata, self.cluster)? };
        let (started_at, generated_at) = if predicate {
            let at = |field: &str, text: &Option<String>| value::time(field, text.as_deref().unwrap_or_default());
            let finished = at("metadata.scanFinishedOn", &self.times.scan_finished_on)?;
            (at("metadata.scanStartedOn", &self.times.scan_started_on)?, finished)
        } else {
            (None, created_at(self.created_at.text())?)
        };
        let config = self.metadata.image_config.as_ref();
        let whole = ScanFinished {
            database_version: scan::version(self.database_version.as_deref()),
            name,
            platform: config
                .and_then(|config| scan::platform(config.os.text(), config.architecture.text(), config.variant.text())),
            scope: scope(self.artifact_type.as_deref(), self.cluster),
            started_at,
            tool_version: scan::version(self.tool_version.as_deref()),
            // What each kind says for itself is put over it.
            ..scan::finished(crate::event::artifact::ScanKind::Vulnerability, "trivy", ScanStatus::NotRun)
        };
        let facts = self.results.facts(&whole, given, self.broken);
        Ok(Report { format: format.to_owned(), generated_at, named, facts })
    }
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "SchemaVersion" => self.schema_version = Some(map.next_value()?),
            "CreatedAt" => self.created_at = map.next_value()?,
            "ArtifactName" => self.artifact_name = map.next_value()?,
            "ArtifactType" => self.artifact_type = map.next_value()?,
            "Trivy" => self.tool_version = map.next_value::<Option<Tool>>()?.and_then(|tool| tool.version),
            "Metadata" => self.metadata = map.next_value::<Option<Metadata>>()?.unwrap_or_default(),
            "Results" => drop(map.next_value_seed(Objects(&mut self.results))?),
            "ClusterName" => {
                self.cluster = true;
                return pass(map);
            }
            // All of a cluster; before that, what was found, by resource; before that, in two lists.
            "Resources" | "Findings" | "Vulnerabilities" | "Misconfigurations" => {
                map.next_value_seed(Objects(&mut Resource(self)))?;
            }
            "scanner" => drop(map.next_value_seed(Object(&mut Scanner(self)))?),
            "metadata" => self.times = map.next_value::<Option<Times>>()?.unwrap_or_default(),
            _ => return pass(map),
        }
        Ok(())
    }
}

/// A resource of a cluster.
struct Resource<'a, 'd>(&'a mut Reading<'d>);

impl Members for Resource<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "Results" => drop(map.next_value_seed(Objects(&mut self.0.results))?),
            "Error" => self.0.broken |= scan::filled(map.next_value::<Scalar>()?.0).is_some(),
            _ => return pass(map),
        }
        Ok(())
    }
}

/// What a predicate has around the report.
struct Scanner<'a, 'd>(&'a mut Reading<'d>);

impl Members for Scanner<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.0.tool_version = map.next_value::<Scalar>()?.0,
            "db" => {
                let database = map.next_value::<Option<Database>>()?;
                self.0.database_version = database.and_then(|database| database.version.0);
            }
            "result" => drop(map.next_value_seed(Object(&mut *self.0))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

/// What the metadata of one artifact say that it is.
fn named(metadata: &Metadata, cluster: bool) -> Result<Named, Rejection> {
    let mut named = Named::default();
    if cluster {
        return Ok(named);
    }
    for (n, text) in metadata.repo_digests.iter().flatten().enumerate() {
        // An image that was never pushed has one empty string.
        if !text.is_empty() {
            let digest = value::digest(&format!("Metadata.RepoDigests[{n}]"), text)?;
            if !named.digests.contains(&digest) {
                named.digests.push(digest);
            }
        }
    }
    if let Some(commit) = metadata.commit.as_deref().filter(|commit| !commit.is_empty()) {
        named.commit = Some(value::git_oid("Metadata.Commit", commit)?);
    }
    Ok(named)
}

fn created_at(text: &str) -> Result<Option<Timestamp>, Rejection> {
    // Predicates of some versions had seconds.
    match text.parse::<i64>() {
        Ok(seconds) => value::unix_seconds("CreatedAt", seconds).map(Some),
        Err(_) => value::time("CreatedAt", text),
    }
}

/// The image of a machine has no word here.
fn scope(artifact_type: Option<&str>, cluster: bool) -> Option<ScanScope> {
    match artifact_type {
        _ if cluster => Some(ScanScope::Cluster),
        Some("container_image") => Some(ScanScope::Image),
        Some("filesystem") => Some(ScanScope::Filesystem),
        Some("repository") => Some(ScanScope::Repository),
        Some("cyclonedx" | "spdx" | "sbom") => Some(ScanScope::Sbom),
        _ => None,
    }
}
