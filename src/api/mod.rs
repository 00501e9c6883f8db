//! gRPC and HTTP. Wire types stop in this folder.

mod convert;
mod events;
mod grpc;
mod http;
mod local;
mod server;
mod status;
mod time;
mod views;

pub use convert::{draft_to_proto, filter_to_proto};
pub use grpc::{EnvironmentApi, FloorBench, LedgerApi, ProvenanceApi};
pub use local::local;
pub use server::{Addresses, IntakeCounts, ServerOptions, serve};
pub use time::Timestamp;

/// Generated from `proto/`.
#[expect(
    missing_docs,
    clippy::doc_markdown,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    reason = "generated code is not ours to lint"
)]
pub mod proto {
    /// `plimsoll.v1`
    pub mod v1 {
        tonic::include_proto!("plimsoll.v1");
    }
    /// `plimsoll.bench`
    pub mod bench {
        /// `plimsoll.bench.v1`
        pub mod v1 {
            tonic::include_proto!("plimsoll.bench.v1");
        }
    }

    /// The descriptors of all services, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plimsoll.bin"));
}
