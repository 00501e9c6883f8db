//! Artifacts as CDEvents name them: package URLs, with the digest as the version where it is known.

use std::str::FromStr;

use packageurl::PackageUrl;

use crate::event::target::Image;
use crate::event::{Digest, StreamName};

/// Longest package URL that goes into an event. One is never cut: what is left would name something else.
const PURL_BYTES_MAX: usize = 1024;

/// An artifact, by its package URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artifact {
    /// Its digest, where the URL has one in full.
    pub(super) digest: Option<Digest>,
    /// Its name, with the registry where the URL tells.
    pub(super) name: String,
    /// The tag it was asked for by.
    pub(super) tag: Option<String>,
    /// Its version, where that is no digest.
    pub(super) version: Option<String>,
    /// Whether it is a container image.
    image: bool,
    /// The URL.
    pub(super) purl: String,
}

impl Artifact {
    /// Of a package URL; none for anything else.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.len() > PURL_BYTES_MAX {
            return None;
        }
        let url = PackageUrl::from_str(text).ok()?;
        let qualifier = |name: &str| url.qualifiers().get(name).map(|value| value.to_string());
        let image = matches!(url.ty(), "oci" | "docker");
        let version = url.version().filter(|version| !version.is_empty());
        let by_version = version.and_then(digest);
        let by_checksum = || qualifier("checksum").and_then(|list| list.split(',').find_map(|one| digest(one.trim())));
        let name = match url.namespace() {
            Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", url.name()),
            _ => url.name().to_owned(),
        };
        let name = match qualifier("repository_url").filter(|_| image) {
            Some(repository) => {
                let repository = repository.split_once("://").map_or(repository.as_str(), |(_, rest)| rest);
                let repository = repository.trim_end_matches('/');
                let whole = repository == name || repository.ends_with(&format!("/{name}"));
                if whole { repository.to_owned() } else { format!("{repository}/{name}") }
            }
            None => name,
        };
        let version = version.filter(|_| by_version.is_none()).map(str::to_owned);
        let tag = qualifier("tag").or_else(|| version.clone().filter(|_| url.ty() == "docker"));
        Some(Self { digest: by_version.or_else(by_checksum), name, tag, version, image, purl: text.to_owned() })
    }

    /// It as an image, if it is one.
    pub(super) fn image(&self) -> Option<Image> {
        self.image.then(|| Image {
            digest: self.digest.clone(),
            digest_origin: None,
            name: self.name.clone(),
            tag: self.tag.clone(),
        })
    }
}

fn digest(text: &str) -> Option<Digest> {
    let plain = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    plain.to_ascii_lowercase().parse().ok()
}

/// The package URL of an image whose digest is known.
pub(super) fn of_image(name: &str, digest: &Digest, tag: Option<&str>) -> Option<String> {
    let last = name.rsplit('/').next().filter(|last| !last.is_empty())?;
    let mut url = PackageUrl::new("oci", last.to_ascii_lowercase()).ok()?;
    url.with_version(digest.as_str().to_owned()).ok()?;
    if name.contains('/') {
        url.add_qualifier("repository_url", name.to_owned()).ok()?;
    }
    if let Some(tag) = tag {
        url.add_qualifier("tag", tag.to_owned()).ok()?;
    }
    // As the specification writes digests; the colon may also stand as it is.
    let encoded = digest.as_str().replacen(':', "%3A", 1);
    Some(url.to_string().replacen(&format!("@{digest}"), &format!("@{encoded}"), 1))
}

/// The digest that an artifact's stream names.
pub(super) fn of_stream(stream: &StreamName) -> Option<Digest> {
    stream.as_str().strip_prefix("artifact/")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_where_they_are_whole() {
        let hex = "0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";
        let of = |text: &str| Artifact::of(text).unwrap();
        let plain = of(&format!("pkg:oci/myapp@sha256%3A{hex}"));
        assert_eq!(plain.digest.as_ref().unwrap().as_str(), format!("sha256:{hex}"));
        assert_eq!((plain.name.as_str(), plain.version), ("myapp", None));
        let whole = of(&format!("pkg:oci/myapp@sha256:{hex}?repository_url=ghcr.io/acme/myapp&tag=v1"));
        assert_eq!((whole.name.as_str(), whole.tag.as_deref()), ("ghcr.io/acme/myapp", Some("v1")));
        let docker = of("pkg:docker/acme/api@1.2.3?repository_url=gcr.io");
        assert_eq!(
            (docker.name.as_str(), docker.tag.as_deref(), docker.digest),
            ("gcr.io/acme/api", Some("1.2.3"), None)
        );
        let short = of("pkg:golang/mygit.com/myorg/myapp@234fd47e07d1004f0aed9c");
        assert_eq!((short.digest, short.version.as_deref()), (None, Some("234fd47e07d1004f0aed9c")));
        assert_eq!(of(&format!("pkg:generic/x@1?checksum=sha256:{hex}")).digest, plain.digest);
        assert_eq!(Artifact::of("ghcr.io/acme/api:1"), None);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let plain = of_image("myapp", &digest, None);
        assert_eq!(plain.as_deref(), Some(format!("pkg:oci/myapp@sha256%3A{hex}").as_str()));
        let again = of(&of_image("ghcr.io/acme/myapp", &digest, Some("v1")).unwrap());
        assert_eq!(
            (again.digest, again.name.as_str(), again.tag.as_deref()),
            (Some(digest), "ghcr.io/acme/myapp", Some("v1"))
        );
    }
}
