//! The HTTP port.

use plimsoll::ledger::tree::{Checkpoint, Hash, decode_entry_bundle, leaf_hash, subtree_root};

use crate::support::draft;
use crate::support::http::{Answer, request, throw};
use crate::support::served::{Served, within};

fn hashes(tile: &[u8]) -> Vec<Hash> {
    assert_eq!(tile.len() % 32, 0);
    tile.chunks(32).map(|hash| Hash::from(<[u8; 32]>::try_from(hash).unwrap())).collect()
}

#[track_caller]
fn immutable(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert!(answer.headers["cache-control"].contains("immutable"), "{answer:?}");
}

#[tokio::test]
async fn the_checkpoint_is_signed_and_not_cached_for_long() {
    let served = Served::with_events(3).await;
    let answer = served.get("/checkpoint").await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/plain; charset=utf-8"));
    let seconds: u32 = answer.headers["cache-control"].strip_prefix("max-age=").unwrap().parse().unwrap();
    assert!(seconds <= 5);
    assert_eq!(Checkpoint::verify(&answer.body, served.ledger.key()).unwrap().size, 4);
    served.finish().await;
}

#[tokio::test]
async fn every_tile_of_every_published_size_stays_available() {
    let served = Served::new().await;
    let mut roots = Vec::new();
    for n in 0..520 {
        served.ledger.append(vec![draft("repo/example.com/app", n)]).await.unwrap();
        let note = served.ledger.head().checkpoint;
        let checkpoint = Checkpoint::verify(note.as_bytes(), served.ledger.key()).unwrap();
        roots.push((checkpoint.size, checkpoint.root));
    }
    let leaves: Vec<Hash> = (0..521).map(|at| leaf_hash(&served.ledger.leaf(at).unwrap())).collect();
    // Now, long after they were published: the partial tiles of each size, which give its root.
    for (size, root) in roots {
        let mut level_zero = Vec::new();
        for tile in 0..size.div_ceil(256) {
            let width = (size - tile * 256).min(256);
            let part = if width < 256 { format!(".p/{width}") } else { String::new() };
            let answer = served.get(&format!("/tile/0/{tile:03}{part}")).await;
            immutable(&answer);
            level_zero.extend(hashes(&answer.body));
            if size % 16 == 0 || width == 256 {
                let answer = served.get(&format!("/tile/entries/{tile:03}{part}")).await;
                immutable(&answer);
                for (entry, at) in decode_entry_bundle(&answer.body).unwrap().into_iter().zip(tile * 256..) {
                    assert_eq!(entry, &served.ledger.leaf(at).unwrap()[..]);
                }
            }
        }
        assert_eq!(level_zero, leaves[..level_zero.len()]);
        assert_eq!((level_zero.len() as u64, subtree_root(&level_zero)), (size, root));
        if size >= 256 {
            let width = size / 256;
            let answer = served.get(&format!("/tile/1/000.p/{width}")).await;
            immutable(&answer);
            let parents: Vec<Hash> = leaves.chunks(256).take(width as usize).map(subtree_root).collect();
            assert_eq!(hashes(&answer.body), parents);
        }
    }
    served.finish().await;
}

#[tokio::test]
async fn what_is_not_a_tile_of_this_log_is_not_found() {
    let served = Served::with_events(299).await;
    for path in [
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/000.p/01",
        "/tile/0/001",
        "/tile/0/001.p/45",
        "/tile/0/002.p/1",
        "/tile/1/000",
        "/tile/1/000.p/2",
        "/tile/2/000.p/1",
        "/tile/0/0",
        "/tile/0/00",
        "/tile/0/0000",
        "/tile/0/x000/001",
        "/tile/00/000",
        "/tile/8/0/000",
        "/tile/64/000",
        "/tile/-1/000",
        "/tile/data/000",
        "/tile/entries/001",
        "/tile/entries/001.p/45",
        "/tile/entries/x999/x999/x999/x999/x999/x999/999",
        "/tile/entries/x018/x446/x744/x073/x709/x551/615",
        "/tile/63/x018/x446/x744/x073/x709/x551/615.p/255",
        "/tile/0/x072/x057/x594/x037/x927/935",
        "/tile/entries/x072/x057/x594/x037/x927/935",
        "/tile/0/..%2F..%2Fledger.key",
        "/tile/../ledger.key",
        "/tile/0/000%00",
        "/tile/0/%ff%fe",
        "/tile/",
        "/tile",
        "/",
        "/ledger.db",
        "/checkpoint/",
    ] {
        let answer = served.get(path).await;
        assert!(matches!(answer.status, 404 | 400), "{path}: {}", answer.status);
        let bad_utf8 = path.contains("%ff");
        assert_eq!(answer.status == 400, bad_utf8, "{path}: {}", answer.status);
        assert!(!answer.headers.get("cache-control").is_some_and(|value| value.contains("immutable")), "{path}");
    }
    // Those it has, so that the list above proves something.
    for path in ["/tile/0/000", "/tile/0/001.p/44", "/tile/1/000.p/1", "/tile/entries/000", "/tile/entries/001.p/44"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    served.finish().await;
}

#[tokio::test]
async fn health_and_readiness_are_told_in_words() {
    let served = Served::new().await;
    for (path, words) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, words));
    }
    for method in ["POST", "DELETE", "PUT"] {
        assert_eq!(request(served.addresses.http, method, "/checkpoint").await.status, 405, "{method}");
    }
    served.finish().await;
}

#[tokio::test]
async fn garbage_on_either_port_harms_nobody() {
    let served = Served::with_events(3).await;
    let noise: Vec<u8> = (0..40_u32).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut bad_frame = h2.to_vec();
    bad_frame.extend([0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let mut then_noise = h2.to_vec();
    then_noise.extend(&noise);
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    let many: String = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    let inputs: [&[u8]; 9] = [
        b"",
        b"\0",
        b"GET",
        b"GET /checkpoint HTTP/9.9\r\n\r\n",
        &noise,
        &bad_frame,
        &then_noise,
        long.as_bytes(),
        many.as_bytes(),
    ];
    for input in inputs {
        for address in [served.addresses.grpc, served.addresses.http] {
            within("the end of a bad connection", throw(address, input)).await;
        }
    }
    assert_eq!(served.get("/checkpoint").await.status, 200);
    let mut client = served.client().await;
    let request = plimsoll::api::proto::v1::GetCheckpointRequest::default();
    assert_eq!(client.get_checkpoint(request).await.unwrap().into_inner().size, 4);
    served.finish().await;
}
