-- The precious file of a ledger: ledger.db, schema 1. See schema/README.md for how it may change.
--
-- What can be derived is not here: stream heads, idempotency keys and hash tiles live in index.db.

-- The log. A leaf is the event's exact bytes: RFC 8785 JSON, hashed and exported as they stand here.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,   -- from 0, without gaps
    leaf     BLOB NOT NULL
) STRICT;

-- The signed checkpoint of every commit: a C2SP note over the tree of the first `size` leaves.
CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

-- Private values of leaves. Erasing one deletes its row; the commitment in the leaf stays.
CREATE TABLE sealed (
    id    TEXT NOT NULL PRIMARY KEY, -- as in the leaf: a UUID of version 7, so new rows go to the right edge
    owner TEXT,                     -- the event's actor
    salt  BLOB NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is behind a pseudonym.
CREATE TABLE subject (
    id       TEXT PRIMARY KEY,      -- sbj_ and the first 160 bits of sha256(salt || identity)
    salt     BLOB NOT NULL,
    identity TEXT NOT NULL UNIQUE
) STRICT;

-- For people with a SQL prompt; nothing in the program reads it.
CREATE VIEW events AS
SELECT position,
       json_extract(CAST(leaf AS TEXT), '$.type')        AS type,
       json_extract(CAST(leaf AS TEXT), '$.stream')      AS stream,
       json_extract(CAST(leaf AS TEXT), '$.seq')         AS seq,
       json_extract(CAST(leaf AS TEXT), '$.occurred_at') AS occurred_at,
       json_extract(CAST(leaf AS TEXT), '$.recorded_at') AS recorded_at,
       CAST(leaf AS TEXT)                                AS event
FROM event;
