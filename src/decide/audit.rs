//! What makes the audit checkable by anybody: what is recorded is a leaf of one append-only Merkle log, its size and root are
//! signed from time to time, and whoever holds a signed checkpoint and the public key can check the rest without quell.

pub mod export;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod record;
