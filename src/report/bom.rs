//! What bills of materials have in common, whatever their form.

use std::str::FromStr;

use packageurl::PackageUrl;

use super::{Given, Named, Rejection, Report, value};
use crate::event::artifact::{SbomAttached, SbomFormat};
use crate::event::{Data, Digest, GitOid, Hex32, Timestamp};

/// Most bytes that are kept of a name, version or address: real ones are far below, and a leaf has room for few of these.
pub(super) const NAME_MAX: usize = 512;

/// What a bill of materials says as a whole.
#[derive(Debug, Clone)]
pub(super) struct Bom {
    /// Its form.
    pub(super) format: SbomFormat,
    /// The version of the form.
    pub(super) spec_version: String,
    /// How many components it lists.
    pub(super) components: u64,
    /// How many vulnerabilities it speaks of; none where it has no list of them.
    pub(super) vulnerabilities: Option<u64>,
    /// When it was made.
    pub(super) generated_at: Option<Timestamp>,
    /// Its serial number or namespace.
    pub(super) serial: Option<String>,
    /// What made it.
    pub(super) tool: Option<Tool>,
    /// What it is about.
    pub(super) named: Named,
    /// The platform it is for.
    pub(super) platform: Option<String>,
}

/// What made a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: Option<String>,
}

impl Tool {
    /// A tool; none without a name. Syft says `[not provided]` where it does not know its own version.
    pub(super) fn new(name: Option<&str>, version: Option<&str>) -> Option<Self> {
        let version = version.filter(|version| !version.is_empty() && !version.starts_with('['));
        let name = name.filter(|name| !name.is_empty())?;
        Some(Self { name: value::cut(name, NAME_MAX), version: version.map(|version| value::cut(version, NAME_MAX)) })
    }

    /// From name and version in one word, with a hyphen or space between them: `syft-0.91.0`, `ko 0.12.0`.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        let word = word.trim();
        let starts = |rest: &str| {
            let rest = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
            rest.starts_with(|c: char| c.is_ascii_digit() || c == '[')
        };
        let split = word.char_indices().find_map(|(at, c)| {
            let rest = word.get(at + 1..).filter(|rest| matches!(c, '-' | ' ') && starts(rest))?;
            Some((word.get(..at)?, rest))
        });
        match split {
            Some((name, version)) => Self::new(Some(name.trim_end()), Some(version)),
            None => Self::new(Some(word), None),
        }
    }
}

impl Bom {
    /// The payload that says so.
    ///
    /// # Errors
    /// [`Reason::BadNumber`](super::Reason::BadNumber) beyond counting.
    pub(super) fn fact(&self, document: &Hex32) -> Result<Data, Rejection> {
        let tool = self.tool.clone();
        let vulnerabilities = self.vulnerabilities.map(|n| value::count("vulnerabilities", n)).transpose()?;
        Ok(Data::SbomAttached(SbomAttached {
            commit: self.named.commit.clone(),
            components: value::count("components", self.components)?,
            document: document.clone(),
            format: self.format,
            generated_at: self.generated_at,
            named_digest: self.named.digests.first().cloned(),
            platform: self.platform.clone(),
            repository: None,
            run: None,
            serial: self.serial.clone(),
            spec_version: self.spec_version.clone(),
            tool: tool.as_ref().map(|tool| tool.name.clone()),
            tool_version: tool.and_then(|tool| tool.version),
            vulnerabilities,
        }))
    }

    /// The report of a document that is nothing else.
    ///
    /// # Errors
    /// As [`Bom::fact`].
    pub(super) fn report(self, given: &Given) -> Result<Report, Rejection> {
        let fact = self.fact(&given.document)?;
        let format = format!("{}/{}", self.format, self.spec_version);
        Ok(Report { format, generated_at: self.generated_at, named: self.named, facts: vec![fact] })
    }
}

/// What a package URL says of the thing as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thing {
    /// The digest of an image.
    pub(super) digest: Option<Digest>,
    /// The commit of a repository.
    pub(super) commit: Option<GitOid>,
    /// The platform of an image: `linux/amd64`.
    pub(super) platform: Option<String>,
}

impl Thing {
    /// Of a package URL. The version of an image is its digest, or a tag. What is no package URL says nothing: they are
    /// often a little wrong, and little hangs on them.
    ///
    /// # Errors
    /// [`Reason::BadDigest`](super::Reason::BadDigest) for an image whose digest is none.
    pub(super) fn of_purl(field: &str, purl: &str) -> Result<Self, Rejection> {
        let mut thing = Self::default();
        let Ok(purl) = PackageUrl::from_str(purl.trim()) else { return Ok(thing) };
        match purl.ty() {
            "oci" | "docker" => {
                let version = purl.version().filter(|version| is_digest(version));
                thing.digest = version.map(|version| value::digest(field, version)).transpose()?;
                let qualifiers = purl.qualifiers();
                if let (Some(os), Some(arch)) = (qualifiers.get("os"), qualifiers.get("arch")) {
                    thing.platform = Some(value::cut(&format!("{os}/{arch}"), NAME_MAX));
                }
            }
            "github" | "gitlab" | "bitbucket" => {
                thing.commit = purl.version().and_then(|version| version.to_ascii_lowercase().parse().ok());
            }
            _ => {}
        }
        Ok(thing)
    }
}

/// Whether a version is meant for a digest: a version may have a colon without being one, as Debian's epochs do.
pub(super) fn is_digest(version: &str) -> bool {
    let algorithm = version.split_once(':').map(|(algorithm, _)| algorithm.to_ascii_lowercase());
    algorithm.is_some_and(|algorithm| matches!(algorithm.as_str(), "sha256" | "sha384" | "sha512" | "blake3"))
}

/// Adds what is not there yet.
pub(super) fn add(digests: &mut Vec<Digest>, more: impl IntoIterator<Item = Digest>) {
    for digest in more {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
}

/// A digest whose algorithm stands beside it, in whatever spelling: `SHA-256`, `SHA256`, `sha256`. None where the
/// algorithm is not one that an artifact is named by.
///
/// # Errors
/// [`Reason::BadDigest`](super::Reason::BadDigest).
pub(super) fn hash(field: &str, algorithm: &str, hex: &str) -> Result<Option<Digest>, Rejection> {
    let algorithm = match algorithm.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "sha256" | "sha2256" => "sha256",
        "sha384" | "sha2384" => "sha384",
        "sha512" | "sha2512" => "sha512",
        _ => return Ok(None),
    };
    value::digest(field, &format!("{algorithm}:{}", hex.trim())).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_in_one_word_is_taken_apart_where_its_version_begins() {
        for (word, name, version) in [
            ("syft-0.91.0", "syft", Some("0.91.0")),
            ("ko 0.12.0", "ko", Some("0.12.0")),
            ("trivy-0.45.1-15-g7bbd0d097", "trivy", Some("0.45.1-15-g7bbd0d097")),
            ("syft-[not provided]", "syft", None),
            ("bom-v0.5.1", "bom", Some("v0.5.1")),
            ("Microsoft.SBOMTool-2.2.3", "Microsoft.SBOMTool", Some("2.2.3")),
            ("spdx-maven-plugin", "spdx-maven-plugin", None),
        ] {
            let tool = Tool::of_word(word).unwrap();
            assert_eq!((tool.name.as_str(), tool.version.as_deref()), (name, version), "{word}");
        }
        assert_eq!(Tool::of_word(" "), None);
    }

    #[test]
    fn package_urls_of_images_name_digest_and_platform() {
        let hex = "ab".repeat(32);
        let image = |text: &str| Thing::of_purl("purl", text);
        let thing = image(&format!("pkg:oci/a@sha256%3A{hex}?arch=amd64&os=linux&tag=1")).unwrap();
        assert_eq!(thing.digest.unwrap().as_str(), format!("sha256:{hex}"));
        assert_eq!(thing.platform.as_deref(), Some("linux/amd64"));
        assert_eq!(image(&format!("pkg:docker/a/b@sha256:{hex}")).unwrap().digest.unwrap().as_str().len(), 71);
        assert!(image("pkg:oci/a@sha256:abcd").is_err());
        for text in ["pkg:docker/a@1.2", "pkg:docker/a@1:2", "pkg:golang/@?type=module", "", "a", "pkg:oci/a"] {
            assert_eq!(image(text).unwrap(), Thing::default(), "{text}");
        }
    }
}
