//! services/sim
