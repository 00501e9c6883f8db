//! Holds the code to ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found
}

/// The names between backticks in a cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("## Modules").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (names(cells[1]).into_iter().next().unwrap(), names(cells[2]))
    })
    .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table = table();
    let mut found = BTreeSet::new();
    for file in files(&root().join("src"), "rs") {
        let relative = file.strip_prefix(root().join("src")).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let allowed = table.get(&module).unwrap_or_else(|| panic!("{module} is not in the table"));
        found.insert(module.clone());
        let text = std::fs::read_to_string(&file).unwrap();
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let fine = used == module || allowed.contains(&used) || !table.contains_key(&used);
            assert!(fine, "{}: {module} must not use {used}", relative.display());
        }
    }
    assert_eq!(found, table.keys().cloned().collect(), "modules in src and in the table");
}

#[test]
fn only_the_engine_opens_databases_and_lower_modules_know_no_runtime() {
    for file in files(&root().join("src"), "rs") {
        let relative = file.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        // The floors are what other programs do with the same libraries.
        if relative.starts_with("bench/") {
            continue;
        }
        let (views, pure) = (relative.starts_with("projection/"), relative.starts_with("event/"));
        assert!(!text.contains("rusqlite") || relative.starts_with("ledger/") || views, "{relative} knows a database");
        assert!(!text.contains("tokio") || !(pure || views), "{relative} knows a runtime");
        assert!(
            !text.contains("tonic::") || relative.starts_with("api/") || relative.starts_with("cli/"),
            "{relative} knows gRPC"
        );
        assert!(
            !text.contains("git2") || relative.starts_with("ingest/git") || relative == "cli/exit.rs",
            "{relative} knows git2"
        );
    }
}

#[test]
fn files_and_tests_are_where_they_can_be_found() {
    for file in files(&root().join("src"), "rs").into_iter().chain(files(&root().join("tests"), "rs")) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 650, "{} has {lines} lines: split it", file.display());
    }
    let main = std::fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for entry in std::fs::read_dir(root().join("tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "tests/it/{name} is not run");
    }
}
