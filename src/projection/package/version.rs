//! Which of two versions is the later one, by the rules of their package system.
//!
//! | package URLs of type | rules |
//! |---|---|
//! | `cargo`, `npm`, `golang`, `nuget`, `hex`, `pub`, `swift`, `composer`, `conan`, `github` | Semantic Versioning 2, missing parts being 0 |
//! | `pypi` | PEP 440 |
//! | `maven` | Maven's `ComparableVersion` |
//! | `deb` | Debian policy, as `dpkg` |
//! | `rpm` | `rpmvercmp`, as `rpm` |
//! | `apk` | Alpine's, as `apk` |
//! | `gem` | RubyGems' `Gem::Version` |
//! | others | numbers between dots; anything else cannot be compared |

use std::cmp::Ordering;
use std::str::FromStr;

use super::maven;

/// How versions of one package system compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Semver,
    Pep440,
    Maven,
    Deb,
    Rpm,
    Apk,
    Gem,
    Dotted,
}

impl Scheme {
    /// Of the type of a package URL.
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "cargo" | "npm" | "golang" | "nuget" | "hex" | "pub" | "swift" | "composer" | "conan" | "github" => {
                Self::Semver
            }
            "pypi" => Self::Pep440,
            "maven" => Self::Maven,
            "deb" => Self::Deb,
            "rpm" => Self::Rpm,
            "apk" => Self::Apk,
            "gem" => Self::Gem,
            _ => Self::Dotted,
        }
    }

    /// Compares two versions; none where one of them does not follow the rules.
    pub(super) fn compare(self, one: &str, other: &str) -> Option<Ordering> {
        match self {
            Self::Semver => Some(semantic(one)?.cmp(&semantic(other)?)),
            Self::Pep440 => {
                let parse = |text: &str| pep440_rs::Version::from_str(text.trim()).ok();
                Some(parse(one)?.cmp(&parse(other)?))
            }
            Self::Maven => maven::compare(one, other),
            Self::Deb => debian(one, other),
            Self::Rpm => Some(rpm(one, other)),
            Self::Apk => Some(apk(one)?.cmp(&apk(other)?)),
            Self::Gem => Some(gem(one)?.cmp(&gem(other)?)),
            Self::Dotted => Some(dotted(one)?.cmp(&dotted(other)?)),
        }
    }
}

/// A semantic version whose missing parts are 0, without build metadata, and a fourth number as `NuGet` has it.
fn semantic(text: &str) -> Option<(semver::Version, u64)> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V', '=']).unwrap_or(text);
    let text = text.split('+').next().unwrap_or(text);
    let (core, before) = text.split_once('-').map_or((text, None), |(core, before)| (core, Some(before)));
    let numbers: Vec<u64> = core.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    if numbers.is_empty() || numbers.len() > 4 {
        return None;
    }
    let number = |n: usize| numbers.get(n).copied().unwrap_or(0);
    let mut version = semver::Version::new(number(0), number(1), number(2));
    if let Some(before) = before {
        version.pre = semver::Prerelease::new(before).ok()?;
    }
    Some((version, number(3)))
}

/// Numbers between dots, without zeros at the end: `1.0` is `1`.
fn dotted(text: &str) -> Option<Vec<u64>> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let mut numbers: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

/// A run of digits or of other characters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Number(u128),
    Word(String),
}

/// Cuts a text where digits begin and end.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(if digits {
            Piece::Number(piece.parse().unwrap_or(u128::MAX))
        } else {
            Piece::Word(piece.to_owned())
        });
        rest = after;
    }
    pieces
}

/// Epoch, upstream version and revision of a Debian version, each compared as policy says.
fn debian(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (debian_parts(one.trim())?, debian_parts(other.trim())?);
    let ordering = one.0.cmp(&other.0);
    Some(ordering.then_with(|| debian_part(one.1, other.1)).then_with(|| debian_part(one.2, other.2)))
}

fn debian_parts(text: &str) -> Option<(u64, &str, &str)> {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().ok()?, rest),
        None => (0, text),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let fine = upstream.starts_with(|c: char| c.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:_".contains(&byte));
    fine.then_some((epoch, upstream, revision))
}

fn debian_part(one: &str, other: &str) -> Ordering {
    // A tilde sorts before the end, letters before everything else.
    let weight = |byte: Option<&u8>| match byte {
        None => 0_i32,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while !one.is_empty() || !other.is_empty() {
        loop {
            let digit = |bytes: &[u8]| bytes.first().is_none_or(u8::is_ascii_digit);
            if digit(one) && digit(other) {
                break;
            }
            let ordering = weight(one.first()).cmp(&weight(other.first()));
            if ordering != Ordering::Equal {
                return ordering;
            }
            (one, other) = (one.get(1..).unwrap_or_default(), other.get(1..).unwrap_or_default());
        }
        let (left, right) = (number(&mut one), number(&mut other));
        if left != right {
            return left.cmp(&right);
        }
    }
    Ordering::Equal
}

/// Takes the number at the beginning; 0 where there is none.
fn number(bytes: &mut &[u8]) -> u128 {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    *bytes = rest;
    digits.iter().fold(0_u128, |sum, digit| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0')))
}

/// Epoch, version and release of an RPM package. A release is compared where both have one.
fn rpm(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| -> (u64, String, String) {
        let (epoch, rest) = text.trim().split_once(':').unwrap_or(("0", text.trim()));
        let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), version.to_owned(), release.to_owned())
    };
    let (one, other) = (parts(one), parts(other));
    let released = || {
        if one.2.is_empty() || other.2.is_empty() { Ordering::Equal } else { rpm_part(&one.2, &other.2) }
    };
    one.0.cmp(&other.0).then_with(|| rpm_part(&one.1, &other.1)).then_with(released)
}

/// `rpmvercmp`: runs of digits or letters, a tilde before everything, a caret behind the end.
fn rpm_part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        let skipped = |bytes: &[u8]| {
            bytes
                .iter()
                .position(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'))
                .unwrap_or(bytes.len())
        };
        one = one.get(skipped(one)..).unwrap_or_default();
        other = other.get(skipped(other)..).unwrap_or_default();
        let (left, right) = (one.first().copied(), other.first().copied());
        match (left, right) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (one, other) = (one.get(1..).unwrap_or_default(), other.get(1..).unwrap_or_default());
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) if left.is_ascii_digit() != right.is_ascii_digit() => {
                // Numbers are later than letters.
                return if left.is_ascii_digit() { Ordering::Greater } else { Ordering::Less };
            }
            (Some(left), Some(_)) if left.is_ascii_digit() => {
                let (left, right) = (number(&mut one), number(&mut other));
                if left != right {
                    return left.cmp(&right);
                }
            }
            _ => {
                let word =
                    |bytes: &[u8]| bytes.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(bytes.len());
                let ((left, after), (right, behind)) = (one.split_at(word(one)), other.split_at(word(other)));
                if left != right {
                    return left.cmp(right);
                }
                (one, other) = (after, behind);
            }
        }
    }
}

/// What an Alpine version is compared by: numbers, letter, suffixes by rank, revision.
type Apk = (Vec<u64>, Option<u8>, Vec<(i8, u64)>, u64);

fn apk(text: &str) -> Option<Apk> {
    let text = text.trim();
    let (text, revision) = match text.rsplit_once("-r") {
        Some((text, revision)) => (text, revision.parse().ok()?),
        None => (text, 0),
    };
    // A commit behind a tilde says nothing of order.
    let text = text.split('~').next().unwrap_or(text);
    let mut parts = text.split('_');
    let core = parts.next().unwrap_or_default();
    let letter = core.bytes().last().filter(u8::is_ascii_lowercase);
    let core = if letter.is_some() { core.get(..core.len() - 1)? } else { core };
    let numbers = core.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let mut suffixes = Vec::new();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
        let (word, number) = part.split_at(end);
        let rank = match word {
            "alpha" => -4,
            "beta" => -3,
            "pre" => -2,
            "rc" => -1,
            "cvs" => 1,
            "svn" => 2,
            "git" => 3,
            "hg" => 4,
            "p" => 5,
            _ => return None,
        };
        suffixes.push((rank, if number.is_empty() { 0 } else { number.parse().ok()? }));
    }
    // No suffix is more than one before a release, and less than one behind it.
    suffixes.push((0, 0));
    Some((numbers, letter, suffixes, revision))
}

/// A segment of a `RubyGems` version: words are before a release, numbers count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum GemItem {
    Word(String),
    Number(u128),
}

#[derive(Debug, PartialEq, Eq)]
struct Gem(Vec<GemItem>);

fn gem(text: &str) -> Option<Gem> {
    let text = text.trim().replace('-', ".pre.");
    let fine = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if !fine {
        return None;
    }
    let mut items: Vec<_> = text
        .split('.')
        .flat_map(pieces)
        .map(|piece| match piece {
            Piece::Number(number) => GemItem::Number(number),
            Piece::Word(word) => GemItem::Word(word),
        })
        .collect();
    while items.len() > 1 && items.last() == Some(&GemItem::Number(0)) {
        items.pop();
    }
    Some(Gem(items))
}

impl Ord for Gem {
    fn cmp(&self, other: &Self) -> Ordering {
        let none = GemItem::Number(0);
        for n in 0..self.0.len().max(other.0.len()) {
            let ordering = self.0.get(n).unwrap_or(&none).cmp(other.0.get(n).unwrap_or(&none));
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

impl PartialOrd for Gem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each list ascends; versions on one line are equal.
    #[test]
    fn every_package_system_orders_versions_by_its_own_rules() {
        for (kind, ascending) in [
            (
                "cargo",
                &["0.9", "1.0.0-alpha|1.0.0-alpha+7", "1.0.0-alpha.1", "1.0.0-rc.1", "1|v1.0.0|1.0", "1.0.1", "1.10"][..],
            ),
            ("golang", &["v0.0.0-20190101000000-abcdefabcdef", "v0.0.0-20200101000000-abcdefabcdef", "v0.1.0"]),
            ("nuget", &["4.3.0", "4.3.0.1", "4.3.1"]),
            (
                "pypi",
                &["1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0|1.0.0", "1.0+local", "1.0.post1", "2.31.0", "1!0.1"],
            ),
            (
                "maven",
                &[
                    "1-alpha-1|1-a1",
                    "1-beta",
                    "1-milestone|1-milestone-0",
                    "1-rc|1-cr",
                    "1-SNAPSHOT",
                    "1|1.0|1-ga|1.0.0-final",
                    "1-sp",
                    "1-xyz",
                    "1-1",
                    "1.1",
                    "2.0.RC1",
                    "2.0",
                    "5.3.9.RELEASE|5.3.9",
                    "5.3.18",
                    "31.1-jre",
                ],
            ),
            (
                "deb",
                &[
                    "1.0~rc1-1",
                    "1.0-1",
                    "1.0-1+b1",
                    "1.0-1+deb11u2",
                    "1.0-2",
                    "1.0a-1",
                    "1.0+dfsg-1",
                    "1.10-1",
                    "1:0.9-1",
                ],
            ),
            ("rpm", &["1.0~rc1-1", "1.0-1.el8", "1.0-2.el8", "1.0^git1-1", "1.0a-1", "1.0.1-1", "1.10-1", "2:0.1-1"]),
            (
                "apk",
                &["1.2_alpha1-r0", "1.2_rc1-r0", "1.2-r0", "1.2-r1", "1.2_p1-r0", "1.2a-r0", "1.2.1-r0", "1.10-r0"],
            ),
            ("gem", &["1.0.a", "1.0.b1", "1.0|1|1.0.0", "1.0.1", "1.10"]),
            ("generic", &["1|1.0|v1", "1.0.1", "1.10"]),
        ] {
            let scheme = Scheme::of(kind);
            let versions: Vec<_> =
                ascending.iter().enumerate().flat_map(|(n, line)| line.split('|').map(move |text| (n, text))).collect();
            for (n, one) in &versions {
                for (m, other) in &versions {
                    assert_eq!(scheme.compare(one, other), Some(n.cmp(m)), "{kind}: {one} and {other}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_follow_the_rules_cannot_be_compared() {
        for (kind, version) in [
            ("cargo", "latest"),
            ("npm", "1.2.x"),
            ("pypi", "banana"),
            ("deb", "abc"),
            ("apk", "1.x"),
            ("gem", "one"),
            ("generic", "1.0-beta"),
            ("", ""),
        ] {
            assert_eq!(Scheme::of(kind).compare(version, "1.0"), None, "{kind} {version}");
        }
    }

    proptest::proptest! {
        /// Whatever comes, an order that turned round is the opposite.
        #[test]
        fn comparing_never_fails_and_is_the_same_from_both_sides(one in "[0-9a-z.~^:+_-]{0,12}", other in "[0-9a-z.~^:+_-]{0,12}") {
            for kind in ["cargo", "pypi", "maven", "deb", "rpm", "apk", "gem", "generic"] {
                let scheme = Scheme::of(kind);
                proptest::prop_assert_eq!(scheme.compare(&one, &other), scheme.compare(&other, &one).map(Ordering::reverse), "{}", kind);
            }
        }
    }
}
