use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::event::{Data, GitOid};

fn year(events: u64, services: u64) -> Vec<Told> {
    Estate::new(Params { events, services, seed: 7 }).unwrap().collect::<Result<_>>().unwrap()
}

#[test]
fn a_year_is_told_in_order_to_its_end_and_the_same_again() {
    let told = year(40_000, 60);
    assert_eq!(told.len(), 40_000);
    assert!(told.is_sorted_by_key(|told| told.at));
    let (first, last) = (told[0].at.micros(), told[39_999].at.micros());
    assert!((END - YEAR..END - YEAR + DAY).contains(&first));
    assert!(last <= END && last > END - 15 * DAY, "{}", told[39_999].at);
    assert_eq!(told, year(40_000, 60));
}

#[test]
fn an_event_in_a_thousand_comes_late_and_none_early() {
    let told = year(40_000, 60);
    let late = told.iter().filter(|told| told.at > told.draft.occurred_at).count();
    assert!((20..70).contains(&late), "{late}");
    assert!(told.iter().all(|told| told.at >= told.draft.occurred_at));
}

#[test]
fn every_event_fits_its_stream_and_has_a_key_of_its_own() {
    let mut keys = HashSet::new();
    for told in year(40_000, 60) {
        let kind = told.draft.data.event_type().unwrap().stream_kind();
        assert!(kind.admits(&told.draft.stream), "{}", told.draft.stream);
        assert!(keys.insert((told.draft.source.clone(), told.draft.dedup.clone())), "{}", told.draft.dedup);
    }
}

#[test]
fn the_parents_of_a_commit_are_known_and_what_runs_was_built() {
    let (mut commits, mut merges, mut built, mut roots) = (HashSet::new(), 0, HashSet::new(), HashSet::new());
    let all = year(40_000, 60);
    for told in &all {
        match &told.draft.data {
            Data::CommitRecorded(commit) => drop(commits.insert(commit.commit.clone())),
            Data::BuildFinished(build) => {
                assert!(build.commit.is_some());
                built.insert(told.draft.stream.as_str().to_owned());
            }
            _ => {}
        }
    }
    for told in &all {
        match &told.draft.data {
            Data::CommitRecorded(commit) => {
                let parents = commit.parents.as_ref().unwrap();
                merges += usize::from(parents.len() > 1);
                let unknown = |parent: &&GitOid| !commits.contains(*parent);
                roots.extend(parents.iter().filter(unknown).map(|parent| (told.draft.stream.clone(), parent.clone())));
            }
            Data::SyncSucceeded(sync) => {
                let digest = sync.images.as_ref().unwrap()[0].digest.as_ref().unwrap();
                assert!(built.contains(&format!("artifact/{digest}")) || told.at > all[39_000].at);
            }
            _ => {}
        }
    }
    assert!(merges > 500, "{merges}");
    // What each repository began with, and what comes so late that the year is over.
    assert!(roots.len() <= 60 + 5, "{}", roots.len());
}

#[test]
fn there_is_some_of_everything_in_the_measure_of_a_real_shop() {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut documents = 0;
    let told = year(100_000, 100);
    for told in &told {
        *counts.entry(told.draft.data.event_type().unwrap().as_str()).or_default() += 1;
        documents += usize::from(told.document.is_some());
    }
    assert_eq!(counts.len(), 23, "{counts:?}");
    assert!((195..=200).contains(&documents), "{documents}: {counts:?}");
    let changes = counts["change.created"];
    assert!((2_600..2_800).contains(&changes), "{counts:?}");
    assert!((10..45).contains(&counts["incident.opened"]), "{counts:?}");
    assert!(counts["sync.failed"] > 50 && counts["drift.opened"] > 10, "{counts:?}");
}

#[test]
fn a_bill_of_materials_is_one_and_has_its_packages() {
    let told = year(20_000, 50).into_iter().find(|told| told.document.is_some()).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&told.document.unwrap()).unwrap();
    assert_eq!(document["bomFormat"], "CycloneDX");
    let purls: HashSet<_> = document["components"].as_array().unwrap().iter().map(|c| c["purl"].to_string()).collect();
    assert_eq!(purls.len(), 300);
    let Data::SbomAttached(attached) = &told.draft.data else { panic!("{:?}", told.draft.data) };
    assert_eq!(attached.document, told.draft.evidence[0].blake3);
    assert_eq!(document["metadata"]["component"]["version"], attached.named_digest.as_ref().unwrap().as_str());
}
