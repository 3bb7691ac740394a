//! An asset that is deleted while it is worked on: the work ends, and nobody is told of failures.
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Machine, clip, stand_in};
use rend_core::artifact::ObjectKey;
use rend_core::job::JobState;
use rend_storage::assets::AssetStore;
use rend_storage::jobs::JobQueue;
use rend_storage::objects::ObjectStore;
use tracing_subscriber::fmt::MakeWriter;

const CLIP: &str = "-f lavfi -i testsrc2=s=640x360:r=24:d=5 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";

/// What is logged, line by line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines_with(&self, word: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// All of the worker runs on the test's own thread, so that its log is heard here alone.
#[tokio::test]
async fn an_asset_that_is_deleted_while_a_unit_runs_is_neither_tried_again_nor_called_failed() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path(), "clip.mp4", CLIP);
    let flag = folder.path().join("waits");
    std::fs::write(&flag, "").unwrap();
    let script =
        format!("case \"$*\" in *libx264*) while [ -e {} ]; do /bin/sleep 0.02; done; exit 1;; esac", flag.display());
    let program = stand_in(folder.path(), &script);
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).with_writer(log.clone());
    let _heard = tracing::subscriber::set_default(subscriber.finish());

    let machine = Machine::new();
    let id = machine.upload(std::fs::read(&file).unwrap().into()).await;
    let worker = machine.worker(|config| {
        config.ffmpeg = program;
        config.policy.passthrough = false;
        // Longer than the test: nobody notices by a beat of the lease.
        config.lock_timeout = Duration::from_secs(3600);
    });
    let (_trigger, shutdown) = rend_shell::shutdown_pair();
    let delete = async {
        while log.lines_with("a unit begins").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        machine.delete(id).await;
        machine.objects.delete(&ObjectKey::source(id)).await.unwrap();
        std::fs::remove_file(&flag).unwrap();
    };
    let (worked, ()) = tokio::join!(worker.run_once(&shutdown), delete);
    assert!(worked.unwrap());

    assert_eq!(log.lines_with("a unit begins").len(), 1, "it is tried once");
    assert_eq!(log.lines_with(" WARN ").len() + log.lines_with(" ERROR ").len(), 0, "{:?}", log.lines_with(""));
    let job = machine.memory.of_asset(id).await.unwrap().remove(0);
    assert_eq!((job.state, job.error), (JobState::Succeeded, None));
    assert_eq!(machine.memory.get(id).await.unwrap().failure, None);
}
