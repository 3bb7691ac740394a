//! Any bytes as a cached file, a journal and a file's name: what reads is what would have been written.
#![no_main]
use bytes::Bytes;
use rend_cache::files::FileName;
use rend_cache::footer::Footer;
use rend_cache::journal::Records;
use rend_fuzz::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(footer) = Footer::decode(bytes) {
        let len = footer.meta.len as usize;
        assert_eq!(footer.encode(), &bytes[len..]);
        footer.verify(&Bytes::copy_from_slice(&bytes[..len]));
    }
    let mut records = Records::new(bytes);
    let mut again = Vec::new();
    records.by_ref().for_each(|record| record.encode(&mut again));
    assert_eq!(again, &bytes[..records.read()]);
    if let Some(name) = std::str::from_utf8(bytes).ok().and_then(FileName::parse) {
        assert_eq!(name.to_string().as_bytes(), bytes);
    }
});
