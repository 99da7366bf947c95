//! Probes that this build of quell cannot make.

use super::unknown;
use crate::model::probe::Probe;
use crate::model::run::Observation;

/// Nobody looked.
pub(super) fn observe(probe: &Probe) -> Observation {
    unknown(format!("the probe {} is not in this build of quell", probe.kind()))
}
