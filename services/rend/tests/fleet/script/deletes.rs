//! Somebody who deletes what is cached everywhere.

use std::sync::{Arc, Mutex};

use rend_core::time::Mono;
use reqwest::Method;
use tokio::task::JoinHandle;

use super::world::{TRIES, Ticket, World, moment};

/// Assets to delete, and those whose delete was acknowledged.
pub(super) struct Deletes {
    world: Arc<World>,
    doomed: Vec<String>,
    tickets: Vec<Ticket>,
    under_way: Vec<JoinHandle<()>>,
    acknowledged: Arc<Mutex<Vec<(String, Mono)>>>,
}

impl Deletes {
    pub(super) fn new(world: &Arc<World>, doomed: Vec<String>) -> Self {
        Self {
            world: Arc::clone(world),
            doomed,
            tickets: Vec::new(),
            under_way: Vec::new(),
            acknowledged: Arc::default(),
        }
    }

    /// Has every edge cache everything of them.
    pub(super) async fn warm(&mut self) {
        for id in &self.doomed {
            let ticket = self.world.open(id).await;
            for edge in [0, 1] {
                for (path, ..) in &ticket.published {
                    let answer = self.world.edge(edge, &ticket, path).send().await.unwrap();
                    assert_eq!(answer.status(), 200, "{path}");
                    answer.bytes().await.unwrap();
                }
            }
            self.tickets.push(ticket);
        }
    }

    /// Deletes one, asking until it is acknowledged, while other things go on. Nothing happens once none is left.
    pub(super) fn begin(&mut self) {
        let Some(id) = self.doomed.pop() else { return };
        let (world, acknowledged) = (Arc::clone(&self.world), Arc::clone(&self.acknowledged));
        self.under_way.push(rend_shell::spawn("delete", async move {
            for which in 0..TRIES {
                let asked = world.api(which, Method::DELETE, &format!("/v1/assets/{id}")).send().await;
                if asked.is_ok_and(|answer| matches!(answer.status().as_u16(), 202 | 404)) {
                    acknowledged.lock().unwrap().push((id, world.now()));
                    return;
                }
                moment().await;
            }
            panic!("a delete was never acknowledged");
        }));
    }

    /// What was acknowledged within a time.
    pub(super) fn acknowledged_between(&self, from: Mono, until: Mono) -> Vec<Ticket> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let within = |at: &Mono| *at >= from && *at <= until;
        let ids: Vec<_> = acknowledged.iter().filter(|(_, at)| within(at)).map(|(id, _)| id.as_str()).collect();
        self.tickets.iter().filter(|ticket| ids.contains(&ticket.id.as_str())).map(Ticket::again).collect()
    }

    /// Waits until every delete that was begun is carried out.
    pub(super) async fn finish(self) -> Vec<Ticket> {
        for delete in self.under_way {
            delete.await.unwrap();
        }
        let acknowledged: Vec<_> = self.acknowledged.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
        for id in &acknowledged {
            let mut left = TRIES * 4;
            loop {
                let answer = self.world.api(left, Method::GET, &format!("/v1/assets/{id}")).send().await;
                if answer.is_ok_and(|answer| answer.status() == 404) {
                    break;
                }
                assert!(left > 0, "{id} is not deleted");
                left -= 1;
                moment().await;
            }
        }
        self.tickets.into_iter().filter(|ticket| acknowledged.contains(&ticket.id)).collect()
    }
}
