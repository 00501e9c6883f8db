//! An incident, from everything that was said of it: pure.

/// What sort of trouble it is; the number in the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// An alert by a rule.
    Alert = 0,
    /// Something does not work.
    Outage = 1,
    /// Something is exposed.
    Security = 2,
    /// It was foreseen: no trouble at all.
    Maintenance = 3,
}

/// What an event says of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Opened = 0,
    Resolved = 1,
    Reopened = 2,
    Linked = 3,
}

impl Kind {
    pub(super) fn of(number: i64) -> Option<Self> {
        [Self::Opened, Self::Resolved, Self::Reopened, Self::Linked].into_iter().find(|kind| *kind as i64 == number)
    }
}

/// What one event says; texts by number, instants in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) key: i64,
    pub(super) position: i64,
    /// When it was opened, resolved or reopened.
    pub(super) instant: Option<i64>,
    pub(super) started_at: Option<i64>,
    pub(super) detected_at: Option<i64>,
    pub(super) external: Option<bool>,
    pub(super) severity: Option<i64>,
    pub(super) sort: Option<i64>,
    pub(super) targets: Option<i64>,
    /// It says that this is the same trouble as another incident.
    pub(super) duplicate: bool,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) started_at: Option<i64>,
    pub(super) resolved_at: Option<i64>,
    pub(super) reopened: i64,
    pub(super) external: bool,
    pub(super) severity: Option<i64>,
    pub(super) sort: Option<i64>,
    pub(super) targets: Option<i64>,
    pub(super) duplicate: bool,
    pub(super) position: i64,
}

impl State {
    /// Puts facts together, which come in the order of (at, key). What is said again is known better: the last word
    /// counts. It is over when what was said last of that, by the instants that are told, is that it is.
    pub(super) fn of(facts: &[Fact]) -> Option<Self> {
        let last = facts.last()?;
        let opened = |fact: &Fact| fact.instant.filter(|_| fact.kind == Kind::Opened);
        let started_at = said(facts, |fact| fact.started_at)
            .or_else(|| said(facts, |fact| fact.detected_at))
            .or_else(|| said(facts, opened));
        let mut turns: Vec<(i64, i64, Kind)> = facts
            .iter()
            .filter(|fact| matches!(fact.kind, Kind::Resolved | Kind::Reopened))
            .filter_map(|fact| Some((fact.instant?, fact.key, fact.kind)))
            .collect();
        turns.sort_by_key(|(at, key, _)| (*at, *key));
        let over = turns.last().filter(|(.., kind)| *kind == Kind::Resolved);
        let reopened = facts.iter().filter(|fact| fact.kind == Kind::Reopened).count();
        Some(Self {
            started_at,
            resolved_at: over.map(|(at, ..)| *at),
            reopened: i64::try_from(reopened).unwrap_or(i64::MAX),
            external: said(facts, |fact| fact.external).unwrap_or(false),
            severity: said(facts, |fact| fact.severity),
            sort: said(facts, |fact| fact.sort),
            targets: said(facts, |fact| fact.targets),
            duplicate: facts.iter().any(|fact| fact.duplicate),
            position: last.position,
        })
    }
}

/// The last word.
fn said<T>(facts: &[Fact], pick: impl Fn(&Fact) -> Option<T>) -> Option<T> {
    facts.iter().rev().find_map(pick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: Kind, instant: i64) -> Fact {
        Fact {
            kind,
            key: instant,
            position: instant,
            instant: Some(instant),
            started_at: None,
            detected_at: None,
            external: None,
            severity: None,
            sort: None,
            targets: None,
            duplicate: false,
        }
    }

    fn times(facts: &[Fact]) -> (Option<i64>, Option<i64>) {
        State::of(facts).map(|state| (state.started_at, state.resolved_at)).unwrap()
    }

    #[test]
    fn an_incident_ends_with_its_last_resolution() {
        let mut facts = vec![fact(Kind::Opened, 10)];
        assert_eq!(times(&facts), (Some(10), None));
        facts.push(fact(Kind::Resolved, 20));
        assert_eq!(times(&facts), (Some(10), Some(20)));
        facts.push(fact(Kind::Reopened, 30));
        assert_eq!(times(&facts), (Some(10), None));
        facts.push(fact(Kind::Resolved, 40));
        assert_eq!(times(&facts), (Some(10), Some(40)));
        assert_eq!(State::of(&facts).unwrap().reopened, 1);
    }

    #[test]
    fn its_effects_begin_when_that_is_said_else_when_it_was_noticed_else_when_it_was_opened() {
        let mut opened = fact(Kind::Opened, 10);
        opened.detected_at = Some(8);
        assert_eq!(times(std::slice::from_ref(&opened)).0, Some(8));
        let mut later = fact(Kind::Linked, 50);
        later.started_at = Some(5);
        assert_eq!(times(&[opened, later]).0, Some(5));
    }
}
