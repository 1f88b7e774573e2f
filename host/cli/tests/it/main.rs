//! The binary as a process: what its commands print and how they exit.

mod ai;
mod health;
mod hooks;
mod operate;
mod reference;
mod release;
mod terminal;
mod webhook;
