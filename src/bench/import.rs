//! Importing a repository with the real program, against reading it with git2.

use std::path::Path;
use std::time::Instant;

use git2::{Mempack, Repository, Signature, Time};

use super::Result;
use super::floor;
use super::process::program;
use super::report::Spread;

pub(super) async fn measure(scratch: &Path, commits: usize) -> Result<Spread> {
    let scratch = scratch.to_owned();
    tokio::task::spawn_blocking(move || rounds(&scratch, commits)).await?
}

fn rounds(scratch: &Path, commits: usize) -> Result<Spread> {
    let path = scratch.join("repository");
    make(&path, commits)?;
    let mut rounds = Vec::new();
    for round in 0..super::rounds(commits as u64) {
        let (floor, n) = floor::walk(&path)?;
        anyhow::ensure!(n == commits, "the walk saw {n} of {commits} commits");
        let data = scratch.join(format!("imported-{round}"));
        let began = Instant::now();
        let mut command = program()?;
        command.args(["import", "git", "--json", "--repository-name", "example.org/acme/shop", "--data"]).arg(&data);
        let output = command.arg(&path).output()?;
        let ours = began.elapsed();
        anyhow::ensure!(output.status.success(), "the import failed: {}", String::from_utf8_lossy(&output.stderr));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        anyhow::ensure!(told.get("commits") == Some(&commits.into()), "the import says {told}");
        rounds.push((ours.as_secs_f64(), floor.as_secs_f64()));
    }
    let times = Spread::of(&rounds);
    let per_second = |seconds: f64| commits as f64 / seconds;
    Ok(Spread { ours: per_second(times.ours), floor: per_second(times.floor), ..times })
}

/// A repository with a history of `commits` commits by 40 people, in a pack as a clone has it.
fn make(path: &Path, commits: usize) -> Result<()> {
    let repository = Repository::init_bare(path)?;
    let odb = repository.odb()?;
    let mempack: Mempack<'_> = odb.add_new_mempack_backend(999)?;
    let mut parent = None;
    for n in 0..commits {
        let blob = repository.blob(format!("version {n}\n").as_bytes())?;
        let mut tree = repository.treebuilder(None)?;
        tree.insert("values.yaml", blob, 0o100_644)?;
        let tree = repository.find_tree(tree.write()?)?;
        let person = n % 40;
        let when = Time::new(1_600_000_000 + i64::try_from(n)? * 600, 60);
        let signature = Signature::new(&format!("Person {person}"), &format!("p{person}@example.org"), &when)?;
        let message =
            format!("values: roll out version {n}\n\nThe checks of version {} were green.\n", n.saturating_sub(1));
        let parents: Vec<git2::Commit<'_>> =
            parent.map(|oid| repository.find_commit(oid)).transpose()?.into_iter().collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        parent = Some(repository.commit(None, &signature, &signature, &message, &tree, &parents)?);
    }
    let mut pack = git2::Buf::new();
    mempack.dump(&repository, &mut pack)?;
    let mut writer = odb.packwriter()?;
    std::io::Write::write_all(&mut writer, &pack)?;
    writer.commit()?;
    if let Some(tip) = parent {
        repository.reference("refs/heads/main", tip, true, "made")?;
    }
    Ok(())
}
