//! What `/metrics` is for: scraped, queried, alerted on, drawn and back-filled by the real programs.

mod prometheus;
mod scrape;
mod shop;
