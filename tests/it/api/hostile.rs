//! What no well-meaning client sends. Each is refused with a code, a reason and the field; nothing of it is recorded.

use bytes::Bytes;
use plimsoll::api::proto::v1 as pb;
use prost::Message;
use tonic::Code;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::support::served::{Served, field, reason, request, wire};
use crate::support::{commit_draft, draft};

const STREAM: &str = "repo/example.com/app";

/// A valid draft with one thing about it changed.
fn with(change: impl FnOnce(&mut pb::Draft)) -> pb::Draft {
    let mut changed = wire(&draft(STREAM, 1));
    change(&mut changed);
    changed
}

fn data(json: &str) -> pb::Draft {
    with(|draft| draft.data_json = json.to_owned())
}

/// A payload of `incident.opened`, `workload.scaled` and the like has numbers; this one has a time zone offset.
fn offset(json: &str) -> pb::Draft {
    let mut draft = wire(&commit_draft(1, "Jane <j@example.com>", "m"));
    let whole =
        draft.data_json.replacen("\"author_offset_minutes\":60", &format!("\"author_offset_minutes\":{json}"), 1);
    assert_ne!(whole, draft.data_json);
    draft.data_json = whole;
    draft
}

/// What is sent, the field that must be named, and a word that the explanation must have.
type Case = (&'static str, pb::Draft, &'static str, &'static str);

fn wrong_envelopes() -> Vec<Case> {
    vec![
        ("nothing at all", pb::Draft::default(), "type", ""),
        ("an unknown type", with(|draft| draft.r#type = "tag.eaten".to_owned()), "type", "tag.eaten"),
        ("no stream", with(|draft| draft.stream = String::new()), "stream", ""),
        ("a stream with dots", with(|draft| draft.stream = "repo/../x".to_owned()), "stream", "repo/../x"),
        ("a long stream", with(|draft| draft.stream = format!("repo/{}", "x/".repeat(600))), "stream", ""),
        ("another type's stream", with(|draft| draft.stream = "target/p/s".to_owned()), "stream", "repo/<host>/<path>"),
        ("no source", with(|draft| draft.source = String::new()), "source", ""),
        ("a source with a line feed", with(|draft| draft.source = "a\nb".to_owned()), "source", ""),
        ("no dedup", with(|draft| draft.dedup = String::new()), "dedup", ""),
        ("a long dedup", with(|draft| draft.dedup = "d".repeat(513)), "dedup", ""),
        ("a dedup with NUL", with(|draft| draft.dedup = "d\0".to_owned()), "dedup", ""),
        ("no time", with(|draft| draft.occurred_at = None), "occurred_at", "missing"),
        (
            "a time beyond all years",
            with(|draft| draft.occurred_at.as_mut().unwrap().seconds = i64::MAX),
            "occurred_at",
            "9999",
        ),
        ("negative nanos", with(|draft| draft.occurred_at.as_mut().unwrap().nanos = -1), "occurred_at", "999999999"),
        ("a bad correlation", with(|draft| draft.correlation = "a b".to_owned()), "correlation", ""),
        ("a bad causation", with(|draft| draft.causation = "7".to_owned()), "causation", "UUID"),
        (
            "evidence without digests",
            with(|draft| draft.evidence = vec![pb::EvidenceRef::default()]),
            "evidence[0].blake3",
            "64",
        ),
        (
            "evidence that nobody stored",
            with(|draft| {
                draft.evidence = vec![pb::EvidenceRef {
                    media_type: "text/plain".to_owned(),
                    size: 1,
                    sha256: "0".repeat(64),
                    blake3: "0".repeat(64),
                }];
            }),
            "evidence[0]",
            "not in the evidence store",
        ),
    ]
}

fn wrong_payloads() -> Vec<Case> {
    let oid = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let deep = format!("{{\"before\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{{\"x\":{}1{}}}", "{\"x\":".repeat(100_000), "}".repeat(100_000));
    vec![
        ("no JSON", data("{"), "data", ""),
        ("a JSON array", data("[]"), "data", ""),
        ("two values", data(&format!("{{\"before\":\"{oid}\",\"tag\":\"v1\"}} {{}}")), "data", ""),
        ("a missing field", data(&format!("{{\"before\":\"{oid}\"}}")), "data", "tag"),
        (
            "an unknown field",
            data(&format!("{{\"before\":\"{oid}\",\"tag\":\"v1\",\"x\":1}}")),
            "data.x",
            "no such field",
        ),
        ("a duplicate key", data(&format!("{{\"before\":\"{oid}\",\"tag\":\"a\",\"tag\":\"b\"}}")), "data", "tag"),
        ("deep arrays", data(&deep), "data", ""),
        ("deep objects", data(&deep_objects), "data", ""),
        ("NaN", data(&format!("{{\"before\":\"{oid}\",\"tag\":NaN}}")), "data", ""),
        ("a float", offset("1.5"), "data", "1.5"),
        ("a float that is whole", offset("60.0"), "data", "60.0"),
        ("an exponent", offset("6e1"), "data", ""),
        ("a huge integer", offset("9007199254740993"), "data", "9007199254740993"),
        ("a number no machine holds", offset(&"9".repeat(400)), "data", ""),
        ("infinity", offset("1e999"), "data", ""),
        ("a number as text", offset("\"60\""), "data", ""),
        ("half a surrogate", data(&format!("{{\"before\":\"{oid}\",\"tag\":\"\\ud800\"}}")), "data", ""),
        (
            "an object id in capitals",
            data(&format!("{{\"before\":\"{}\",\"tag\":\"v\"}}", oid.to_uppercase())),
            "data",
            "40",
        ),
    ]
}

#[tokio::test]
async fn every_wrong_draft_is_refused_by_the_name_of_its_field() {
    let served = Served::with_events(1).await;
    let mut client = served.client().await;
    for (what, draft, name, word) in wrong_envelopes().into_iter().chain(wrong_payloads()) {
        // In the middle of good ones: they must not be recorded either.
        let mut request = request("repo/example.com/good", 0..2);
        request.drafts.insert(1, draft);
        let status = client.append(request).await.expect_err(what);
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
        assert_eq!(reason(&status).0, "INVALID_DRAFT", "{what}");
        let expected = format!("drafts[1].{name}");
        let found = field(&status);
        assert!(found == expected || (name == "data" && found.starts_with("drafts[1].data.")), "{what}: {found}");
        assert!(status.message().contains(word), "{what}: {status}");
        assert!(status.message().len() < 700, "{what}: it gives back all that was sent");
    }
    assert_eq!(served.ledger.head().size, 2);
    assert_eq!(client.append(request(STREAM, 5..6)).await.unwrap().into_inner().placed[0].position, 2);
    served.finish().await;
}

#[tokio::test]
async fn what_is_too_large_or_too_many_is_refused() {
    let served = Served::with_events(1).await;
    let mut client = served.client().await;

    // The largest event that fits, found by halving, and one byte more.
    let of = |length: usize| data(&format!("{{\"before\":\"{:040x}\",\"tag\":\"{}\"}}", 1, "v".repeat(length)));
    let (mut fits, mut not) = (1, 64 * 1024);
    while fits + 1 < not {
        let middle = usize::midpoint(fits, not);
        let mut draft = of(middle);
        draft.dedup = format!("size {middle}");
        match client.append(pb::AppendRequest { drafts: vec![draft], with_receipts: false }).await {
            Ok(_) => fits = middle,
            Err(status) => {
                assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "drafts[0]"));
                assert!(status.message().contains("32768") && status.message().contains("evidence"), "{status}");
                not = middle;
            }
        }
    }
    let largest = served.ledger.leaf(served.ledger.head().size - 1).unwrap().len();
    assert!((31_000..=32_768).contains(&fits) && largest <= 32_768, "{fits} {largest}");

    let before = served.ledger.head().size;
    let empty = pb::AppendRequest::default();
    let mut many = pb::AppendRequest { drafts: vec![wire(&draft(STREAM, 1)); 10_001], with_receipts: false };
    for request in [empty, many.clone()] {
        let status = client.append(request).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "drafts"));
        assert!(status.message().contains("10000"), "{status}");
    }
    many.drafts.pop();
    let done = client.append(many).await.unwrap().into_inner();
    assert_eq!((done.placed.len(), done.tree_size), (10_000, before + 1), "the same event 10,000 times");

    // A message over the limit is not even read.
    let message = pb::AppendRequest { drafts: vec![data(&" ".repeat(49 << 20))], with_receipts: false };
    let status = client.append(message).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains("50331648"), "{status}");
    client.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap();
    served.finish().await;
}

#[tokio::test]
async fn a_conflict_names_both_sides() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let first = client.append(request(STREAM, 1..2)).await.unwrap().into_inner();
    let other = with(|draft| draft.data_json = draft.data_json.replace("v1", "v2"));
    let status = client.append(pb::AppendRequest { drafts: vec![other], with_receipts: false }).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    let (name, metadata) = reason(&status);
    assert_eq!((name.as_str(), metadata["position"].as_str()), ("DEDUP_CONFLICT", "1"));
    assert_eq!(metadata["id"], first.placed[0].id);
    for word in ["test", &format!("{STREAM}#1"), &first.placed[0].id, "data.tag"] {
        assert!(status.message().contains(word), "{word}: {status}");
    }

    let expected = |expected| {
        with(|draft| {
            draft.dedup = "new".to_owned();
            draft.expected = Some(pb::ExpectedVersion { expected: Some(expected) });
        })
    };
    use pb::expected_version::Expected;
    for wrong in [Expected::Empty(true), Expected::Seq(1), Expected::Seq(u64::MAX)] {
        let request = pb::AppendRequest { drafts: vec![expected(wrong)], with_receipts: false };
        let status = client.append(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).0.as_str()), (Code::Aborted, "WRONG_VERSION"));
        let violation = tonic_types::StatusExt::get_details_precondition_failure(&status).unwrap().violations.remove(0);
        assert_eq!((violation.r#type.as_str(), violation.subject.as_str()), ("WRONG_VERSION", STREAM));
    }
    let request = pb::AppendRequest { drafts: vec![expected(Expected::Seq(0))], with_receipts: false };
    assert_eq!(client.append(request).await.unwrap().into_inner().placed[0].position, 2);
    served.finish().await;
}

/// Sends bytes as they are, in place of a message.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = pb::AppendResponse;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = pb::AppendResponse;
    type Error = tonic::Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<pb::AppendResponse>, tonic::Status> {
        Ok(Some(pb::AppendResponse::decode(buffer).unwrap()))
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let served = Served::with_events(1).await;
    let mut grpc = tonic::client::Grpc::new(served.channel().await);
    let good = pb::AppendRequest { drafts: vec![wire(&draft(STREAM, 1))], with_receipts: false }.encode_to_vec();
    let at = good.windows(4).position(|window| window == b"repo").unwrap();
    let mut invalid_utf8 = good.clone();
    invalid_utf8[at] = 0xff;
    let truncated = good[..good.len() - 1].to_vec();
    let noise = blake3::hash(b"noise").as_bytes().to_vec();
    for (what, bytes, word) in
        [("invalid UTF-8", invalid_utf8, "stream"), ("half a message", truncated, ""), ("noise", noise, "")]
    {
        grpc.ready().await.unwrap();
        let path = "/plimsoll.v1.LedgerService/Append".parse().unwrap();
        let status = grpc.unary(tonic::Request::new(Bytes::from(bytes)), path, Raw).await.expect_err(what);
        // What gRPC says for a request that cannot be parsed.
        assert_eq!(status.code(), Code::Internal, "{what}: {status}");
        assert!(status.message().contains(word), "{what}: {status}");
    }
    grpc.ready().await.unwrap();
    let path = "/plimsoll.v1.LedgerService/Append".parse().unwrap();
    let done = grpc.unary(tonic::Request::new(Bytes::from(good)), path, Raw).await.unwrap().into_inner();
    assert_eq!(done.placed[0].position, 2, "this way of sending works");
    grpc.ready().await.unwrap();
    let path = "/plimsoll.v1.LedgerService/Nothing".parse().unwrap();
    let status = grpc.unary(tonic::Request::new(Bytes::new()), path, Raw).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    served.finish().await;
}
