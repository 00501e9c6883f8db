-- What deployments brought, and what became of them (DORA.md). Times are microseconds since 1970; texts are name.id,
-- commits git_commit.id. `claim` to `manifest` are what the fold itself needs and hold what is current; `sample` and
-- `outcome` are what is asked, and carry from which to which position they were what the ledger knew.

-- Deployments that succeeded with effect: those that bring commits to their target.
CREATE TABLE claim (
    rollout     INTEGER PRIMARY KEY,
    target      INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    key         INTEGER NOT NULL
);
CREATE INDEX claim_order ON claim (target, finished_at, key);

-- The source commits they are of.
CREATE TABLE revision (
    rollout   INTEGER NOT NULL,
    commit_id INTEGER NOT NULL,
    PRIMARY KEY (rollout, commit_id)
) WITHOUT ROWID;
CREATE INDEX revision_commit ON revision (commit_id, rollout);

-- By which digest, or id of a commit without repository, those were found: more may become known of it.
CREATE TABLE leaning (
    name    INTEGER NOT NULL,
    rollout INTEGER NOT NULL,
    PRIMARY KEY (name, rollout)
) WITHOUT ROWID;

-- The first deployment of a target from which a commit is reachable.
CREATE TABLE owner (
    commit_id   INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    rollout     INTEGER NOT NULL,
    PRIMARY KEY (commit_id, target)
) WITHOUT ROWID;

-- What squashed commits were made of.
CREATE TABLE squash (
    commit_id INTEGER NOT NULL,
    original  INTEGER NOT NULL,
    PRIMARY KEY (commit_id, original)
) WITHOUT ROWID;
CREATE INDEX squash_original ON squash (original, commit_id);

-- Commits of desired state.
CREATE TABLE manifest (
    commit_id INTEGER PRIMARY KEY
);

-- What a commit is for lead time in the target that it was brought to; the commits of a target's first deployment, which
-- are no changes, have none.
CREATE TABLE sample (
    target      INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    commit_id   INTEGER NOT NULL,
    known_from  INTEGER NOT NULL,
    known_to    INTEGER NOT NULL,
    rollout     INTEGER NOT NULL,
    -- From its author time to the end of the deployment; absent where there is a reason.
    seconds     INTEGER,
    -- 1 merge, 2 manifest, 3 cherry-pick, 4 no author time, 5 skew, 6 replaced by what it was squashed of
    reason      INTEGER,
    -- Pseudonym.
    author      INTEGER,
    PRIMARY KEY (target, finished_at, commit_id, known_from)
) WITHOUT ROWID;
CREATE INDEX sample_commit ON sample (commit_id, target, known_to);

-- A deployment, or an attempt at one, that is done.
CREATE TABLE outcome (
    target       INTEGER NOT NULL,
    finished_at  INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    rollout      INTEGER NOT NULL,
    known_from   INTEGER NOT NULL,
    known_to     INTEGER NOT NULL,
    -- 1 succeeded, 2 rollback, 4 unplanned remediation, 8 no source commit is known, 16 redeploy, 32 without effect
    flags        INTEGER NOT NULL,
    -- 1 an incident names it, 2 a deployment repairs it, 4 it was rolled back, 8 it took effect and did not succeed
    failed       INTEGER NOT NULL,
    recovered_at INTEGER,
    PRIMARY KEY (target, finished_at, key, rollout, known_from)
) WITHOUT ROWID;
CREATE INDEX outcome_rollout ON outcome (rollout, known_to);
CREATE INDEX outcome_recovered ON outcome (target, recovered_at) WHERE failed > 0;

-- What deployments say that they repair.
CREATE TABLE remedy (
    rollout    INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    n          INTEGER NOT NULL,
    -- The source's id of the rollout.
    deployment TEXT,
    -- Position of an event of it.
    event      INTEGER,
    -- name.id of the target's stream.
    target     INTEGER,
    -- name.id of the incident's stream.
    incident   INTEGER,
    PRIMARY KEY (rollout, position, n)
) WITHOUT ROWID;
CREATE INDEX remedy_deployment ON remedy (deployment) WHERE deployment NOT NULL;
CREATE INDEX remedy_event ON remedy (event) WHERE event NOT NULL;
CREATE INDEX remedy_target ON remedy (target) WHERE target NOT NULL AND deployment IS NULL AND event IS NULL;

-- Incidents that are, or once were thought to be, about a target, by the target's stream.
CREATE TABLE concern (
    stream   INTEGER NOT NULL,
    incident INTEGER NOT NULL,
    PRIMARY KEY (stream, incident)
) WITHOUT ROWID;
