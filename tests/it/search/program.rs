//! `search` as users run it.

use crate::support::program::Desk;
use crate::support::repo::Repo;

#[test]
fn messages_of_an_imported_repository_are_found_over_a_directory_and_a_server() {
    let (desk, repo) = (Desk::new(), Repo::new());
    for message in ["Mend the cart", "Sell shoes", "Mend the shoes"] {
        repo.commit(message);
    }
    let name = ["--repository-name", "example.com/acme/shop"];
    desk.run(["import", "git", &repo.location()].into_iter().chain(name)).ok();
    let text = desk.run(["search", "mend", "cart"]).ok();
    assert!(text.contains("message: Mend the cart") && text.contains("commit.recorded"), "{text}");
    assert!(desk.run(["search", "shop"]).ok().contains("repo/example.com/acme/shop"));
    let json = desk.run(["search", "mend", "--json", "-n", "1"]).json();
    assert_eq!(json["hits"].as_array().unwrap().len(), 1);
    let token = json["next_page_token"].as_str().unwrap();
    let next = desk.run(["search", "mend", "--json", "-n", "1", "--page-token", token]).json();
    assert_ne!(next["hits"][0]["position"], json["hits"][0]["position"]);
    assert_eq!(next["next_page_token"], "");
    let nothing = desk.run(["search", "pelican"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""), "{nothing:?}");
    assert!(desk.run(["search", "..."]).fails(2).contains("has no words"));
    let server = desk.serve(&[]);
    assert_eq!(desk.run(["--server", &server.url(), "search", "mend", "--json", "-n", "1"]).json(), json);
    drop(server);
    assert!(desk.run(["rebuild", "--check"]).ok().contains("events folded"));
}
