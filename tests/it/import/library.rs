//! Reading a repository without a ledger: what a door hands over, and when.

use plimsoll::event::{Data, Draft};
use plimsoll::ingest::Targets;
use plimsoll::ingest::git::{Error, Known, Login, Part, RepositoryName, Request, name_of, open, read};
use plimsoll::ledger::{Clock, SystemClock};

use crate::support::repo::Repo;

fn request(repo: &Repo) -> Request {
    let name = RepositoryName::new("example.com/app").unwrap();
    let known = Known::nothing(&name);
    Request {
        location: repo.location(),
        name,
        known,
        releases: None,
        manifests: None,
        targets: Targets::default(),
        now: SystemClock.now(),
    }
}

#[test]
fn commits_are_handed_over_in_batches_before_any_branch_or_tag() {
    let repo = Repo::new();
    repo.many(1201);
    repo.git(["tag", "v1", "main"]);
    let opened = open(&repo.location(), repo.dir.path(), &Login::default(), &mut |_, _| {}).unwrap();
    let mut batches: Vec<(Part, Vec<Draft>)> = Vec::new();
    let mut told = Vec::new();
    read(&opened, &request(&repo), &mut |part, drafts, progress| {
        batches.push((part, drafts));
        told.push((progress.commits, progress.total));
        true
    })
    .unwrap();
    let sizes: Vec<_> = batches.iter().map(|(part, drafts)| (*part, drafts.len())).collect();
    assert_eq!(sizes, [(Part::Commits, 500), (Part::Commits, 500), (Part::Commits, 201), (Part::Refs, 2)]);
    assert_eq!(told, [(500, 1201), (1000, 1201), (1201, 1201), (1201, 1201)]);
    let mut parent = None;
    for draft in batches.iter().take(3).flat_map(|(_, drafts)| drafts) {
        let Data::CommitRecorded(commit) = &draft.data else { panic!("{:?}", draft.data) };
        assert_eq!(commit.parents.as_ref().unwrap().first(), parent.as_ref());
        parent = Some(commit.commit.clone());
    }
}

#[test]
fn a_few_large_messages_make_a_batch() {
    let repo = Repo::new();
    let message = format!("large\n\n{}", "x".repeat(3 << 20)).into_bytes();
    let mut head = repo.commit("root");
    for _ in 0..4 {
        head = repo.raw_commit(&[&head], b"Jane <j@e> 1700000100 +0000", b"", &message);
    }
    repo.point("refs/heads/main", &head);
    let opened = open(&repo.location(), repo.dir.path(), &Login::default(), &mut |_, _| {}).unwrap();
    let mut sizes = Vec::new();
    read(&opened, &request(&repo), &mut |part, drafts, _| {
        if part == Part::Commits {
            sizes.push(drafts.len());
        }
        true
    })
    .unwrap();
    assert_eq!(sizes, [3, 2], "the root and two large ones are over 4 MiB");
}

#[test]
fn whoever_takes_the_drafts_can_stop_the_reading() {
    let repo = Repo::new();
    repo.many(1201);
    let opened = open(&repo.location(), repo.dir.path(), &Login::default(), &mut |_, _| {}).unwrap();
    let mut n = 0;
    let ended = read(&opened, &request(&repo), &mut |_, _, _| {
        n += 1;
        n < 2
    });
    assert!(matches!(ended, Err(Error::Stopped)));
    assert_eq!(n, 2);
}

#[test]
fn a_local_repository_is_called_what_its_origin_is() {
    let repo = Repo::new();
    repo.git(["remote", "add", "origin", "git@host.example:team/app.git"]);
    let opened = open(&repo.location(), repo.dir.path(), &Login::default(), &mut |_, _| {}).unwrap();
    let name = name_of(&repo.location(), opened.origin.as_deref()).unwrap();
    assert_eq!((name.stream.as_str(), name.basename.as_str()), ("repo/host.example/team/app", "app"));
}
