//! Branches and tags as events: what is new, moved or gone since the ledger last looked.

use std::collections::HashSet;

use git2::{ObjectType, Oid, Repository};

use super::Error;
use super::commit::{cut, git_oid, identity, instant, signature_kind, text};
use super::known::{Known, RefName, RefState};
use super::name::RepositoryName;
use crate::event::git::{BranchUpdated, ObjectKind, TagCreated, TagDeleted, TagMoved};
use crate::event::{Data, Draft, GitOid, PRIVATE_MAX, Private, Subject, Timestamp};

/// A branch or tag as it is now.
pub(super) struct Ref {
    pub(super) name: RefName,
    /// What it points to: a commit, or for a tag any object.
    pub(super) oid: Oid,
}

/// The name as text, and in hexadecimal where that would lose something.
fn spelled(name: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(name) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(name).into_owned(), Some(hex::encode(name))),
    }
}

/// What a repository's history is reached from.
pub(super) struct Refs {
    /// All local branches, and remote branches of `origin` that have no local namesake.
    pub(super) branches: Vec<Ref>,
    pub(super) tags: Vec<Ref>,
    /// Whatever else reaches commits: remote branches behind a local namesake, and a detached `HEAD`.
    pub(super) others: Vec<Oid>,
}

/// Branches and tags, by name.
pub(super) fn refs(repository: &Repository) -> Result<Refs, git2::Error> {
    let (mut branches, mut remote, mut tags) = (Vec::<Ref>::new(), Vec::<Ref>::new(), Vec::new());
    for reference in repository.references()? {
        let reference = reference?;
        let Some(oid) = reference.target() else { continue };
        let full = reference.name_bytes();
        if let Some(name) = full.strip_prefix(b"refs/heads/") {
            branches.push(Ref { name: name.to_vec(), oid });
        } else if let Some(name) = full.strip_prefix(b"refs/remotes/origin/") {
            remote.push(Ref { name: name.to_vec(), oid });
        } else if let Some(name) = full.strip_prefix(b"refs/tags/") {
            tags.push(Ref { name: name.to_vec(), oid });
        }
    }
    let local: HashSet<_> = branches.iter().map(|branch| branch.name.clone()).collect();
    let mut others = Vec::new();
    for theirs in remote {
        if local.contains(&theirs.name) {
            others.push(theirs.oid);
        } else {
            branches.push(theirs);
        }
    }
    if repository.head_detached()? {
        others.extend(repository.head()?.target());
    }
    branches.sort_by(|a, b| a.name.cmp(&b.name));
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Refs { branches, tags, others })
}

/// Makes drafts of what changed.
pub(super) struct Changes<'a> {
    pub(super) repository: &'a Repository,
    pub(super) location: &'a str,
    pub(super) name: &'a RepositoryName,
    pub(super) known: &'a Known,
    /// When the repository is being looked at: when a change was seen that nobody dated.
    pub(super) now: Timestamp,
}

/// Sees a tag by name.
pub(super) type TagVisitor<'a> = dyn FnMut(&[u8], &Tag) -> Result<(), Error> + 'a;

/// A tag, followed to the end.
pub(super) struct Tag {
    pub(super) data: TagCreated,
    /// When it was made, as far as that can be told.
    pub(super) at: Timestamp,
}

impl Changes<'_> {
    fn draft(&self, data: impl Into<Data>, kind: &str, name: &[u8], n: u64, at: Timestamp) -> Result<Draft, Error> {
        let (text, hex) = spelled(name);
        // A name may be what a key cannot be. No name has a colon in it, so none is mistaken for these.
        let shown = match hex {
            _ if name.len() > 150 || text.len() > 300 || text.chars().any(char::is_control) => {
                format!("blake3:{}", blake3::hash(name))
            }
            Some(hex) => format!("hex:{hex}"),
            None => text,
        };
        let dedup = format!("{kind}:{shown}#{n}").parse();
        let dedup = dedup.map_err(|source| Error::Event { what: format!("{kind} {shown}"), source })?;
        Ok(Draft::new(data, self.name.stream.clone(), self.name.source.clone(), dedup, at))
    }

    fn unfit(kind: &str, name: &[u8]) -> impl Fn(crate::event::Error) -> Error {
        let what = format!("{kind} {}", String::from_utf8_lossy(name));
        move |source| Error::Event { what: what.clone(), source }
    }

    /// What became of branches.
    pub(super) fn branches(&self, now: &[Ref]) -> Result<Vec<Draft>, Error> {
        let mut drafts = Vec::new();
        for branch in now {
            let after = branch.oid.to_string();
            let state = self.known.branches.get(&branch.name).cloned().unwrap_or_default();
            if state.at.as_deref() == Some(&after) {
                continue;
            }
            // Nobody dates a branch; the first time its newest commit does, later the moment it is seen.
            let at = match state.n_events {
                0 => self.commit_time(branch.oid).unwrap_or(self.now),
                _ => self.now,
            };
            drafts.push(self.branch(&branch.name, &state, Some(branch.oid), at)?);
        }
        let mut gone: Vec<_> = self.known.branches.iter().filter(|(_, state)| state.at.is_some()).collect();
        let there: HashSet<&RefName> = now.iter().map(|branch| &branch.name).collect();
        gone.retain(|(name, _)| !there.contains(name));
        gone.sort_by_key(|(name, _)| *name);
        for (name, state) in gone {
            drafts.push(self.branch(name, state, None, self.now)?);
        }
        Ok(drafts)
    }

    fn branch(&self, name: &[u8], state: &RefState, after: Option<Oid>, at: Timestamp) -> Result<Draft, Error> {
        let unfit = Self::unfit("branch", name);
        let before = state.at.as_deref().map(str::parse).transpose().map_err(&unfit)?;
        let forced = match (state.at.as_deref().map(Oid::from_str), after) {
            // A commit that is not there any more was not built upon.
            (Some(Ok(before)), Some(after)) => !self.repository.graph_descendant_of(after, before).unwrap_or(false),
            (Some(Err(_)), Some(_)) => true,
            _ => false,
        };
        let (branch, branch_hex) = spelled(name);
        let after = after.map(git_oid).transpose().map_err(&unfit)?;
        let (created, deleted) = (before.is_none().then_some(true), after.is_none().then_some(true));
        let data = BranchUpdated { after, before, branch, branch_hex, created, deleted, forced: Some(forced) };
        self.draft(data, "branch", name, state.n_events, at)
    }

    fn commit_time(&self, oid: Oid) -> Option<Timestamp> {
        Some(instant(self.repository.find_commit(oid).ok()?.time()).0)
    }

    /// What became of tags. `made` sees every tag that exists, with what it names.
    pub(super) fn tags(&self, now: &[Ref], made: &mut TagVisitor<'_>) -> Result<Vec<Draft>, Error> {
        let mut drafts = Vec::new();
        for reference in now {
            let tag = self.tag(reference)?;
            made(&reference.name, &tag)?;
            let state = self.known.tags.get(&reference.name).cloned().unwrap_or_default();
            // Tagged anew at the same place is news too: who tagged may be whose word a release rests on.
            let object = tag.data.tag_object.as_ref().map(GitOid::as_str);
            if state.at.as_deref() == tag.data.target.as_ref().map(GitOid::as_str) && state.object.as_deref() == object
            {
                continue;
            }
            drafts.push(self.tag_draft(&reference.name, &state, tag)?);
        }
        let mut gone: Vec<_> = self.known.tags.iter().filter(|(_, state)| state.at.is_some()).collect();
        let there: HashSet<&RefName> = now.iter().map(|tag| &tag.name).collect();
        gone.retain(|(name, _)| !there.contains(name));
        gone.sort_by_key(|(name, _)| *name);
        for (name, state) in gone {
            let Some(before) = &state.at else { continue };
            let before = Some(before.parse().map_err(Self::unfit("tag", name))?);
            let (tag, tag_hex) = spelled(name);
            drafts.push(self.draft(TagDeleted { before, tag, tag_hex }, "tag", name, state.n_events, self.now)?);
        }
        Ok(drafts)
    }

    fn tag_draft(&self, name: &[u8], state: &RefState, tag: Tag) -> Result<Draft, Error> {
        let (Some(before), Some(after)) = (&state.at, tag.data.target.clone()) else {
            let actor = tag.data.tagger.clone();
            let mut draft = self.draft(tag.data, "tag", name, state.n_events, tag.at)?;
            draft.actor = actor;
            return Ok(draft);
        };
        let TagCreated { tag: text, tag_hex, tag_object, tagged_at, tagger, .. } = tag.data;
        let before = before.parse().map_err(Self::unfit("tag", name))?;
        let actor = tagger.clone();
        let data = TagMoved { after, before, tag: text, tag_hex, tag_object, tagged_at, tagger };
        let mut draft = self.draft(data, "tag", name, state.n_events, self.now)?;
        draft.actor = actor;
        Ok(draft)
    }

    /// Follows a tag through tags of tags to what it names.
    fn tag(&self, reference: &Ref) -> Result<Tag, Error> {
        let unfit = Self::unfit("tag", &reference.name);
        let missing = |kind, oid: Oid| {
            move |source| Error::Object { repository: self.location.to_owned(), kind, oid: oid.to_string(), source }
        };
        let odb = self.repository.odb().map_err(missing("object database of tag", reference.oid))?;
        let (mut oid, mut outer) = (reference.oid, None);
        let kind = loop {
            let (_, kind) = odb.read_header(oid).map_err(missing("object", oid))?;
            if kind != ObjectType::Tag {
                break kind;
            }
            let tag = self.repository.find_tag(oid).map_err(missing("tag", oid))?;
            oid = tag.target_id();
            outer.get_or_insert(tag);
        };
        let (tag, tag_hex) = spelled(&reference.name);
        let tagger = outer.as_ref().and_then(git2::Tag::tagger);
        let tagged_at = tagger.as_ref().map(|tagger| instant(tagger.when()).0);
        let message = outer.as_ref().and_then(git2::Tag::message_bytes).unwrap_or_default();
        let text = cut(text(message, false), PRIVATE_MAX);
        let data = TagCreated {
            annotated: Some(outer.is_some()),
            signature: signature_kind(message),
            message: (!text.is_empty()).then(|| Private::plain(text)),
            tag,
            tag_hex,
            tag_object: outer.as_ref().map(|tag| git_oid(tag.id())).transpose().map_err(&unfit)?,
            tagged_at,
            tagger: tagger.as_ref().map(|tagger| Subject::identity(identity(tagger, false))),
            target: Some(git_oid(oid).map_err(&unfit)?),
            target_kind: Some(match kind {
                ObjectType::Commit => ObjectKind::Commit,
                ObjectType::Tree => ObjectKind::Tree,
                _ => ObjectKind::Blob,
            }),
        };
        let at = tagged_at.or_else(|| self.commit_time(oid)).unwrap_or(self.now);
        Ok(Tag { data, at })
    }
}
