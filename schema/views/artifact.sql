-- What is known of artifacts: how they were built, what they are called, what was found in them. All rows are facts and
-- carry the position of their event. An artifact is the name.id of its digest. Times are microseconds since 1970.

CREATE TABLE build (
    artifact   INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    -- git_commit.id
    commit_id  INTEGER,
    -- 0 success, else in the order of the vocabulary
    conclusion INTEGER NOT NULL,
    run        INTEGER,
    -- With the registry.
    name       INTEGER,
    service    INTEGER,
    version    INTEGER,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;
CREATE INDEX build_commit ON build (commit_id) WHERE commit_id NOT NULL;
CREATE INDEX build_run ON build (run) WHERE run NOT NULL;
CREATE INDEX build_version ON build (version) WHERE version NOT NULL;

CREATE TABLE publication (
    artifact        INTEGER NOT NULL,
    key             INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    name            INTEGER NOT NULL,
    -- git_commit.id: what its labels claim.
    labelled_commit INTEGER,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;
CREATE INDEX publication_commit ON publication (labelled_commit) WHERE labelled_commit NOT NULL;

-- An index (`whole`) and the artifact for one of its platforms (`part`).
CREATE TABLE platform_link (
    whole    INTEGER NOT NULL,
    part     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (whole, part)
) WITHOUT ROWID;
CREATE INDEX platform_link_part ON platform_link (part, whole);

-- What a tag in a registry was found to name.
CREATE TABLE artifact_tag (
    tag      INTEGER NOT NULL,
    -- The artifact's name, with the registry.
    name     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    artifact INTEGER NOT NULL,
    PRIMARY KEY (tag, name, at, key)
) WITHOUT ROWID;
CREATE INDEX artifact_tag_artifact ON artifact_tag (artifact);

CREATE TABLE scan (
    artifact INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    -- 0 vulnerability, 1 malware, 2 secret, 3 licence, 4 static, 5 misconfiguration
    kind     INTEGER NOT NULL,
    -- 0 completed, 1 partial, 2 failed, 3 not run
    status   INTEGER NOT NULL,
    tool     INTEGER NOT NULL,
    critical INTEGER,
    high     INTEGER,
    medium   INTEGER,
    low      INTEGER,
    findings INTEGER,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;

CREATE TABLE sbom (
    artifact INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;

CREATE TABLE attestation (
    artifact  INTEGER NOT NULL,
    key       INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    -- git_commit.id: what provenance names.
    commit_id INTEGER,
    -- By URI.
    predicate INTEGER NOT NULL,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;
CREATE INDEX attestation_commit ON attestation (commit_id) WHERE commit_id NOT NULL;

-- That there was a check or a test suite of an artifact.
CREATE TABLE artifact_check (
    artifact INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (artifact, position)
) WITHOUT ROWID;

-- A commit of desired state asks for an image.
CREATE TABLE image_request (
    -- name.id of the digest, or of `name:tag` where that is not known
    image    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
