//! Base64url without padding, exactly one text for every byte string.

/// Decodes `text` into the front of `out` and answers how many bytes that were. `None` for a character outside the
/// alphabet, for a length that no bytes encode to, for bits that stand for nothing and are not zero, and when `out` is
/// too small.
#[inline]
pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = text.len() / 4 * 3 + [0, 0, 1, 2][text.len() % 4];
    if text.len() % 4 == 1 || out.len() < len {
        return None;
    }
    let (runs, text) = text.as_chunks::<16>();
    let (whole, out) = out[..len].split_at_mut(runs.len() * 12);
    let mut bad = 0;
    // Twelve bytes go out in two stores: what is hashed next is read in wide pieces, which wait for narrow stores.
    for (run, bytes) in runs.iter().zip(whole.as_chunks_mut::<12>().0) {
        let [a, b, c, d] = [word(run, 0), word(run, 4), word(run, 8), word(run, 12)];
        bad |= a | b | c | d;
        let high = u64::from(a) << 40 | u64::from(b) << 16 | u64::from(c) >> 8;
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&(c << 24 | d).to_be_bytes());
    }
    let (quads, rest) = text.as_chunks::<4>();
    let (triples, tail) = out.as_chunks_mut::<3>();
    for (quad, triple) in quads.iter().zip(triples) {
        let word = word(quad, 0);
        bad |= word;
        *triple = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
    }
    match (rest, tail) {
        (&[a, b], [x]) => {
            let word = T0[usize::from(a)] | T1[usize::from(b)];
            bad |= word | (word & 0xf000) << 16;
            *x = (word >> 16) as u8;
        }
        (&[a, b, c], [x, y]) => {
            let word = T0[usize::from(a)] | T1[usize::from(b)] | T2[usize::from(c)];
            bad |= word | (word & 0xc0) << 24;
            [*x, *y] = [(word >> 16) as u8, (word >> 8) as u8];
        }
        _ => {}
    }
    (bad >> 24 == 0).then_some(len)
}

/// Encodes `bytes` into the front of `out` and answers how many characters that were; zero when `out` is too small.
#[inline]
pub(crate) fn encode(bytes: &[u8], out: &mut [u8]) -> usize {
    let len = (bytes.len() * 4).div_ceil(3);
    if out.len() < len {
        return 0;
    }
    let (triples, rest) = bytes.as_chunks::<3>();
    let (quads, tail) = out[..len].as_chunks_mut::<4>();
    for (triple, quad) in triples.iter().zip(quads) {
        let word = u32::from_be_bytes([0, triple[0], triple[1], triple[2]]);
        *quad = [letter(word >> 18), letter(word >> 12), letter(word >> 6), letter(word)];
    }
    match (rest, tail) {
        (&[x], [a, b]) => [*a, *b] = [letter(u32::from(x) >> 2), letter(u32::from(x) << 4)],
        (&[x, y], [a, b, c]) => {
            let word = u32::from(x) << 8 | u32::from(y);
            [*a, *b, *c] = [letter(word >> 10), letter(word >> 4), letter(word << 2)];
        }
        _ => {}
    }
    len
}

/// The 24 bits that four characters from `at` stand for, or more than 24 when one of them is no character.
#[inline]
fn word<const N: usize>(text: &[u8; N], at: usize) -> u32 {
    let value = |table: &[u32; 256], at: usize| text.get(at).map_or(u32::MAX, |byte| table[usize::from(*byte)]);
    value(&T0, at) | value(&T1, at + 1) | value(&T2, at + 2) | value(&T3, at + 3)
}

#[inline]
fn letter(six_bits: u32) -> u8 {
    ALPHABET[(six_bits & 63) as usize]
}

/// What a character is worth at one place of four; bits above the 24 say that it is no character at all.
const fn table(shift: u32) -> [u32; 256] {
    let mut table = [u32::MAX; 256];
    let mut value = 0;
    while value < 64 {
        table[ALPHABET[value] as usize] = (value as u32) << shift;
        value += 1;
    }
    table
}

static T0: [u32; 256] = table(18);
static T1: [u32; 256] = table(12);
static T2: [u32; 256] = table(6);
static T3: [u32; 256] = table(0);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], expect: Option<&[u8]>) {
        let mut out = [0; 180];
        assert_eq!(decode(text, &mut out).map(|len| &out[..len]), expect, "{text:?}");
        if let Some(bytes) = expect {
            let mut back = [0; 240];
            assert_eq!(encode(bytes, &mut back), text.len());
            assert_eq!(&back[..text.len()], text);
        }
    }

    #[test]
    fn every_byte_string_has_one_text() {
        check(b"", Some(b""));
        check(b"AA", Some(b"\0"));
        check(b"_w", Some(b"\xff"));
        check(b"__8", Some(b"\xff\xff"));
        check(b"____", Some(b"\xff\xff\xff"));
        check(b"-_-_AQ", Some(b"\xfb\xff\xbf\x01"));
        for bad in ["A", "AAAAA", "AB", "AAB", "AA==", "AA=", "A+AA", "A/AA", "AA A", "AA\n", "AAA\0", "A.AA"] {
            check(bad.as_bytes(), None);
        }
        check(b"AAA\x80", None);
    }

    #[test]
    fn of_all_endings_of_two_characters_one_in_sixteen_is_good() {
        let good = (0..=255_u8)
            .flat_map(|a| (0..=255_u8).map(move |b| [a, b]))
            .filter(|text| decode(text, &mut [0; 1]).is_some());
        assert_eq!(good.count(), 256);
    }

    #[test]
    fn too_small_a_buffer_takes_nothing() {
        assert_eq!(decode(b"AAAA", &mut [0; 2]), None);
        assert_eq!(encode(b"abc", &mut [0; 3]), 0);
    }
}
