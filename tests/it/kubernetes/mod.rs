//! Kubernetes: a stand-in for its API server, and the suite that holds the stand-in to what a real one was measured to
//! do.
//!
//! The suite runs against the stand-in, and against the server that `KUBECONFIG` names as well. Nothing here is a
//! Kubernetes API server, and no claim to work with one rests on the stand-in alone.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

pub mod argocd;
mod conformance;
mod controller;
mod controls;
mod scenarios;
pub mod server;
