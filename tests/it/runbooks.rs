//! The runbooks in `docs/runbooks`: their files are sound, and do what the documents say at sites of real servers
//! (`tests/rigs`).

mod coinjecture;
mod escrow;
mod files;
mod marb;
mod occ;
mod openpolicy;
