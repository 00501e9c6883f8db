//! The one map from errors to exit codes.

use std::process::ExitCode;

use crate::ledger::{self, Kind};
use crate::projection;

/// How a command ended that said what it had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Yes, or done.
    Done,
    /// No.
    No,
}

/// A command that ends with an error.
#[derive(Debug, Clone)]
pub(crate) struct Exit {
    code: u8,
    message: String,
}

impl Exit {
    /// A negative answer.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// Wrong use or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Unreachable or busy.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// Nobody reads any more.
    pub(crate) fn quiet() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// Whether all that happened is that nobody reads any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.message.is_empty()
    }

    /// Prints the message and returns the code.
    #[expect(clippy::print_stderr, reason = "this is where errors are told")]
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("plimsoll: {}", super::printable(&self.message));
        }
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

impl From<ledger::Error> for Exit {
    fn from(error: ledger::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&ledger::Error> for Exit {
    fn from(error: &ledger::Error) -> Self {
        Self { code: code(error.kind()), message: chain(error) }
    }
}

/// The exit code of an error.
fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Invalid => 2,
        Kind::NotFound | Kind::Conflict | Kind::Refused | Kind::Corrupt | Kind::Internal => 1,
        Kind::Unavailable => 3,
    }
}

impl From<projection::Error> for Exit {
    fn from(error: projection::Error) -> Self {
        Self { code: code(error.kind()), message: chain(&error) }
    }
}

impl From<tonic::Status> for Exit {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        use tonic_types::StatusExt;
        // Well asked, and there is no one answer.
        let ambiguous = status.get_details_error_info().is_some_and(|info| info.reason == "AMBIGUOUS");
        let code = match status.code() {
            _ if ambiguous => 1,
            Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => 2,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => 3,
            // Made on this side, of a connection that broke: no answer of the server's.
            _ if std::error::Error::source(&status).is_some() => 3,
            _ => 1,
        };
        Self { code, message: status.message().to_owned() }
    }
}

impl From<tonic::transport::Error> for Exit {
    fn from(error: tonic::transport::Error) -> Self {
        Self::busy(chain(&error))
    }
}

impl From<crate::ingest::git::Error> for Exit {
    fn from(error: crate::ingest::git::Error) -> Self {
        use crate::ingest::git::Error;
        let code = match &error {
            Error::Name(_) => 2,
            Error::Fetch { source, .. } if unreachable(source) => 3,
            _ => 1,
        };
        Self { code, message: chain(&error) }
    }
}

/// Whether a remote could not be spoken to at all, or said that it cannot answer now.
fn unreachable(error: &git2::Error) -> bool {
    use git2::{ErrorClass, ErrorCode};
    matches!(error.class(), ErrorClass::Net | ErrorClass::Os)
        || error.code() == ErrorCode::Timeout
        || error.message().contains("http status code: 5")
}
