//! Twenty-one outages that automation made worse: for each a rule that would have done the same, and the guard that refuses
//! it. The scenarios are files for `quell test`, in `tests/outages`.
