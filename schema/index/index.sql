-- What the append path derives from the log: index.db, schema 1. Deletable at any time; rebuilt from ledger.db.

-- One row: the events before `position` are in this file.
CREATE TABLE state (
    id       INTEGER PRIMARY KEY CHECK (id = 0),
    position INTEGER NOT NULL,
    origin   TEXT NOT NULL
) STRICT;

-- Streams and their heads. `hash` is what the next event has as `prev`.
CREATE TABLE stream (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    seq  INTEGER NOT NULL,          -- of the last event
    hash BLOB NOT NULL
) STRICT;

-- Where each event of a stream is.
CREATE TABLE stream_event (
    stream   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

-- Idempotency keys: the first 16 bytes of BLAKE3(source, NUL, dedup).
CREATE TABLE dedup (
    key      BLOB PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Full hash tiles: 256 hashes of 32 bytes (C2SP tlog-tiles).
CREATE TABLE tile (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

-- The tiles at the right edge as of `state.position`: fewer than 256 hashes each.
CREATE TABLE edge (
    level  INTEGER PRIMARY KEY,
    hashes BLOB NOT NULL
) STRICT;
