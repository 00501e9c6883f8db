-- How the work was done: what an auditor asks after. All rows are facts and carry the position of their event, at which
-- the rest is read. Streams, tags and names are name.id. Times are microseconds since 1970.

-- Events that are, or may turn out to be, something out of the ordinary, by what they would be.
CREATE TABLE notable (
    kind     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    stream   INTEGER NOT NULL,
    PRIMARY KEY (kind, at, key)
) WITHOUT ROWID;

-- Live state was found to differ from desired state, or to agree again.
CREATE TABLE drift_fact (
    stream   INTEGER NOT NULL,
    -- The episode.
    drift    INTEGER NOT NULL,
    -- 0 opened, 1 closed
    kind     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, drift, kind, at, key)
) WITHOUT ROWID;
CREATE INDEX drift_fact_opened ON drift_fact (at, key) WHERE kind = 0;

-- What keeps a target as it should be was changed.
CREATE TABLE guard_fact (
    stream      INTEGER NOT NULL,
    -- The application and the guard.
    guard       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    -- Whether it guards less now.
    off         INTEGER NOT NULL,
    PRIMARY KEY (stream, guard, at, key)
) WITHOUT ROWID;

-- Since when an application of a name and uid is seen in a target: a row where nothing earlier was known.
CREATE TABLE application_fact (
    stream      INTEGER NOT NULL,
    application INTEGER NOT NULL,
    uid         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (stream, application, uid, at, key)
) WITHOUT ROWID;
CREATE INDEX application_fact_at ON application_fact (at, key);

-- Targets that were ever told to run an image by its tag, `name:tag`, with no digest pinned.
CREATE TABLE deployed_tag (
    image    INTEGER NOT NULL,
    stream   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (image, stream)
) WITHOUT ROWID;

-- Artifacts that were ever deployed under a name of an image.
CREATE TABLE deployed_artifact (
    name     INTEGER NOT NULL,
    artifact INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, artifact)
) WITHOUT ROWID;

-- Branches that changes go into (0) and come from (1).
CREATE TABLE change_branch (
    repository INTEGER NOT NULL,
    branch     INTEGER NOT NULL,
    role       INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (repository, branch, role)
) WITHOUT ROWID;

-- Since when a source tells of reviews: a row where nothing earlier was known.
CREATE TABLE review_source (
    source   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (source, at, key)
) WITHOUT ROWID;

CREATE TABLE freeze_fact (
    freeze   INTEGER NOT NULL,
    -- 0 started, 1 ended
    kind     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (freeze, kind, at, key)
) WITHOUT ROWID;

CREATE TABLE promotion_fact (
    promotion INTEGER NOT NULL,
    -- 0 requested, 1 approved, 2 started, 3 completed
    kind      INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    key       INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (promotion, kind, at, key)
) WITHOUT ROWID;

-- Somebody changed a target's objects, as the cluster's audit log has it.
CREATE TABLE action_fact (
    stream   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    -- Pseudonym.
    user     INTEGER NOT NULL,
    PRIMARY KEY (stream, at, key)
) WITHOUT ROWID;
