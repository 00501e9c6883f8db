-- What is known of source: commits, branches, tags, changes, releases, checks. All rows are facts and carry the position
-- of their event, at which more can be read. Times are microseconds since 1970; numbers of texts are name.id.

-- Every commit that was ever mentioned, in dense numbers: as itself, as a parent, as what was built or deployed.
CREATE TABLE git_commit (
    id         INTEGER PRIMARY KEY,
    -- The hexadecimal id.
    oid        INTEGER NOT NULL,
    -- The repository's stream; the empty text where it is not known.
    repository INTEGER NOT NULL,
    UNIQUE (oid, repository)
);

-- What was said of a commit. Several sources may have told of one.
CREATE TABLE commit_fact (
    commit_id          INTEGER NOT NULL,
    key                INTEGER NOT NULL,
    position           INTEGER NOT NULL,
    authored_at        INTEGER,
    committed_at       INTEGER,
    -- Pseudonym.
    author             INTEGER,
    -- How many; absent where the source does not tell.
    parents            INTEGER,
    -- git_commit.id
    cherry_picked_from INTEGER,
    reverts            INTEGER,
    -- Id of the sealed text.
    message            TEXT,
    PRIMARY KEY (commit_id, key)
) WITHOUT ROWID;
CREATE INDEX commit_fact_picked ON commit_fact (cherry_picked_from) WHERE cherry_picked_from NOT NULL;

CREATE TABLE commit_parent (
    child    INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    parent   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (child, n)
) WITHOUT ROWID;
CREATE INDEX commit_parent_parent ON commit_parent (parent, child);

-- A branch points elsewhere. `after` is absent when it went.
CREATE TABLE branch_fact (
    repository INTEGER NOT NULL,
    branch     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    -- git_commit.id
    before     INTEGER,
    after      INTEGER,
    -- 1 forced, 2 created, 4 deleted
    flags      INTEGER NOT NULL,
    PRIMARY KEY (repository, branch, at, key)
) WITHOUT ROWID;

-- A tag in Git was made, moved or deleted.
CREATE TABLE tag_fact (
    tag        INTEGER NOT NULL,
    repository INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    -- 0 created, 1 moved, 2 deleted
    kind       INTEGER NOT NULL,
    -- What it names now: git_commit.id
    commit_id  INTEGER,
    PRIMARY KEY (tag, repository, at, key)
) WITHOUT ROWID;
CREATE INDEX tag_fact_commit ON tag_fact (commit_id) WHERE commit_id NOT NULL;

CREATE TABLE release (
    tag        INTEGER NOT NULL,
    repository INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (tag, repository, key)
) WITHOUT ROWID;

-- What happened to a change (a pull request, a merge request).
CREATE TABLE change_fact (
    repository INTEGER NOT NULL,
    -- Its id at the forge.
    change     INTEGER NOT NULL,
    -- 0 created, 1 reviewed, 2 merged, 3 abandoned
    kind       INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    -- Pseudonym of whose change it is; of the reviewer for a review.
    person     INTEGER,
    -- Pseudonym of who merged.
    merged_by  INTEGER,
    -- git_commit.id: what it became in its base; what was reviewed.
    commit_id  INTEGER,
    -- git_commit.id: the last commit of its branch.
    head       INTEGER,
    -- git_commit.id: what its base was before.
    base       INTEGER,
    -- Of a review: 0 approved, 1 changes requested, 2 commented, 3 dismissed. Of a merge: 0 merge, 1 squash, 2 rebase,
    -- 3 fast forward.
    state      INTEGER,
    PRIMARY KEY (repository, change, kind, key)
) WITHOUT ROWID;

-- The commits of a change.
CREATE TABLE change_commit (
    repository INTEGER NOT NULL,
    change     INTEGER NOT NULL,
    -- 0 what it became in its base, 1 the last of its branch, 2 one of its originals, 3 reviewed, 4 it was brought over
    -- from there
    role       INTEGER NOT NULL,
    commit_id  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (repository, change, role, commit_id)
) WITHOUT ROWID;
CREATE INDEX change_commit_commit ON change_commit (commit_id);

-- That there was a check, a test suite, a finished run, a scan, a bill of materials or an attestation of a commit.
CREATE TABLE commit_check (
    commit_id INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    -- 0 check, 1 test suite, 2 pipeline run, 3 scan, 4 bill of materials, 5 attestation
    kind      INTEGER NOT NULL,
    PRIMARY KEY (commit_id, position)
) WITHOUT ROWID;

-- Runs of pipelines, by id. `commit_id` is 0 where none is known.
CREATE TABLE pipeline_run (
    run        INTEGER NOT NULL,
    repository INTEGER NOT NULL,
    commit_id  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (run, repository, commit_id)
) WITHOUT ROWID;
