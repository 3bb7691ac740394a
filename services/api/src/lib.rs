//! services/api
