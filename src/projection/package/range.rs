//! Which versions are asked about: `2.31.0`, `<2.31.1`, `>=1.0,<2`, `^1.2`, `~1.2.3`, `1.x`, `<1.5||>=2,<2.1`.
//!
//! Ranges are about order alone, by the rules of each package's system. A version before a release counts where its
//! place in the order is: `2.0.0-rc.1` is in `<2.0.0`.

use std::cmp::Ordering;
use std::str::FromStr;

use super::version::Scheme;

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// One of these holds; each is a list of which all hold.
    alternatives: Vec<Vec<Bound>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bound {
    Compare(Comparison, String),
    /// It begins with these numbers.
    Under(Vec<u64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl FromStr for Range {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let alternatives = text.split("||").map(|all| {
            let bounds = all.split([',', ' ']).map(str::trim).filter(|bound| !bound.is_empty());
            let bounds: Vec<Bound> =
                joined(bounds).iter().map(|bound| parse(bound)).collect::<Result<Vec<_>, _>>()?.concat();
            if bounds.is_empty() { Err(format!("{text:?} is no range of versions")) } else { Ok(bounds) }
        });
        Ok(Self { alternatives: alternatives.collect::<Result<_, _>>()? })
    }
}

/// Puts a sign that stands by itself together with the version behind it.
fn joined<'a>(bounds: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = String::new();
    for bound in bounds {
        if bound.trim_matches(['<', '>', '=', '!', '^', '~']).is_empty() {
            open.push_str(bound);
        } else {
            all.push(std::mem::take(&mut open) + bound);
        }
    }
    all.extend(Some(open).filter(|open| !open.is_empty()));
    all
}

fn parse(bound: &str) -> Result<Vec<Bound>, String> {
    const SIGNS: &[(&str, Comparison)] = &[
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("!=", Comparison::Unequal),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("=", Comparison::Equal),
    ];
    let wrong = || format!("{bound:?} is no bound of versions: give <, <=, >, >=, =, !=, ^, ~ and a version");
    // Also what looks like a range of another kind, `1.0 - 2.0` or `[1.0,2.0)`, must not be taken for a version.
    let is_version = |version: &str| {
        version.contains(|c: char| c.is_alphanumeric()) && !version.contains(['[', ']', '(', ')', '<', '>', '='])
    };
    let filled = |version: &str| if is_version(version) { Ok(version.to_owned()) } else { Err(wrong()) };
    if bound == "*" {
        return Ok(vec![Bound::Under(Vec::new())]);
    }
    for (sign, how) in [("^", 0), ("~=", 1), ("~", 2)] {
        let Some(version) = bound.strip_prefix(sign) else { continue };
        let numbers = leading(version).ok_or_else(wrong)?;
        let kept = match how {
            // Up to the first number that is not 0.
            0 => numbers.iter().position(|number| *number != 0).map_or(numbers.len(), |at| at + 1),
            // All but the last.
            1 if numbers.len() > 1 => numbers.len() - 1,
            1 => return Err(wrong()),
            _ => numbers.len().min(2),
        };
        let under = numbers.into_iter().take(kept).collect();
        return Ok(vec![Bound::Compare(Comparison::GreaterOrEqual, filled(version)?), Bound::Under(under)]);
    }
    let sign = SIGNS.iter().find(|(sign, _)| bound.starts_with(sign));
    let version = sign.map_or(bound, |(sign, _)| bound.get(sign.len()..).unwrap_or_default());
    let comparison = sign.map_or(Comparison::Equal, |(_, comparison)| *comparison);
    let open = version.strip_suffix(".x").or_else(|| version.strip_suffix(".X")).or_else(|| version.strip_suffix(".*"));
    match open {
        Some(under) if comparison == Comparison::Equal => {
            let under = under.trim_end_matches(".x").trim_end_matches(".*");
            Ok(vec![Bound::Under(leading(under).ok_or_else(wrong)?)])
        }
        Some(_) => Err(wrong()),
        None => Ok(vec![Bound::Compare(comparison, filled(version)?)]),
    }
}

/// The numbers a version begins with; none where it begins with none.
fn leading(version: &str) -> Option<Vec<u64>> {
    let version = version.trim();
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let version =
        version.split_once(':').filter(|(epoch, _)| epoch.parse::<u64>().is_ok()).map_or(version, |(_, rest)| rest);
    let mut numbers = Vec::new();
    for part in version.split('.') {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let Ok(number) = part.get(..end).unwrap_or_default().parse() else { break };
        numbers.push(number);
        if end < part.len() {
            break;
        }
    }
    (!numbers.is_empty()).then_some(numbers)
}

impl Range {
    /// Whether a version is in it; none where that cannot be told, because the version or a bound does not follow the
    /// rules of the package system.
    pub(super) fn contains(&self, kind: &str, version: &str) -> Option<bool> {
        let scheme = Scheme::of(kind);
        let mut unclear = false;
        for bounds in &self.alternatives {
            let mut all = Some(true);
            for bound in bounds {
                match bound.holds(scheme, version) {
                    Some(true) => {}
                    Some(false) => {
                        all = Some(false);
                        break;
                    }
                    None => all = None,
                }
            }
            match all {
                Some(true) => return Some(true),
                Some(false) => {}
                None => unclear = true,
            }
        }
        (!unclear).then_some(false)
    }
}

impl Bound {
    fn holds(&self, scheme: Scheme, version: &str) -> Option<bool> {
        match self {
            Self::Under(numbers) if numbers.is_empty() => Some(true),
            Self::Under(numbers) => {
                let mut begins = leading(version)?;
                // What is not there is 0: `1` is `1.0`.
                begins.resize(begins.len().max(numbers.len()), 0);
                Some(begins.starts_with(numbers))
            }
            Self::Compare(comparison, bound) => {
                // The same text is the same version, whatever the rules.
                let same = version == bound;
                let ordering = if same { Some(Ordering::Equal) } else { scheme.compare(version, bound) };
                // What cannot be compared and is written otherwise is only known not to be the same text.
                let ordering = ordering.filter(|_| !version.is_empty())?;
                Some(match comparison {
                    Comparison::Equal => ordering == Ordering::Equal,
                    Comparison::Unequal => ordering != Ordering::Equal,
                    Comparison::Less => ordering == Ordering::Less,
                    Comparison::LessOrEqual => ordering != Ordering::Greater,
                    Comparison::Greater => ordering == Ordering::Greater,
                    Comparison::GreaterOrEqual => ordering != Ordering::Less,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_they_say() {
        for (range, kind, inside, outside) in [
            ("2.31.0", "pypi", &["2.31.0", "2.31"][..], &["2.31.1", "2.31.0rc1"][..]),
            ("<2.31.1", "pypi", &["2.31.0", "2.31.1rc1", "0.1"], &["2.31.1", "2.32"]),
            (">=1.0,<2", "npm", &["1.0.0", "1.99.0", "2.0.0-rc.1"], &["0.9.9", "2.0.0"]),
            (">= 1.0 < 2", "npm", &["1.5.0"], &["2.1.0"]),
            ("^1.2", "cargo", &["1.2.0", "1.9.9"], &["1.1.9", "2.0.0"]),
            ("^0.2.3", "cargo", &["0.2.3", "0.2.9"], &["0.3.0", "0.2.2"]),
            ("~1.2.3", "npm", &["1.2.3", "1.2.9"], &["1.3.0"]),
            ("~=1.4.2", "pypi", &["1.4.2", "1.4.9"], &["1.5"]),
            ("1.x", "npm", &["1.0.0", "1.9.9"], &["2.0.0", "11.0.0"]),
            ("1.2.*", "maven", &["1.2", "1.2.9.RELEASE"], &["1.20"]),
            ("<1.5||>=2,<2.1", "cargo", &["1.4.0", "2.0.5"], &["1.5.0", "2.1.0"]),
            ("!=1.0", "cargo", &["1.0.1"], &["1.0.0"]),
            ("<3.0.11-1~deb12u2", "deb", &["3.0.11-1~deb12u1"], &["3.0.11-1~deb12u2", "1:1.0-1"]),
            ("*", "generic", &["anything", ""], &[]),
        ] {
            let parsed: Range = range.parse().unwrap();
            for version in inside {
                assert_eq!(parsed.contains(kind, version), Some(true), "{version} in {range}");
            }
            for version in outside {
                assert_eq!(parsed.contains(kind, version), Some(false), "{version} not in {range}");
            }
        }
    }

    #[test]
    fn what_cannot_be_compared_is_neither_in_nor_out() {
        let range: Range = "<2".parse().unwrap();
        assert_eq!(range.contains("npm", "latest"), None);
        assert_eq!(range.contains("npm", ""), None);
        assert_eq!("latest".parse::<Range>().unwrap().contains("npm", "latest"), Some(true));
        for text in ["", "<", "^", "^x", ",", "1||", "~=1", "<1.x", "1.0 - 2.0", "[1.0,2.0)", "=>1"] {
            assert!(text.parse::<Range>().is_err(), "{text:?}");
        }
    }
}
