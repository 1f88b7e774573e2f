//! The gateway through its public surface.

mod cases;
mod gateway;
mod http;
