//! Every order in which a writer's and two readers' steps can fall: no wake-up is lost, and everybody ends as they should.
//!
//! Each step of a fill is one critical section, so the orders of whole steps are all the orders there are. A reader is polled when it
//! joins and afterwards only when it was woken, as a runtime does; a wake-up that was lost would leave it asleep for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rend_cache::{Cache, FillError, FillReader, FillWriter, Head, Mode, Scope};

use crate::support::{at_rest, body, cache, key, lead};

/// How the writer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    Short,
    Dropped,
    Purged,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Follower {
    reader: FillReader,
    woken: Arc<Woken>,
    read: Vec<u8>,
    end: Option<Result<(), FillError>>,
}

impl Follower {
    /// One poll.
    fn poll(&mut self) {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.reader.poll_chunk(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.read.extend_from_slice(&bytes);
                // What is ready is polled again.
                self.woken.0.store(true, Ordering::SeqCst);
            }
            Poll::Ready(Some(Err(error))) => self.end = Some(Err(error)),
            Poll::Ready(None) => self.end = Some(Ok(())),
            Poll::Pending => {}
        }
    }

    fn may_run(&self) -> bool {
        self.end.is_none() && self.woken.0.load(Ordering::SeqCst)
    }
}

/// One run: at each point `choose` says which of so many may go on.
struct Run {
    cache: Cache,
    writer: Option<FillWriter>,
    left: Vec<Step>,
    followers: Vec<Option<Follower>>,
}

#[derive(Clone, Copy)]
enum Step {
    Head,
    Push,
    End(End),
}

impl Run {
    fn new(end: End) -> (Self, Arc<rend_cache::memory::MemoryFiles>) {
        let (cache, files) = cache(64 << 20);
        let writer = lead(&cache, &key("a"));
        let left = vec![Step::End(end), Step::Push, Step::Head];
        (Self { cache, writer: Some(writer), left, followers: vec![None, None] }, files)
    }

    /// Who may take a step: 0 the writer, n the follower n.
    fn able(&self) -> Vec<usize> {
        let writer = (!self.left.is_empty()).then_some(0);
        let followers = self.followers.iter().enumerate().filter_map(|(n, follower)| match follower {
            // It joins while there is somebody to join.
            None => self.writer.is_some().then_some(n + 1),
            Some(follower) => follower.may_run().then_some(n + 1),
        });
        writer.into_iter().chain(followers).collect()
    }

    fn step(&mut self, who: usize) {
        if who == 0 {
            self.write();
            return;
        }
        match &mut self.followers[who - 1] {
            Some(follower) => follower.poll(),
            none => {
                let reader = self.writer.as_ref().unwrap().reader().unwrap();
                let woken = Arc::new(Woken(AtomicBool::new(true)));
                *none = Some(Follower { reader, woken, read: Vec::new(), end: None });
            }
        }
    }

    fn write(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        match self.left.pop() {
            Some(Step::Head) => _ = writer.expect(Head::new("\"e\"", "x").with_len(PART as u64), 0).unwrap(),
            Some(Step::Push) => writer.push(body(PART), 0).unwrap(),
            Some(Step::End(end)) => {
                let mut writer = self.writer.take().unwrap();
                match end {
                    End::Whole => _ = writer.finish(0).unwrap(),
                    End::Short => assert_eq!(writer.push(body(1), 0), Err(FillError::Long)),
                    End::Dropped => drop(writer),
                    End::Purged => _ = self.cache.purge(&Scope::Key(key("a")), Mode::Hard, 0).unwrap(),
                }
            }
            None => {}
        }
    }

    #[track_caller]
    fn check(&self, end: End) {
        for follower in self.followers.iter().flatten() {
            let expect = match end {
                End::Whole => Ok(()),
                End::Short => Err(FillError::Long),
                End::Dropped => Err(FillError::Abandoned),
                End::Purged => Err(FillError::Purged),
            };
            assert_eq!(follower.end, Some(expect), "{end:?}: a follower sleeps, or ended otherwise");
            let whole = body(PART);
            assert!(whole.starts_with(&follower.read) && (expect.is_err() || follower.read == whole), "{end:?}");
        }
    }
}

#[test]
fn in_every_order_of_steps_each_follower_is_woken_and_ends_as_the_writer_did() {
    let runs = AtomicU64::new(0);
    for end in [End::Whole, End::Short, End::Dropped, End::Purged] {
        // Depth first over all choices: the last one that had a further way is taken further.
        let mut path: Vec<(usize, usize)> = Vec::new();
        loop {
            let (mut run, files) = Run::new(end);
            let mut depth = 0;
            loop {
                let able = run.able();
                if able.is_empty() {
                    break;
                }
                if depth == path.len() {
                    path.push((0, able.len()));
                }
                assert_eq!(path[depth].1, able.len(), "a run repeats under equal choices");
                run.step(able[path[depth].0]);
                depth += 1;
                assert!(depth <= DEPTH_MAX, "somebody runs in circles");
            }
            run.check(end);
            let Run { cache, writer, followers, .. } = run;
            drop((writer, followers));
            at_rest(&cache, &files);
            runs.fetch_add(1, Ordering::Relaxed);
            while path.last().is_some_and(|(taken, ways)| taken + 1 == *ways) {
                path.pop();
            }
            let Some((taken, _)) = path.last_mut() else { break };
            *taken += 1;
        }
    }
    let runs = runs.into_inner();
    assert!(runs > 1000, "only {runs} orders");
}

const PART: usize = 10;
const DEPTH_MAX: usize = 100;
