//! Registries: which digest a tag named when, from what webhooks and reports say in passing. A tag that names another digest
//! than it did is an event, and so is the first sight of one.

use std::collections::HashMap;

use super::TagSeen;
use crate::event::artifact::TagRepointed;
use crate::event::{Data, Dedup, Digest, Draft, EvidenceRef, Recorded, Source, StreamName, Timestamp};
use crate::ledger::{Error, Filter, Ledger, PageLimit, Result};

/// What the ledger knows of tags: a fold of its `tag.repointed`, caught up before each use. Whoever decides by it must
/// append before anybody else decides.
#[derive(Debug, Default)]
pub(super) struct TagBook {
    /// Events before this position are in it.
    until: u64,
    tags: HashMap<(String, String), (Digest, Timestamp)>,
}

impl TagBook {
    /// Reads what was recorded since.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub(super) fn catch_up(&mut self, ledger: &Ledger) -> Result<()> {
        let filter = Filter { types: vec!["tag.repointed".to_owned()], ..Filter::default() };
        let head = ledger.head().size;
        while self.until < head {
            let page = ledger.page(self.until, head, false, &filter, PageLimit::default())?;
            for entry in &page.entries {
                let corrupt = |error: crate::event::Error| Error::Corrupt(format!("event {}: {error}", entry.position));
                let event = Recorded::parse(entry.leaf.clone()).map_err(corrupt)?;
                let (at, stream) = (event.envelope().occurred_at, event.envelope().stream.to_string());
                if let Data::TagRepointed(data) = event.data().map_err(corrupt)?
                    && let Some(digest) = stream.strip_prefix("artifact/").and_then(|digest| digest.parse().ok())
                {
                    let known = self.tags.entry((data.name, data.tag)).or_insert_with(|| (digest, at));
                    if at >= known.1 {
                        *known = (stream.trim_start_matches("artifact/").parse().map_err(corrupt)?, at);
                    }
                }
            }
            self.until = page.covered.end;
        }
        Ok(())
    }

    /// What is new about tags that were seen.
    ///
    /// # Errors
    /// For a name that does not fit into an event.
    pub(super) fn drafts(
        &self,
        seen: Vec<TagSeen>,
        source: &Source,
        evidence: &EvidenceRef,
    ) -> Result<Vec<Draft>, crate::event::Error> {
        let mut drafts: Vec<Draft> = Vec::new();
        for TagSeen { name, tag, digest, at } in seen {
            if tag.len() > 128 || name.len() > 512 {
                return Err(crate::event::Error::field("tag", "a tag has at most 128 bytes, and a name 512"));
            }
            let known = self.tags.get(&(name.clone(), tag.clone()));
            if known.is_some_and(|(known, _)| *known == digest) {
                continue;
            }
            // What is told late says what was so then, and nothing of what followed on what.
            let before = known.filter(|(_, known_at)| *known_at <= at).map(|(known, _)| known.clone());
            let stream = StreamName::of("artifact", &[digest.as_str()])?;
            // A tag may go back and forth between two digests, by the same evidence.
            let from = before.as_ref().map(Digest::as_str).unwrap_or_default();
            let dedup = blake3::hash(format!("{name}:{tag}@{digest} {from} {at}").as_bytes()).to_hex();
            let dedup: Dedup = format!("tag:{}:{}", dedup.get(..16).unwrap_or_default(), evidence.blake3).parse()?;
            if drafts.iter().any(|draft| draft.dedup == dedup) {
                continue;
            }
            let data = TagRepointed { before, name, observed_between: None, tag };
            let mut draft = Draft::new(data, stream, source.clone(), dedup, at);
            draft.evidence = vec![evidence.clone()];
            drafts.push(draft);
        }
        Ok(drafts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_names_another_digest_is_told_with_what_it_named_before() {
        let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32)).parse::<Digest>().unwrap();
        let evidence = EvidenceRef::of("text/plain".parse().unwrap(), b"x");
        let mut book = TagBook::default();
        let mut seen = |tag: &str, n: u8, at: &str| {
            let seen = TagSeen { name: "h/a".into(), tag: tag.into(), digest: digest(n), at: at.parse().unwrap() };
            let drafts = book.drafts(vec![seen.clone()], &"github".parse().unwrap(), &evidence).unwrap();
            // What is recorded is read back before the next decision.
            for draft in &drafts {
                let Data::TagRepointed(data) = &draft.data else { panic!("{draft:?}") };
                let known = book.tags.entry((data.name.clone(), data.tag.clone())).or_insert((digest(n), seen.at));
                if seen.at >= known.1 {
                    *known = (digest(n), seen.at);
                }
            }
            drafts
                .into_iter()
                .map(|draft| match draft.data {
                    Data::TagRepointed(data) => (draft.stream.to_string(), data.before),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        let of = |n: u8| format!("artifact/{}", digest(n));
        assert_eq!(seen("main", 1, "2026-03-04T12:00:00Z"), [(of(1), None)]);
        assert_eq!(seen("main", 1, "2026-03-04T13:00:00Z"), []);
        assert_eq!(seen("main", 2, "2026-03-04T14:00:00Z"), [(of(2), Some(digest(1)))]);
        assert_eq!(seen("main", 3, "2026-03-04T11:00:00Z"), [(of(3), None)], "told late");
        assert_eq!(seen("main", 2, "2026-03-04T15:00:00Z"), []);
        assert_eq!(seen("v1", 2, "2026-03-04T15:00:00Z"), [(of(2), None)]);
    }
}
