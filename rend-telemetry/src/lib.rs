//! rend-telemetry
