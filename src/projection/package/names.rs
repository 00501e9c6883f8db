//! Packages and vulnerabilities, and the numbers that stand for them.

use std::str::FromStr;

use packageurl::PackageUrl;

use crate::report::Component;

/// A number made of a text, and a second one by which two texts of the same number are found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    pub(super) id: i64,
    pub(super) check: u64,
}

impl Number {
    /// Of texts, by BLAKE3. With a million packages the chance that two share a number is one in ten million.
    fn of(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        let hash = hasher.finalize();
        let bytes = hash.as_bytes();
        let number = |from: usize| {
            let part = bytes.get(from..from + 8).and_then(|part| part.first_chunk::<8>().copied());
            u64::from_be_bytes(part.unwrap_or_default())
        };
        // Never 0, which stands for no package.
        let id = i64::try_from(number(0) >> 1).unwrap_or(i64::MAX).max(1);
        Self { id, check: number(8) }
    }
}

/// A package of one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    /// Type of its package URL; empty for what has none.
    pub kind: String,
    /// Namespace of its package URL, such as the group or the distribution; often empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version; empty where it is not told.
    pub version: String,
}

impl Package {
    /// What a document calls it. A package URL that is none counts as none: they are often a little wrong.
    pub(super) fn of(component: &Component) -> Self {
        let purl = component.purl.as_deref().and_then(|purl| PackageUrl::from_str(purl.trim()).ok());
        let told = component.version.as_deref().unwrap_or_default();
        match purl {
            Some(purl) => {
                let version = purl.version().filter(|version| !version.is_empty()).unwrap_or(told);
                let epoch = purl.qualifiers().get("epoch").filter(|epoch| *epoch != "0");
                let version = match epoch {
                    Some(epoch) if !version.contains(':') => format!("{epoch}:{version}"),
                    _ => version.to_owned(),
                };
                let (kind, namespace) = system(purl.ty(), purl.namespace().unwrap_or_default());
                Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: purl.name().to_owned(), version }
            }
            None => Self {
                kind: String::new(),
                namespace: String::new(),
                name: component.name.clone(),
                version: told.to_owned(),
            },
        }
    }

    /// Its number.
    pub(super) fn number(&self) -> Number {
        Number::of(&["package", &self.kind, &self.namespace, &self.name, &self.version])
    }

    /// Its package URL; where it has none, its name and version.
    #[must_use]
    pub fn purl(&self) -> String {
        let at = |version: &str| if version.is_empty() { String::new() } else { format!("@{version}") };
        if self.kind.is_empty() {
            return format!("{}{}", self.name, at(&self.version));
        }
        let made = PackageUrl::new(self.kind.clone(), self.name.clone()).ok().and_then(|mut purl| {
            if !self.namespace.is_empty() {
                purl.with_namespace(self.namespace.clone()).ok()?;
            }
            if !self.version.is_empty() {
                purl.with_version(self.version.clone()).ok()?;
            }
            Some(purl.to_string())
        });
        made.unwrap_or_else(|| {
            let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
            format!("pkg:{}/{namespace}{}{}", self.kind, self.name, at(&self.version))
        })
    }
}

/// Type and namespace as they are written today: Alpine's packages once had a type of their own.
pub(super) fn system<'a>(kind: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    if kind == "alpine" { ("apk", "alpine") } else { (kind, namespace) }
}

/// The number of a vulnerability by one of its names, whose letters may be of either case.
pub(super) fn vulnerability(name: &str) -> Number {
    Number::of(&["vulnerability", &name.to_ascii_lowercase()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_what_its_package_url_says_and_else_its_name() {
        let of = |purl: Option<&str>, name: &str, version: Option<&str>| {
            let component = Component {
                purl: purl.map(str::to_owned),
                name: name.to_owned(),
                version: version.map(str::to_owned),
                licences: Vec::new(),
            };
            Package::of(&component)
        };
        let parts = |package: &Package| {
            (package.kind.clone(), package.namespace.clone(), package.name.clone(), package.version.clone())
        };
        let own = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
        for (purl, package) in [
            ("pkg:pypi/Requests@2.31.0", own("pypi", "", "requests", "2.31.0")),
            ("pkg:deb/debian/openssl@1%3A1.1.1n-0?arch=amd64", own("deb", "debian", "openssl", "1:1.1.1n-0")),
            ("pkg:rpm/rhel/bind@9.8-1?epoch=32", own("rpm", "rhel", "bind", "32:9.8-1")),
            ("pkg:maven/org.apache/log4j@2.17", own("maven", "org.apache", "log4j", "2.17")),
            ("pkg:alpine/musl@1.2.3-r0?arch=x86_64", own("apk", "alpine", "musl", "1.2.3-r0")),
            ("pkg:npm/%40angular/core", own("npm", "@angular", "core", "7")),
        ] {
            assert_eq!(parts(&of(Some(purl), "x", Some("7"))), package, "{purl}");
        }
        assert_eq!(parts(&of(Some("pkg:"), "x", None)), own("", "", "x", ""));
        assert_eq!(of(Some("pkg:deb/debian/a@1%3A2"), "a", None).purl(), "pkg:deb/debian/a@1:2");
        assert_eq!(of(None, "a", Some("1")).purl(), "a@1");
    }

    #[test]
    fn numbers_tell_texts_apart_and_vulnerabilities_do_not_mind_case() {
        assert_eq!(vulnerability("CVE-2024-1"), vulnerability("cve-2024-1"));
        assert_ne!(vulnerability("CVE-2024-1"), vulnerability("CVE-2024-11"));
        assert_ne!(Number::of(&["a", "bc"]), Number::of(&["ab", "c"]));
    }
}
