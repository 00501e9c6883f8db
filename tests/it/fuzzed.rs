//! The properties of `fuzz/`, over its corpus and mutations of it: the same functions that libFuzzer runs.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

use std::path::{Path, PathBuf};

use plimsoll::ledger::Receipt;

use crate::support::{House, commit_draft, draft};

#[path = "../../fuzz/src/lib.rs"]
mod bodies;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Numbers that repeat themselves from run to run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (n.max(1) as u64)).unwrap()
    }

    /// Changes something here or there, in the ways in which files are broken and forged.
    fn mutate(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        const TOKENS: &[&[u8]] = &[
            b"\n",
            b"\n\n",
            b"\"",
            b"\\",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"0",
            b"00",
            b"-",
            b"+",
            b".p/",
            b"/x",
            b"1e9",
            b"\\u0000",
            b"\\ud800",
            b"\xe2\x80\x94 ",
            b"\xe2\x80\xa8",
            b"\xff",
            b"\0",
            b" ",
            b"=",
            b"9007199254740993",
            b"null",
            b"extra ",
            b"index ",
            b"\"v\":1",
            b"\"type\":\"",
            b"18446744073709551615",
        ];
        const LETTERS: &[u8] = b"0123456789abcdefABCDEFxzXZ+/=\n\"\\{}[],:-. ";
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                3 => drop(bytes.splice(at..at, TOKENS[self.below(TOKENS.len())].iter().copied())),
                4 => bytes.truncate(at),
                5 if at < bytes.len() => {
                    let to = at + self.below(bytes.len() - at);
                    let part = bytes[at..to].to_vec();
                    bytes.splice(at..at, part);
                }
                6 => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
                _ if at < bytes.len() => bytes[at] = LETTERS[self.below(LETTERS.len())],
                _ => {}
            }
        }
    }
}

fn run(target: &str, body: fn(&[u8])) {
    let slow = std::env::var_os("PLIMSOLL_SLOW").is_some();
    run_over(target, files(&corpus(target)), if slow { 200_000 } else { 1_000 }, body);
}

/// Files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { self::files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Over the fixtures of those folders, of which the largest add little but time.
fn run_over_fixtures(folders: &[&str], body: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all: Vec<PathBuf> = folders.iter().flat_map(|folder| files(&root.join(folder))).collect();
    all.retain(|file| std::fs::metadata(file).unwrap().len() < 24_000);
    let slow = std::env::var_os("PLIMSOLL_SLOW").is_some();
    run_over(folders[0], all, if slow { 5_000 } else { 25 }, body);
}

fn run_over(target: &str, files: Vec<PathBuf>, rounds: usize, body: fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() > 1, "{target}");
    let mut chance = Chance(1);
    for (seed, file) in seeds.iter().zip(&files) {
        body(seed);
        for round in 0..rounds {
            let mut bytes = seed.clone();
            chance.mutate(&mut bytes, &seeds);
            let judged = std::panic::catch_unwind(|| body(&bytes));
            assert!(judged.is_ok(), "{}, round {round}: {:?}", file.display(), String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn canonical() {
    run("canonical", bodies::canonical);
}

#[test]
fn tile_path() {
    run("tile_path", bodies::tile_path);
}

#[test]
fn note() {
    run("note", bodies::note);
}

#[test]
fn receipt() {
    run("receipt", bodies::receipt);
}

#[test]
fn entry_bundle() {
    run("entry_bundle", bodies::entry_bundle);
}

#[test]
fn leaf() {
    run("leaf", bodies::leaf);
}

#[test]
fn webhooks() {
    run_over_fixtures(
        &["github", "gitlab", "alerts", "flux", "argocd", "cdevents", "cloudevents"],
        bodies::sources::webhook,
    );
}

#[test]
fn scans() {
    let folders =
        ["trivy", "grype", "snyk", "safety", "bandit", "sarif", "gitleaks", "detect-secrets", "clamav", "semgrep"];
    run_over_fixtures(&folders, bodies::sources::scan);
}

#[test]
fn sboms() {
    run_over_fixtures(&["sbom"], bodies::sources::sbom);
}

#[test]
fn attestations() {
    run_over_fixtures(&["attestations"], bodies::sources::attestation);
}

#[test]
fn checks_tests_and_coverage() {
    run_over_fixtures(&["ruff", "black", "mypy"], bodies::sources::check);
    run_over_fixtures(&["pytest", "mypy"], bodies::sources::tests);
    run_over_fixtures(&["coverage"], bodies::sources::coverage);
}

#[test]
fn redaction() {
    run_over_fixtures(&["gitleaks", "detect-secrets", "trivy", "github"], bodies::sources::redaction);
}

#[tokio::test]
async fn the_genuine_receipt_of_the_corpus_verifies() {
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        let house = House::new();
        let ledger = house.open().await;
        ledger.append((0..10).map(|n| draft("repo/example.com/app", n)).collect()).await.unwrap();
        ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "a word")]).await.unwrap();
        let receipt = ledger.receipt(5).unwrap();
        std::fs::write(corpus("receipt").join("genuine"), receipt.to_string()).unwrap();
        std::fs::write(corpus("note").join("genuine"), receipt.proof.checkpoint).unwrap();
        std::fs::write(corpus("leaf").join("genuine"), receipt.leaf).unwrap();
        std::fs::write(corpus("log.vkey"), format!("{}\n", ledger.key())).unwrap();
        return;
    }
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let receipt = Receipt::parse(&read(corpus("receipt").join("genuine"))).unwrap();
    let (checkpoint, event) = receipt.verify(&read(corpus("log.vkey")).trim().parse().unwrap()).unwrap();
    assert_eq!((checkpoint.size, event.envelope().position.0), (12, 5));
}
