//! The command line, through the real program: what it prints where, and how it ends.

mod bench;
mod keep;
mod read;
mod record;
mod report;
mod words;

use crate::support::program::Desk;

/// A ledger with a handful of events of which everything but the ledger's own doing is fixed.
fn told() -> Desk {
    let desk = Desk::with_ledger();
    let drafts = r#"
        {"type":"commit.recorded","stream":"repo/example.com/app","source":"git/example.com/app","dedup":"commit:1",
         "occurred_at":"2026-03-04T12:00:00Z","actor":"Jane Doe <jane@example.com>",
         "data":{"author":"Jane Doe <jane@example.com>","author_offset_minutes":60,"authored_at":"2026-03-04T11:59:00Z",
                 "commit":"1111111111111111111111111111111111111111","committed_at":"2026-03-04T12:00:00Z",
                 "committer":"Jane Doe <jane@example.com>","committer_offset_minutes":60,
                 "message":"Rename the flag\n\nNobody could remember the old name.","parents":[],
                 "tree":"2222222222222222222222222222222222222222"}}
        {"type":"branch.updated","stream":"repo/example.com/app","source":"git/example.com/app","dedup":"branch:main#0",
         "occurred_at":"2026-03-04T12:00:01Z",
         "data":{"after":"1111111111111111111111111111111111111111","branch":"main","forced":false}}
        {"type":"tag.created","stream":"repo/example.com/app","source":"git/example.com/app","dedup":"tag:v1.0.0#0",
         "occurred_at":"2026-03-04T13:30:00+01:00","correlation":"release-7",
         "data":{"annotated":true,"message":"first release","tag":"v1.0.0","target":"1111111111111111111111111111111111111111",
                 "target_kind":"commit"}}
        {"type":"sync.succeeded","stream":"target/production/app","source":"argocd/prod","dedup":"sync-1",
         "occurred_at":"2026-03-04T12:45:00Z",
         "data":{"commit":"1111111111111111111111111111111111111111","finished_at":"2026-03-04T12:45:00Z","version":"v1.0.0"}}
    "#;
    desk.feed(["record", "-"], drafts.as_bytes()).ok();
    desk
}

/// Drafts of `n` small events, for standard input.
fn many(n: u64) -> String {
    let draft = |n: u64| {
        serde_json::json!({
            "type": "tag.deleted", "stream": "repo/a/b", "source": "s", "dedup": n.to_string(),
            "occurred_at": "2026-03-04T12:00:00Z", "data": {"before": format!("{n:040x}"), "tag": "v"},
        })
    };
    (0..n).map(|n| draft(n).to_string()).collect()
}

/// What a command said, with what differs from run to run replaced.
fn fixed(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
        (r"sbj_[a-z2-7]{32}", "<pseudonym>"),
        (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}", "+<key>"),
        (r"\b[0-9a-f]{64}\b", "<hash>"),
        (r"root [A-Za-z0-9+/=]{44}", "root <root>"),
        (r"20(2[0-57-9]|26-0[4-9]|26-1)[-0-9]*[ T][0-9:.]+Z?", "<now>"),
        (r"/tmp/[A-Za-z0-9./_-]+", "<dir>"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    text
}
