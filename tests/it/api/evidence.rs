//! Evidence over gRPC: put and got piece by piece.

use plimsoll::api::proto::v1 as pb;
use plimsoll::event::ledger::{ErasureGround, EvidenceErased};
use plimsoll::event::{Draft, EvidenceRef};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::support::draft;
use crate::support::served::{Client, Served, field, wire, within};

const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

fn pieces(content: &[u8], size: usize) -> Vec<pb::PutEvidenceRequest> {
    let piece = |data: &[u8]| pb::PutEvidenceRequest { media_type: String::new(), data: data.to_vec().into() };
    let mut pieces: Vec<_> = content.chunks(size).map(piece).collect();
    if pieces.is_empty() {
        pieces.push(piece(b""));
    }
    pieces[0].media_type = MEDIA_TYPE.to_owned();
    pieces
}

async fn put(client: &mut Client, pieces: Vec<pb::PutEvidenceRequest>) -> Result<pb::EvidenceRef, Status> {
    let answer = client.put_evidence(tokio_stream::iter(pieces)).await?;
    Ok(answer.into_inner().evidence.unwrap())
}

async fn get(client: &mut Client, blake3: &str) -> Result<Vec<u8>, Status> {
    let mut pieces = client.get_evidence(pb::GetEvidenceRequest { blake3: blake3.to_owned() }).await?.into_inner();
    let mut content = Vec::new();
    while let Some(piece) = pieces.next().await.transpose()? {
        content.extend_from_slice(&piece.data);
    }
    Ok(content)
}

fn noise(n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

fn incoming(served: &Served) -> usize {
    std::fs::read_dir(served.house.data().evidence().join("incoming")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_can_be_named_and_is_got_as_it_was() {
    let served = Served::new().await;
    let mut client = served.client().await;
    for (n, content) in [vec![], b"{}".to_vec(), noise(3_000_001)].into_iter().enumerate() {
        let reference = put(&mut client, pieces(&content, 300_000)).await.unwrap();
        let wanted = EvidenceRef::of(MEDIA_TYPE.parse().unwrap(), &content);
        assert_eq!(
            (reference.blake3.as_str(), reference.sha256.as_str(), reference.size, reference.media_type.as_str()),
            (wanted.blake3.as_str(), wanted.sha256.as_str(), wanted.size.0, MEDIA_TYPE)
        );
        // However it is cut, it is the same blob.
        assert_eq!(put(&mut client, pieces(&content, 77_777)).await.unwrap(), reference);
        assert!(get(&mut client, &reference.blake3).await.unwrap() == content);
        let named = wire(&Draft { evidence: vec![wanted], ..draft("repo/example.com/app", n as u64) });
        client.append(pb::AppendRequest { drafts: vec![named], with_receipts: false }).await.unwrap();
    }
    assert_eq!(incoming(&served), 0);
    assert_eq!(served.finish().await.evidence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_or_got_is_told() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let error = put(&mut client, vec![]).await.unwrap_err();
    assert_eq!((error.code(), field(&error).as_str()), (Code::InvalidArgument, "media_type"));
    let error = put(&mut client, vec![pb::PutEvidenceRequest::default()]).await.unwrap_err();
    assert_eq!((error.code(), field(&error).as_str()), (Code::InvalidArgument, "media_type"));
    let error = put(&mut client, pieces(&noise(2_000_000), 1 << 21)).await.unwrap_err();
    assert_eq!((error.code(), field(&error).as_str()), (Code::InvalidArgument, "data"));
    let error = get(&mut client, "abc").await.unwrap_err();
    assert_eq!((error.code(), field(&error).as_str()), (Code::InvalidArgument, "blake3"));
    assert_eq!(get(&mut client, &"0".repeat(64)).await.unwrap_err().code(), Code::NotFound);

    // A client that goes away in the middle leaves nothing.
    let (sender, receiver) = mpsc::channel(1);
    let mut cut = served.client().await;
    let putting = tokio::spawn(async move { cut.put_evidence(ReceiverStream::new(receiver)).await });
    for piece in pieces(&noise(1_000_000), 100_000) {
        sender.send(piece).await.unwrap();
    }
    assert_eq!(incoming(&served), 1);
    putting.abort();
    within("the end of what was cut", async {
        while incoming(&served) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;

    // Erased, it is not there; damaged, that is told at the end.
    let content = noise(1_000_000);
    let reference = put(&mut client, pieces(&content, 100_000)).await.unwrap();
    let (first, rest) = reference.blake3.split_at(2);
    let file = served.house.data().evidence().join(first).join(format!("{rest}.zst"));
    let other = zstd::bulk::compress(&[&content[..], b"!"].concat(), 1).unwrap();
    std::fs::write(&file, other).unwrap();
    assert_eq!(get(&mut client, &reference.blake3).await.unwrap_err().code(), Code::DataLoss);
    put(&mut client, pieces(&content, 100_000)).await.unwrap();
    let EvidenceRef { blake3, sha256, size, .. } = EvidenceRef::of(MEDIA_TYPE.parse().unwrap(), &content);
    let gone = EvidenceErased { blake3, ground: ErasureGround::Mistake, operator: None, sha256, size };
    let gone = wire(&Draft { data: gone.into(), ..draft("ledger", 1) });
    client.append(pb::AppendRequest { drafts: vec![gone], with_receipts: false }).await.unwrap();
    assert_eq!(get(&mut client, &reference.blake3).await.unwrap_err().code(), Code::NotFound);
    served.finish().await;
}
