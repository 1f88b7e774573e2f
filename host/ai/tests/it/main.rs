//! The gateway through its public surface.

mod batched;
mod broken_streams;
mod cases;
mod connections;
mod gateway;
mod hedge;
mod http;
mod keys;
mod negotiation;
mod reply_cache;
mod tenants;
