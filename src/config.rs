//! Settings: flags, then the environment (`PLIMSOLL_*`), then the file of `--config`, then defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The settings file, in TOML. Every key can also be given as `PLIMSOLL_<KEY>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data directory.
    pub data: Option<PathBuf>,
    /// The server that commands talk to.
    pub server: Option<String>,
    /// Where `serve` listens for gRPC.
    pub grpc: Option<SocketAddr>,
    /// Where `serve` listens for HTTP.
    pub http: Option<SocketAddr>,
    /// Where the rollback guard is kept.
    pub guard: Option<PathBuf>,
    /// Commit to the heads of all streams after so many events.
    pub heads_events: Option<u64>,
    /// Commit to the heads of all streams after so many seconds.
    pub heads_seconds: Option<u64>,
}

impl Config {
    /// Reads a settings file.
    ///
    /// # Errors
    /// In words, with the line for what is not TOML or not a setting.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plimsoll.toml");
        std::fs::write(&path, "grpc = \"127.0.0.1:1\"\nhtpp = \"127.0.0.1:2\"\n").unwrap();
        assert!(Config::load(&path).unwrap_err().contains("htpp"));
        std::fs::write(&path, "grpc = \"127.0.0.1:1\"\n").unwrap();
        assert_eq!(Config::load(&path).unwrap().grpc, Some(([127, 0, 0, 1], 1).into()));
    }
}
