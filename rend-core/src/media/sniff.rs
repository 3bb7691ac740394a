//! The first bytes of a file say which demuxer may open it. Whatever says nothing is refused before any parser sees it.

use std::fmt;

/// Bytes from the start of a file that [`sniff`] wants to see. Fewer will do when the file is shorter.
pub const SNIFF_BYTES: usize = 4096;

/// A container that Rend reads.
///
/// Holding one proves that the file starts as such a container starts; it says nothing about the rest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Container {
    /// ISO base media: MP4, MOV, M4A, 3GP.
    Mov,
    /// Matroska and WebM.
    Matroska,
    /// AVI.
    Avi,
    /// WAVE.
    Wav,
    /// MPEG transport stream.
    MpegTs,
    /// MPEG program stream.
    MpegPs,
    /// Ogg.
    Ogg,
    /// Flash video.
    Flv,
    /// MPEG audio, with or without an ID3 tag.
    Mp3,
    /// AAC in ADTS frames.
    Adts,
    /// FLAC.
    Flac,
    /// ASF, which holds WMV and WMA.
    Asf,
    /// MXF.
    Mxf,
}

impl Container {
    /// The name of the one demuxer of ffmpeg that may open it.
    pub const fn demuxer(self) -> &'static str {
        match self {
            Self::Mov => "mov",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::Wav => "wav",
            Self::MpegTs => "mpegts",
            Self::MpegPs => "mpeg",
            Self::Ogg => "ogg",
            Self::Flv => "flv",
            Self::Mp3 => "mp3",
            Self::Adts => "aac",
            Self::Flac => "flac",
            Self::Asf => "asf",
            Self::Mxf => "mxf",
        }
    }

    /// Whether a frame can be sought exactly, so that an encode can start anywhere. The others are read from their start.
    pub const fn is_seekable(self) -> bool {
        matches!(self, Self::Mov | Self::Matroska)
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.demuxer())
    }
}

/// Which container `head`, the first bytes of a file, begins; `None` for everything else: text, playlists, stills, nothing.
pub fn sniff(head: &[u8]) -> Option<Container> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(4, b"ftyp") {
        // HEIF and AVIF stills share the box structure with video and differ in their brand.
        let brand = head.get(8..12).unwrap_or_default();
        return (!matches!(brand, b"heic" | b"heix" | b"mif1" | b"avif")).then_some(Container::Mov);
    }
    // QuickTime files older than the brand box start with one of these.
    if [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|kind| at(4, *kind)) {
        return Some(Container::Mov);
    }
    if starts(&[0x1A, 0x45, 0xDF, 0xA3]) {
        return Some(Container::Matroska);
    }
    if starts(b"RIFF") {
        return match head.get(8..12) {
            Some(b"AVI ") => Some(Container::Avi),
            Some(b"WAVE") => Some(Container::Wav),
            _ => None,
        };
    }
    if starts(&[0, 0, 1, 0xBA]) {
        return Some(Container::MpegPs);
    }
    if starts(b"OggS") {
        return Some(Container::Ogg);
    }
    if starts(b"FLV\x01") {
        return Some(Container::Flv);
    }
    if starts(b"fLaC") {
        return Some(Container::Flac);
    }
    if starts(&[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) {
        return Some(Container::Asf);
    }
    if starts(&[0x06, 0x0E, 0x2B, 0x34, 0x02, 0x05, 0x01, 0x01]) {
        return Some(Container::Mxf);
    }
    if starts(b"ID3") {
        return Some(Container::Mp3);
    }
    if is_transport_stream(head) {
        return Some(Container::MpegTs);
    }
    match head {
        // Eleven bits of sync, then the layer: 0 is ADTS, the others are MPEG audio. A lone sync word proves little, so
        // the fields behind it must be legal too.
        [0xFF, second, third, ..] if second & 0xF6 == 0xF0 => ((third >> 2) & 0xF < 13).then_some(Container::Adts),
        [0xFF, second, third, ..] if second & 0xE0 == 0xE0 => {
            let legal = second & 0x18 != 0x08 && second & 0x06 != 0 && third >> 4 != 0xF && third & 0x0C != 0x0C;
            (legal && *second != 0xFF).then_some(Container::Mp3)
        }
        _ => None,
    }
}

/// Three sync bytes at the distance of a packet, plain (188) or with a time stamp before each packet (192).
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192)]
        .iter()
        .any(|&(first, step)| (0..3).all(|packet| head.get(first + packet * step).is_some_and(|byte| *byte == 0x47)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], expect: Option<Container>) {
        assert_eq!(sniff(head), expect);
    }

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        check(b"\0\0\0\x20ftypisom", Some(Container::Mov));
        check(b"\0\0\0\x08wide\0\0\0\0mdat", Some(Container::Mov));
        check(b"\x1a\x45\xdf\xa3\x01", Some(Container::Matroska));
        check(b"RIFF\0\0\0\0AVI LIST", Some(Container::Avi));
        check(b"RIFF\0\0\0\0WAVEfmt ", Some(Container::Wav));
        check(b"\0\0\x01\xba\x44", Some(Container::MpegPs));
        check(b"OggS\0\x02", Some(Container::Ogg));
        check(b"FLV\x01\x05", Some(Container::Flv));
        check(b"ID3\x04\0", Some(Container::Mp3));
        check(&[0xFF, 0xFB, 0x90, 0x64], Some(Container::Mp3));
        check(&[0xFF, 0xF1, 0x50, 0x80], Some(Container::Adts));
        check(b"fLaC\0", Some(Container::Flac));
        let mut packets = vec![0; 188 * 3];
        packets[0] = 0x47;
        packets[188] = 0x47;
        packets[376] = 0x47;
        check(&packets, Some(Container::MpegTs));
    }

    #[test]
    fn what_is_no_container_is_refused_before_any_parser_sees_it() {
        for head in [
            &b""[..],
            b"hello, this is not a video",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n",
            b"ffconcat version 1.0\nfile /etc/hostname\n",
            b"<?xml version=\"1.0\"?><MPD></MPD>",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"\0\0\0\x20ftypavif",
            b"\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xff",
            b"\x47",
        ] {
            check(head, None);
        }
    }
}
