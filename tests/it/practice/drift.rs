//! `drift`.

use serde_json::{Value, json};

use super::tale::{TARGET, Tale, at, without_positions};

fn opened(tale: &mut Tale, stream: &str, id: &str, hours: i64, more: &Value) {
    let data = super::tale::with(json!({"cause": "live_edit", "drift": id}), more);
    tale.say("drift.opened", stream, hours, &data);
}

fn closed(tale: &mut Tale, stream: &str, id: &str, hours: i64) {
    tale.say("drift.closed", stream, hours, &json!({"cause": "self_heal", "drift": id}));
}

fn deployed(tale: &mut Tale, streams: &[&str]) {
    for stream in streams {
        tale.deploy(stream, "one", 0, &json!({}));
    }
}

fn acted(tale: &mut Tale, by: &str, hours: i64, more: &Value) {
    let data = json!({"audit": format!("{by} {hours}"), "resource": {"kind": "Deployment", "name": "shop"}, "user": by, "verb": "patch"});
    tale.say("action.audited", TARGET, hours, &super::tale::with(data, more));
}

fn episodes(tale: &mut Tale, more: &[&str]) -> Vec<Value> {
    let answer = tale.ask(["drift"].into_iter().chain(more.iter().copied()));
    answer["episodes"].as_array().unwrap().clone()
}

#[test]
fn an_episode_lasts_until_it_is_closed_or_the_target_goes() {
    let mut tale = Tale::new();
    deployed(&mut tale, &[TARGET, "target/staging/shop"]);
    opened(&mut tale, TARGET, "healed", 1, &json!({}));
    closed(&mut tale, TARGET, "healed", 3);
    opened(&mut tale, TARGET, "lasts", 5, &json!({"cause": "prune_off"}));
    opened(&mut tale, "target/staging/shop", "gone", 4, &json!({}));
    tale.say("target.removed", "target/staging/shop", 6, &json!({"cause": "deleted"}));
    let found = episodes(&mut tale, &[]);
    let told: Vec<_> =
        found.iter().map(|it| (it["id"].as_str().unwrap(), it["end"].as_str(), it["closed_at"].as_str())).collect();
    let (three, six) = (at(3), at(6));
    let expected = [
        ("lasts", None, None),
        ("gone", Some("removed"), Some(six.as_str())),
        ("healed", Some("self_heal"), Some(three.as_str())),
    ];
    assert_eq!(told, expected);
    assert_eq!((&found[2]["seconds"], &found[0]["cause"]), (&7200.into(), &"prune_off".into()));
}

#[test]
fn who_changed_the_objects_last_is_suspected_unless_the_source_knows_better() {
    let mut tale = Tale::new();
    deployed(&mut tale, &[TARGET]);
    acted(&mut tale, "eve", 9, &json!({}));
    acted(&mut tale, "mallory", 10, &json!({}));
    // In vain, of the status alone, by the cluster's machinery, and afterwards.
    acted(&mut tale, "trent", 10, &json!({"response_code": 403}));
    acted(&mut tale, "trent", 10, &json!({"subresource": "status", "audit": "status"}));
    acted(&mut tale, "system:serviceaccount:kube-system:deployment-controller", 11, &json!({}));
    acted(&mut tale, "trent", 13, &json!({}));
    let between = json!({"observed_between": {"from": at(8), "to": at(12)}});
    opened(&mut tale, TARGET, "seen", 12, &between);
    opened(&mut tale, TARGET, "known", 12, &super::tale::with(between, &json!({"suspect": "oscar"})));
    // Nobody changed anything in the ten minutes before.
    opened(&mut tale, TARGET, "found", 12, &json!({}));
    let mut suspects: Vec<_> = episodes(&mut tale, &[])
        .iter()
        .map(|it| (it["id"].as_str().unwrap().to_owned(), it["suspect"]["identity"].as_str().map(str::to_owned)))
        .collect();
    suspects.sort();
    let expected = [("found", None), ("known", Some("oscar")), ("seen", Some("mallory"))];
    assert_eq!(suspects, expected.map(|(id, who)| (id.to_owned(), who.map(str::to_owned))));
}

#[test]
fn a_time_and_a_place_restrict_it() {
    let mut tale = Tale::new();
    let streams = [TARGET, "target/production/other", "target/staging/shop"];
    deployed(&mut tale, &streams);
    for (stream, id) in streams.into_iter().zip(["a", "b", "c"]) {
        opened(&mut tale, stream, id, 10, &json!({}));
        closed(&mut tale, stream, id, 20);
        opened(&mut tale, stream, &format!("{id}2"), 30, &json!({}));
    }
    let mut ids = |more: &[&str]| {
        let mut ids: Vec<_> =
            episodes(&mut tale, more).iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids.join(" ")
    };
    assert_eq!(ids(&["production"]), "a a2 b b2");
    assert_eq!(ids(&["production", "shop"]), "a a2");
    assert_eq!(ids(&["--to", &at(30)]), "a b c");
    assert_eq!(ids(&["--from", &at(20), "--to", &at(30)]), "a b c", "what ended at that very instant lasted until it");
    assert_eq!(ids(&["staging", "--from", &at(21)]), "c2");
    assert!(tale.desk.run(["drift", "nowhere"]).fails(1).contains("target nowhere not found"));
}

#[test]
fn pages_put_together_are_the_whole_and_the_order_of_arrival_does_not_show() {
    let make = || {
        let mut tale = Tale::new();
        deployed(&mut tale, &[TARGET]);
        for n in 0..7 {
            opened(&mut tale, TARGET, &format!("d{n}"), n / 3, &json!({}));
            closed(&mut tale, TARGET, &format!("d{n}"), 10 + n);
            // Told twice: the first one counts.
            opened(&mut tale, TARGET, &format!("d{n}"), n / 3 + 1, &json!({}));
        }
        tale
    };
    let (mut tale, mut backwards) = (make(), make());
    backwards.backwards();
    let whole = episodes(&mut tale, &[]);
    assert_eq!(whole.len(), 7);
    assert_eq!(without_positions(json!(episodes(&mut backwards, &[]))), without_positions(json!(whole)));
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = tale.ask(["drift", "-n", "2", "--page-token", &token]);
        found.extend(page["episodes"].as_array().unwrap().clone());
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, whole);
}

#[test]
fn an_end_that_was_not_known_yet_is_not_told() {
    let mut tale = Tale::new();
    deployed(&mut tale, &[TARGET]);
    opened(&mut tale, TARGET, "d", 1, &json!({}));
    let known = tale.record().to_string();
    closed(&mut tale, TARGET, "d", 2);
    assert!(!episodes(&mut tale, &[])[0]["closed_at"].is_null());
    assert!(episodes(&mut tale, &["--known-at", &known])[0]["closed_at"].is_null());
    assert!(tale.desk.run(["drift", "--from", &at(0)]).ok().contains("self_heal"));
}
