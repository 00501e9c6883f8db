//! `exceptions`: each kind with what is one, and beside it the near miss that is none.

mod deployments;
mod lasting;
mod list;
mod repositories;
mod reviews;

use serde_json::Value;

use super::tale::Tale;

/// Exceptions of a kind, and what was looked at for it.
pub fn of(tale: &mut Tale, kind: &str) -> (Vec<Value>, Value) {
    let answer = tale.ask(["exceptions", "--kind", kind, "-n", "1000"]);
    assert_eq!(answer["looked_at"].as_array().unwrap().len(), 1);
    assert_eq!(answer["looked_at"][0]["kind"], kind);
    (answer["exceptions"].as_array().unwrap().clone(), answer["looked_at"][0].clone())
}

/// What exceptions of a kind say.
pub fn told(tale: &mut Tale, kind: &str) -> Vec<String> {
    said(&of(tale, kind).0)
}

pub fn said(exceptions: &[Value]) -> Vec<String> {
    exceptions.iter().map(|exception| exception["what"].as_str().unwrap().to_owned()).collect()
}

/// What could not be judged: of what, and why.
pub fn not_judged(looked: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    looked["not_judged"].as_array().unwrap().iter().map(|it| (text(&it["subject"]), text(&it["reason"]))).collect()
}

/// Asserts that sentences contain one text each, in that order.
#[track_caller]
pub fn contain(sentences: &[String], parts: &[&str]) {
    assert_eq!(sentences.len(), parts.len(), "{sentences:#?}");
    for (sentence, part) in sentences.iter().zip(parts) {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}
