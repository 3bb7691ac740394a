//! Shared properties.
