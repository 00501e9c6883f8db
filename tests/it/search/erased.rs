//! What is erased is found no more, and stands in no file of the views.

use plimsoll::event::Draft;
use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::ledger::DataDir;
use plimsoll::projection::{all, compare};

use super::{commit, incident, names, search, texts, told};
use crate::projection::story::at;
use crate::support::served::Served;

/// Erases a person, by pseudonym, or single values.
async fn erase(served: &Served, subject: Option<&str>, values: Vec<plimsoll::event::SealedId>) {
    let dedup = format!("erase {subject:?} {values:?}").parse().unwrap();
    let subject = subject.map(|subject| subject.parse().unwrap());
    let erased = SubjectErased { ground: ErasureGround::Request, operator: None, subject, values };
    let at = plimsoll::event::Timestamp::from_micros(at(100)).unwrap();
    served
        .ledger
        .append(vec![Draft::new(erased, "ledger".parse().unwrap(), "test".parse().unwrap(), dedup, at)])
        .await
        .unwrap();
    served.views.wait_for(served.ledger.head().size).await.unwrap();
}

/// Whether some bytes stand in a file of the views.
fn stands_in_views(data: &DataDir, word: &str) -> bool {
    let main = data.views();
    let beside = main.with_file_name(format!("{}-wal", main.file_name().unwrap().to_str().unwrap()));
    let stands = |path| std::fs::read(path).is_ok_and(|bytes: Vec<u8>| memchr_find(&bytes, word));
    stands(main) || stands(beside)
}

fn memchr_find(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_everything_they_wrote_is_found_no_more() {
    let served = told(vec![
        commit("Xanthippe <x@example.com>", "a", "Quixotic pelican", 1),
        commit("Bob <bob@example.com>", "b", "Ordinary pelican", 2),
        incident("Xanthippe <x@example.com>", "1", "Zeppelin adrift", 3),
    ])
    .await;
    let xanthippe = search(&served, "xanthippe").await.names[0].subject.clone().unwrap();
    assert_eq!(search(&served, "pelican").await.hits.len(), 2);
    let data = served.house.data();
    assert!(["quixotic", "zeppelin", "xanthippe"].iter().all(|word| stands_in_views(&data, word)));
    erase(&served, Some(&xanthippe), Vec::new()).await;
    assert_eq!(texts(&search(&served, "pelican").await), ["Ordinary pelican"]);
    for query in ["quixotic", "zeppelin", "customer", "xanthippe"] {
        let found = search(&served, query).await;
        assert!(found.hits.is_empty() && found.names.is_empty(), "{query}");
    }
    assert_eq!(names(&search(&served, "bob").await), ["person Bob <bob@example.com>"]);
    for word in ["quixotic", "zeppelin", "xanthippe", "customer"] {
        assert!(!stands_in_views(&data, word), "{word}");
    }
    assert!(stands_in_views(&data, "ordinary"));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_texts_are_found_no_more_and_the_others_are() {
    let served = told(vec![incident("Jane", "1", "Zeppelin adrift", 1)]).await;
    let title = search(&served, "zeppelin").await;
    let leaf = served.ledger.leaf(title.hits[0].position).unwrap();
    let recorded = plimsoll::event::Recorded::parse(leaf).unwrap();
    let values = served.ledger.private_values(&recorded).unwrap();
    let id = values.iter().find(|row| row.value == "Zeppelin adrift").unwrap().id.clone();
    erase(&served, None, vec![id]).await;
    assert!(search(&served, "zeppelin").await.hits.is_empty());
    assert!(!stands_in_views(&served.house.data(), "zeppelin"));
    assert_eq!(search(&served, "customer").await.hits.len(), 1);
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_made_anew_after_an_erasure_are_the_same() {
    let mut drafts: Vec<_> = (0..40)
        .map(|n| commit(&format!("Person {}", n % 4), &format!("c{n}"), &format!("words of number {n}"), n))
        .collect();
    drafts.push(incident("Person 1", "1", "words of trouble", 50));
    let served = told(drafts).await;
    let one = search(&served, "\"Person 1\"").await.names[0].subject.clone().unwrap();
    erase(&served, Some(&one), Vec::new()).await;
    served.ledger.append(vec![commit("Person 1", "again", "words of somebody new", 60)]).await.unwrap();
    let found = search(&served, "words").await;
    assert_eq!(found.hits.len(), 31, "those of the person who was erased are gone, and what came later is there");
    let (house, ledger) = served.stop().await;
    let (views, again) = (house.data().views(), house.dir.path().join("again.db"));
    let (from, to) = (ledger.clone(), again.clone());
    tokio::task::spawn_blocking(move || plimsoll::app::build(&from, &to, all, &|_, _| {})).await.unwrap().unwrap();
    assert_eq!(compare(&views, &again, &all()).unwrap(), None);
    drop(ledger);
}
