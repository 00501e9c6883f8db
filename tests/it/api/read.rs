//! Reading: events, streams, stretches of the log, receipts and checkpoints.

use plimsoll::api::proto::v1 as pb;
use plimsoll::event::{Recorded, commitment};
use plimsoll::ledger::Receipt;
use plimsoll::ledger::tree::{Checkpoint, Hash, verify_consistency};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::support::served::{Client, Served, field, reason, within};
use crate::support::{commit_draft, draft};

fn by_position(position: u64) -> Option<pb::get_event_request::Key> {
    Some(pb::get_event_request::Key::Position(position))
}

#[tokio::test]
async fn an_event_is_found_by_position_and_by_id_with_as_much_of_it_as_was_asked_for() {
    let served = Served::new().await;
    let author = "Jane <jane@example.com>";
    let mut submitted = commit_draft(1, author, "a private message");
    submitted.correlation = Some("promotion-7".parse().unwrap());
    served.ledger.append(vec![submitted, draft("repo/example.com/x", 1)]).await.unwrap();
    let mut client = served.client().await;

    let bare = pb::GetEventRequest { key: by_position(1), view: None };
    let bare = client.get_event(bare).await.unwrap().into_inner().event.unwrap();
    assert_eq!(bare.leaf, served.ledger.leaf(1).unwrap(), "the exact bytes");
    assert!(bare.envelope.is_none() && bare.private_values.is_empty());

    let id = Recorded::parse(bare.leaf.clone()).unwrap().envelope().id.to_string();
    let view = Some(pb::EventView { envelope: true, private_values: true });
    let full = pb::GetEventRequest { key: Some(pb::get_event_request::Key::Id(id.clone())), view };
    let full = client.get_event(full).await.unwrap().into_inner().event.unwrap();
    assert_eq!((full.position, &full.leaf), (1, &bare.leaf));
    let envelope = full.envelope.unwrap();
    let leaf: serde_json::Value = serde_json::from_slice(&full.leaf).unwrap();
    for (key, value) in [
        ("id", &envelope.id),
        ("type", &envelope.r#type),
        ("stream", &envelope.stream),
        ("actor", &envelope.actor),
        ("source", &envelope.source),
        ("dedup", &envelope.dedup),
        ("correlation", &envelope.correlation),
    ] {
        assert_eq!(leaf[key], value.as_str(), "{key}");
    }
    assert_eq!((envelope.seq, envelope.prev.as_str(), envelope.causation.as_str()), (0, "", ""));
    assert_eq!(envelope.occurred_at.unwrap().seconds, 1_772_000_000);
    assert_eq!(envelope.recorded_at.unwrap().seconds, 1_772_625_600);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&envelope.data_json).unwrap(), leaf["data"]);

    // Who holds a private value and its salt can show that it is the one.
    let message = full.private_values.iter().find(|value| value.value == "a private message").unwrap();
    let salt = <[u8; 32]>::try_from(&message.salt[..]).unwrap();
    assert_eq!(leaf["data"]["message"]["sealed"], message.id.as_str());
    assert_eq!(leaf["data"]["message"]["commitment"], hex::encode(commitment(&salt, &message.value)));
    assert!(full.private_values.iter().any(|value| value.value == author && value.id == envelope.actor));
    assert_eq!(full.private_values.len(), 2);
    served.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_makes_no_sense_is_said_to() {
    use pb::get_event_request::Key;
    let served = Served::with_events(3).await;
    let mut client = served.client().await;
    let stranger = "019cb8dd-2c00-7000-8000-0001deadbeef".to_owned();
    for key in [Key::Position(4), Key::Position(u64::MAX), Key::Id(stranger.clone())] {
        let status = client.get_event(pb::GetEventRequest { key: Some(key), view: None }).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).0.as_str()), (Code::NotFound, "NOT_FOUND"));
    }
    for (key, name) in [(Some(Key::Id("17".to_owned())), "id"), (Some(Key::Id(String::new())), "id"), (None, "key")] {
        let status = client.get_event(pb::GetEventRequest { key, view: None }).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, name));
        assert_eq!(reason(&status).0, "INVALID_ARGUMENT");
    }
    let key = Some(pb::get_receipt_request::Key::Id(stranger));
    let status = client.get_receipt(pb::GetReceiptRequest { key }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).0.as_str()), (Code::NotFound, "NOT_FOUND"));
    let status = client.get_receipt(pb::GetReceiptRequest { key: None }).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "key"));
    let request = pb::ReadStreamRequest { stream: "repo/no/where".to_owned(), ..pb::ReadStreamRequest::default() };
    let status = client.read_stream(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).0.as_str()), (Code::NotFound, "NOT_FOUND"));
    let status = client.get_checkpoint(pb::GetCheckpointRequest { old_size: 5 }).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "old_size"));
    let request = pb::SubscribeRequest { from_position: 5, ..pb::SubscribeRequest::default() };
    let status = client.subscribe(request).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "from_position"));
    served.finish().await;
}

#[tokio::test]
async fn a_stream_is_read_in_pages_from_any_seq() {
    let served = Served::with_events(17_000).await;
    let mut client = served.client().await;
    let name = "repo/example.com/3";
    let all = served.ledger.stream(name, 0, usize::MAX).unwrap();
    assert!(all.len() > 2 * 1000, "several pages");
    for (from_seq, max_events) in
        [(0, 0), (0, 1), (0, 1000), (0, 1001), (1, 0), (999, 1002), (2428, 7), (2429, 7), (9999, 0)]
    {
        let request = pb::ReadStreamRequest { stream: name.to_owned(), from_seq, max_events, view: None };
        let mut pages = client.read_stream(request).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Some(page) = within("a page", pages.next()).await {
            let page = page.unwrap();
            assert!(!page.events.is_empty() && page.events.len() <= 1000);
            events.extend(page.events);
        }
        let limit = if max_events == 0 { usize::MAX } else { usize::try_from(max_events).unwrap() };
        let expected: Vec<_> = all.iter().skip(usize::try_from(from_seq).unwrap()).take(limit).collect();
        assert_eq!(events.len(), expected.len(), "from {from_seq}, at most {max_events}");
        for (event, entry) in events.iter().zip(expected) {
            assert_eq!((event.position, &event.leaf), (entry.position, &entry.leaf));
        }
    }
    served.finish().await;
}

/// Everything that `ReadAll` says, and its last `next_position`.
async fn read_all(client: &mut Client, request: pb::ReadAllRequest) -> (Vec<u64>, Option<u64>) {
    let mut pages = client.read_all(request).await.unwrap().into_inner();
    let (mut positions, mut next) = (Vec::new(), None);
    while let Some(page) = within("a page", pages.next()).await {
        let page = page.unwrap();
        positions.extend(page.events.iter().map(|event| event.position));
        next = Some(page.next_position);
    }
    (positions, next)
}

#[tokio::test]
async fn any_stretch_of_the_log_is_read_forwards_and_backwards_through_any_filter() {
    let served = Served::with_events(2500).await;
    served.ledger.append((0..3).map(|n| commit_draft(n, "J <j@e>", "m")).collect()).await.unwrap();
    let mut client = served.client().await;
    let head = served.ledger.head().size;
    let facts: Vec<(String, String)> = (0..head)
        .map(|position| {
            let event = Recorded::parse(served.ledger.leaf(position).unwrap()).unwrap();
            (event.envelope().stream.to_string(), event.envelope().type_name.clone())
        })
        .collect();
    let filters: [(&str, &[&str]); 7] = [
        ("", &[]),
        ("repo/example.com/3", &[]),
        ("repo/", &["tag.*"]),
        ("", &["commit.recorded", "ledger.created"]),
        ("", &["commit.*", "tag.del*"]),
        ("target/", &[]),
        ("", &["tag.delete"]),
    ];
    for (prefix, types) in filters {
        let wanted: Vec<u64> = (0..head)
            .filter(|position| {
                let (stream, kind) = &facts[usize::try_from(*position).unwrap()];
                let one = |pattern: &&str| match pattern.strip_suffix('*') {
                    Some(start) => kind.starts_with(start),
                    None => kind == pattern,
                };
                stream.starts_with(prefix) && (types.is_empty() || types.iter().any(one))
            })
            .collect();
        let filter = pb::Filter {
            stream_prefix: prefix.to_owned(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (from, max) in [(0, 0), (0, 1), (1, 3), (777, 0), (head - 1, 0), (head, 0), (head + 9, 0), (2000, 1000)] {
            let request = |backwards, from_position, max_events| pb::ReadAllRequest {
                from_position,
                backwards,
                max_events,
                filter: Some(filter.clone()),
                view: None,
            };
            let limit = if max == 0 { usize::MAX } else { usize::try_from(max).unwrap() };
            let what = format!("{prefix:?} {types:?} from {from} at most {max}");

            let (found, next) = read_all(&mut client, request(false, from, max)).await;
            let expected: Vec<u64> = wanted.iter().copied().filter(|at| *at >= from).take(limit).collect();
            assert_eq!(found, expected, "forwards {what}");
            if let Some(next) = next {
                let rest: Vec<u64> = wanted.iter().copied().filter(|at| *at >= from).skip(found.len()).collect();
                assert_eq!(read_all(&mut client, request(false, next, 0)).await.0, rest, "the rest of {what}");
            }

            let (found, next) = read_all(&mut client, request(true, from, max)).await;
            let expected: Vec<u64> = wanted.iter().copied().rev().filter(|at| *at < from).take(limit).collect();
            assert_eq!(found, expected, "backwards {what}");
            if let Some(next) = next {
                let rest: Vec<u64> = wanted.iter().copied().rev().filter(|at| *at < from).skip(found.len()).collect();
                assert_eq!(read_all(&mut client, request(true, next, 0)).await.0, rest, "the rest of {what}");
            }
        }
    }
    served.finish().await;
}

#[tokio::test]
async fn streams_are_listed_by_prefix_page_by_page() {
    let served = Served::new().await;
    let names: Vec<String> = (0..250).map(|n| format!("repo/example.com/{}", n * 7919 % 1000)).collect();
    served.ledger.append((0..).zip(&names).map(|(n, name)| draft(name, n)).collect()).await.unwrap();
    served.ledger.append(vec![draft("repo/other.org/x", 1), draft(&names[0], 900)]).await.unwrap();
    let mut client = served.client().await;
    let mut sorted = names.clone();
    sorted.sort();
    for page_size in [1, 7, 50, 250, 251, 0, 1000, u32::MAX] {
        let (mut listed, mut token) = (Vec::new(), String::new());
        loop {
            let prefix = "repo/example.com/".to_owned();
            let request = pb::ListStreamsRequest { prefix, page_size, page_token: token };
            let page = client.list_streams(request).await.unwrap().into_inner();
            assert!(page.streams.len() <= if page_size == 0 { 100 } else { page_size.min(1000) as usize });
            listed.extend(page.streams);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
            assert!(listed.len() <= 250, "it does not end");
        }
        let found: Vec<_> = listed.iter().map(|stream| &stream.name).collect();
        assert_eq!(found, sorted.iter().collect::<Vec<_>>(), "in pages of {page_size}");
        for stream in listed {
            assert_eq!(stream.seq, u64::from(stream.name == names[0]), "{}", stream.name);
        }
    }
    let request = pb::ListStreamsRequest { prefix: "target/".to_owned(), ..pb::ListStreamsRequest::default() };
    assert_eq!(client.list_streams(request).await.unwrap().into_inner(), pb::ListStreamsResponse::default());
    served.finish().await;
}

#[tokio::test]
async fn receipts_and_consistency_proofs_hold_at_every_size() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let mut remembered: Vec<Checkpoint> = Vec::new();
    let key = served.ledger.key().clone();
    for step in 0..40_u64 {
        let first = step * step;
        let drafts = (first..=first + 2 * step).map(|n| draft("repo/example.com/app", n)).collect();
        served.ledger.append(drafts).await.unwrap();
        let answer = client.get_checkpoint(pb::GetCheckpointRequest { old_size: 0 }).await.unwrap().into_inner();
        let checkpoint = Checkpoint::verify(answer.checkpoint.as_bytes(), &key).unwrap();
        assert_eq!(
            (checkpoint.size, answer.size, answer.consistency.len()),
            (first + 2 * step + 2, checkpoint.size, 0)
        );
        assert_eq!(answer.verifier_key, key.to_string());
        remembered.push(checkpoint);
    }
    for old in &remembered {
        let answer = client.get_checkpoint(pb::GetCheckpointRequest { old_size: old.size }).await.unwrap().into_inner();
        let new = Checkpoint::verify(answer.checkpoint.as_bytes(), &key).unwrap();
        let proof: Vec<Hash> =
            answer.consistency.iter().map(|hash| Hash::from(<[u8; 32]>::try_from(&hash[..]).unwrap())).collect();
        verify_consistency(old.size, new.size, &old.root, &new.root, &proof).unwrap();
        let other = Hash::from([7; 32]);
        assert!(verify_consistency(old.size, new.size, &other, &new.root, &proof).is_err(), "a proof of nothing");
    }
    for position in [0, 1, 2, 255, 256, 1000, 1600] {
        let receipt = |key| pb::GetReceiptRequest { key: Some(key) };
        let by_position = receipt(pb::get_receipt_request::Key::Position(position));
        let by_position = client.get_receipt(by_position).await.unwrap().into_inner().receipt.unwrap();
        let parsed = Receipt::parse(&by_position.tlog_proof).unwrap();
        let (checkpoint, event) = parsed.verify(&key).unwrap();
        assert_eq!((checkpoint.size, event.envelope().position.0), (1601, position));
        let by_id = receipt(pb::get_receipt_request::Key::Id(event.envelope().id.to_string()));
        assert_eq!(client.get_receipt(by_id).await.unwrap().into_inner().receipt.unwrap(), by_position);
    }
    served.finish().await;
}
