//! services/media
