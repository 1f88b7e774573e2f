//! The gateway through its public surface.

mod gateway;
mod http;
