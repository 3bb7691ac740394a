//! rend-cache
