//! The names of the outbox's files.

use crate::wire::unhex;

/// What a file holds, by its name.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Segment([u8; 8]),
    Quarantine,
    Ledger,
}

pub(super) fn parse_name(name: &str) -> Option<(u64, Kind)> {
    let (stem, kind) = name.split_once('.')?;
    let number = |hexed: &str| unhex::<8>(hexed).map(u64::from_be_bytes);
    match (kind, stem.split_once('-')) {
        ("ledger", None) => Some((number(stem)?, Kind::Ledger)),
        ("seg", Some((no, boot))) => Some((number(no)?, Kind::Segment(unhex(boot)?))),
        ("bad", Some((no, boot))) => unhex::<8>(boot).and_then(|_| number(no)).map(|no| (no, Kind::Quarantine)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hex;

    #[test]
    fn names_of_three_kinds_are_read_and_others_are_not_ours() {
        let boot = [0xab; 8];
        assert_eq!(parse_name(&format!("000000000000000f-{}.seg", hex(&boot))), Some((15, Kind::Segment(boot))));
        assert_eq!(parse_name(&format!("0000000000000001-{}.bad", hex(&boot))), Some((1, Kind::Quarantine)));
        assert_eq!(parse_name("0000000000000002.ledger"), Some((2, Kind::Ledger)));
        for other in ["", "a", ".seg", "1-2.seg", "0000000000000002.seg", "lost+found", "0000000000000002.ledger.tmp"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
