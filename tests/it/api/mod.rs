//! The doors: gRPC and HTTP, over real sockets.

mod append;
mod follow;
mod hostile;
mod http;
mod read;
mod reflection;
mod shutdown;
