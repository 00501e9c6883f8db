//! The README's tables of sources are what the registries say.

use plimsoll::ingest::SYSTEMS;
use plimsoll::report::FORMATS;

#[test]
fn the_tables_of_sources_are_true() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("## Sources").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let mut wanted: Vec<String> = SYSTEMS
        .iter()
        .map(|system| format!("| `{}` | {} | {} |", system.name, system.events.join(", "), system.about))
        .collect();
    wanted.extend(FORMATS.iter().map(|format| {
        let kinds: Vec<_> = format.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        format!("| `{}` | {} | {} | {} |", format.name, kinds.join(", "), format.versions, format.about)
    }));
    assert_eq!(rows, wanted);
}
