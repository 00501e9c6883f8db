-- Incidents, from everything that was said of them. Times are microseconds since 1970; numbers of texts are name.id. An
-- incident is the name.id of its stream.

CREATE TABLE incident_fact (
    incident    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    -- 0 opened, 1 resolved, 2 reopened, 3 linked
    kind        INTEGER NOT NULL,
    -- When it was opened, resolved, reopened.
    instant     INTEGER,
    started_at  INTEGER,
    detected_at INTEGER,
    external    INTEGER,
    severity    INTEGER,
    -- What sort of trouble, in the order of the vocabulary.
    sort        INTEGER,
    -- A JSON list of streams, sorted.
    targets     INTEGER,
    -- It says that this is the same trouble as another incident.
    duplicate   INTEGER NOT NULL,
    PRIMARY KEY (incident, at, key)
) WITHOUT ROWID;

-- What was said of deployments.
CREATE TABLE incident_link (
    incident   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    -- 0 caused by, 1 remediated by, 3 unrelated
    link       INTEGER NOT NULL,
    -- The source's id of the rollout.
    deployment TEXT,
    -- Position of an event of the rollout.
    event      INTEGER,
    -- name.id of the target's stream.
    target     INTEGER,
    PRIMARY KEY (incident, at, key, n)
) WITHOUT ROWID;
CREATE INDEX incident_link_deployment ON incident_link (deployment) WHERE deployment NOT NULL;
CREATE INDEX incident_link_event ON incident_link (event) WHERE event NOT NULL;
CREATE INDEX incident_link_target ON incident_link (target) WHERE deployment IS NULL AND event IS NULL;

-- Derived.
CREATE TABLE incident (
    id          INTEGER PRIMARY KEY,
    incident    INTEGER NOT NULL,
    known_from  INTEGER NOT NULL,
    known_to    INTEGER NOT NULL,
    -- When its effects began; else when it was noticed; else when it was opened.
    started_at  INTEGER,
    -- For the last time; absent while it lasts.
    resolved_at INTEGER,
    -- How often it was opened again.
    reopened    INTEGER NOT NULL,
    external    INTEGER NOT NULL,
    severity    INTEGER,
    -- In the order of the vocabulary; 3 was foreseen and is no trouble.
    sort        INTEGER,
    targets     INTEGER,
    duplicate   INTEGER NOT NULL,
    -- The last event that was said of it, by its time.
    position    INTEGER NOT NULL
);
CREATE INDEX incident_known ON incident (incident, known_to);
CREATE INDEX incident_resolved ON incident (resolved_at);
