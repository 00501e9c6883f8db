-- What is counted when it is recorded and never taken back: counters and histograms of /metrics.

CREATE TABLE event_count (
    type     TEXT    NOT NULL,
    source   TEXT    NOT NULL,
    recorded INTEGER NOT NULL,
    -- Of those, recorded more than an hour after they happened.
    late     INTEGER NOT NULL,
    PRIMARY KEY (type, source)
) WITHOUT ROWID;

-- 0 deployments, 1 incidents opened, 2 incidents resolved
CREATE TABLE counted (
    what        INTEGER NOT NULL,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    -- Class and outcome of a deployment, with a space between; severity of an incident.
    detail      TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (what, service, environment, detail)
) WITHOUT ROWID;

-- 0 change lead time, 1 deployment duration, 2 deployment recovery, 3 incident restore; seconds
CREATE TABLE observed (
    what        INTEGER NOT NULL,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    -- The distribution as JSON.
    spread      TEXT    NOT NULL,
    PRIMARY KEY (what, service, environment)
) WITHOUT ROWID;
