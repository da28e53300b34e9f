//! What the made-up data promises.
// Clippy's exception for tests does not reach their helper functions.
#![allow(clippy::unwrap_used)]

mod databases;
mod lists;
mod poison;
mod traffic;
mod world;
