//! Files of desired state: what commits on the branch that a deployer follows ask for.
//!
//! Each step of the branch, along first parents, is a change of desired state as a whole: a merge counts once, by what it
//! brought in.

use git2::{Delta, DiffOptions, Oid, Repository};
use regex::Regex;

use super::Error;
use super::commit::{cut, git_oid, identity, instant, text};
use super::walk::Request;
use crate::event::target::{FileEdit, ManifestCommitted};
use crate::event::{Data, Draft, GitOid, Private, StreamName, Subject};
use crate::ingest::bounded::bounded;
use crate::ingest::{Asked, images};

/// Where a repository keeps desired state.
#[derive(Debug, Clone)]
pub struct Manifests {
    /// The branch that the deployer follows, without `refs/heads/`.
    pub branch: String,
    /// The files, with what each is for; the first rule that matches holds.
    pub rules: Vec<ManifestRule>,
}

/// Files for a target.
#[derive(Debug, Clone)]
pub struct ManifestRule {
    path: Regex,
    environment: Option<String>,
    service: Option<String>,
}

/// Files of one edit that are told for a target, as the event has room for so many.
const FILES_MAX: usize = 50;

/// The trailer of a commit that carries out a command of the ledger.
const TRAILER: &str = "Plimsoll-Promotion";

impl ManifestRule {
    /// Files whose path has this form: `*` stands for part of a name, `**` for any path, `{environment}` and `{service}` for
    /// a name that says what the file is for.
    ///
    /// # Errors
    /// In words, when nothing says what the files are for, or the form is none.
    pub fn new(path: &str, environment: Option<String>, service: Option<String>) -> Result<Self, String> {
        let mut form = regex::escape(path);
        for (written, meant) in [
            (r"\{environment\}", "(?P<environment>[^/]+?)"),
            (r"\{service\}", "(?P<service>[^/]+?)"),
            (r"\*\*", ".*"),
            (r"\*", "[^/]*"),
        ] {
            form = form.replace(written, meant);
        }
        for (name, given) in [("environment", &environment), ("service", &service)] {
            if given.is_some() == path.contains(&format!("{{{name}}}")) {
                return Err(format!("manifests {path:?}: give {name}, or put {{{name}}} into the path, and not both"));
            }
        }
        let path = Regex::new(&format!("^{form}$")).map_err(|error| format!("manifests {path:?}: {error}"))?;
        Ok(Self { path, environment, service })
    }

    /// The target that a file is for.
    fn target(&self, path: &str, request: &Request) -> Option<Result<StreamName, crate::event::Error>> {
        let found = self.path.captures(path)?;
        let named = |name: &str, given: &Option<String>| {
            given.clone().or_else(|| found.name(name).map(|text| text.as_str().to_owned()))
        };
        let (environment, service) = (named("environment", &self.environment), named("service", &self.service));
        let asked = Asked { environment: environment.as_deref(), service: service.as_deref(), ..Asked::default() };
        let stream = request.targets.stream(&asked);
        Some(stream.map_err(|rejection| crate::event::Error::field("manifests", rejection.to_string())))
    }
}

/// What the commits that are new on the followed branch ask for, oldest first.
///
/// # Errors
/// [`Error`].
pub(super) fn drafts(repository: &Repository, request: &Request, manifests: &Manifests) -> Result<Vec<Draft>, Error> {
    let walk = |source| Error::Walk { repository: request.location.clone(), source };
    let mut steps = Vec::new();
    let mut next = tip(repository, &manifests.branch);
    let known = request.known.branches.get(manifests.branch.as_bytes()).and_then(|state| state.at.as_deref());
    let known = known.and_then(|at| Oid::from_str(at).ok());
    while let Some(oid) = next {
        // After a forced push the old tip may never come: what was recorded before is then said again, and known.
        if known == Some(oid) {
            break;
        }
        steps.push(oid);
        next = repository.find_commit(oid).map_err(walk)?.parent_id(0).ok();
    }
    let mut drafts = Vec::new();
    for oid in steps.into_iter().rev() {
        step(repository, request, manifests, oid, &mut drafts)?;
    }
    Ok(drafts)
}

fn tip(repository: &Repository, branch: &str) -> Option<Oid> {
    ["refs/heads/", "refs/remotes/origin/"]
        .iter()
        .find_map(|prefix| repository.refname_to_id(&format!("{prefix}{branch}")).ok())
}

/// A file of a step, for a target.
struct File {
    target: StreamName,
    edit: FileEdit,
    images: Vec<crate::event::target::ImageEdit>,
}

fn step(
    repository: &Repository,
    request: &Request,
    manifests: &Manifests,
    oid: Oid,
    drafts: &mut Vec<Draft>,
) -> Result<(), Error> {
    let walk = |source| Error::Walk { repository: request.location.clone(), source };
    let unfit = |source| Error::Event { what: format!("commit {oid}"), source };
    let commit = repository.find_commit(oid).map_err(walk)?;
    let before = commit.parent(0).and_then(|parent| parent.tree()).ok();
    let after = commit.tree().map_err(walk)?;
    let mut options = DiffOptions::new();
    options.skip_binary_check(true).ignore_submodules(true);
    let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&after), Some(&mut options)).map_err(walk)?;
    let mut files: Vec<File> = Vec::new();
    for delta in diff.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        let path = new.path().or_else(|| old.path()).and_then(std::path::Path::to_str);
        let Some(path) = path else { continue };
        let Some(target) = manifests.rules.iter().find_map(|rule| rule.target(path, request)) else { continue };
        let exists = |there: bool, oid: Oid| (there && !oid.is_zero()).then_some(oid);
        let old = exists(delta.status() != Delta::Added, old.id());
        let new = exists(delta.status() != Delta::Deleted, new.id());
        let edit = edit(repository, old, new).map_err(walk)?;
        let edit_file = FileEdit {
            after: new.map(git_oid).transpose().map_err(unfit)?,
            before: old.map(git_oid).transpose().map_err(unfit)?,
            keys: edit.keys,
            path: cut(path.to_owned(), 1024),
        };
        files.push(File { target: target.map_err(unfit)?, edit: edit_file, images: edit.images });
    }
    files.sort_by(|a, b| a.target.cmp(&b.target));
    for files in files.chunk_by(|a, b| a.target == b.target) {
        drafts.push(draft(request, manifests, &commit, files).map_err(unfit)?);
    }
    Ok(())
}

/// What the edit of a file means. Nothing is told of one that is too large to be looked into.
fn edit(repository: &Repository, old: Option<Oid>, new: Option<Oid>) -> Result<images::Edit, git2::Error> {
    let odb = repository.odb()?;
    for oid in [old, new].into_iter().flatten() {
        if odb.read_header(oid)?.0 > images::FILE_BYTES_MAX {
            return Ok(images::Edit::default());
        }
    }
    let content = |oid: Option<Oid>| oid.map(|oid| repository.find_blob(oid)).transpose();
    let (old, new) = (content(old)?, content(new)?);
    Ok(images::compare(old.as_ref().map(|blob| blob.content()), new.as_ref().map(|blob| blob.content())))
}

fn draft(
    request: &Request,
    manifests: &Manifests,
    commit: &git2::Commit<'_>,
    files: &[File],
) -> Result<Draft, crate::event::Error> {
    let oid = git_oid(commit.id())?;
    let target = files.first().map(|file| file.target.clone());
    let target = target.ok_or_else(|| crate::event::Error::field("files", "none"))?;
    let author = Subject::identity(identity(&commit.author(), false));
    let message = text(commit.message_raw_bytes(), false);
    let images: Vec<_> = bounded(files.iter().flat_map(|file| file.images.iter().cloned()), FILES_MAX, LIST_BYTES_MAX);
    let data = ManifestCommitted {
        author: Some(author.clone()),
        branch: Some(manifests.branch.clone()),
        change: None,
        command: trailer(&message).and_then(|id| id.parse().ok()),
        commit: oid.clone(),
        files: bounded(files.iter().map(|file| file.edit.clone()), FILES_MAX, LIST_BYTES_MAX),
        images: (!images.is_empty()).then_some(images),
        reason: message.lines().next().filter(|line| !line.is_empty()).map(Private::plain),
        repository: request.name.stream.clone(),
        reverts: reverted(&message),
        url: None,
    };
    let key =
        format!("manifest:{oid}:{}", blake3::hash(target.as_str().as_bytes()).to_hex().get(..16).unwrap_or_default());
    let at = instant(commit.committer().when()).0;
    let mut draft = Draft::new(Data::from(data), target, request.name.source.clone(), key.parse()?, at);
    draft.actor = Some(author);
    Ok(draft)
}

/// Bytes that a list takes in an event, which has two of them.
const LIST_BYTES_MAX: usize = 10 << 10;

/// The value of our trailer, in the last paragraph of a message.
fn trailer(message: &str) -> Option<&str> {
    let last = message.trim_end().rsplit("\n\n").next()?;
    last.lines().find_map(|line| line.strip_prefix(TRAILER)?.strip_prefix(": ")).map(str::trim)
}

fn reverted(message: &str) -> Option<GitOid> {
    super::commit::mentioned(message, "This reverts commit ")
}
