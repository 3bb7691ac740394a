use proptest::prelude::*;

use super::*;
use crate::media::playlist::{Entry, Media};

#[track_caller]
fn check(file: &str, expect: &str) {
    let captions = Captions::read(file.as_bytes()).unwrap();
    let printed = captions.to_string();
    assert_eq!(printed.strip_prefix("WEBVTT\n").unwrap(), expect);
    assert_eq!(Captions::read(printed.as_bytes()), Ok(captions), "what is kept reads back");
}

#[track_caller]
fn check_refused(file: &[u8], line: u32, wrong: Wrong) {
    assert_eq!(Captions::read(file), Err(BadCaptions { line, wrong }), "{}", String::from_utf8_lossy(file));
}

#[test]
fn subrip_is_read_as_people_have_it() {
    check(
        "1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n00:00:03,500 --> 00:00:04,000\ntwo\nlines\n",
        "\n00:00:01.000 --> 00:00:02.000\none\n\n00:00:03.500 --> 00:00:04.000\ntwo\nlines\n",
    );
    // A byte order mark, line ends of two kinds, points for commas, short hours, coordinates, no counter.
    check(
        "\u{feff}0:00:01.5 --> 0:00:02,000 X1:1 X2:2\r\none\r\r00:00:03,000-->00:00:04,000\ntwo",
        "\n00:00:01.500 --> 00:00:02.000\none\n\n00:00:03.000 --> 00:00:04.000\ntwo\n",
    );
    // An empty line inside of what is said, a number that is said, and an arrow that is.
    check(
        "1\n00:00:01,000 --> 00:00:02,000\none\n\nmore\n42\n\n2\n00:00:03,000 --> 00:00:04,000\na --> b\n",
        "\n00:00:01.000 --> 00:00:02.000\none\nmore\n42\n\n00:00:03.000 --> 00:00:04.000\na --&gt; b\n",
    );
    // Out of order and over each other.
    check(
        "2\n00:00:05,000 --> 00:00:09,000\nlate\n\n1\n00:00:01,000 --> 00:00:06,000\nearly\n",
        "\n00:00:01.000 --> 00:00:06.000\nearly\n\n00:00:05.000 --> 00:00:09.000\nlate\n",
    );
    check(
        "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<font face=\"x\" color=red>up</font> {\\i1}there{\\i0}\n",
        "\n00:00:01.000 --> 00:00:02.000 line:0\nup there\n",
    );
    // What shows nothing is left out.
    check(
        "1\n00:00:01,000 --> 00:00:01,000\nnever\n\n2\n00:00:02,000 --> 00:00:03,000\n<br>\n\n3\n00:00:04,000 --> 00:00:05,000\nx",
        "\n00:00:04.000 --> 00:00:05.000\nx\n",
    );
}

#[test]
fn webvtt_keeps_where_and_how_and_nothing_else() {
    check(
        "WEBVTT - a title\nKind: captions\n\nNOTE a\nremark\n\nSTYLE\n::cue { background: url(https://x/y) }\n\nREGION\nid:a\n\nintro\n01:02.003 --> 01:00:04.005 line:90%,end position:10% align:left region:a onload:1 line:0\n<v Ann>Hi</v> <c.red.b!>there</c> <script>x</script><b class=y>z</B>\n",
        "\n00:01:02.003 --> 01:00:04.005 line:90%,end position:10% align:left\n<v Ann>Hi</v> <c.red>there</c> x<b>z</b>\n",
    );
    check(
        "WEBVTT\n\n00:00.000 --> 00:01.000\nAT&T &amp; &lt;co&gt; &#x27;a&#39; &bogus; a < b > c <00:00.500>later\u{0}\n",
        "\n00:00:00.000 --> 00:00:01.000\nAT&amp;T &amp; &lt;co&gt; &#x27;a&#39; &amp;bogus; a &lt; b &gt; c <00:00:00.500>later\n",
    );
    // A cue ends where the next one begins, also without an empty line.
    check(
        "WEBVTT\n\n00:00.000 --> 00:01.000\none\n00:01.000 --> 00:02.000\ntwo",
        "\n00:00:00.000 --> 00:00:01.000\none\n\n00:00:01.000 --> 00:00:02.000\ntwo\n",
    );
}

#[test]
fn what_can_not_be_read_is_told_with_its_line() {
    check_refused(b"", 1, Wrong::NotCaptions);
    check_refused(b"hello\n", 1, Wrong::NotCaptions);
    check_refused(b"[Script Info]\nTitle: x\n", 1, Wrong::NotCaptions);
    check_refused(b"WEBVTTX\n\n00:00.000 --> 00:01.000\nx\n", 1, Wrong::NotCaptions);
    check_refused(b"WEBVTT\n", 0, Wrong::Empty);
    check_refused(b"WEBVTT\n\nNOTE\nx\n", 0, Wrong::Empty);
    check_refused(b"\xff\xfe1\0", 1, Wrong::NotUtf8);
    check_refused(b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", 3, Wrong::NotUtf8);
    check_refused(b"1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n00:00:03,000 --> 00:61:00,000\nx\n", 6, Wrong::Times);
    check_refused(b"WEBVTT\n\n00:00.000 --> 00:01.000\nok\n\nname\nno times\n", 6, Wrong::Times);
    check_refused(b"WEBVTT\n\n00:00.000 -> 00:01.000\nok\n", 3, Wrong::Times);
    check_refused(b"WEBVTT\n\n00:01.0000 --> 00:02.000\nok\n", 3, Wrong::Times);
    check_refused(b"WEBVTT\n\n00:02.000 --> 00:01.000\nok\n", 3, Wrong::Backwards);
    check_refused(&vec![b'x'; BYTES_MAX + 1], 0, Wrong::TooLarge);
    let long = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n", "x".repeat(CUE_BYTES_MAX));
    check_refused(long.as_bytes(), 3, Wrong::CueTooLong);
    let many = format!("WEBVTT\n\n{}", "00:01.000 --> 00:02.000\nx\n\n".repeat(CUES_MAX + 1));
    check_refused(many.as_bytes(), 3 + 3 * u32::try_from(CUES_MAX).unwrap(), Wrong::TooManyCues);
    let told = Captions::read(b"WEBVTT\n\n00:02.000 --> 00:01.000\nok\n").unwrap_err();
    assert_eq!(told.to_string(), "line 3: the cue ends before it begins");
}

fn beside(micros: &[u64]) -> Media {
    let entry = |micros: &u64| Entry { micros: *micros, uri: "segment_00000.m4s".into(), bytes: None };
    Media {
        target_secs: 4,
        init: "init_360p.mp4".into(),
        segments: micros.iter().map(entry).collect(),
        ended: true,
        iframes_only: false,
    }
}

#[test]
fn a_cue_stands_in_every_segment_during_which_it_is_shown() {
    let file = "WEBVTT\n\n00:01.000 --> 00:05.000\na\n\n00:02.000 --> 00:03.000\nb\n\n00:09.000 --> 00:10.000\nnever\n";
    let captions = Captions::read(file.as_bytes()).unwrap();
    let beside = beside(&[2_000_000, 2_000_000, 4_000_000]);
    let segments = segments(&captions, &beside);
    let head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
    let a = "\n00:00:01.000 --> 00:00:05.000\na\n";
    let b = "\n00:00:02.000 --> 00:00:03.000\nb\n";
    assert_eq!(segments, [format!("{head}{a}"), format!("{head}{a}{b}"), format!("{head}{a}")]);
    let list = list(&beside).to_string();
    assert!(!list.contains("EXT-X-MAP"), "{list}");
    assert!(list.contains("#EXT-X-TARGETDURATION:4\n") && list.ends_with("text_00002.vtt\n#EXT-X-ENDLIST\n"), "{list}");
    assert_eq!(list.parse(), Ok(super::list(&beside)));
}

fn words() -> impl Strategy<Value = String> {
    "([a-z<>&;{}\\\\/ .#1\u{e9}\u{0}-]|<[bicv](\\.x-{0,2})?( y( ?-){0,2})?>|</i>|<font z=1>|&(amp|lt|#x20);|<00:01\\.000>){1,24}"
}

fn file(vtt: bool) -> impl Strategy<Value = String> {
    let cue = (0_u64..100_000, 0_u64..100_000, words(), "( (line:[0-9]{1,3}%?|align:(left|end)|size:50%|junk))?");
    proptest::collection::vec(cue, 1..12).prop_map(move |cues| {
        let mut text = if vtt { "WEBVTT\n\n".to_owned() } else { String::new() };
        for (number, (from, lasts, said, settings)) in cues.iter().enumerate() {
            let (from, to) = (Instant(*from), Instant(from + lasts));
            text.push_str(&if vtt {
                format!("{from} --> {to}{settings}\n{said}\n\n")
            } else {
                format!("{number}\n{from} --> {to}\n{said}\n\n").replacen('.', ",", 2)
            });
        }
        text
    })
}

proptest! {
    #[test]
    fn what_was_read_prints_as_webvtt_that_reads_the_same(text in any::<bool>().prop_flat_map(file)) {
        match Captions::read(text.as_bytes()) {
            Ok(captions) => {
                prop_assert!(captions.cues().is_sorted_by_key(|cue| cue.from_ms));
                prop_assert_eq!(Captions::read(captions.to_string().as_bytes()), Ok(captions));
            }
            Err(error) => {
                let says_an_arrow = text.lines().any(|line| line.contains("-->") && times(line).is_none());
                prop_assert!(error.wrong == Wrong::Empty || (error.wrong == Wrong::Times && says_an_arrow), "{}", error);
            }
        }
    }

    #[test]
    fn every_cue_that_the_media_lasts_for_is_in_a_segment_and_none_twice_in_one(
        text in file(true), micros in proptest::collection::vec(1_u64..8_000_000, 1..40),
    ) {
        let Ok(captions) = Captions::read(text.as_bytes()) else { return Ok(()) };
        let total: u64 = micros.iter().sum();
        let segments = segments(&captions, &beside(&micros));
        prop_assert_eq!(segments.len(), micros.len());
        let mut start = 0;
        for (segment, lasts) in segments.iter().zip(&micros) {
            let end = start + lasts;
            let expect: Vec<_> = captions.cues().iter()
                .filter(|cue| cue.from_ms * 1000 < end && cue.to_ms * 1000 > start).cloned().collect();
            match Captions::read(segment.as_bytes()) {
                Ok(found) => prop_assert_eq!(found.cues(), &expect[..]),
                Err(error) => prop_assert!(error.wrong == Wrong::Empty && expect.is_empty()),
            }
            start = end;
        }
        prop_assert_eq!(start, total);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), vtt in any::<bool>()) {
        let head: &[u8] = if vtt { b"WEBVTT\n\n" } else { b"" };
        let _ = Captions::read(&[head, &bytes].concat());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(WEBVTT\n\n)?([0-9:.,>< &;{}\\\\-]{0,12}|-->|\n|\r|\\PC){0,40}") {
        if let Ok(captions) = Captions::read(text.as_bytes()) {
            prop_assert_eq!(Captions::read(captions.to_string().as_bytes()), Ok(captions));
        }
    }
}

#[test]
fn what_grows_over_a_limit_when_it_is_printed_is_refused() {
    let cue = |said: &str| format!("1\n00:00:01,000 --> 00:00:02,000\n{said}\n\n");
    let read = |text: String| Captions::read(text.as_bytes()).map(|_| ()).map_err(|error| error.wrong);
    // Each `<` is printed as four bytes; a line end counts as one.
    assert_eq!(read(cue(&"<".repeat(CUE_BYTES_MAX / 4 - 1))), Ok(()));
    assert_eq!(read(cue(&"<".repeat(CUE_BYTES_MAX / 4))), Err(Wrong::CueTooLong));
    assert_eq!(read(cue(&"<".repeat(CUE_BYTES_MAX / 4 - 1)).repeat(1000)), Err(Wrong::TooLarge));
}
