//! services/shell
