//! Release tags as deployments: which commit came with which release is what git itself says.
//!
//! The oracle of a release is `git log --no-merges <tag> --not <all earlier tags>`, never a difference to the release
//! before, from which half of the releases of real projects do not descend.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use plimsoll::event::{Data, Draft};
use plimsoll::ingest::Targets;
use plimsoll::ingest::git::{Known, Login, Releases, RepositoryName, Request, open, read};
use plimsoll::ledger::{Clock as _, SystemClock};
use plimsoll::projection::deployment::deployments;
use plimsoll::projection::dora::{self, Question, Reason, Selection};

use super::model::{Fact, Outcome};
use super::product::{self, Product};
use crate::support::repo::{FIRST, Repo, git, run};
use crate::support::rig::slow;

/// What an import of a repository hands over, its tags that begin with `v` taken for deployments.
fn imported(repo: &Repo) -> Vec<Draft> {
    let name = RepositoryName::new("example.com/app").unwrap();
    let releases = Releases {
        pattern: regex::Regex::new("^v").unwrap(),
        environment: "production".parse().unwrap(),
        service: "app".parse().unwrap(),
    };
    let request = Request {
        location: repo.location(),
        known: Known::nothing(&name),
        name,
        releases: Some(releases),
        manifests: None,
        targets: Targets::default(),
        now: SystemClock.now(),
    };
    let opened = open(&repo.location(), repo.dir.path(), &Login::default(), &mut |_, _| {}).unwrap();
    let mut all = Vec::new();
    read(&opened, &request, &mut |_, drafts, _| {
        all.extend(drafts);
        true
    })
    .unwrap();
    all
}

/// What git says: to each commit that is no merge its release, and the seconds between its writing and that.
fn oracle(repo: &Repo, drafts: &[Draft]) -> BTreeMap<String, (String, i64)> {
    let mut releases: Vec<(i64, i64, String)> = drafts
        .iter()
        .filter_map(|draft| match &draft.data {
            Data::SyncSucceeded(data) => {
                let fact = Fact::drafted(0, draft);
                Some((data.finished_at.micros() / 1_000_000, fact.key, data.version.clone().unwrap()))
            }
            _ => None,
        })
        .collect();
    releases.sort();
    let mut owners = BTreeMap::new();
    let mut earlier: Vec<String> = Vec::new();
    for (at, _, tag) in releases {
        let mut args =
            vec!["log".to_owned(), "--no-merges".to_owned(), "--format=%H %at".to_owned(), format!("refs/tags/{tag}")];
        args.push("--not".to_owned());
        args.extend(earlier.iter().cloned());
        let said = String::from_utf8(run(git(&repo.path()).args(args))).unwrap();
        for line in said.lines() {
            let (oid, written) = line.split_once(' ').unwrap();
            let twice = owners.insert(oid.to_owned(), (tag.clone(), at - written.parse::<i64>().unwrap()));
            assert!(twice.is_none(), "{oid} came with {twice:?} already");
        }
        earlier.push(format!("refs/tags/{tag}"));
    }
    owners
}

/// What the product says of the same import: to each commit its release, and what it is for lead time. The commits of the
/// first release are no changes.
fn attributed(product: &Product) -> BTreeMap<String, (String, Outcome)> {
    product.ask(None, |snapshot, basis| {
        let targets = dora::select(snapshot, basis, &Selection::default())?;
        let mut tags = BTreeMap::new();
        for run in deployments(snapshot, basis, &targets[0], (None, None), None, usize::MAX)? {
            let Data::SyncSucceeded(data) = snapshot.event(run.position)?.data else { unreachable!() };
            tags.insert(run.id, data.version.unwrap());
        }
        let question = Question { window: i64::MIN / 2..i64::MAX / 2, ..Question::default() };
        let material = dora::gather(snapshot, basis, targets, &question, true)?;
        let mut attributed = BTreeMap::new();
        for change in &material.changes {
            let outcome = match change.told.unwrap() {
                Ok(seconds) => Outcome::Sample(seconds),
                Err(Reason::Merge) => continue,
                Err(reason) => Outcome::Excluded(reason.as_str()),
            };
            let origin = dora::commit_of(snapshot, change)?;
            assert_eq!(origin.repository, "repo/example.com/app");
            let tag = tags[&dora::deployment_of(snapshot, change)?].clone();
            assert_eq!(attributed.insert(origin.revision, (tag, outcome)), None);
        }
        Ok(attributed)
    })
}

/// A ledger that holds an import, as it was handed over.
fn recorded(drafts: &[Draft]) -> Product {
    let product = Product::new();
    drafts.chunks(500).for_each(|some| product.append(some));
    product.fold("views", 1000);
    product
}

/// Holds the product's attribution of an import to git's, commit for commit. Returns how many commits git knows of.
#[track_caller]
fn agrees(repo: &Repo) -> usize {
    let drafts = imported(repo);
    let (ours, gits) = (attributed(&recorded(&drafts)), oracle(repo, &drafts));
    let first = gits.values().map(|(tag, _)| tag).min_by_key(|tag| {
        let known = drafts
            .iter()
            .find(|draft| matches!(&draft.data, Data::SyncSucceeded(data) if data.version.as_ref() == Some(tag)));
        known.map(|draft| (draft.occurred_at, Fact::drafted(0, draft).key))
    });
    let mut changes = 0;
    for (oid, (tag, seconds)) in &gits {
        if Some(tag) == first {
            assert_eq!(ours.get(oid), None, "{oid} was there from the beginning");
            continue;
        }
        let outcome = match seconds {
            ..-300 => Outcome::Excluded("skew"),
            _ => Outcome::Sample((*seconds).max(0)),
        };
        assert_eq!(ours.get(oid), Some(&(tag.clone(), outcome)), "{oid}");
        changes += 1;
    }
    assert_eq!(ours.len(), changes);
    gits.len()
}

#[test]
fn a_release_that_does_not_descend_from_the_one_before_brings_only_what_is_new() {
    let repo = Repo::new();
    repo.commit("one");
    repo.git(["tag", "v1.0"]);
    repo.commit("two");
    repo.commit("three");
    repo.git(["tag", "-a", "-m", "two", "v2.0"]);
    // A patch of the old release, made after the new one.
    repo.git(["checkout", "-q", "-b", "v1-patches", "v1.0"]);
    repo.commit("fix for v1");
    repo.git(["tag", "v1.1"]);
    repo.git(["checkout", "-q", "main"]);
    repo.commit("four");
    repo.git(["merge", "-q", "--no-ff", "-m", "bring the fix over", "v1-patches"]);
    repo.git(["tag", "-a", "-m", "three", "v3.0"]);
    repo.commit("not released");
    assert_eq!(agrees(&repo), 5);
    let ours = attributed(&recorded(&imported(&repo)));
    let of = |tag: &str| ours.values().filter(|(of, _)| of == tag).count();
    assert_eq!(["v1.0", "v2.0", "v1.1", "v3.0"].map(of), [0, 2, 1, 1]);
}

#[test]
fn two_tags_of_one_commit_are_one_deployment_and_its_repetition() {
    let repo = Repo::new();
    repo.commit("one");
    repo.git(["tag", "-a", "-m", "one", "v1.0"]);
    repo.commit("two");
    repo.git(["tag", "-a", "-m", "candidate", "v2.0-rc"]);
    repo.git(["tag", "-a", "-m", "two", "v2.0"]);
    repo.commit("three");
    repo.git(["tag", "-a", "-m", "three", "v3.0"]);
    assert_eq!(agrees(&repo), 3);
}

#[test]
fn unrelated_histories_that_meet_are_counted_once() {
    let repo = Repo::new();
    repo.commit("one");
    repo.git(["tag", "v1"]);
    repo.git(["checkout", "-q", "--orphan", "other"]);
    repo.commit("another beginning");
    repo.commit("and more");
    repo.git(["tag", "v2"]);
    repo.git(["checkout", "-q", "main"]);
    repo.git(["merge", "-q", "--allow-unrelated-histories", "-m", "both", "other"]);
    repo.commit("after");
    repo.git(["tag", "v3"]);
    assert_eq!(agrees(&repo), 4);
}

/// A repository of random merges and releases; the same for the same seed.
fn tangled(commits: usize, releases: usize, seed: u64) -> Repo {
    let repo = Repo::new();
    let mut state = seed;
    let mut dice = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n
    };
    let mut stream = String::new();
    let mut tips: Vec<usize> = Vec::new();
    for mark in 1..=commits {
        let at = FIRST + 600 * i64::try_from(mark).unwrap();
        // Written some time before it was made, now and then by a clock that is ahead.
        let written = at - i64::try_from(dice(90_000)).unwrap() + 4000 * i64::from(dice(40) == 0);
        write!(stream, "commit refs/heads/b{mark}\nmark :{mark}\nauthor Jane <j@e.com> {written} +0000\n").unwrap();
        write!(stream, "committer John <r@e.com> {at} +0000\ndata 1\nx\n").unwrap();
        let parent = tips.len().checked_sub(1).map(|last| last - dice(tips.len().min(6)));
        if let Some(parent) = parent.filter(|_| mark > 1 && dice(200) > 0) {
            writeln!(stream, "from :{}", tips[parent]).unwrap();
            let other = tips.len() - 1 - dice(tips.len().min(12));
            if other != parent && dice(4) == 0 {
                writeln!(stream, "merge :{}", tips[other]).unwrap();
            }
        }
        stream.push('\n');
        tips.push(mark);
        // Older lines are gone on with now and then, which is why tips are kept in no order.
        if dice(3) == 0 {
            let last = tips.len() - 1;
            let older = last - dice(tips.len().min(30));
            tips.swap(older, last);
        }
    }
    for n in 0..releases {
        let at = 1 + n * commits / releases + dice(commits / releases);
        write!(stream, "reset refs/tags/v{n}\nfrom :{}\n\n", at.min(commits)).unwrap();
    }
    let mut child = git(&repo.path()).args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    repo
}

#[test]
fn small_tangled_histories_agree_with_git() {
    let seeds = if slow() { 200 } else { 6 };
    for seed in 0..seeds {
        let repo = tangled(60, 12, seed);
        assert!(agrees(&repo) > 10, "seed {seed}");
        product::agrees(&imported(&repo));
    }
}

#[test]
fn a_large_tangled_history_agrees_with_git() {
    let repo = tangled(2000, 60, 7);
    assert!(agrees(&repo) > 500);
    let merges = run(git(&repo.path()).args(["rev-list", "--all", "--merges", "--count"]));
    assert!(String::from_utf8(merges).unwrap().trim().parse::<usize>().unwrap() > 100);
}
