//! The HTTP client all outgoing calls share.
