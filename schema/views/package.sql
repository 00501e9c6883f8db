-- What is in artifacts, and what was found in them. An artifact is the name.id of its digest. Times are microseconds since
-- 1970; numbers of texts are name.id, but packages and vulnerabilities are numbered by a hash: what was read in a document
-- that is gone must leave no trace.

-- A package: once for each version.
CREATE TABLE package (
    id        INTEGER PRIMARY KEY,
    -- Of its package URL: `pypi`, `deb`; empty for what has none.
    type      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    -- With its epoch, where the package system has any; empty where it is not told.
    version   TEXT NOT NULL
);
CREATE INDEX package_name ON package (name COLLATE NOCASE);

-- A vulnerability by one of its names, in capitals.
CREATE TABLE vulnerability (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);

-- A document about an artifact: one for each event.
CREATE TABLE package_document (
    position        INTEGER PRIMARY KEY,
    artifact        INTEGER NOT NULL,
    -- 0 bill of materials, 1 scan, 2 statement about vulnerabilities
    kind            INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    key             INTEGER NOT NULL,
    tool            INTEGER NOT NULL,
    -- BLAKE3 of the evidence.
    document        INTEGER NOT NULL,
    -- 0 read, 1 read and does not cover everything, 2 not there, 3 erased, 4 cannot be read
    status          INTEGER NOT NULL,
    -- 1 where it lists what is in the artifact, and not only what was found in it.
    inventory       INTEGER NOT NULL,
    reason          TEXT,
    -- What the rows below were made of it: ids of 8 bytes each, to take them away again.
    packages        BLOB,
    vulnerabilities BLOB
);
CREATE INDEX package_document_artifact ON package_document (artifact, position);
CREATE INDEX package_document_document ON package_document (document);

-- A document lists a package in an artifact: the first one that does.
CREATE TABLE artifact_package (
    package  INTEGER NOT NULL,
    artifact INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (package, artifact)
) WITHOUT ROWID;

-- A document speaks of a vulnerability in an artifact.
CREATE TABLE artifact_vulnerability (
    vulnerability INTEGER NOT NULL,
    artifact      INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    -- The package it is in; 0 where the document does not say.
    package       INTEGER NOT NULL,
    -- 0 not rated, 1 info, 2 low, 3 medium, 4 high, 5 critical
    severity      INTEGER NOT NULL,
    -- 1 when it was declared harmless or done with.
    suppressed    INTEGER NOT NULL,
    fixed_in      TEXT,
    -- When it was made public, as the document says.
    disclosed_at  INTEGER,
    PRIMARY KEY (vulnerability, artifact, position, package)
) WITHOUT ROWID;

-- A document gives a vulnerability another name; both ways round.
CREATE TABLE vulnerability_alias (
    vulnerability INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    other         INTEGER NOT NULL,
    PRIMARY KEY (vulnerability, position, other)
) WITHOUT ROWID;

-- An image that rollouts name.
CREATE TABLE package_image (
    -- name.id of the digest, or of `name:tag` where that is not known
    image      INTEGER PRIMARY KEY,
    -- Orders images of one instant: a hash of the text.
    key        INTEGER NOT NULL,
    -- The earliest time at which an event names it.
    first_at   INTEGER NOT NULL,
    -- The first event that names it.
    position   INTEGER NOT NULL,
    -- The first position at which it was known what is in it; the largest number where it is not.
    listed     INTEGER NOT NULL,
    -- When it was last scanned for vulnerabilities, in full; the smallest number for never.
    scanned_at INTEGER NOT NULL
);
CREATE INDEX package_image_order ON package_image (first_at, key, listed, scanned_at, position);
