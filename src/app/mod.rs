//! The service behind every door: what a door hands in becomes drafts here, and what must happen by itself happens here.

mod dora;
mod draft;
mod keeper;
pub mod metrics;
mod views;

pub use draft::RawDraft;
pub use keeper::{HeadsInterval, keep_heads};
pub use views::{Registry, Views, build};
