//! Artifacts: how they were built, what they are called, what was found in them. Streams `artifact/<digest>`; scans, bills
//! of materials and attestations of source code stand in `repo/<host>/<path>` and name the commit.
//!
//! The artifact is the one the stream names; its digest is that of the manifest or index, never of an image's
//! configuration. Lists that grow with the artifact (findings, components, materials) are evidence.

use super::check::Conclusion;
use super::payload::{payload, words};
use super::pipeline::Identity;
use super::private::Private;
use super::target::Uncertainty;
use super::{Digest, GitOid, Hex32, MediaType, Name, StreamName, Timestamp, U64};

words! {
    /// What a scan looks for.
    pub enum ScanKind {
        /// Known vulnerabilities in components.
        Vulnerability = "vulnerability",
        /// Malware.
        Malware = "malware",
        /// Secrets.
        Secret = "secret",
        /// Licences.
        Licence = "licence",
        /// Weaknesses in source code.
        Static = "static",
        /// Unsafe configuration.
        Misconfiguration = "misconfiguration",
    }

    /// What came of a scan. How bad the findings are is for a policy to say.
    pub enum ScanStatus {
        /// It ran to its end: no findings means that there are none.
        Completed = "completed",
        /// It ran, but not over everything.
        Partial = "partial",
        /// The tool failed.
        Failed = "failed",
        /// The report has no section for this kind: it was not looked for.
        NotRun = "not_run",
    }

    /// What a scanner was given.
    pub enum ScanScope {
        /// A container image.
        Image = "image",
        /// A directory.
        Filesystem = "filesystem",
        /// A git repository.
        Repository = "repository",
        /// A bill of materials.
        Sbom = "sbom",
        /// A running cluster.
        Cluster = "cluster",
    }

    /// Form of a bill of materials.
    pub enum SbomFormat {
        /// CycloneDX.
        Cyclonedx = "cyclonedx",
        /// SPDX.
        Spdx = "spdx",
        /// Syft's own.
        Syft = "syft",
    }

    /// Form of an attestation.
    pub enum AttestationFormat {
        /// A DSSE envelope.
        Dsse = "dsse",
        /// A Sigstore bundle.
        SigstoreBundle = "sigstore_bundle",
        /// A cosign signature in the registry.
        CosignSignature = "cosign_signature",
        /// A Notary Project signature.
        NotationSignature = "notation_signature",
        /// An in-toto statement without signature.
        Unsigned = "unsigned",
    }
}

payload! {
    /// The artifact for one platform, as an index lists it.
    pub struct Platform {
        /// Digest of its manifest: another artifact.
        digest: Digest,
        /// The platform: `linux/amd64`.
        platform: String,
    }

    /// Something a build took in.
    pub struct Material {
        /// Its digest, where it is known.
        digest: Option<Digest>,
        /// What it is: a package URL, or a URL without user information.
        uri: String,
    }

    /// The artifact was built: leads from its digest to the source commit.
    pub struct BuildFinished {
        /// Which attempt of the run built it, from 1.
        attempt: Option<u32>,
        /// The images it is built on; at most 20.
        base_images: Option<Vec<Material>>,
        /// How it was built, by URI.
        build_type: Option<String>,
        /// What built it, by URI.
        builder: Option<String>,
        /// The source commit it was built from.
        commit: Option<GitOid>,
        /// How the build came out: one that failed after it had made an artifact leaves the artifact in doubt.
        conclusion: Conclusion,
        /// Digest of the image's configuration (its image id).
        config_digest: Option<Digest>,
        /// True when the working tree held changes that the commit does not.
        dirty: Option<bool>,
        /// The branch or tag it was built for, in full.
        git_ref: Option<String>,
        /// How many materials the provenance lists.
        materials_total: Option<u32>,
        /// What the artifact is.
        media_type: Option<MediaType>,
        /// Its name: `ghcr.io/acme/churn-api`.
        name: Option<String>,
        /// The pipeline that built it.
        pipeline: Option<String>,
        /// The platform it is for, where it is for one.
        platform: Option<String>,
        /// What an index holds; at most 50.
        platforms: Option<Vec<Platform>>,
        /// BLAKE3 of the evidence that is the build's provenance; materials are read from it.
        provenance: Option<Hex32>,
        /// Its package URL.
        purl: Option<String>,
        /// The recipe in the source tree: `docker/api.Dockerfile`.
        recipe: Option<String>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// Id of the pipeline run that built it.
        run: Option<String>,
        /// The service it is of.
        service: Option<Name>,
        /// Its size in bytes.
        size: Option<U64>,
        /// When the build began.
        started_at: Option<Timestamp>,
        /// Where to look at the build.
        url: Option<String>,
        /// The version it was given.
        version: Option<String>,
    }

    /// The artifact is in a registry.
    pub struct ArtifactPublished {
        /// Digest of the image's configuration (its image id).
        config_digest: Option<Digest>,
        /// The index it is part of.
        index: Option<Digest>,
        /// The source commit that the artifact's own labels name: a claim.
        labelled_commit: Option<GitOid>,
        /// What the artifact is.
        media_type: Option<MediaType>,
        /// Its name with the registry: `ghcr.io/acme/churn-api`.
        name: String,
        /// The platform it is for, where it is for one.
        platform: Option<String>,
        /// What an index holds; at most 50.
        platforms: Option<Vec<Platform>>,
        /// Its package URL.
        purl: Option<String>,
        /// Id of the pipeline run that published it.
        run: Option<String>,
        /// Its size in bytes.
        size: Option<U64>,
        /// The tags it was published under; at most 100.
        tags: Vec<String>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// A tag in a registry was found to name this artifact: for the first time, or now instead of another.
    pub struct TagRepointed {
        /// What it named before; absent at the first observation of the tag.
        before: Option<Digest>,
        /// The artifact's name with the registry.
        name: String,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// The tag.
        tag: String,
    }

    /// Findings by severity, in the words most scanners share.
    pub struct Severities {
        /// Critical.
        critical: u32,
        /// High.
        high: u32,
        /// Informational or negligible.
        info: u32,
        /// Low.
        low: u32,
        /// Medium.
        medium: u32,
        /// Not rated.
        unknown: u32,
    }

    /// A scanner looked at the artifact. A scan of the same artifact later is another event, and so is that of
    /// another scanner: disagreement stays visible.
    ///
    /// The leaf has counts. Which CVE ids, packages, licences or files were found is in the report; projections read
    /// it from the evidence that `report` names, in the form that `report_format` names.
    pub struct ScanFinished {
        /// Which attempt of the run it was part of, from 1.
        attempt: Option<u32>,
        /// The source commit that was scanned, or that the artifact is of.
        commit: Option<GitOid>,
        /// The highest CVSS base score found, as the report writes it: `9.8`.
        cvss_max: Option<String>,
        /// When the scanner's database was made.
        database_updated_at: Option<Timestamp>,
        /// Version of the scanner's database.
        database_version: Option<String>,
        /// The tool's exit code.
        exit_code: Option<i32>,
        /// Known restrictions that the scan ran with, as given to the tool: `--ignore-unfixed`. Reports do not tell.
        filters: Option<Vec<String>>,
        /// Open findings, distinct by identifier and component (or rule and place); absent when the report has no list.
        findings: Option<u32>,
        /// Those of the findings that a newer version mends.
        fixable: Option<Severities>,
        /// What it looked for.
        kind: ScanKind,
        /// Findings that are known to be exploited.
        known_exploited: Option<u32>,
        /// The artifact's name, as the scanner was given it.
        name: Option<String>,
        /// The platform that was scanned: a scan of one is no statement about the others of an index.
        platform: Option<String>,
        /// How many values were blackened before the report was kept, so that it leaks no secret.
        redactions: Option<u32>,
        /// BLAKE3 of the evidence that is the report.
        report: Option<Hex32>,
        /// Form of the report, with its version where it has one: `trivy/2`, `sarif/2.1.0`.
        report_format: Option<String>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// Id of the pipeline run it was part of.
        run: Option<String>,
        /// What the scanner was given.
        scope: Option<ScanScope>,
        /// The findings by severity, where the tool rates them.
        severities: Option<Severities>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// What came of it.
        status: ScanStatus,
        /// Findings that were declared harmless, not counted above.
        suppressed: Option<u32>,
        /// The scanner.
        tool: String,
        /// The scanner's version.
        tool_version: Option<String>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// There is a bill of materials for the artifact. Projections read the components from the evidence.
    pub struct SbomAttached {
        /// The source commit it is of.
        commit: Option<GitOid>,
        /// How many components it lists, nested ones included.
        components: u32,
        /// BLAKE3 of the evidence that is the document, byte for byte as it came.
        document: Hex32,
        /// Its form.
        format: SbomFormat,
        /// When it was made, as it says.
        generated_at: Option<Timestamp>,
        /// What it says it is about, in digest: where that is not the stream's, it is about something else.
        named_digest: Option<Digest>,
        /// The platform it is for.
        platform: Option<String>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// Id of the pipeline run that made it.
        run: Option<String>,
        /// Its serial number or namespace; not always unique.
        serial: Option<String>,
        /// Version of the form: `1.6`.
        spec_version: String,
        /// What made it.
        tool: Option<String>,
        /// Version of what made it.
        tool_version: Option<String>,
        /// How many vulnerabilities it speaks of (VEX).
        vulnerabilities: Option<u32>,
    }

    /// An entry in a transparency log.
    pub struct LogEntry {
        /// When the log says it took it in.
        integrated_at: Option<Timestamp>,
        /// The log: its id or origin.
        log: String,
        /// The entry's index.
        log_index: U64,
    }

    /// What checking an attestation's signature gave.
    pub struct Verification {
        /// What is wrong.
        error: Option<Private>,
        /// By what means: `keyless`, `key`, `x509`.
        method: String,
        /// SHA-256 of the trusted roots or the key it was checked against.
        trust_root: Option<Hex32>,
        /// Whether it holds.
        verified: bool,
        /// When it was checked.
        verified_at: Option<Timestamp>,
    }

    /// Somebody states something about the artifact. For build provenance the fields from `build_type` to `run` are
    /// what the statement says, true only as far as the signer is trusted.
    pub struct AttestationAttached {
        /// How it was built, by URI.
        build_type: Option<String>,
        /// What built it, by URI.
        builder: Option<String>,
        /// The source commit.
        commit: Option<GitOid>,
        /// BLAKE3 of the evidence that is the attestation, byte for byte as it came.
        document: Hex32,
        /// Its form.
        format: AttestationFormat,
        /// The branch or tag, in full.
        git_ref: Option<String>,
        /// When it was made, as it says.
        issued_at: Option<Timestamp>,
        /// Id of the key that signed it, where one did.
        key_id: Option<String>,
        /// Its entry in a transparency log.
        log_entry: Option<LogEntry>,
        /// What it is a statement of, by URI: `https://slsa.dev/provenance/v1`.
        predicate_type: String,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// Id of the pipeline run.
        run: Option<String>,
        /// How many signatures it bears.
        signatures: u32,
        /// Who signed, by certificate.
        signer: Option<Identity>,
        /// How many things it is about.
        subjects: Option<u32>,
        /// What checking it gave; absent when nobody did.
        verification: Option<Verification>,
    }
}
