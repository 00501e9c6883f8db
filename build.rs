//! Compiles the protocol definitions without `protoc`: protox is a compiler in Rust, so a clone needs nothing else.
//! Generated code is not committed; it cannot go stale.

#[expect(clippy::disallowed_methods, reason = "cargo hands over where to write by the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "plimsoll/v1/ledger.proto",
        "plimsoll/v1/basis.proto",
        "plimsoll/v1/environment.proto",
        "plimsoll/v1/metrics.proto",
        "plimsoll/v1/audit.proto",
        "plimsoll/v1/provenance.proto",
        "plimsoll/v1/search.proto",
        "plimsoll/v1/trace.proto",
        "plimsoll/v1/exposure.proto",
        "plimsoll/bench/v1/bench.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed=proto/{file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("plimsoll.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .bytes(".plimsoll")
        // The same answer is the same bytes.
        .btree_map(".plimsoll.v1")
        .boxed(".plimsoll.v1.Event.envelope")
        .compile_well_known_types(true)
        // Ours can be printed as JSON.
        .extern_path(".google.protobuf.Timestamp", "crate::api::Timestamp")
        .type_attribute(".plimsoll.v1", "#[derive(serde::Serialize)]")
        .compile_fds(descriptors)?;
    Ok(())
}
