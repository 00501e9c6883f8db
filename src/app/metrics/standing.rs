//! How targets stand now: what an alert is about, as a state that ends when it is put right.
//!
//! Counters tell that something happened; whether it still matters only the projections know.

use std::collections::BTreeMap;

use super::{Budget, readable, seconds};
use crate::event::Timestamp;
use crate::exposition::{Family, Kind, Labels};
use crate::projection::artifact::{self, Severe, severe};
use crate::projection::deployment::{RunningImage, Standing, standings};
use crate::projection::practice::{self, open_drift};
use crate::projection::{Result, Snapshot};

/// What is shown of targets.
pub(super) struct Now {
    standings: Vec<Standing>,
    drift: Vec<(String, String, Timestamp)>,
    /// What was found in the images that run, by digest; none where no scan tells. Absent as a whole where the views
    /// cannot tell.
    found: Option<BTreeMap<String, Option<Severe>>>,
}

/// Reads how targets stand.
///
/// # Errors
/// `Database`, `Damaged`.
pub(super) fn tell(snapshot: &Snapshot<'_>) -> Result<Now> {
    let standings = standings(snapshot)?;
    let drift = if readable(snapshot, &[&practice::ABOUT])? { open_drift(snapshot)? } else { Vec::new() };
    let mut found = BTreeMap::new();
    let scans = readable(snapshot, &[&artifact::ABOUT])?;
    for digest in standings.iter().flat_map(digests).filter(|_| scans) {
        if !found.contains_key(digest) {
            found.insert(digest.to_owned(), severe(snapshot, digest)?);
        }
    }
    Ok(Now { standings, drift, found: scans.then_some(found) })
}

fn images(standing: &Standing) -> impl Iterator<Item = &RunningImage> {
    standing.images.iter().flatten()
}

fn digests(standing: &Standing) -> impl Iterator<Item = &str> {
    images(standing).filter_map(|image| image.digest.as_deref())
}

/// The families. Services beyond the budget share series: of instants the oldest counts, of counts the sum.
pub(super) fn families(now: &Now, services: &Budget) -> Vec<Family> {
    let labels = |service: &str, environment: &str| {
        vec![("service", services.name(service)), ("environment", environment.to_owned())]
    };
    let instants = |name, help, pick: fn(&Standing) -> Option<Timestamp>| {
        let stand = now.standings.iter();
        oldest(name, help, stand.filter_map(|one| Some((labels(&one.service, &one.environment), pick(one)?))))
    };
    let drift = now.drift.iter().map(|(service, environment, at)| (labels(service, environment), *at));
    let mut families = vec![
        instants(
            "plimsoll_failed_deployment_timestamp_seconds",
            "When the deployment failed after which none succeeded, in seconds since 1970; absent where the last one succeeded.",
            |one| one.failed_at,
        ),
        instants(
            "plimsoll_unfinished_deployment_timestamp_seconds",
            "When the newest deployment began, in seconds since 1970; absent where it is done.",
            |one| one.unfinished_since,
        ),
        oldest(
            "plimsoll_open_drift_timestamp_seconds",
            "Since when live state differs from desired state, in seconds since 1970; absent where it does not.",
            drift,
        ),
    ];
    if let Some(found) = &now.found {
        families.extend(scanned(now, found, &labels));
    }
    families
}

fn oldest(name: &'static str, help: &'static str, instants: impl Iterator<Item = (Labels, Timestamp)>) -> Family {
    let mut oldest: BTreeMap<Labels, Timestamp> = BTreeMap::new();
    for (labels, at) in instants {
        let known = oldest.entry(labels).or_insert(at);
        *known = (*known).min(at);
    }
    let mut family = Family::new(Kind::Gauge, name, help);
    oldest.into_iter().for_each(|(labels, at)| family.add(labels, seconds(at)));
    family
}

/// What was found in what runs, and how much of it nobody looked at: unknown is not zero.
fn scanned(now: &Now, found: &BTreeMap<String, Option<Severe>>, labels: &dyn Fn(&str, &str) -> Labels) -> [Family; 2] {
    let mut severe: BTreeMap<Labels, u64> = BTreeMap::new();
    let mut unscanned: BTreeMap<Labels, u64> = BTreeMap::new();
    for standing in &now.standings {
        if standing.images.as_ref().is_none_or(Vec::is_empty) {
            continue;
        }
        let target = labels(&standing.service, &standing.environment);
        let scans: Vec<_> = images(standing).map(|it| found.get(it.digest.as_deref()?).copied().flatten()).collect();
        let without = scans.iter().filter(|scan| scan.is_none()).count();
        *unscanned.entry(target.clone()).or_default() += u64::try_from(without).unwrap_or(u64::MAX);
        for scan in scans.into_iter().flatten() {
            for (severity, n) in [("critical", scan.critical), ("high", scan.high)] {
                let mut labels = target.clone();
                labels.push(("severity", severity.to_owned()));
                *severe.entry(labels).or_default() += n;
            }
        }
    }
    let mut vulnerabilities = Family::new(
        Kind::Gauge,
        "plimsoll_running_vulnerabilities",
        "Vulnerabilities that the newest scans found in the images that run; of several scanners the one that found most.",
    );
    severe.into_iter().for_each(|(labels, n)| vulnerabilities.add(labels, n));
    let mut unknown = Family::new(
        Kind::Gauge,
        "plimsoll_running_images_unscanned",
        "Images that run and of which no scan for vulnerabilities is known.",
    );
    unscanned.into_iter().for_each(|(labels, n)| unknown.add(labels, n));
    [vulnerabilities, unknown]
}
