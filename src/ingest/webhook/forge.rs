//! What forges have in common: references, commits, people and keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::{Delivery, Events, Rejection};
use crate::event::git::CommitRecorded;
use crate::event::{Dedup, Draft, GitOid, PRIVATE_MAX, Private, StreamName, Subject, Timestamp};
use crate::ingest::Reason;
use crate::ingest::git::{RepositoryName, name_of};
use crate::report::value;

/// Most bytes of a name that a forge tells. Theirs are shorter; a leaf must hold several.
const NAME_BYTES_MAX: usize = 512;

/// Most bytes of a URL: more than browsers and servers agree on is nobody's.
const URL_BYTES_MAX: usize = 2048;

/// Most labels of a change that are kept, so that the whole fits into a leaf.
const LABELS_MAX: usize = 50;

/// Most bytes of a label: GitHub allows 50 characters, GitLab 255 bytes.
const LABEL_BYTES_MAX: usize = 255;

/// Reads a field that nothing rests on: one of another type than it should have is as good as none.
pub(super) fn soft<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// A text with something in it.
pub(super) fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A URL of theirs; one that is too long for a leaf is left out, as half of it leads nowhere.
pub(super) fn link(text: Option<&str>) -> Option<String> {
    filled(text).filter(|url| url.len() <= URL_BYTES_MAX).map(str::to_owned)
}

/// A name of theirs that may stand in a leaf.
pub(super) fn plain(text: Option<&str>) -> Option<String> {
    filled(text).map(name)
}

/// A name that may stand in a leaf.
pub(super) fn name(text: &str) -> String {
    value::cut(text, NAME_BYTES_MAX)
}

/// Free text as it came, which is kept beside the log.
pub(super) fn private(text: Option<&str>) -> Option<Private> {
    let text = text.filter(|text| !text.trim().is_empty())?;
    Some(Private::plain(value::cut(text, PRIVATE_MAX)))
}

/// The names of labels.
pub(super) fn labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.filter(|name| !name.is_empty()).take(LABELS_MAX).map(|name| value::cut(name, LABEL_BYTES_MAX)).collect()
}

/// A time that may be absent.
///
/// # Errors
/// [`Reason::BadTime`] for one that is there and says no instant; [`Reason::FutureTime`], as seen at `now`.
pub(super) fn time(now: Timestamp, field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Rejection> {
    let at = text.map_or(Ok(None), |text| value::time(field, text))?;
    at.map_or(Ok(()), |at| value::not_ahead(field, at, now))?;
    Ok(at)
}

/// A time that must be there.
///
/// # Errors
/// [`Reason::MissingField`], and as [`time`].
pub(super) fn need_time(now: Timestamp, field: &str, text: Option<&str>) -> Result<Timestamp, Rejection> {
    time(now, field, text)?.ok_or_else(|| Rejection::missing(field))
}

/// An object id, where forty or more zeros stand for nothing.
///
/// # Errors
/// [`Reason::BadDigest`].
pub(super) fn oid(field: &str, text: &str) -> Result<Option<GitOid>, Rejection> {
    let nothing = text.len() >= 40 && text.bytes().all(|byte| byte == b'0');
    if nothing { Ok(None) } else { value::git_oid(field, text).map(Some) }
}

/// A key made of the forge's own numbers. They count within one instance, and several may send to one hook: so that of an
/// instance of one's own has its host's hash.
///
/// # Errors
/// [`Reason::BadField`] for what cannot be a key.
pub(super) fn key(repository: &StreamName, numbers: &str) -> Result<Dedup, Rejection> {
    let host = repository.as_str().split('/').nth(1).unwrap_or_default();
    if matches!(host, "github.com" | "gitlab.com") {
        return Ok(numbers.parse()?);
    }
    let host = blake3::hash(host.as_bytes()).to_hex();
    Ok(format!("{numbers} ~{}", host.get(..8).unwrap_or_default()).parse()?)
}

/// The name of the repository at a URL: the same that reading the repository from there gives.
///
/// # Errors
/// [`Reason::BadField`] for what is no URL of a host.
pub(super) fn repository(field: &str, url: &str) -> Result<RepositoryName, Rejection> {
    let wrong = || Rejection::new(Reason::BadField, "this is no URL of a repository").at(field);
    // What is no URL would be looked for on this machine.
    let scp = url.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    if url.starts_with("file:") || !(url.contains("://") || scp) {
        return Err(wrong());
    }
    name_of(url, None).ok().filter(|name| !name.stream.as_str().starts_with("repo/local/")).ok_or_else(wrong)
}

/// What a full name of a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A branch, without `refs/heads/`.
    Branch(String),
    /// A tag, without `refs/tags/`.
    Tag(String),
    /// Anything else.
    Other,
}

impl Reference {
    /// From the full name.
    pub(super) fn of(full: &str) -> Self {
        match (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/")) {
            (Some(branch), _) if !branch.is_empty() => Self::Branch(name(branch)),
            (_, Some(tag)) if !tag.is_empty() => Self::Tag(name(tag)),
            _ => Self::Other,
        }
    }
}

/// The change that a change undoes, by what the forge itself writes into its text: `Reverts owner/name#12`.
pub(super) fn reverted_change(text: Option<&str>, phrase: &str) -> Option<String> {
    let rest = text?.trim_start().strip_prefix(phrase)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).filter(|number| !number.is_empty() && number.len() < 20).map(str::to_owned)
}

/// Who wrote or made a commit, as git has it.
#[derive(Deserialize)]
pub(super) struct Signature {
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    email: Option<String>,
}

impl Signature {
    /// `Name <e-mail>`, as reading the repository gives it.
    fn identity(&self) -> Subject {
        let (name, email) = (self.name.as_deref().unwrap_or_default(), self.email.as_deref().unwrap_or_default());
        Subject::identity(value::cut(&format!("{name} <{email}>"), 1024))
    }
}

/// A commit as a push tells it: GitHub's form, which GitLab has taken over without tree and committer.
#[derive(Deserialize)]
pub(super) struct PushedCommit {
    id: String,
    #[serde(default, deserialize_with = "soft")]
    tree_id: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    message: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    url: Option<String>,
    /// Null where nobody knows.
    #[serde(default)]
    author: Option<Signature>,
    #[serde(default, deserialize_with = "soft")]
    committer: Option<Signature>,
}

/// Where commits came to be known, and when.
pub(super) struct Push<'a> {
    /// What told of them.
    pub(super) delivery: &'a Delivery<'a>,
    /// The repository's stream.
    pub(super) stream: &'a StreamName,
    /// The repository's number at the forge.
    pub(super) repository_id: Option<u64>,
    /// When they were pushed.
    pub(super) pushed_at: Timestamp,
}

impl Push<'_> {
    /// A commit's id, and its event where its author is told. It is told again and again (by every branch it comes to), so its key is its own id; the
    /// repository's number keeps a fork's apart.
    ///
    /// `timestamp` is taken for when the commit was made, not for when the change was written: GitLab's code sends the
    /// committer's date, and GitHub, whose form it is, promises neither but is used for that one. When the change was
    /// written is left open for who reads the repository. A `Z` may stand for any offset; a written one is believed.
    ///
    /// # Errors
    /// [`Reason::BadDigest`] for an id that is none.
    pub(super) fn commit(&self, commit: &PushedCommit) -> Result<(GitOid, Option<Draft>), Rejection> {
        let id = value::git_oid("id", &commit.id)?;
        let Some(author) = commit.author.as_ref().map(Signature::identity) else { return Ok((id, None)) };
        let committed_at = commit.timestamp.as_deref().and_then(value::zoned_time);
        let offset = commit.timestamp.as_deref().and_then(offset_minutes);
        let message = commit.message.as_deref();
        let data = CommitRecorded {
            author: author.clone(),
            author_offset_minutes: None,
            authored_at: None,
            cherry_picked_from: message.and_then(|text| mentioned(text, "(cherry picked from commit ")),
            commit: id.clone(),
            committed_at,
            committer: commit.committer.as_ref().map(Signature::identity),
            committer_offset_minutes: offset.filter(|_| committed_at.is_some()),
            message: private(message),
            parents: None,
            reverts: message.and_then(|text| mentioned(text, "This reverts commit ")),
            signature: None,
            times_clamped: None,
            tree: commit.tree_id.as_deref().and_then(|tree| tree.parse().ok()),
            url: link(commit.url.as_deref()),
        };
        // Somebody's clock may be ahead by years; that must not keep the push out.
        let limit = self.delivery.received_at.micros().saturating_add(value::AHEAD_MAX_MICROS);
        let occurred_at = committed_at.filter(|at| at.micros() <= limit).unwrap_or(self.pushed_at);
        let dedup = match self.repository_id {
            Some(repository) => key(self.stream, &format!("commit:{repository}:{id}"))?,
            None => key(self.stream, &format!("commit:{id}"))?,
        };
        let mut draft = self.delivery.draft_as(data, self.stream.clone(), dedup, occurred_at)?;
        draft.actor = Some(author);
        Ok((id, Some(draft)))
    }

    /// The events of commits, in their order, each once; one whose author is not told is passed over. `field` is the list.
    ///
    /// # Errors
    /// As [`Push::commit`], naming the entry.
    pub(super) fn commits(&self, field: &str, commits: &[PushedCommit]) -> Result<Events, Rejection> {
        let mut events = Events::default();
        let mut seen = std::collections::HashSet::new();
        for (n, commit) in commits.iter().enumerate() {
            let (id, draft) = self.commit(commit).map_err(|rejection| rejection.at(format!("{field}[{n}]")))?;
            match draft {
                Some(draft) if seen.insert(draft.dedup.clone()) => events.drafts.push(draft),
                Some(_) => {}
                None => events.passed_over.push(format!("commit {id} without an author")),
            }
        }
        Ok(events)
    }
}

/// The commit that a message names right after `phrase`, which git itself writes.
fn mentioned(message: &str, phrase: &str) -> Option<GitOid> {
    let (_, rest) = message.split_once(phrase)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// The offset that a time ends in, as `+05:30` does.
fn offset_minutes(text: &str) -> Option<i32> {
    let tail = text.get(text.len().checked_sub(6)?..)?;
    let (hours, minutes) = tail.get(1..)?.split_once(':')?;
    let minutes = hours.parse::<i32>().ok()?.checked_mul(60)?.checked_add(minutes.parse().ok()?)?;
    match tail.as_bytes().first()? {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_where_they_are_written() {
        for (text, minutes) in [
            ("2015-05-05T19:40:15-04:00", Some(-240)),
            ("2026-03-04T12:00:00+05:30", Some(330)),
            ("2019-05-15T15:19:25Z", None),
            ("", None),
        ] {
            assert_eq!(offset_minutes(text), minutes, "{text}");
        }
    }

    #[test]
    fn a_repository_is_a_url_of_a_host_and_never_a_path() {
        let stream = |url| repository("u", url).map(|name| name.stream.to_string());
        assert_eq!(stream("https://ghe.example.com/A/b.git").unwrap(), "repo/ghe.example.com/A/b");
        assert_eq!(stream("http://10.1.2.3:3000/a/b/c.git").unwrap(), "repo/10.1.2.3/a/b/c");
        assert_eq!(stream("git@example.com:a/b.git").unwrap(), "repo/example.com/a/b");
        for url in ["", "/etc", ".", "file:///etc", "https://", "https://host", "C:\\a"] {
            assert_eq!(stream(url).unwrap_err().field.as_deref(), Some("u"), "{url}");
        }
    }

    #[test]
    fn the_numbers_of_two_instances_are_two_keys() {
        let at = |stream: &str| key(&stream.parse().unwrap(), "pipeline:31 started").unwrap().to_string();
        assert_eq!(at("repo/gitlab.com/a/b"), "pipeline:31 started");
        let (one, two) = (at("repo/git.example.com/a/b"), at("repo/10.1.2.3/a/b"));
        assert!(one != two && !one.contains("example") && one.len() == "pipeline:31 started ~01234567".len());
    }

    #[test]
    fn what_a_change_undoes_is_read_from_the_forges_own_words() {
        assert_eq!(reverted_change(Some("Reverts o/n#12\n\nas"), "Reverts o/n#"), Some("12".to_owned()));
        assert_eq!(reverted_change(Some("This does not: Reverts o/n#12"), "Reverts o/n#"), None);
        assert_eq!(reverted_change(Some("Reverts o/n#x"), "Reverts o/n#"), None);
    }
}
