//! The doors: gRPC and HTTP, over real sockets.

mod append;
mod evidence;
mod follow;
mod hostile;
mod http;
mod read;
mod reflection;
mod shutdown;
