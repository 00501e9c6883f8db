//! Commits, branches and tags. Streams `repo/<host>/<path>`.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::{GitOid, Timestamp};

words! {
    /// How a commit or tag is signed. Recorded as found; whether it verifies is another fact.
    pub enum SignatureKind {
        /// OpenPGP.
        Openpgp = "openpgp",
        /// SSH (`git` with `gpg.format=ssh`).
        Ssh = "ssh",
        /// X.509, as gitsign and smimesign make it.
        X509 = "x509",
        /// A signature of a form not known here.
        Other = "other",
    }

    /// What a git object is.
    pub enum ObjectKind {
        /// A commit.
        Commit = "commit",
        /// A directory.
        Tree = "tree",
        /// A file's content.
        Blob = "blob",
        /// An annotated tag.
        Tag = "tag",
    }
}

payload! {
    /// A commit exists. The subject of change lead time: its author time starts the clock.
    pub struct CommitRecorded {
        /// Who wrote the change: `Name <e-mail>` as the commit has it.
        author: Subject,
        /// The author's offset from UTC, in minutes, as written in the commit (however absurd).
        author_offset_minutes: i32,
        /// When the change was written.
        authored_at: Timestamp,
        /// The commit this one says it was cherry-picked from (`git cherry-pick -x`).
        cherry_picked_from: Option<GitOid>,
        /// The commit's id.
        commit: GitOid,
        /// When the commit was made.
        committed_at: Timestamp,
        /// Who made the commit.
        committer: Subject,
        /// The committer's offset from UTC, in minutes.
        committer_offset_minutes: i32,
        /// The message; bytes that are not UTF-8 are replaced.
        message: Option<Private>,
        /// The parents, first parent first; none for a root, more than one for a merge.
        parents: Vec<GitOid>,
        /// The commit this one says it reverts (`git revert`).
        reverts: Option<GitOid>,
        /// How the commit is signed, where it is.
        signature: Option<SignatureKind>,
        /// True where a time in the commit lies outside the years 0 to 9999 and was drawn to the nearest end.
        times_clamped: Option<bool>,
        /// The tree's id: two commits with the same tree hold the same files.
        tree: GitOid,
    }

    /// A branch points elsewhere, came to be, or went.
    pub struct BranchUpdated {
        /// What it points to now; absent when it was deleted.
        after: Option<GitOid>,
        /// What it pointed to; absent when it is new.
        before: Option<GitOid>,
        /// The branch's name without `refs/heads/`; bytes that are not UTF-8 are replaced.
        branch: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        branch_hex: Option<String>,
        /// True when `after` does not descend from `before`: history was rewritten.
        forced: bool,
    }

    /// A tag came to be.
    pub struct TagCreated {
        /// True for a tag object with tagger and time; false for a mere name.
        annotated: bool,
        /// The annotation.
        message: Option<Private>,
        /// How the tag is signed, where it is.
        signature: Option<SignatureKind>,
        /// The tag's name without `refs/tags/`; bytes that are not UTF-8 are replaced.
        tag: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        tag_hex: Option<String>,
        /// Id of the tag object, for annotated tags.
        tag_object: Option<GitOid>,
        /// When it was tagged, for annotated tags that say so.
        tagged_at: Option<Timestamp>,
        /// Who tagged: a release's approval may rest on it.
        tagger: Option<Subject>,
        /// What the tag finally names, tags of tags followed.
        target: GitOid,
        /// What kind of object that is.
        target_kind: ObjectKind,
    }

    /// A tag that was known names something else now.
    pub struct TagMoved {
        /// What it names now.
        after: GitOid,
        /// What it named before.
        before: GitOid,
        /// The tag's name without `refs/tags/`.
        tag: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        tag_hex: Option<String>,
        /// Id of the tag object now, for annotated tags.
        tag_object: Option<GitOid>,
        /// When it was tagged anew, for annotated tags that say so.
        tagged_at: Option<Timestamp>,
        /// Who tagged anew.
        tagger: Option<Subject>,
    }

    /// A tag that was known is gone.
    pub struct TagDeleted {
        /// What it named.
        before: GitOid,
        /// The tag's name without `refs/tags/`.
        tag: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        tag_hex: Option<String>,
    }
}
