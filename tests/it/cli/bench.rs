//! `bench`: that it says what it is documented to say. How fast things are is no test.

use crate::support::program::Desk;

#[test]
fn every_ratio_is_there_and_nothing_is_left_behind() {
    let desk = Desk::new();
    let report = desk
        .run([
            "bench",
            "--json",
            "--events",
            "60,200",
            "--import-commits",
            "20",
            "--webhooks",
            "64",
            "--sbom-components",
            "200",
        ])
        .json();
    let ratios = report["ratios"].as_object().unwrap();
    for name in [
        "append_stream_vs_raw_sqlite",
        "append_unary512_vs_noop_rpc",
        "append_unary64_vs_noop_rpc",
        "receipt_p99_vs_fsync_p99",
        "read_stream_vs_raw_scan",
        "read_page_vs_raw_scan",
        "get_vs_noop_rpc",
        "verify_vs_sha256",
        "import_vs_bare_walk",
        "webhook_vs_noop_post",
        "sbom_vs_skipping",
    ] {
        assert!(ratios[name].as_f64().is_some_and(|ratio| ratio.is_finite() && ratio > 0.0), "{name}: {ratios:?}");
    }
    let sizes = report["sizes"].as_array().unwrap();
    assert_eq!(sizes.iter().map(|size| size["events"].as_u64().unwrap()).collect::<Vec<_>>(), [60, 200]);
    assert!(sizes.iter().all(|size| size["started"]["ready_ms"].as_f64().unwrap() > 0.0));
    assert!(report["documents"]["peak_mb"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0, "what was measured is removed");
    assert!(desk.run(["bench", "--events", "200,60"]).fails(2).contains("--events"));
}

#[test]
fn a_year_of_a_shop_is_kept_and_found_again() {
    let desk = Desk::new();
    let bench = || desk.run(["bench", "--json", "--views", "600,1500", "--services", "20", "--keep"]).json();
    let first = bench();
    assert_eq!(first["sizes"].as_array().unwrap().len(), 0, "nothing else was asked for");
    let estates = first["estates"].as_array().unwrap();
    assert_eq!(estates.iter().map(|estate| estate["events"].as_u64().unwrap()).collect::<Vec<_>>(), [600, 1500]);
    assert!(estates.iter().all(|estate| estate["appended"].as_f64().unwrap() > 0.0));
    let kept: Vec<_> = std::fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for place in &kept {
        desk.run(["verify", "--data", place.join("data").to_str().unwrap()]).ok();
    }
    let second = bench();
    assert!(second["estates"].as_array().unwrap().iter().all(|estate| estate["appended"].is_null()), "{second}");
    assert!(desk.run(["bench", "--views", "200,60"]).fails(2).contains("--views"));
}

#[test]
fn a_directory_that_no_bench_made_is_left_alone() {
    let desk = Desk::new();
    let place = desk.path().join("plimsoll-estate-600-20-4");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("letter"), "precious").unwrap();
    assert!(desk.run(["bench", "--views", "600", "--services", "20", "--keep"]).fails(1).contains("plimsoll-estate"));
    assert!(place.join("letter").exists());
}
