//! Whatever a probe answers, the source that is read from it is within the limits, and its plan adds up.
#![no_main]
use rend_core::media::plan::{Policy, plan};
use rend_core::media::probe::{Limits, read};
use rend_core::media::sniff::Container;
use rend_fuzz::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let limits = Limits::default();
    for container in [Container::Mov, Container::MpegTs] {
        let Ok(source) = read(json, container, &limits) else { continue };
        assert!(source.duration_us <= limits.duration_secs_max * 1_000_000);
        let plan = plan(&source, None, &Policy::default());
        assert!(plan.target_secs >= 1);
        let mut next = 0;
        for cut in &plan.cuts {
            assert_eq!(cut.first, next);
            next = cut.end();
        }
    }
});
