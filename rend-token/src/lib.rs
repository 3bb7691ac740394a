//! rend-token
