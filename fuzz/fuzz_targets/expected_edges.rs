//! A list of edges that reads prints as one that reads the same, and every edge on it is admitted as itself.
#![no_main]
use rend_core::fleet::ExpectedEdges;
use rend_fuzz::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(edges) = text.parse::<ExpectedEdges>() else { return };
    assert_eq!(edges.to_string().parse().as_ref(), Ok(&edges));
    for edge in &edges {
        let private = edge.private_url.as_ref();
        assert_eq!(edges.admit(&edge.id, edge.region.as_str(), &edge.public_url, private), Ok(()));
    }
});
