//! What is appended: syncs of 600 services as Argo CD tells of them, about 600 bytes each when recorded.

use crate::api::proto::v1 as pb;

/// Services; each has a stream.
const SERVICES: u64 = 600;

/// The stream that holds one event in ten.
pub(super) const BUSY_STREAM: &str = "target/production/billing-api";

fn service(n: u64) -> String {
    if n.is_multiple_of(10) {
        "billing-api".to_owned()
    } else {
        format!("service-{:03}-api", n.wrapping_mul(7919) % SERVICES)
    }
}

/// The draft with the number `n`.
pub(super) fn draft(n: u64) -> pb::Draft {
    let service = service(n);
    let digest = blake3::hash(&n.to_le_bytes()).to_hex();
    let commit = digest.get(..40).unwrap_or_default();
    let seconds = 1_770_000_000 + i64::try_from(n % 10_000_000).unwrap_or(0);
    let data_json = format!(
        "{{\"application\":{{\"cluster\":\"prod-eu\",\"name\":\"{service}\",\"namespace\":\"argocd\"}},\"commit\":\"{commit}\",\
         \"finished_at\":\"2026-03-04T12:00:00.000000Z\",\"images\":[{{\"digest\":\"sha256:{digest}\",\
         \"name\":\"registry.example/acme/{service}\"}}]}}"
    );
    pb::Draft {
        r#type: "sync.succeeded".to_owned(),
        stream: format!("target/production/{service}"),
        source: "argocd/prod-eu".to_owned(),
        dedup: format!("{commit}:{n}"),
        occurred_at: Some(crate::api::Timestamp { seconds, nanos: 0 }),
        data_json,
        ..pb::Draft::default()
    }
}

/// The drafts from `first` on, in requests of `batch`.
pub(super) fn requests(first: u64, n: u64, batch: u64) -> Vec<pb::AppendRequest> {
    let starts = (first..first + n).step_by(usize::try_from(batch).unwrap_or(1));
    let request = |start: u64| pb::AppendRequest {
        drafts: (start..(start + batch).min(first + n)).map(draft).collect(),
        with_receipts: false,
    };
    starts.map(request).collect()
}
