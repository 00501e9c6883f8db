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
    ///
    /// A repository tells everything; a forge's webhook leaves out what it does not know, and the same commit is then
    /// recorded by both.
    pub struct CommitRecorded {
        /// Who wrote the change: `Name <e-mail>` as the commit has it.
        author: Subject,
        /// The author's offset from UTC, in minutes, as written in the commit (however absurd).
        author_offset_minutes: Option<i32>,
        /// When the change was written; absent where the source tells only when the commit was made, which a rebase moves.
        authored_at: Option<Timestamp>,
        /// The commit this one says it was cherry-picked from (`git cherry-pick -x`).
        cherry_picked_from: Option<GitOid>,
        /// The commit's id.
        commit: GitOid,
        /// When the commit was made; absent where the source does not tell.
        committed_at: Option<Timestamp>,
        /// Who made the commit.
        committer: Option<Subject>,
        /// The committer's offset from UTC, in minutes.
        committer_offset_minutes: Option<i32>,
        /// The message; bytes that are not UTF-8 are replaced.
        message: Option<Private>,
        /// The parents, first parent first; none for a root, more than one for a merge. Absent where the source does
        /// not tell, which is not the same as none.
        parents: Option<Vec<GitOid>>,
        /// The commit this one says it reverts (`git revert`).
        reverts: Option<GitOid>,
        /// How the commit is signed, where it is.
        signature: Option<SignatureKind>,
        /// True where a time in the commit lies outside the years 0 to 9999 and was drawn to the nearest end.
        times_clamped: Option<bool>,
        /// The tree's id: two commits with the same tree hold the same files.
        tree: Option<GitOid>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// A branch points elsewhere, came to be, or went.
    pub struct BranchUpdated {
        /// What it points to now; absent when it was deleted, and where the source does not tell.
        after: Option<GitOid>,
        /// What it pointed to; absent when it is new.
        before: Option<GitOid>,
        /// The branch's name without `refs/heads/`; bytes that are not UTF-8 are replaced.
        branch: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        branch_hex: Option<String>,
        /// True when the branch is new.
        created: Option<bool>,
        /// True when the branch is gone.
        deleted: Option<bool>,
        /// True when `after` does not descend from `before`: history was rewritten. Absent where the source does not tell.
        forced: Option<bool>,
    }

    /// A tag came to be.
    pub struct TagCreated {
        /// True for a tag object with tagger and time; false for a mere name. Absent where the source does not tell.
        annotated: Option<bool>,
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
        /// What the tag finally names, tags of tags followed. Absent where the source does not tell.
        target: Option<GitOid>,
        /// What kind of object that is.
        target_kind: Option<ObjectKind>,
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
        /// What it named, or the tag object that named it; absent where the source does not tell.
        before: Option<GitOid>,
        /// The tag's name without `refs/tags/`.
        tag: String,
        /// The name's exact bytes in hexadecimal, where they are not UTF-8.
        tag_hex: Option<String>,
    }

    /// A release was published at a forge: a tag with notes for people.
    pub struct ReleasePublished {
        /// Who wrote the release.
        author: Option<Subject>,
        /// The branch or commit that the tag was made of, as the forge tells it.
        commitish: Option<String>,
        /// Its title.
        name: Option<Private>,
        /// What it says.
        notes: Option<Private>,
        /// True for one that is not for production.
        prerelease: Option<bool>,
        /// When it was published.
        published_at: Timestamp,
        /// Its id at the forge.
        release: Option<String>,
        /// The tag's name without `refs/tags/`.
        tag: String,
        /// Where to look at it.
        url: Option<String>,
    }
}
