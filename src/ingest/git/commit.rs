//! A commit as an event.

use git2::{Commit, Oid, Signature, Time};

use super::Error;
use super::name::RepositoryName;
use crate::event::git::{CommitRecorded, SignatureKind};
use crate::event::{Data, Draft, GitOid, PRIVATE_MAX, Private, Subject, Timestamp};

/// The draft of a commit.
pub(super) fn draft(name: &RepositoryName, commit: &Commit<'_>) -> Result<Draft, Error> {
    let oid = commit.id();
    let what = || format!("commit {oid}");
    let unfit = |source| Error::Event { what: what(), source };
    let latin1 = commit.message_encoding().ok().flatten().is_some_and(is_latin1);
    let (author, committer) = (commit.author(), commit.committer());
    let (authored_at, author_clamped) = instant(author.when());
    let (committed_at, committer_clamped) = instant(committer.when());
    let message = cut(text(commit.message_raw_bytes(), latin1), PRIVATE_MAX);
    let author_identity = identity(&author, latin1);
    let data = CommitRecorded {
        author: Subject::identity(author_identity.clone()),
        author_offset_minutes: Some(author.when().offset_minutes()),
        authored_at: Some(authored_at),
        cherry_picked_from: mentioned(&message, "(cherry picked from commit "),
        commit: git_oid(oid).map_err(unfit)?,
        committed_at: Some(committed_at),
        committer: Some(Subject::identity(identity(&committer, latin1))),
        committer_offset_minutes: Some(committer.when().offset_minutes()),
        parents: Some(commit.parent_ids().map(git_oid).collect::<Result<_, _>>().map_err(unfit)?),
        reverts: mentioned(&message, "This reverts commit "),
        signature: signature_kind(commit.raw_header_bytes()),
        times_clamped: (author_clamped || committer_clamped).then_some(true),
        tree: Some(git_oid(commit.tree_id()).map_err(unfit)?),
        url: None,
        message: (!message.is_empty()).then(|| Private::plain(message)),
    };
    let dedup = format!("commit:{oid}").parse().map_err(unfit)?;
    let data = Data::CommitRecorded(data);
    let mut draft = Draft::new(data, name.stream.clone(), name.source.clone(), dedup, committed_at);
    draft.actor = Some(Subject::identity(author_identity));
    Ok(draft)
}

pub(super) fn git_oid(oid: Oid) -> Result<GitOid, crate::event::Error> {
    oid.to_string().parse()
}

/// A git time as an instant; the second half is true when it had to be drawn into the years that can be written.
pub(super) fn instant(time: Time) -> (Timestamp, bool) {
    let micros = time.seconds().saturating_mul(1_000_000);
    let at = Timestamp::from_micros_clamped(micros);
    (at, at.micros() != micros)
}

/// `Name <e-mail>`, whatever bytes they are made of.
pub(super) fn identity(signature: &Signature<'_>, latin1: bool) -> String {
    let full = format!("{} <{}>", text(signature.name_bytes(), latin1), text(signature.email_bytes(), latin1));
    cut(full, 1024)
}

/// The beginning of a text that is longer than what it becomes may be.
pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

/// Text of a commit: UTF-8, or Latin-1 where it says so, or, in old repositories, Latin-1 that does not say so.
pub(super) fn text(bytes: &[u8], latin1: bool) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !latin1 => text.to_owned(),
        _ if latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn is_latin1(encoding: &str) -> bool {
    let plain = encoding.trim().to_ascii_lowercase().replace(['-', '_'], "");
    matches!(plain.as_str(), "latin1" | "iso88591" | "iso885915" | "cp1252" | "windows1252")
}

/// The commit that a message names right after `phrase`, which git itself writes.
pub(super) fn mentioned(message: &str, phrase: &str) -> Option<GitOid> {
    let (_, rest) = message.split_once(phrase)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// How a commit or tag is signed, by the header or text that carries the signature.
pub(super) fn signature_kind(header: &[u8]) -> Option<SignatureKind> {
    let has = |needle: &[u8]| header.windows(needle.len()).any(|window| window == needle);
    if !has(b"\ngpgsig") && !has(b"-----BEGIN") {
        None
    } else if has(b"-----BEGIN PGP SIGNATURE") {
        Some(SignatureKind::Openpgp)
    } else if has(b"-----BEGIN SSH SIGNATURE") {
        Some(SignatureKind::Ssh)
    } else if has(b"-----BEGIN SIGNED MESSAGE") {
        Some(SignatureKind::X509)
    } else {
        Some(SignatureKind::Other)
    }
}
