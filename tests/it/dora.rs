//! `dora` and `explain` through the real program: DORA.md's worked example, and what goes wrong.

use serde_json::{Value, json};

use crate::support::program::Desk;

fn oid(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..40].to_owned()
}

/// An instant by the hours since the beginning of 2026-03-02, a Monday.
fn hours(hours: u32) -> String {
    format!("2026-03-{:02}T{:02}:00:00Z", 2 + hours / 24, hours % 24)
}

fn draft(n: usize, type_name: &str, stream: &str, at: u32, data: &Value) -> Value {
    let dedup = format!("e{n}");
    json!({"type": type_name, "stream": stream, "source": "test", "dedup": dedup, "occurred_at": hours(at), "data": data})
}

fn commit(name: &str, parents: &[&str], at: u32) -> (&'static str, String, u32, Value) {
    let parents: Vec<_> = parents.iter().map(|parent| oid(parent)).collect();
    let data = json!({"author": "Jane", "commit": oid(name), "parents": parents, "authored_at": hours(at)});
    ("commit.recorded", "repo/example.com/app".to_owned(), at, data)
}

fn deploy(service: &str, id: &str, name: &str, at: u32) -> (&'static str, String, u32, Value) {
    let data = json!({"deployment": id, "finished_at": hours(at), "commit": oid(name)});
    ("sync.succeeded", format!("target/production/{service}"), at, data)
}

/// The worked example, with a first deployment before it, a rollback after it, and an incident that names what was rolled
/// back.
fn example() -> Desk {
    let desk = Desk::with_ledger();
    let incident = "incident/1".to_owned();
    let opened = json!({"kind": "outage", "opened_at": hours(22), "severity": "P1", "targets": ["target/production/app"],
        "caused_by": [{"deployment": "D2"}]});
    let story = [
        commit("root", &[], 0),
        deploy("app", "D0", "root", 1),
        commit("A", &["root"], 7),
        deploy("app", "D1", "A", 10),
        commit("B", &["root"], 16),
        commit("M", &["A", "B"], 18),
        deploy("app", "D2", "M", 20),
        ("incident.opened", incident.clone(), 22, opened),
        deploy("app", "D3", "A", 23),
        ("incident.resolved", incident, 24, json!({"resolved_at": hours(24)})),
        deploy("web", "W1", "root", 30),
    ];
    let lines: String = story
        .iter()
        .enumerate()
        .map(|(n, (type_name, stream, at, data))| format!("{}\n", draft(n, type_name, stream, *at, data)))
        .collect();
    desk.feed(["record", "-"], lines.as_bytes()).ok();
    desk
}

const WINDOW: [&str; 4] = ["--from", "2026-03-01", "--to", "2026-03-08"];

fn ask(desk: &Desk, args: &[&str]) -> Value {
    desk.run(args.iter().chain(&WINDOW).chain(&["--json"])).json()
}

#[test]
fn the_figures_of_the_worked_example_are_what_it_says() {
    let desk = example();
    let figures = ask(&desk, &["dora", "--service", "app"]);
    let lead = &figures["change_lead_time"];
    assert_eq!((&lead["n"], &lead["p50_seconds"], &lead["p90_seconds"]), (&2.into(), &10_800.into(), &14_400.into()));
    assert_eq!((&lead["mean_seconds"], &lead["excluded"]), (&12_600.into(), &json!({})));
    let frequency = &figures["deployment_frequency"];
    assert_eq!((&frequency["n"], &frequency["per_day"]), (&4.into(), &(4.0 / 7.0).into()));
    assert_eq!((&frequency["deployment_days"], &frequency["median_gap_seconds"]), (&1.into(), &32_400.into()));
    let rate = &figures["change_failure_rate"];
    assert_eq!((&rate["n"], &rate["failed"], &rate["ratio"]), (&4.into(), &1.into(), &0.25.into()));
    assert_eq!((&rate["by_incident"], &rate["by_rollback"]), (&1.into(), &1.into()));
    assert_eq!((&rate["n_excl_rollback"], &rate["inferred_failed"]), (&3.into(), &Value::Null));
    let recovery = &figures["failed_deployment_recovery_time"];
    assert_eq!((&recovery["n"], &recovery["p50_seconds"], &recovery["open"]), (&1.into(), &14_400.into(), &0.into()));
    assert_eq!(
        (&figures["deployment_rework_rate"]["ratio"], &figures["mttr"]["mean_seconds"]),
        (&0.25.into(), &7200.into())
    );
    assert_eq!((&figures["settled"], &figures["targets"]), (&true.into(), &1.into()));
}

#[test]
fn figures_come_by_service_by_day_and_as_it_was_known() {
    let desk = example();
    let by_service = ask(&desk, &["dora", "--group-by", "service"]);
    let counts: Vec<_> =
        by_service["slices"].as_array().unwrap().iter().map(|it| &it["deployment_frequency"]["n"]).collect();
    assert_eq!(counts, [4, 1]);
    assert_eq!(by_service["deployment_frequency"]["n"], 5);
    let by_day = ask(&desk, &["dora", "--by", "day", "--service", "web"]);
    let counts: Vec<_> =
        by_day["slices"].as_array().unwrap().iter().map(|it| &it["deployment_frequency"]["n"]).collect();
    // Of the days before it was there nothing is known, which is not the same as none.
    assert_eq!(counts, [&Value::Null, &Value::Null, &1.into(), &0.into(), &0.into(), &0.into(), &0.into()]);
    // Event 0 is the ledger's own; before the incident was recorded nothing had failed.
    let earlier = ask(&desk, &["dora", "--known-at", "8"]);
    assert_eq!(
        (&earlier["change_failure_rate"]["n"], &earlier["change_failure_rate"]["failed"]),
        (&3.into(), &0.into())
    );
    assert_eq!(earlier["change_lead_time"]["n"], 2);
}

#[test]
fn each_figure_is_explained_by_the_events_behind_it() {
    let desk = example();
    let changes = ask(&desk, &["explain", "change_lead_time"]);
    let items = changes["items"].as_array().unwrap();
    let commits: Vec<_> = items.iter().map(|item| (&item["commit"]["revision"], &item["seconds"])).collect();
    assert_eq!(commits, [(&oid("A").into(), &10_800.into()), (&oid("B").into(), &14_400.into())]);
    assert_eq!(items[0]["author"]["identity"], "Jane");
    for item in items {
        for why in item["why"].as_array().unwrap() {
            let event = desk.run(["show", &why["position"].to_string(), "--json"]).json();
            let expected = if why["link"] == "commit" { "commit.recorded" } else { "sync.succeeded" };
            assert_eq!(event["type"], expected, "{why}");
        }
    }
    let all = ask(&desk, &["explain", "change_lead_time", "--all"]);
    let left_out: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| &item["excluded"]).collect();
    assert_eq!(left_out, [&Value::Null, &Value::Null, &"merge".into()]);
    let failed = ask(&desk, &["explain", "change_failure_rate"]);
    let links: Vec<_> =
        failed["items"][0]["why"].as_array().unwrap().iter().map(|why| why["link"].as_str().unwrap()).collect();
    assert_eq!(
        (links, failed["items"][0]["deployment"].as_str().unwrap()),
        (vec!["deployment", "incident", "rollback"], "D2")
    );
    for (figure, n) in [
        ("deployment_frequency", 5),
        ("failed_deployment_recovery_time", 1),
        ("deployment_rework_rate", 1),
        ("mttr", 1),
    ] {
        assert_eq!(ask(&desk, &["explain", figure])["items"].as_array().unwrap().len(), n, "{figure}");
    }
    // Pages go on where the one before ended.
    let first = ask(&desk, &["explain", "deployment_frequency", "-n", "2"]);
    let token = first["next_page_token"].as_str().unwrap();
    let second = ask(&desk, &["explain", "deployment_frequency", "-n", "2", "--page-token", token]);
    let ids =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|it| it["deployment"].clone()).collect::<Vec<_>>();
    assert_eq!((ids(&first), ids(&second)), (vec!["D0".into(), "D1".into()], vec!["D2".into(), "D3".into()]));
}

#[test]
fn people_get_tables_and_bars_and_spreadsheets_get_csv() {
    let desk = example();
    let table = desk.run(["dora"].iter().chain(&WINDOW)).ok();
    assert!(table.contains("change failure rate") && table.contains("20.0%"), "{table}");
    let bars = desk.run(["dora", "--plot", "change_lead_time", "--by", "day"].iter().chain(&WINDOW)).ok();
    assert_eq!(bars.lines().filter(|line| line.contains('█')).count(), 1, "{bars}");
    let csv = desk.run(["dora", "--format", "csv", "--group-by", "service"].iter().chain(&WINDOW)).ok();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0].len(), rows[1][0], rows[2][0]), (3, rows[2].len(), "app", "web"));
    let explained = desk.run(["explain", "mttr"].iter().chain(&WINDOW)).ok();
    assert!(explained.contains("incident/1") && explained.contains("2h 0m"), "{explained}");
}

#[test]
fn a_server_gives_the_same_figures_and_what_is_asked_wrongly_is_named() {
    let desk = example();
    let alone = ask(&desk, &["dora"]);
    let server = desk.serve(&[]);
    assert_eq!(ask(&desk, &["--server", &server.url(), "dora"]), alone);
    for (args, said) in [
        (vec!["--service", "nothing"], "service nothing not found"),
        (vec!["--environment", "moon"], "environment moon not found"),
        (vec!["--tier", "staging"], "there are production"),
        (vec!["--automation", "nobody"], "author nobody not found"),
    ] {
        let error = desk.run(["dora"].iter().chain(&args)).fails(1);
        assert!(error.contains(said), "{args:?}: {error}");
    }
    for (args, said) in [
        (vec!["--zone", "Mars/Olympus"], "no IANA time zone"),
        (vec!["--tier", "outer"], "none of production"),
        (vec!["--from", "2026-03-02", "--to", "2026-03-01"], "ends before it begins"),
        (vec!["--last", "90"], "give a number with s, m, h, d or w"),
    ] {
        let error = desk.run(["dora"].iter().chain(&args)).fails(2);
        assert!(error.contains(said), "{args:?}: {error}");
    }
}

#[test]
fn what_automation_wrote_is_no_change_and_failures_may_be_inferred() {
    let desk = example();
    let figures = ask(&desk, &["dora", "--automation", "Jane"]);
    assert_eq!(
        (&figures["change_lead_time"]["n"], &figures["change_lead_time"]["excluded"]),
        (&0.into(), &json!({"automation": 2}))
    );
    let late = json!({"kind": "outage", "opened_at": hours(31), "targets": ["target/production/web"]});
    desk.feed(["record", "-"], draft(99, "incident.opened", "incident/2", 31, &late).to_string().as_bytes()).ok();
    let rate = ask(&desk, &["dora", "--inferred"])["change_failure_rate"].clone();
    assert_eq!(
        (&rate["failed"], &rate["inferred_failed"], &rate["inferred_ratio"]),
        (&1.into(), &1.into(), &0.2.into())
    );
}
