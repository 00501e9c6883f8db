-- What every projection shares. The file is derived from the log and may be deleted at any time.

-- Which log this is of, and how far it is folded. One row.
CREATE TABLE state (
    id         INTEGER PRIMARY KEY CHECK (id = 0),
    origin     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    -- Id of the last event that was folded: another log of the same name would have another one there.
    last_event TEXT
);

CREATE TABLE projection (
    name       TEXT    PRIMARY KEY,
    version    INTEGER NOT NULL,
    -- BLAKE3 of its schema: queries can read its tables only where it is the same.
    schema     TEXT    NOT NULL,
    -- Set when it cannot fold an event: it stands before that one.
    stopped_at INTEGER,
    stopped_by TEXT,
    reason     TEXT
) WITHOUT ROWID;

-- Texts that stand in many rows: streams, commit ids, digests, names.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
