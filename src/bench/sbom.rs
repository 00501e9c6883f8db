//! A large bill of materials: from the file to the durable event, against passing over the same bytes as JSON.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use serde::de::IgnoredAny;

use super::report::Spread;
use super::{Result, process};
use crate::event::Digest;
use crate::ingest::upload::About;
use crate::ingest::{Intake, Kind, Settings};
use crate::ledger::{Creation, DataDir, Ledger, Options};

/// What recording a large document takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Documents {
    /// How large the document is. MB.
    pub size_mb: f64,
    /// From the file to the durable event, against a JSON reader that keeps nothing. MB per second.
    pub recorded: Spread,
    /// The most memory that a server ever had that was sent it. MB.
    pub peak_mb: f64,
}

pub(super) async fn measure(scratch: &Path, components: u64) -> Result<Documents> {
    let data = DataDir::new(scratch.join("documents"));
    let ledger = Ledger::open_or_create(Options::new(data.clone(), "plimsoll bench"), Creation::default()).await?;
    let intake = Intake::new(ledger.clone(), Settings::default()).map_err(anyhow::Error::msg)?;
    intake.prepare().await?;
    let file = scratch.join("bom.json");
    let digest: Digest = format!("sha256:{}", blake3::hash(b"an image").to_hex()).parse()?;
    let about = About { artifact: Some(digest.clone()), ..About::default() };
    let mut rounds = Vec::new();
    let mut size = 0;
    for round in 0..super::rounds(components) {
        let bytes = tokio::task::block_in_place(|| document(round, components));
        std::fs::write(&file, &bytes)?;
        size = bytes.len();
        let began = Instant::now();
        let reader = std::fs::File::open(&file)?;
        let accepted = intake.hand_in(Some(Kind::Sbom), about.clone(), reader).await?;
        let ours = began.elapsed();
        anyhow::ensure!(accepted.events.iter().any(|event| !event.duplicate), "nothing was recorded");
        let floor = tokio::task::block_in_place(|| {
            let began = Instant::now();
            std::hint::black_box(serde_json::from_slice::<IgnoredAny>(&bytes)).map(|_| began.elapsed())
        })?;
        let megabytes = size as f64 / 1e6;
        rounds.push((megabytes / ours.as_secs_f64(), megabytes / floor.as_secs_f64()));
    }
    drop(intake);
    tokio::task::spawn_blocking(move || drop(ledger)).await?;
    std::fs::write(&file, document(usize::MAX, components))?;
    let peak_mb = process::hand_in(data.root(), &file, &format!("/v1/evidence?kind=sbom&artifact={digest}")).await?;
    Ok(Documents { size_mb: size as f64 / 1e6, recorded: Spread::of(&rounds), peak_mb })
}

/// A CycloneDX document with so many components of about 500 bytes each, as large generators write them.
fn document(round: usize, components: u64) -> Vec<u8> {
    let mut text = format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.6\",\n  \"version\": 1,\n  \
         \"serialNumber\": \"urn:uuid:3e671687-395b-41f5-a30f-{:012x}\",\n  \
         \"metadata\": {{\"timestamp\": \"2026-03-04T12:00:00Z\", \"tools\": {{\"components\": [{{\"type\": \"application\", \
         \"name\": \"bench\", \"version\": \"1\"}}]}}}},\n  \"components\": [",
        round % 0xffff_ffff
    );
    for n in 0..components {
        let hash = blake3::hash(&n.to_le_bytes()).to_hex();
        let (name, version) = (format!("package-{n}"), format!("{}.{}.{}", n % 7, n % 31, n % 11));
        let purl = format!("pkg:npm/%40acme/{name}@{version}");
        let comma = if n == 0 { "" } else { "," };
        text.push_str(&format!(
            "{comma}\n    {{\"type\": \"library\", \"bom-ref\": \"{purl}?package-id={}\", \"group\": \"@acme\", \"name\": \"{name}\", \
             \"version\": \"{version}\", \"purl\": \"{purl}\", \"licenses\": [{{\"license\": {{\"id\": \"MIT\"}}}}], \
             \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": \"{hash}\"}}], \"externalReferences\": [{{\"type\": \"distribution\", \
             \"url\": \"https://registry.example/@acme/{name}/-/{name}-{version}.tgz\"}}], \
             \"properties\": [{{\"name\": \"bench:location:0:path\", \"value\": \"/app/node_modules/@acme/{name}/package.json\"}}]}}",
            hash.get(..16).unwrap_or_default()
        ));
    }
    text.push_str("\n  ]\n}\n");
    text.into_bytes()
}
