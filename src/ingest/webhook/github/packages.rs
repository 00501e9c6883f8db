//! Packages: container images in GitHub's registry.
//!
//! What a package is, its members say in several ways that contradict each other. What holds is the form of `version`: a
//! digest is that of a manifest or index. `name`, `target_oid` and the digests under `container_metadata` are now a
//! commit, now a configuration, now cut off.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::Events;
use super::heard::Heard;
use crate::event::artifact::ArtifactPublished;
use crate::event::{Digest, GitOid, StreamName, Timestamp};
use crate::ingest::{Rejection, TagSeen};
use crate::report::value;

#[derive(Deserialize)]
struct PackageBody {
    package: Package,
}

#[derive(Deserialize)]
struct RegistryPackageBody {
    registry_package: Package,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default, deserialize_with = "soft")]
    package_type: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    package_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    package_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    container_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "soft")]
    tag: Option<Tag>,
    #[serde(default, deserialize_with = "soft")]
    labels: Option<Labels>,
    #[serde(default, deserialize_with = "soft")]
    manifest: Option<Manifest>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default, deserialize_with = "soft")]
    revision: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    all_labels: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default, deserialize_with = "soft")]
    digest: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "soft")]
    digest: Option<String>,
}

impl Manifest {
    fn digest(&self) -> Option<Digest> {
        value::digest("digest", self.digest.as_deref()?).ok()
    }
}

impl Labels {
    /// The commit that the image's own labels name.
    fn commit(&self) -> Option<GitOid> {
        let revision = self.all_labels.as_ref().and_then(|all| all.get("org.opencontainers.image.revision")?.as_str());
        let revision = forge::filled(self.revision.as_deref()).or(revision)?;
        revision.to_ascii_lowercase().parse().ok()
    }
}

/// A container image was pushed, or tagged anew.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn published(heard: &Heard<'_>, member: &str) -> Result<Events, Rejection> {
    let package = match member {
        "package" => heard.read::<PackageBody>()?.package,
        _ => heard.read::<RegistryPackageBody>()?.registry_package,
    };
    image(heard, &package).map_err(|rejection| rejection.at(member))
}

fn image(heard: &Heard<'_>, package: &Package) -> Result<Events, Rejection> {
    let kind = package.package_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    let Some(version) = &package.package_version else {
        return Ok(heard.passed_over());
    };
    let digest = match value::digest("package_version.version", &version.version) {
        Ok(digest) => digest,
        // A version of npm, Maven and so on; images in the registry before this one have a tag for a version.
        Err(_) if kind != "container" && !version.version.contains(':') => return Ok(heard.passed_over()),
        Err(rejection) => return Err(rejection),
    };
    let at = published_at(heard, package, version)?;
    let url = version.package_url.as_deref().unwrap_or_default();
    let (name, tag_in_url) = name_and_tag(url);
    if name.is_empty() {
        return Err(Rejection::missing("package_version.package_url"));
    }
    let metadata = version.container_metadata.as_ref();
    let seen = metadata.and_then(|metadata| metadata.tag.as_ref());
    let tag = seen.and_then(|tag| forge::plain(tag.name.as_deref())).or(tag_in_url);
    // A tag whose digest is none at all is that of this version; one with another digest names another.
    let tagged: Option<Digest> = seen.and_then(|tag| value::digest("digest", tag.digest.as_deref()?).ok());
    let names_this = tagged.as_ref().is_none_or(|other| *other == digest);
    let manifest = metadata.and_then(|metadata| metadata.manifest.as_ref());
    let manifest = manifest.filter(|manifest| manifest.digest().is_none_or(|other| other == digest));
    let config = manifest.and_then(|manifest| manifest.config.as_ref()?.digest.as_deref());
    let data = ArtifactPublished {
        config_digest: config.and_then(|text| value::digest("config", text).ok()),
        index: None,
        labelled_commit: metadata.and_then(|metadata| metadata.labels.as_ref()?.commit()),
        media_type: manifest.and_then(|manifest| manifest.media_type.as_deref()?.parse().ok()),
        name: name.clone(),
        platform: None,
        platforms: None,
        purl: None,
        run: None,
        size: None,
        tags: tag.iter().filter(|_| names_this).cloned().collect(),
        url: forge::link(version.html_url.as_deref()),
    };
    // `package` and `registry_package` tell of the same push. The name has a person's in it, so the key has its hash.
    let named = blake3::hash(format!("{name}:{}", tag.as_deref().unwrap_or_default()).as_bytes());
    let key = format!("published:{digest} {named}").parse()?;
    let stream = StreamName::of("artifact", &[digest.as_str()])?;
    let mut draft = heard.delivery.draft_as(data, stream, key, at)?;
    draft.actor.clone_from(&heard.sender);
    let tags = tag.map(|tag| TagSeen { name, tag, digest: tagged.unwrap_or(digest), at }).into_iter().collect();
    Ok(Events { tags, ..Events::one(draft) })
}

/// When it was published. A version may say the year 1 for "not known".
fn published_at(heard: &Heard<'_>, package: &Package, version: &Version) -> Result<Timestamp, Rejection> {
    for (field, text) in [
        ("package_version.updated_at", &version.updated_at),
        ("package_version.created_at", &version.created_at),
        ("updated_at", &package.updated_at),
    ] {
        if let Some(at) = forge::time(heard.now(), field, text.as_deref())? {
            return Ok(at);
        }
    }
    Ok(heard.delivery.received_at)
}

/// Name and tag of `ghcr.io/Owner/Name:tag`, where nothing may stand behind the colon. Names in registries are in lower
/// case whatever their owner's is.
fn name_and_tag(url: &str) -> (String, Option<String>) {
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    let url = url.split('@').next().unwrap_or(url);
    let (name, tag) = match url.rsplit_once(':') {
        // A colon before the path is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, forge::plain(Some(tag))),
        _ => (url, None),
    };
    (forge::name(&name.trim().to_ascii_lowercase()), tag)
}

#[cfg(test)]
mod tests {
    use super::name_and_tag;

    #[test]
    fn a_name_is_without_tag_and_in_lower_case() {
        for (url, name, tag) in [
            ("ghcr.io/Codertocat/hello-world:", "ghcr.io/codertocat/hello-world", None),
            ("ghcr.io/a/b:v1.0", "ghcr.io/a/b", Some("v1.0")),
            ("https://ghcr.io/a/b@sha256:00", "ghcr.io/a/b", None),
            ("host:5000/a", "host:5000/a", None),
            ("", "", None),
        ] {
            assert_eq!(name_and_tag(url), (name.to_owned(), tag.map(str::to_owned)), "{url}");
        }
    }
}
