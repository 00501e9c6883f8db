-- Where words stand. The one place of the views that holds private texts: whatever is erased goes from here, and from the
-- index, when the erasure is folded. Numbers of texts are name.id. Times are microseconds since 1970.

-- Private texts of events.
CREATE TABLE search_text (
    -- position * 4096 + its number among those of the event
    id     INTEGER PRIMARY KEY,
    -- The id it is sealed under, 16 bytes.
    sealed BLOB    NOT NULL,
    -- Pseudonym of the event's actor: with that person it is erased.
    owner  INTEGER,
    type   INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    -- As it is in the index: to take it out of there takes the very same text.
    text   TEXT    NOT NULL
);
CREATE INDEX search_text_sealed ON search_text (sealed);
CREATE INDEX search_text_owner ON search_text (owner) WHERE owner NOT NULL;

-- Without a copy of the texts. Row numbers are search_text.id.
CREATE VIRTUAL TABLE search_text_index USING fts5 (
    text, content = '', columnsize = 0, detail = full, tokenize = 'unicode61 remove_diacritics 2'
);
-- What is taken out is not left in older parts of the index.
INSERT INTO search_text_index (search_text_index, rank) VALUES ('secure-delete', 1);

-- Names that are no secrets, each once, with the first event that has it.
CREATE TABLE search_name (
    name     INTEGER NOT NULL,
    -- In the order of the fold's list.
    kind     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, kind)
) WITHOUT ROWID;

-- People by identity, each with the first event that names them.
CREATE TABLE search_person (
    -- Pseudonym.
    subject  INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    text     TEXT    NOT NULL
);

-- Row numbers are name * 16 + kind; of people, pseudonym * 16 + 15.
CREATE VIRTUAL TABLE search_name_index USING fts5 (
    text, content = '', columnsize = 0, detail = full, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search_name_index (search_name_index, rank) VALUES ('secure-delete', 1);
