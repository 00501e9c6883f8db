//! The program. Everything is in the library.

use std::process::ExitCode;

/// Requests are made of many small pieces, which one thread makes and another lets go of: where the C library's allocator
/// is slowest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plimsoll::cli::run()
}
