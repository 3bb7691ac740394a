//! services/edge
