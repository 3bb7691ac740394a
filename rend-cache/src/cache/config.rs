//! The limits of a cache.

use crate::error::CacheError;

/// The limits of a cache. Each is tested at its edge; what happens there is said with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes on disk: bodies, footers, rounding to blocks, fills under way and files not yet unlinked. Above it: evict.
    pub max_bytes: u64,
    /// Bytes that stay free on the disk for others. Below it: evict, then stream without storing.
    pub min_free_bytes: u64,
    /// The most bytes of bodies in RAM. Above it: the least valuable go back to being read from disk.
    pub ram_bytes_max: u64,
    /// The largest body kept in RAM. Larger ones are mapped, so that the system's page cache holds them once.
    pub hot_object_bytes_max: u64,
    /// The most files kept open between hits. Above it: the one opened longest ago is closed.
    pub open_files_max: usize,
    /// The most fills that may write to disk at once. Above it: fills stream without storing.
    pub fills_max: usize,
    /// The most fills above [`Config::fills_max`]. Above it: [`crate::Begin::Overloaded`].
    pub bypass_fills_max: usize,
    /// The most readers of fills. Above it: overloaded.
    pub readers_max: usize,
    /// How much of a fill stays in memory for those who keep up.
    pub window_bytes_max: usize,
    /// The same for a fill that is not stored. A reader farther behind is cut off with an error.
    pub bypass_window_bytes_max: usize,
    /// How many bytes a day are to be written at most, for disks that wear; 0 for as many as come. Once half of what may be written at
    /// once is used up, a full cache stores of the tail only what was asked for before; once all of it is, nothing of the tail.
    pub write_bytes_per_day: u64,
    /// Whether each body is synced before it becomes visible. It is a cache: a torn file is found and is a miss.
    pub sync_bodies: bool,
}

impl Config {
    /// A cache of at most `max_bytes` on disk, with limits that suit a small server.
    pub const fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            min_free_bytes: 0,
            ram_bytes_max: 256 << 20,
            hot_object_bytes_max: 64 << 10,
            open_files_max: 4096,
            fills_max: 256,
            bypass_fills_max: 256,
            readers_max: 16_384,
            window_bytes_max: 2 << 20,
            bypass_window_bytes_max: 8 << 20,
            write_bytes_per_day: 0,
            sync_bodies: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), CacheError> {
        let rules = [
            ("max_bytes", self.max_bytes, self.max_bytes > 0, "must be above 0"),
            ("fills_max", self.fills_max as u64, self.fills_max > 0, "must be above 0"),
            ("readers_max", self.readers_max as u64, self.readers_max > 0, "must be above 0"),
            ("window_bytes_max", self.window_bytes_max as u64, self.window_bytes_max > 0, "must be above 0"),
            (
                "bypass_window_bytes_max",
                self.bypass_window_bytes_max as u64,
                self.bypass_window_bytes_max >= self.window_bytes_max,
                "must be at least window_bytes_max",
            ),
        ];
        let broken = rules.into_iter().find(|(_, _, holds, _)| !holds);
        broken.map_or(Ok(()), |(field, value, _, rule)| Err(CacheError::Config { field, value, rule }))
    }
}
