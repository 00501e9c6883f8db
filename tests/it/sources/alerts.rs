//! Alerts and incidents.

use plimsoll::ingest::Reason;

use super::{Try, fixture};

fn alertmanager() -> Try<'static> {
    Try { source: Some("alertmanager"), ..Try::default() }
}

#[test]
fn alertmanager_groups_become_incidents() {
    alertmanager().golden("alerts/alertmanager/alert.json");
    Try::default().golden("alerts/alertmanager/alert.json");
    alertmanager().never_panics("alerts/alertmanager/alert.json");
}

#[test]
fn alertmanager_names_what_is_wrong() {
    let text = String::from_utf8(fixture("alerts/alertmanager/alert.json")).unwrap();
    let version = text.replace("\"version\": \"4\"", "\"version\": \"5\"");
    alertmanager().refuses(version.as_bytes(), Reason::UnsupportedVersion, Some("version"));
    let time =
        text.replace("2020-08-30T17:01:17.000000000Z", "yesterday").replace("\"startsAt\": \"", "\"startsAt\": \"x");
    alertmanager().refuses(time.as_bytes(), Reason::BadTime, Some("alerts[0].startsAt"));
    alertmanager().refuses(b"{\"version\":\"4\"}", Reason::MissingField, Some("alerts"));
}
