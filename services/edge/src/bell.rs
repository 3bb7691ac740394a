//! One knock for all who wait on a thread.
//!
//! Each thread that serves viewers has a runtime of its own, and fills run on another. When a fill goes on that a thousand read
//! along, waking each of them from there would cost a system call for each. They would come to their turn between those who go on by
//! themselves, too: the first would be sending its body before the last has a head. So whoever is woken from elsewhere is put on a
//! list, its thread is woken once, and wakes all of them itself, in the order of the list.

use std::cell::OnceCell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// `waker`, of a task of this thread's runtime, to be left with somebody who may wake it from another thread.
pub(crate) fn knocking(waker: &Waker) -> Waker {
    let bell = BELL.with(|bell| {
        let bell = bell.get_or_init(|| {
            let bell = Arc::new(Bell::default());
            rend_shell::spawn("bell", Doorman(Arc::clone(&bell)).attend());
            bell
        });
        Arc::clone(bell)
    });
    Arc::new(Knock { bell, waker: waker.clone(), is_listed: AtomicBool::new(false) }).into()
}

/// Where the others knock for one thread.
#[derive(Default)]
struct Bell(Mutex<Listed>);

#[derive(Default)]
struct Listed {
    /// Each of them once, so there are no more than tasks.
    knocks: Vec<Arc<Knock>>,
    doorman: Option<Waker>,
    /// Nobody attends any more: the thread's runtime is ending.
    is_closed: bool,
}

impl Bell {
    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_knocks(&self, cx: &mut Context<'_>) -> Poll<Vec<Arc<Knock>>> {
        let mut listed = self.listed();
        if listed.knocks.is_empty() {
            listed.doorman = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut listed.knocks))
    }
}

/// A task, and where it is to be woken from elsewhere.
struct Knock {
    bell: Arc<Bell>,
    waker: Waker,
    is_listed: AtomicBool,
}

impl Knock {
    fn answer(&self) {
        // Before the task goes on, so that it is listed anew for what it does not see then.
        self.is_listed.swap(false, Ordering::AcqRel);
        self.waker.wake_by_ref();
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let is_here = |own: &OnceCell<Arc<Bell>>| own.get().is_some_and(|own| Arc::ptr_eq(own, &self.bell));
        if BELL.try_with(is_here).unwrap_or(false) {
            return self.waker.wake_by_ref();
        }
        if self.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut listed = self.bell.listed();
        if listed.is_closed {
            drop(listed);
            return self.waker.wake_by_ref();
        }
        listed.knocks.push(Arc::clone(self));
        let doorman = listed.doorman.take();
        drop(listed);
        doorman.into_iter().for_each(Waker::wake);
    }
}

/// Who wakes those of a thread that others knocked for.
struct Doorman(Arc<Bell>);

impl Doorman {
    async fn attend(self) {
        loop {
            let knocks = poll_fn(|cx| self.0.poll_knocks(cx)).await;
            knocks.iter().for_each(|knock| knock.answer());
        }
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        let mut listed = self.0.listed();
        listed.is_closed = true;
        let knocks = std::mem::take(&mut listed.knocks);
        drop(listed);
        knocks.iter().for_each(|knock| knock.answer());
    }
}

thread_local! {
    static BELL: OnceCell<Arc<Bell>> = const { OnceCell::new() };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    /// Notes who was polled, and waits to be woken again.
    fn waiting(
        number: usize,
        order: &Arc<Mutex<Vec<usize>>>,
        wakers: &Arc<Mutex<Vec<Waker>>>,
    ) -> impl Future<Output = ()> + use<> {
        let (order, wakers) = (Arc::clone(order), Arc::clone(wakers));
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            order.lock().unwrap().push(number);
            match polls {
                1 => {
                    wakers.lock().unwrap().push(knocking(cx.waker()));
                    Poll::Pending
                }
                // It goes on by itself, as who has sent a head does.
                2 => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
    }

    #[tokio::test]
    async fn all_who_are_woken_from_elsewhere_have_a_turn_before_anybody_has_two() {
        let (order, wakers) = (Arc::default(), Arc::default());
        let tasks: Vec<_> = (0..100).map(|n| rend_shell::spawn("test", waiting(n, &order, &wakers))).collect();
        while wakers.lock().unwrap().len() < 100 {
            tokio::task::yield_now().await;
        }
        order.lock().unwrap().clear();
        let wakers = std::mem::take(&mut *wakers.lock().unwrap());
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap().clone();
        assert_eq!(order, [(0..100).collect::<Vec<_>>(), (0..100).collect()].concat());
    }

    #[tokio::test]
    async fn no_knock_is_lost_however_often_it_comes() {
        const KNOCKS: usize = 2000;
        let knocked = Arc::new(AtomicUsize::new(0));
        let (left, from) = std::sync::mpsc::channel::<Waker>();
        let other = {
            let knocked = Arc::clone(&knocked);
            thread::spawn(move || {
                for waker in from {
                    knocked.fetch_add(1, Ordering::SeqCst);
                    waker.wake_by_ref();
                    // Once more, perhaps while the first is being answered.
                    waker.wake();
                }
            })
        };
        let mut knock = None;
        poll_fn(|cx| {
            if knocked.load(Ordering::SeqCst) >= KNOCKS {
                return Poll::Ready(());
            }
            // The same one each time, as a connection leaves it.
            left.send(knock.get_or_insert_with(|| knocking(cx.waker())).clone()).unwrap();
            Poll::Pending
        })
        .await;
        drop(left);
        other.join().unwrap();
    }

    #[test]
    fn who_knocks_where_nobody_attends_any_more_wakes_for_nothing() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let ended = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let knock = runtime.block_on(async { knocking(&waker) });
            drop(runtime);
            knock
        });
        let knock = ended.join().unwrap();
        knock.wake();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "it is woken as it would be without a bell");
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
