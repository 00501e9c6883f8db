//! Logs, on standard error.

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` selects what is logged; warnings and errors by default. JSON lines where asked for.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,plimsoll=info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // An error means that somebody has started it already, as in tests.
    let _started = if json { builder.json().try_init().is_ok() } else { builder.try_init().is_ok() };
}
