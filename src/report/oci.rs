//! Manifests and indexes as a registry serves them (OCI image specification 1.1, Docker schema 2): what a tag names.
//!
//! The digest of one is that of its bytes, so they must be handed in as they came.

use std::io::Read;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch, value};
use crate::event::artifact::{ArtifactPublished, Platform};
use crate::event::{Data, Digest, U64};

/// OCI manifests and indexes.
pub(super) const FORMAT: Format = Format {
    name: "oci",
    about: "manifests and indexes as registries serve them",
    versions: "OCI image specification 1.0, 1.1; Docker schema 2",
    kinds: &[Kind::Artifact],
    media_type: "application/json",
    recognise: |sketch: &Sketch| {
        sketch.shape == Shape::Object
            && sketch.get("schemaVersion") == "2"
            && (sketch.has("manifests") || (sketch.has("config") && sketch.has("layers")))
    },
    secret_members: |_| &[],
    read,
};

/// Platforms of an index that are told.
const PLATFORMS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    platform: Option<OfPlatform>,
}

#[derive(Deserialize)]
struct OfPlatform {
    architecture: String,
    os: String,
    variant: Option<String>,
}

impl OfPlatform {
    /// `linux/arm64/v8`; none for attestations, which are listed as of an unknown platform.
    fn name(&self) -> Option<String> {
        let variant = self.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        (self.os != "unknown").then(|| value::cut(&format!("{}/{}{variant}", self.os, self.architecture), 100))
    }
}

fn read(document: &Document<'_>, _given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let manifest: Manifest = document.json()?;
    if manifest.schema_version != 2 {
        let what = format!("{}: only 2 is understood", manifest.schema_version);
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("schemaVersion"));
    }
    let digest = digest_of(document)?;
    let mut platforms = Vec::new();
    for (n, listed) in manifest.manifests.iter().flatten().enumerate() {
        let digest = value::digest(&format!("manifests[{n}].digest"), &listed.digest)?;
        if let Some(platform) = listed.platform.as_ref().and_then(OfPlatform::name) {
            platforms.push(Platform { digest, platform });
        }
    }
    platforms.truncate(PLATFORMS_MAX);
    let config = manifest.config.as_ref().map(|config| value::digest("config.digest", &config.digest)).transpose()?;
    let size = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let commit = manifest.annotations.get("org.opencontainers.image.revision");
    let fact = ArtifactPublished {
        config_digest: config,
        index: None,
        labelled_commit: commit.and_then(|commit| value::git_oid("annotations", commit).ok()),
        media_type: manifest.artifact_type.or(manifest.media_type).and_then(|text| text.parse().ok()),
        // Who hands it in says what it is called.
        name: String::new(),
        platform: None,
        platforms: (!platforms.is_empty()).then_some(platforms),
        purl: None,
        run: None,
        size: (size > 0).then_some(U64(size)),
        tags: Vec::new(),
        url: None,
    };
    let named = Named { digests: vec![digest], ..Named::default() };
    // No time: an annotation may say when it was built, which is not when it was published.
    Ok(Report { format: "oci".to_owned(), generated_at: None, named, facts: vec![Data::from(fact)] })
}

fn digest_of(document: &Document<'_>) -> Result<Digest, Rejection> {
    let mut bytes = Vec::new();
    let read = document.reader()?.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Rejection::new(Reason::Malformed, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(Rejection::new(Reason::TooLarge, "a manifest has at most 4 MiB"));
    }
    Ok(format!("sha256:{}", hex::encode(Sha256::digest(&bytes))).parse()?)
}

/// Registries must take manifests of 4 MiB, and refuse larger ones (OCI distribution specification).
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
