//! Maven's order of versions: its `ComparableVersion`, step by step. What looks odd in it is odd there.

use std::cmp::Ordering;

/// Longest version that is compared: lists in it nest as deep as it has hyphens.
const BYTES_MAX: usize = 256;

/// What a version is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Number(u128),
    Word(Word),
    /// What stands behind a hyphen, or where digits and letters meet.
    List(Vec<Self>),
}

/// A qualifier: those that are known in their order, then all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// `alpha`, `beta`, `milestone`, `rc`, `snapshot`, nothing, `sp`, by number.
    Known(u8),
    Other(String),
}

const RELEASE: Word = Word::Known(5);

impl Word {
    fn of(word: &str, digit_follows: bool) -> Self {
        let word = match word {
            "a" if digit_follows => "alpha",
            "b" if digit_follows => "beta",
            "m" if digit_follows => "milestone",
            word => word,
        };
        Self::Known(match word {
            "alpha" => 0,
            "beta" => 1,
            "milestone" => 2,
            "rc" | "cr" => 3,
            "snapshot" => 4,
            "" | "ga" | "final" | "release" => 5,
            "sp" => 6,
            _ => return Self::Other(word.to_owned()),
        })
    }
}

/// Lists that are being made, the innermost last.
struct Open(Vec<Vec<Item>>);

impl Open {
    fn push(&mut self, item: Item) {
        if let Some(list) = self.0.last_mut() {
            list.push(item);
        }
    }

    fn open(&mut self) {
        self.0.push(Vec::new());
    }

    fn is_empty(&self) -> bool {
        self.0.last().is_none_or(Vec::is_empty)
    }

    /// Puts every list into the one around it, without what says nothing at its end.
    fn close(mut self) -> Vec<Item> {
        let mut inner = None;
        while let Some(mut list) = self.0.pop() {
            list.extend(inner.take().map(Item::List));
            trim(&mut list);
            inner = Some(list);
        }
        inner.unwrap_or_default()
    }
}

/// Leaves out what says nothing, from the end on, passing over lists, up to something else.
fn trim(list: &mut Vec<Item>) {
    for n in (0..list.len()).rev() {
        match list.get(n) {
            Some(item) if item.is_nothing() => drop(list.remove(n)),
            Some(Item::List(_)) => {}
            _ => break,
        }
    }
}

impl Item {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Word(word) => *word == RELEASE,
            Self::List(list) => list.is_empty(),
        }
    }

    fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => Self::Number(u128::MAX),
            Err(_) => Self::Word(Word::of(text, false)),
        }
    }

    /// Against something, or against nothing.
    fn compare(&self, other: Option<&Self>) -> Ordering {
        match (self, other) {
            (Self::Number(number), None) => number.cmp(&0),
            (Self::Number(one), Some(Self::Number(other))) => one.cmp(other),
            (Self::Number(_), Some(_)) => Ordering::Greater,
            (Self::Word(word), None) => word.cmp(&RELEASE),
            (Self::Word(one), Some(Self::Word(other))) => one.cmp(other),
            (Self::Word(_), Some(_)) => Ordering::Less,
            (Self::List(list), None) => {
                list.iter().map(|item| item.compare(None)).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            }
            (Self::List(_), Some(Self::Number(_))) => Ordering::Less,
            (Self::List(_), Some(Self::Word(_))) => Ordering::Greater,
            (Self::List(one), Some(Self::List(other))) => lists(one, other),
        }
    }
}

fn lists(one: &[Item], other: &[Item]) -> Ordering {
    let at = |n: usize| match (one.get(n), other.get(n)) {
        (Some(left), right) => left.compare(right),
        (None, Some(right)) => right.compare(None).reverse(),
        (None, None) => Ordering::Equal,
    };
    (0..one.len().max(other.len())).map(at).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

/// Which of two versions is the later one; none where one of them is too long.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let fits = |text: &str| text.len() <= BYTES_MAX;
    (fits(one) && fits(other)).then(|| lists(&parse(one), &parse(other)))
}

fn parse(text: &str) -> Vec<Item> {
    let text = text.trim().to_ascii_lowercase();
    let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let mut open = Open(vec![Vec::new()]);
    let (mut start, mut digits) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '.' | '-' | '_' => {
                open.push(if at == start { Item::Number(0) } else { Item::parse(piece(start, at)) });
                start = at + c.len_utf8();
                if c != '.' {
                    open.open();
                }
            }
            c if c.is_ascii_digit() => {
                if !digits && at > start {
                    // `1.x1` is `1-x1`.
                    if !open.is_empty() {
                        open.open();
                    }
                    open.push(Item::Word(Word::of(piece(start, at), true)));
                    start = at;
                    open.open();
                }
                digits = true;
            }
            _ => {
                if digits && at > start {
                    open.push(Item::parse(piece(start, at)));
                    start = at;
                    open.open();
                }
                digits = false;
            }
        }
    }
    if start < text.len() {
        if !digits && !open.is_empty() {
            open.open();
        }
        open.push(Item::parse(piece(start, text.len())));
    }
    open.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Maven itself says of them.
    #[test]
    fn what_is_odd_in_mavens_order_is_odd_here() {
        for (one, ordering, other) in [
            ("0.sp.1a", Ordering::Greater, "0-20230101.beta"),
            ("0.beta-SNAPSHOT.milestone", Ordering::Greater, "0.beta-SNAPSHOT.milestone-ga"),
            ("3.release.cr.alpha", Ordering::Greater, "3.release.cr.alpha.1"),
            ("1.a1.b", Ordering::Greater, "1.a1.b-x"),
            ("0.b", Ordering::Less, "0.b.ga"),
            ("0.RELEASE-1", Ordering::Less, "0.sp.1-SNAPSHOT.10"),
            ("1-SNAPSHOT.10-alpha", Ordering::Greater, "1.jre.milestone-alpha.0"),
            ("2.0.RC1", Ordering::Equal, "2-rc-1"),
        ] {
            assert_eq!(compare(one, other), Some(ordering), "{one} and {other}");
            assert_eq!(compare(other, one), Some(ordering.reverse()), "{other} and {one}");
        }
        assert_eq!(compare(&"1-".repeat(200), "1"), None);
    }
}
