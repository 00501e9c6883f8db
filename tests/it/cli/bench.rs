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
