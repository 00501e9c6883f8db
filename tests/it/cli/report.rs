//! `record` of documents, and `evidence get`, on a data directory and through a server.

use crate::support::program::Desk;

const ARTIFACT: &str = "sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

fn fixture(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// A document of several hundred kilobytes.
fn large(desk: &Desk) -> String {
    let component = |n: u64| {
        let hash = blake3::hash(&n.to_le_bytes()).to_hex();
        serde_json::json!({"type": "library", "name": format!("p{n}-{hash}"), "version": "1", "purl": format!("pkg:npm/p{n}@1")})
    };
    let components: Vec<_> = (0..2_000).map(component).collect();
    let bom =
        serde_json::json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components});
    std::fs::write(desk.path().join("bom.json"), bom.to_string()).unwrap();
    "bom.json".to_owned()
}

#[test]
fn documents_are_recorded_and_got_back_by_either_way() {
    let desk = Desk::with_ledger();
    let small = fixture("sbom/cyclonedx/py-req-1.6.json").display().to_string();
    let large = large(&desk);
    let server = Desk::with_ledger();
    let served = server.serve(&[]);
    let url = served.url();
    for through in [&[][..], &["--server", url.as_str()]] {
        for file in [&small, &large] {
            let record = ["record", "sbom", file, "--artifact", ARTIFACT, "--run", "7", "--actor", "github:jane"];
            let out = desk.run(record.iter().chain(through)).ok();
            let words: Vec<_> = out.split_whitespace().collect();
            assert_eq!((words[2], words[3]), ("sbom.attached", &*format!("artifact/{ARTIFACT}")), "{out}");
            let again = desk.run(record.iter().chain(through).chain(&["--json"])).json();
            assert_eq!((&again["duplicate"], &again["id"]), (&true.into(), &words[1].into()), "{again}");
            assert_eq!((&again["type"], again["position"].to_string()), (&"sbom.attached".into(), words[0].to_owned()));
            let event = desk.run(["show", words[0], "--json"].iter().chain(through)).json();
            assert_eq!(event["source"], "report");
            let blake3 = event["evidence"][0]["blake3"].as_str().unwrap();
            let out = desk.run(["evidence", "get", blake3].iter().chain(through)).ok();
            let whole = std::fs::read_to_string(desk.path().join(file)).unwrap();
            assert!(out == whole, "{file}: {} bytes of {}", out.len(), whole.len());
            desk.run(["evidence", "get", blake3, "-o", "got"].iter().chain(through)).ok();
            assert!(std::fs::read_to_string(desk.path().join("got")).unwrap() == whole);
        }
        // From standard input, under a name that is given.
        let args = ["record", "sbom", "-", "--artifact", ARTIFACT, "--source", "ci/7", "--at", "2026-03-04T12:00:00Z"];
        let body = std::fs::read(&small).unwrap();
        let out = desk.feed(args.iter().chain(through), &body).ok();
        let event = desk.run(["show", out.split(' ').next().unwrap(), "--json"].iter().chain(through)).json();
        assert_eq!(event["source"], "ci/7");
        let nobody = "0".repeat(64);
        desk.run(["evidence", "get", &nobody].iter().chain(through)).fails(1);
        desk.run(["evidence", "get", &nobody, "-o", "nothing"].iter().chain(through)).fails(1);
        assert!(!desk.path().join("nothing").exists() && !desk.path().join("nothing.part").exists());
    }
    assert_eq!(served.terminate().0, Some(0));
    for desk in [&desk, &server] {
        assert!(desk.run(["verify"]).ok().starts_with("ok: "));
    }
}

#[test]
fn what_is_refused_is_named_and_nothing_is_recorded() {
    let desk = Desk::with_ledger();
    let file = fixture("sbom/cyclonedx/py-req-1.6.json").display().to_string();
    let server = Desk::with_ledger();
    let served = server.serve(&[]);
    let url = served.url();
    for through in [&[][..], &["--server", url.as_str()]] {
        let size = || desk.run(["log", "--json"].iter().chain(through)).ok().lines().count();
        let before = size();
        let err = desk.run(["record", "sbom", &file].iter().chain(through)).fails(1);
        assert!(err.contains("no_subject: artifact: "), "{err}");
        let err = desk.run(["record", "tests", &file, "--artifact", ARTIFACT].iter().chain(through)).fails(1);
        assert!(err.contains("unknown_format"), "{err}");
        let bad = ["record", "sbom", &file, "--artifact", ARTIFACT, "--format", "nonsense"];
        assert!(desk.run(bad.iter().chain(through)).fails(1).contains("unknown_format: format: "));
        assert!(desk.feed(["record", "scan", "-"].iter().chain(through), b" ").fails(1).contains("empty"));
        assert_eq!(size(), before);
    }
    // Wrong use.
    for args in [
        &["record"][..],
        &["record", "scan"],
        &["record", "scan", "no-such-file"],
        &["record", "scan", "."],
        &["record", "scan", &file, "--artifact", "sha256:12"],
        &["record", "scan", &file, "--stream", "repo/a/b"],
        &["record", "tag.deleted", "--artifact", ARTIFACT],
        &["record", "--stream", "repo/a/b", "scan", &file],
        &["evidence", "get", "12"],
    ] {
        desk.run(args).fails(2);
    }
    let evidence = |desk: &Desk| std::fs::read_dir(desk.data().join("evidence")).map_or(0, Iterator::count);
    assert!(evidence(&desk) == 0 && evidence(&server) == 0);
}
