//! The runbooks at work: for each a stand-in of the system that it is about, beside real servers, and the files that people
//! would copy. A test makes something go wrong there and looks at what came of it.
//!
//! A rig is in the file of its runbook's name. It serves the metrics and the endpoints of the document, is told its faults
//! (`fault`), and keeps what was done to it (`effects`). [`site::Site`] is the rest: Prometheus that scrapes the rig, Alertmanager,
//! quell with the runbook's own files, and people who are told. Times of those files are shortened by [`hurry::hurried`], the
//! addresses in them are the rig's; nothing else is changed.

pub(crate) mod coinjecture;
pub(crate) mod escrow;
pub(crate) mod hurry;
pub(crate) mod marb;
pub(crate) mod occ;
pub(crate) mod openpolicy;
pub(crate) mod site;
pub(crate) mod stand;
pub(crate) mod units;
