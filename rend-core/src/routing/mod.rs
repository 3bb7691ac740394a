//! Routing: which edge a viewer plays from, and why.
//!
//! [`decide`] is a function of the [`RouteTable`], what a trusted header tells of the [`Viewer`], the asset, and the
//! [`Health`] of the edges. It never asks anybody, and every [`Decision`] carries its reason.
mod decide;
mod event;
mod geo;
mod header;
pub mod health;
mod table;

pub use decide::{Decision, FALLBACKS_MAX, LOAD_BOUND_PERMILLE, LOAD_FLOOR, Reason, Viewer, decide, owners};
pub use event::{EDGE_SELECTED, EdgeSelected};
pub use geo::{Coordinates, EARTH_RADIUS_KM};
pub use header::GeoHeaders;
pub use health::{Condition, Health};
pub use table::{BadTable, Continent, Place, ROUTES_MAX, Route, RouteTable, SITES, Site, in_region};
