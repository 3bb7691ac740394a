//! What an encoder may not do: reach a network, read a file beside its own, run without end.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Machine, clip};
use rend_core::asset::PlayableState;
use rend_core::media::ffmpeg;
use rend_core::media::sniff::Container;
use rend_media::runner::{Jail, Run, files_can_be_fenced, network_can_be_cut};

/// A server that counts who calls.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    rend_shell::spawn("a server that must not be called", async move {
        while server.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, calls)
}

/// Texts that programs take for media and that name something else.
fn disguises(port: u16) -> Vec<(&'static str, String)> {
    let at = format!("http://127.0.0.1:{port}");
    vec![
        ("hls", format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{at}/a.ts\n#EXT-X-ENDLIST\n")),
        ("hls file", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n".to_owned()),
        ("concat", format!("ffconcat version 1.0\nfile {at}/a.mp4\n")),
        (
            "dash",
            format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><Period>\
                 <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{at}/a.mp4\
                 </BaseURL></Representation></AdaptationSet></Period></MPD>"
            ),
        ),
        ("sdp", format!("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n")),
        (
            "svg",
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">\
                 <image xlink:href=\"{at}/a.png\"/></svg>"
            ),
        ),
    ]
}

/// A film whose description says that its media lie elsewhere.
fn film_elsewhere(folder: &Path, port: u16) -> Vec<u8> {
    let args =
        "-f lavfi -i testsrc2=s=320x240:r=24:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -movflags +faststart";
    let film = std::fs::read(clip(folder, "film.mp4", args)).unwrap();
    let url = format!("http://127.0.0.1:{port}/a.mp4\0");
    let own = film.windows(16).position(|bytes| &bytes[4..8] == b"url " && bytes[8..12] == [0, 0, 0, 1]).unwrap();
    let mut entry = u32::try_from(12 + url.len()).unwrap().to_be_bytes().to_vec();
    entry.extend_from_slice(b"url \0\0\0\0");
    entry.extend_from_slice(url.as_bytes());
    let longer = u32::try_from(entry.len() - 12).unwrap();
    let mut out = [&film[..own], &entry, &film[own + 12..]].concat();
    // Every box around it is longer by as much.
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"] {
        let at = out[..own].windows(4).rposition(|four| four == kind).unwrap() - 4;
        let size = u32::from_be_bytes(*out[at..].first_chunk().unwrap()) + longer;
        out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_uploaded_makes_an_encoder_call_anybody() {
    let (port, calls) = listener().await;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in disguises(port) {
        let file = folder.path().join("disguised.mp4");
        std::fs::write(&file, &text).unwrap();
        let asset = Machine::new().make(&file, |_| {}).await;
        assert_eq!(asset.failure.map(|failure| failure.code).as_deref(), Some("not_a_video"), "{name}");
        // Even when a demuxer is handed such a text, it follows nothing.
        for container in [Container::Mov, Container::Matroska, Container::MpegTs] {
            let args = ffmpeg::probe(container, &file.to_string_lossy());
            let run = Run::start(Path::new("/usr/bin/ffprobe"), &args, &jail(folder.path(), 10, true).await).await;
            let _ = run.unwrap().output(1 << 20).await;
        }
    }
    let file = folder.path().join("elsewhere.mp4");
    std::fs::write(&file, film_elsewhere(folder.path(), port)).unwrap();
    let asset = Machine::new().make(&file, |_| {}).await;
    assert!(asset.failure.is_some() || asset.playable == PlayableState::HlsReady, "{asset:?}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "somebody was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_network_reaches_nobody() {
    if !network_can_be_cut().await {
        println!("skipped: this system lets no unprivileged process have a network of its own");
        return;
    }
    let (port, calls) = listener().await;
    let folder = tempfile::tempdir().unwrap();
    let call = vec!["-c".to_owned(), format!("exec 3<>/dev/tcp/127.0.0.1/{port}")];
    let bash = Path::new("/bin/bash");
    let inside = Run::start(bash, &call, &jail(folder.path(), 10, true).await).await.unwrap();
    assert!(inside.output(64).await.is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    // The same call from outside shows that somebody would have answered.
    let outside = Run::start(bash, &call, &jail(folder.path(), 10, false).await).await.unwrap();
    outside.output(64).await.unwrap();
    for _ in 0..500 {
        if calls.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the listener hears nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_wants_too_much_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |script: &str, change: &dyn Fn(&mut Jail)| {
        let mut jail = jail(folder.path(), 20, false).await;
        change(&mut jail);
        let args = vec!["-c".to_owned(), script.to_owned()];
        Run::start(Path::new("/bin/bash"), &args, &jail).await.unwrap().output(1 << 20).await
    };
    run("echo fine", &|_| {}).await.unwrap();
    run("while :; do :; done", &|jail| jail.cpu_secs = 1).await.unwrap_err();
    run("x=$(printf '%300000000s'); echo ${#x}", &|jail| jail.memory_bytes = 128 << 20).await.unwrap_err();
    run("echo something > file", &|_| {}).await.unwrap_err();
    run("for n in {3..200}; do eval \"exec $n</dev/null\" || exit 1; done", &|_| {}).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_opens_what_it_was_given_and_no_file_beside_it() {
    if !files_can_be_fenced() {
        let findings = rend_media::doctor(Path::new("/usr/bin/ffmpeg"), Path::new("/usr/bin/ffprobe")).await;
        let files = findings.iter().find(|finding| finding.name == "files").unwrap();
        assert_eq!(files.state, rend_media::State::Weak);
        assert!(
            files.detail.contains("does not keep encoders from files") && files.fix.contains("Landlock"),
            "{files:?}"
        );
        println!("skipped: this system has no Landlock, and the doctor says so");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let scratch = at("scratch");
    std::fs::create_dir(&scratch).unwrap();
    for name in ["given", "beside", "scratch/own"] {
        std::fs::write(at(name), "something\n").unwrap();
    }
    let run = async |script: String| {
        let jail = Jail { reads: vec![at("given")], ..jail(&scratch, 20, true).await };
        Run::start(Path::new("/bin/bash"), &["-c".to_owned(), script], &jail).await.unwrap().output(1 << 20).await
    };
    for name in ["given", "scratch/own"] {
        let (read, _) = run(format!("read -r word < {0} && echo $word", at(name).display())).await.unwrap();
        assert_eq!(read, b"something\n", "{name}");
    }
    run("exec < /dev/null > /dev/null; :".to_owned()).await.unwrap();
    for script in [
        format!("read -r word < {}", at("beside").display()),
        "read -r word < ../beside".to_owned(),
        "read -r word < /etc/hostname".to_owned(),
        "read -r word < /proc/self/environ".to_owned(),
        format!("/bin/ls {}", folder.path().display()),
        format!(": > {}", at("new").display()),
        format!(": >> {}", at("given").display()),
        format!("/bin/rm {}", at("beside").display()),
        // A program that was brought along is not started.
        format!("exec {}", at("given").display()),
    ] {
        run(script.clone()).await.expect_err(&script);
    }
    assert!(at("beside").exists() && !at("new").exists());
}

async fn jail(scratch: &Path, secs: u64, offline: bool) -> Jail {
    Jail {
        scratch: PathBuf::from(scratch),
        reads: Vec::new(),
        timeout: Duration::from_secs(secs),
        cpu_secs: 10,
        tells_cpu: false,
        memory_bytes: 4 << 30,
        file_bytes: 0,
        offline: offline && network_can_be_cut().await,
    }
}
