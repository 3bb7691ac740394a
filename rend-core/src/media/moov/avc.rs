//! H.264 decoder configurations and the parameter set in them.

use bytes::Bytes;

use super::entry::Colour;
use crate::media::isobmff::BoxError;
use crate::media::isobmff::write::Writer;

/// A description of H.264.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Avc {
    /// Width and height as the description says.
    pub size: (u16, u16),
    /// Whether the description calls for square pixels.
    pub square: bool,
    /// How colours are coded, if the description says so.
    pub colour: Option<Colour>,
    /// The decoder configuration as it is.
    pub config: Bytes,
    /// How many bytes hold the length of each unit within a sample.
    pub length_bytes: u8,
    /// What the one sequence parameter set says.
    pub set: ParameterSet,
    /// Every parameter set of the configuration, as it is.
    own: Vec<Bytes>,
}

/// What a sequence parameter set says of its pictures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParameterSet {
    /// Which profile.
    pub profile: u8,
    /// The compatibility flags.
    pub compatible: u8,
    /// The level, times ten.
    pub level: u8,
    /// How colours are sampled: 1 for 4:2:0.
    pub chroma: u32,
    /// Bits of brightness and of colour.
    pub depth: (u32, u32),
    /// Whether every picture is a whole frame.
    pub progressive: bool,
    /// Width and height, cropped.
    pub size: (u32, u32),
    /// Whether it calls for square pixels, or says nothing of their shape.
    pub square: bool,
    /// Which curve of light, by the numbers of ITU-T H.273, if it says so.
    pub transfer: Option<u8>,
}

impl Avc {
    pub(super) fn read(
        config: &Bytes,
        size: (u16, u16),
        square: bool,
        colour: Option<Colour>,
    ) -> Result<Self, BoxError> {
        let bad = BoxError("a decoder configuration can not be read");
        let [1, _, _, _, lengths, count, rest @ ..] = &config[..] else { return Err(bad) };
        if count & 0x1F != 1 || config.len() > CONFIG_BYTES_MAX {
            return Err(BoxError("it has not exactly one parameter set"));
        }
        let [high, low, rest @ ..] = rest else { return Err(bad) };
        let (first, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))).ok_or(bad)?;
        let set = ParameterSet::read(first).ok_or(bad)?;
        let mut own = vec![config.slice_ref(first)];
        // Those for pictures follow, each behind its length.
        if let [count, rest @ ..] = rest {
            let mut rest = rest;
            for _ in 0..*count {
                let [high, low, behind @ ..] = rest else { return Err(bad) };
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                let (next, behind) = behind.split_at_checked(len).ok_or(bad)?;
                own.push(config.slice_ref(next));
                rest = behind;
            }
        }
        Ok(Self { size, square, colour, config: config.clone(), length_bytes: (lengths & 3) + 1, set, own })
    }

    /// A sample description box of ours that says the same, and nothing else.
    pub fn stsd(&self) -> Bytes {
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"avc1", |w| {
                w.put(&[0, 0, 0, 0, 0, 0, 0, 1]);
                w.put(&[0; 16]);
                w.u16(self.size.0);
                w.u16(self.size.1);
                w.u32s(&[0x0048_0000, 0x0048_0000, 0]);
                w.u16(1);
                w.put(&[0; 32]);
                w.u16(0x18);
                w.u16(0xFFFF);
                w.boxed(b"avcC", |w| w.put(&self.config));
                if let Some(colour) = self.colour {
                    w.boxed(b"colr", |w| {
                        w.put(b"nclx");
                        w.u16(colour.primaries);
                        w.u16(colour.transfer);
                        w.u16(colour.matrix);
                        w.put(&[u8::from(colour.full) << 7]);
                    });
                }
            });
        });
        w.finish()
    }

    /// Whether the sample that begins with `bytes` is a picture that needs no other before it, an IDR; `None` when that
    /// can not be told from as much of it as is there.
    pub fn starts_anew(&self, bytes: &[u8]) -> Option<bool> {
        let mut rest = bytes;
        loop {
            let (unit, len) = self.unit(rest)?;
            match unit.first()? & 0x1F {
                5 => return Some(true),
                // Slices of other pictures.
                1..=4 => return Some(false),
                _ => rest = unit.get(len..)?,
            }
        }
    }

    /// Whether no parameter set within the sample that begins with `bytes` differs from those of the configuration: films
    /// that were joined bring the sets of their later parts along with their pictures. What lies behind the end of `bytes`
    /// is not judged.
    ///
    /// It takes as long as there are units, and looks at no picture.
    pub fn describes(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some((unit, len)) = self.unit(rest) {
            let Some((unit, behind)) = unit.split_at_checked(len) else { break };
            let is_set = unit.first().is_some_and(|first| matches!(first & 0x1F, 7 | 8));
            if is_set && !self.own.iter().any(|own| own == unit) {
                return false;
            }
            rest = behind;
        }
        true
    }

    /// What follows the length that `bytes` begin with, and that length.
    fn unit<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let (len, unit) = bytes.split_at_checked(usize::from(self.length_bytes))?;
        Some((unit, len.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte))))
    }
}

impl ParameterSet {
    /// Reads a unit with its header.
    fn read(unit: &[u8]) -> Option<Self> {
        let [header, profile, compatible, level, ..] = unit else { return None };
        if header & 0x1F != 7 {
            return None;
        }
        let plain = unescaped(unit.get(4..)?);
        let mut b = Bits { bytes: &plain, at: 0 };
        b.exp()?;
        let (mut chroma, mut depth) = (1, (8, 8));
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma = b.exp()?;
            if chroma == 3 {
                b.bits(1)?;
            }
            depth = (b.exp()?.checked_add(8)?, b.exp()?.checked_add(8)?);
            b.bits(1)?;
            if b.bits(1)? == 1 {
                for list in 0..if chroma == 3 { 12 } else { 8 } {
                    if b.bits(1)? == 1 {
                        b.scaling_list(if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        b.exp()?;
        match b.exp()? {
            0 => {
                b.exp()?;
            }
            1 => {
                b.bits(1)?;
                b.exp()?;
                b.exp()?;
                let cycle = b.exp()?;
                for _ in 0..cycle.min(256) {
                    b.exp()?;
                }
            }
            _ => {}
        }
        b.exp()?;
        b.bits(1)?;
        let width = b.exp()?.checked_add(1)?.checked_mul(16)?;
        let map_height = b.exp()?.checked_add(1)?;
        let progressive = b.bits(1)? == 1;
        let height = map_height.checked_mul(if progressive { 16 } else { 32 })?;
        if !progressive {
            b.bits(1)?;
        }
        b.bits(1)?;
        let mut size = (width, height);
        if b.bits(1)? == 1 {
            let unit = (
                if matches!(chroma, 1 | 2) { 2_u32 } else { 1 },
                if chroma == 1 { 2_u32 } else { 1 } * if progressive { 1 } else { 2 },
            );
            let (left, right, top, bottom) = (b.exp()?, b.exp()?, b.exp()?, b.exp()?);
            size.0 = width.checked_sub(left.checked_add(right)?.checked_mul(unit.0)?)?;
            size.1 = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit.1)?)?;
        }
        let (mut square, mut transfer) = (true, None);
        if b.bits(1)? == 1 {
            if b.bits(1)? == 1 {
                square = match b.bits(8)? {
                    0 | 1 => true,
                    255 => b.bits(16)? == b.bits(16)?,
                    _ => false,
                };
            }
            if b.bits(1)? == 1 {
                b.bits(1)?;
            }
            if b.bits(1)? == 1 {
                b.bits(4)?;
                if b.bits(1)? == 1 {
                    b.bits(8)?;
                    transfer = u8::try_from(b.bits(8)?).ok();
                }
            }
        }
        Some(Self {
            profile: *profile,
            compatible: *compatible,
            level: *level,
            chroma,
            depth,
            progressive,
            size,
            square,
            transfer,
        })
    }
}

/// Bytes of a decoder configuration at most.
const CONFIG_BYTES_MAX: usize = 4096;

/// Without the bytes that keep start codes from appearing by chance.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            value = value << 1 | u32::from(bit);
            self.at += 1;
        }
        Some(value)
    }

    /// A number in Exp-Golomb code.
    fn exp(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bits(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1_u64 << zeros) - 1 + u64::from(self.bits(zeros)?)).try_into().unwrap_or(u32::MAX))
    }

    fn scaling_list(&mut self, len: u32) -> Option<()> {
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..len {
            if next != 0 {
                let code = i64::from(self.exp()?);
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
                next = (last + delta + 256).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What x264 wrote for 640 × 360, High profile, level 3.0, progressive, square pixels.
    pub(crate) const SET: &[u8] = &[
        0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
        0x00, 0x03, 0x00, 0x30, 0x0f, 0x16, 0x2d, 0x96,
    ];

    /// A decoder configuration with [`SET`].
    pub(crate) fn config() -> Bytes {
        let mut config = vec![1, 0x64, 0, 0x1E, 0xFF, 0xE1, 0, u8::try_from(SET.len()).unwrap()];
        config.extend_from_slice(SET);
        config.extend_from_slice(&[1, 0, 4, 0x68, 0xEB, 0xE3, 0xCB]);
        config.into()
    }

    /// A description of pictures of this size, whatever their parameter set says.
    pub(crate) fn avc(size: (u16, u16)) -> Avc {
        Avc::read(&config(), size, true, None).unwrap()
    }

    #[test]
    fn a_parameter_set_says_what_its_pictures_are() {
        let avc = Avc::read(&config(), (640, 360), true, None).unwrap();
        let set = avc.set;
        assert_eq!((set.profile, set.level, set.chroma, set.depth), (100, 30, 1, (8, 8)));
        assert_eq!((set.size, set.progressive, set.square, avc.length_bytes), ((640, 360), true, true, 4));
    }

    #[test]
    fn an_instant_refresh_is_told_from_other_pictures() {
        let avc = Avc::read(&config(), (640, 360), true, None).unwrap();
        let sample = |kinds: &[u8]| kinds.iter().flat_map(|kind| [0, 0, 0, 2, *kind, 0xFF]).collect::<Vec<_>>();
        assert_eq!(avc.starts_anew(&sample(&[0x65])), Some(true));
        assert_eq!(avc.starts_anew(&sample(&[9, 6, 0x65])), Some(true));
        assert_eq!(avc.starts_anew(&sample(&[9, 6, 0x41])), Some(false));
        assert_eq!(avc.starts_anew(&sample(&[9, 6])), None);
        assert_eq!(avc.starts_anew(&[]), None);
    }

    #[test]
    fn only_parameter_sets_of_its_own_are_described() {
        let avc = Avc::read(&config(), (640, 360), true, None).unwrap();
        let sample = |units: &[&[u8]]| {
            let len = |unit: &[u8]| u32::try_from(unit.len()).unwrap().to_be_bytes();
            units.iter().flat_map(|unit| [&len(unit), *unit].concat()).collect::<Vec<_>>()
        };
        let own: [&[u8]; 2] = [SET, &[0x68, 0xEB, 0xE3, 0xCB]];
        let foreign: [&[u8]; 2] = [&[0x67, 0x64, 0x00, 0x1E, 0xAC], &[0x68, 0xEB, 0xE3, 0xCA]];
        let picture: &[u8] = &[0x65, 0x88, 0x84];
        assert!(avc.describes(&sample(&[picture])));
        assert!(avc.describes(&sample(&[&[9, 0x10], own[0], own[1], picture])));
        for set in foreign {
            assert!(!avc.describes(&sample(&[set, picture])));
            assert!(!avc.describes(&sample(&[own[0], picture, set])), "also behind a picture");
        }
        // Of a set whose end is not there nothing is said.
        let cut = sample(&[foreign[0]]);
        assert!(avc.describes(&cut[..cut.len() - 1]));
        assert!(avc.describes(&[]));
        // A configuration that ends within its sets can not be read.
        let config = config();
        let read = |len: usize| Avc::read(&config.slice(..len), (640, 360), true, None);
        assert!(read(config.len() - 1).is_err());
        let sets_of_pictures = 4 + 3;
        assert!(!read(config.len() - sets_of_pictures).unwrap().describes(&sample(&[own[1], picture])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0_usize..30, value in any::<u8>()) {
            let _ = ParameterSet::read(&bytes);
            let mut near = SET.to_vec();
            if let Some(byte) = near.get_mut(at) {
                *byte = value;
            }
            let _ = ParameterSet::read(&near);
            let _ = Avc::read(&bytes.clone().into(), (1, 1), true, None);
            if let Ok(avc) = Avc::read(&config(), (640, 360), true, None) {
                let _ = avc.starts_anew(&bytes);
                let _ = avc.describes(&bytes);
            }
        }
    }
}
