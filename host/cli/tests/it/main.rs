//! The binary as a process: what its commands print and how they exit.

mod ai;
mod reference;
mod release;
mod terminal;
mod webhook;
