//! The run machine, by table and by exhaustion.
