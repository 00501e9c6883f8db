-- ledger.db, schema 2: small evidence joins the commit of the event that brings it.
--
-- A file of its own would cost three syncs for a webhook of a few kilobytes; here one sync covers both. Larger blobs are
-- files of the evidence store.
CREATE TABLE evidence (
    id     INTEGER PRIMARY KEY,      -- new blobs go to the right edge
    blake3 BLOB NOT NULL UNIQUE,     -- of the content: 32 bytes
    packed BLOB NOT NULL             -- the content, compressed with zstd
) STRICT;
