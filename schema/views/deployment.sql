-- What ran where. Facts carry the position of their event; derived rows carry from which to which position they were what
-- the ledger knew. Times are microseconds since 1970; numbers of texts are name.id.

CREATE TABLE target (
    id          INTEGER PRIMARY KEY,
    stream      INTEGER NOT NULL UNIQUE,
    environment TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    -- The first event that names it.
    position    INTEGER NOT NULL,
    UNIQUE (environment, service)
);

-- When a target was heard of, by the time of its events: a row where nothing earlier was known.
CREATE TABLE target_sight (
    target   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (target, position)
) WITHOUT ROWID;

-- One logical rollout of one revision to one target.
CREATE TABLE rollout (
    id         INTEGER PRIMARY KEY,
    target     INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    -- Its place among those that took effect.
    effect_at  INTEGER,
    effect_key INTEGER,
    UNIQUE (target, name)
);
CREATE INDEX rollout_name ON rollout (name);
CREATE INDEX rollout_order ON rollout (target, effect_at, effect_key) WHERE effect_at NOT NULL;

-- What was said of a rollout.
CREATE TABLE rollout_fact (
    rollout       INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    key           INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    -- 0 started, 1 succeeded, 2 failed, 3 terminated
    kind          INTEGER NOT NULL,
    started_at    INTEGER,
    cluster       INTEGER NOT NULL,
    -- Whether the source says that live state changed.
    effective     INTEGER,
    artifact_set  INTEGER,
    images        INTEGER,
    source_commit INTEGER,
    manifest      INTEGER,
    command       INTEGER,
    initiated_by  INTEGER,
    -- 1 automated, 2 hotfix, 4 will be tried again, 8 incomplete, 16 partial, 32 not automated
    flags         INTEGER NOT NULL,
    observed_from INTEGER,
    PRIMARY KEY (rollout, at, key)
) WITHOUT ROWID;
CREATE INDEX rollout_fact_position ON rollout_fact (position);

-- Health of a target in a cluster.
CREATE TABLE health_fact (
    target   INTEGER NOT NULL,
    cluster  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    -- 0 healthy, 1 progressing, 2 degraded, 3 suspended, 4 missing, 5 unknown
    health   INTEGER NOT NULL,
    PRIMARY KEY (target, cluster, at, key)
) WITHOUT ROWID;

-- A target went.
CREATE TABLE removal (
    target   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (target, at, key)
) WITHOUT ROWID;

-- Derived: what became of a rollout, and from when to when its artifacts ran.
CREATE TABLE deployment (
    id            INTEGER PRIMARY KEY,
    target        INTEGER NOT NULL,
    rollout       INTEGER NOT NULL,
    known_from    INTEGER NOT NULL,
    known_to      INTEGER NOT NULL,
    -- 0 running, 1 progressing, 2 succeeded, 3 failed, 4 terminated
    status        INTEGER NOT NULL,
    -- 0 forward, 1 rollback, 2 redeploy; absent without effect
    class         INTEGER,
    -- When it took effect; when it was last heard of, for one that did not.
    at            INTEGER NOT NULL,
    key           INTEGER NOT NULL,
    -- When something else ran, or nothing did.
    until_at      INTEGER,
    -- 0 superseded, 1 removed
    ended         INTEGER,
    ended_by      INTEGER,
    -- The rollout whose artifacts ran just before.
    replaces      INTEGER,
    started_at    INTEGER,
    finished_at   INTEGER,
    artifact_set  INTEGER NOT NULL,
    images        INTEGER,
    source_commit INTEGER,
    manifest      INTEGER,
    command       INTEGER,
    initiated_by  INTEGER,
    flags         INTEGER NOT NULL,
    observed_from INTEGER,
    clusters      INTEGER NOT NULL,
    -- The event that ended it, or else the last that told of it.
    position      INTEGER NOT NULL
);
CREATE INDEX deployment_at ON deployment (target, at, key);
CREATE INDEX deployment_finished ON deployment (target, finished_at);
CREATE INDEX deployment_rollout ON deployment (rollout, known_to);
CREATE INDEX deployment_set ON deployment (target, artifact_set, at);
CREATE INDEX deployment_manifest ON deployment (manifest) WHERE manifest NOT NULL;
-- All that is asked of where an artifact ran, so that rows need not be fetched; what is current stands behind the rest.
CREATE INDEX deployment_images ON deployment (images, known_to, target, at, key, until_at, class, known_from)
    WHERE images NOT NULL;
-- What ran in a target when not even the images are known.
CREATE INDEX deployment_without_images ON deployment (target, at) WHERE images IS NULL AND class < 2;
CREATE INDEX deployment_source_commit ON deployment (source_commit) WHERE source_commit NOT NULL;

-- In which lists of images (rollout_fact.images) an image stands.
CREATE TABLE image_list (
    -- name.id of the digest, or of `name:tag` where that is not known
    image  INTEGER NOT NULL,
    images INTEGER NOT NULL,
    PRIMARY KEY (image, images)
) WITHOUT ROWID;
CREATE INDEX image_list_images ON image_list (images, image);

-- What the ledger could not see.
CREATE TABLE gap (
    position INTEGER PRIMARY KEY,
    from_at  INTEGER NOT NULL,
    to_at    INTEGER NOT NULL,
    observed TEXT,
    reason   TEXT NOT NULL
);

-- Desired state changed in Git for a target.
CREATE TABLE manifest_commit (
    target   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    -- `<repository stream>@<commit>`
    manifest INTEGER NOT NULL,
    command  INTEGER,
    PRIMARY KEY (target, at, key)
) WITHOUT ROWID;
CREATE INDEX manifest_commit_manifest ON manifest_commit (manifest);
