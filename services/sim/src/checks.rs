//! What must hold: the truth as only the simulator knows it, compared with what the fleet does.

use std::collections::BTreeMap;

use rend_core::analytics::PlaybackEvent;
use rend_core::id::{JobId, LeaseToken};
use rend_telemetry::Account;

use crate::viewer::Ticket;

/// One run of one edge.
pub type Boot = [u8; 8];

/// What really happened, and every time when something did not go with it.
#[derive(Debug, Default)]
pub struct Truth {
    /// What was broken, in words, in the order in which it was seen.
    pub violations: Vec<String>,
    /// The version of each asset that the origin holds now.
    pub versions: Vec<u64>,
    /// Whether some events are refused by the other side: see [`is_poison`] and [`is_rejected`].
    pub poison: bool,
    /// Fills that were stored.
    pub stored: u64,
    /// For each order of the purge log: its asset, and the oldest version that may be served after it.
    pub purges: BTreeMap<u64, (usize, u64)>,
    /// For each edge and asset, the oldest version that it may serve, by the purges that it carried out for good.
    fences: BTreeMap<(usize, usize), u64>,
    /// The same by the purges that a restart may undo.
    fences_of_run: BTreeMap<(usize, usize), u64>,
    /// What each run recorded, by place.
    recorded: BTreeMap<Boot, Vec<(usize, u64)>>,
    /// The account of each run at its end, and whether what it had written survived.
    ended: BTreeMap<Boot, (Account, bool)>,
    /// Events that arrived, each once.
    received: BTreeMap<Boot, BTreeMap<u64, u64>>,
    told: BTreeMap<Boot, u64>,
    claims: BTreeMap<JobId, LeaseToken>,
    finished: BTreeMap<JobId, u32>,
    /// Fetches under way: for each edge and artifact, how many that a purge has not overtaken.
    fetches: BTreeMap<(usize, usize, u32), u32>,
}

impl Truth {
    /// The truth at the start: every one of `assets` is at its first version.
    pub fn new(assets: usize, poison: bool) -> Self {
        Self { versions: vec![1; assets], poison, ..Self::default() }
    }

    /// Notes that something is not as it must be.
    pub fn broken(&mut self, what: String) {
        self.violations.push(what);
    }

    /// An edge carried out a purge; `durably` says that it wrote that down, so that no restart undoes it.
    pub fn purged(&mut self, edge: usize, seq: u64, durably: bool) {
        let Some((asset, version)) = self.purges.get(&seq).copied() else {
            return self.broken(format!("edge {edge} carried out purge {seq}, which nobody ordered"));
        };
        let fences = if durably { &mut self.fences } else { &mut self.fences_of_run };
        let fence = fences.entry((edge, asset)).or_default();
        *fence = version.max(*fence);
        // Whoever still fetches is overtaken, and another may begin.
        self.fetches.retain(|(e, a, _), _| (*e, *a) != (edge, asset));
    }

    /// An edge sent bytes of an asset to a viewer.
    pub fn served(&mut self, edge: usize, asset: usize, version: u64) {
        let fence = |fences: &BTreeMap<(usize, usize), u64>| fences.get(&(edge, asset)).copied().unwrap_or(0);
        let fence = fence(&self.fences).max(fence(&self.fences_of_run));
        if version < fence {
            self.broken(format!(
                "edge {edge} served asset {asset} version {version} after the purge of all before {fence}"
            ));
        }
    }

    /// An edge whose clock shows `now` let a viewer in, or did not.
    pub(crate) fn admitted(&mut self, edge: usize, asset: usize, ticket: &Ticket, now: u64, admitted: bool) {
        let (from, until) = ticket.window;
        let meant = ticket.asset == asset && !ticket.altered;
        let good = meant && now + EARLY_SECS >= from && now < until;
        if admitted != good {
            let did = if admitted { "let in" } else { "refused" };
            self.broken(format!("edge {edge} {did} {ticket:?} for asset {asset} at {now}"));
        }
    }

    /// An edge began to fetch an artifact from the origin.
    pub fn fetch_began(&mut self, edge: usize, asset: usize, index: u32) {
        let under_way = self.fetches.entry((edge, asset, index)).or_default();
        *under_way += 1;
        if *under_way > 1 {
            let n = *under_way;
            self.broken(format!("edge {edge} fetches asset {asset} segment {index} {n} times at once"));
        }
    }

    /// A fetch ended, well or not.
    pub fn fetch_ended(&mut self, edge: usize, asset: usize, index: u32) {
        self.fetches.remove(&(edge, asset, index));
    }

    /// The process of an edge is gone, and its fetches with it.
    pub fn process_ended(&mut self, edge: usize) {
        self.fences_of_run.retain(|(e, _), _| *e != edge);
        self.fetches.retain(|(e, _, _), _| *e != edge);
    }

    /// A run recorded an event.
    pub fn recorded(&mut self, boot: Boot, asset: usize, bytes: u64) {
        self.recorded.entry(boot).or_default().push((asset, bytes));
    }

    /// A run's account at some moment.
    pub fn account(&mut self, boot: Boot, account: &Account) {
        if !account.adds_up() {
            self.broken(format!("the account of run {boot:x?} does not add up: {account:?}"));
        }
        let recorded = self.recorded.get(&boot).map_or(0, Vec::len) as u64;
        if account.recorded != recorded {
            self.broken(format!("run {boot:x?} counts {} recorded events of {recorded}", account.recorded));
        }
    }

    /// A run ended; `survives` says that everything it had written is still there.
    pub fn run_ended(&mut self, boot: Boot, account: Account, survives: bool) {
        self.ended.insert(boot, (account, survives));
    }

    /// An event arrived and was recorded as new or known.
    pub fn received(&mut self, event: &PlaybackEvent, asset: Option<usize>) {
        let at = usize::try_from(event.seq).unwrap_or(usize::MAX).wrapping_sub(1);
        let known = self.recorded.get(&event.boot).and_then(|events| events.get(at)).copied();
        if known.is_none() || known != asset.map(|asset| (asset, event.bytes_sent)) {
            self.broken(format!("an event arrived that was never recorded so: {event:?}"));
        }
        *self.received.entry(event.boot).or_default().entry(event.seq).or_default() += 1;
    }

    /// A run's losses arrived.
    pub fn told(&mut self, boot: Boot, total: u64) {
        let told = self.told.entry(boot).or_default();
        *told = total.max(*told);
    }

    /// Distinct events that arrived of a run.
    pub fn received_of(&self, boot: &Boot) -> u64 {
        self.received.get(boot).map_or(0, BTreeMap::len) as u64
    }

    /// A claim was granted.
    pub fn claimed(&mut self, job: JobId, token: LeaseToken) {
        if self.finished.contains_key(&job) {
            self.broken(format!("{job:?} was claimed after it was finished"));
        }
        self.claims.insert(job, token);
    }

    /// A job was let go of, and the store took that.
    pub fn let_go(&mut self, job: JobId, token: LeaseToken, done: bool) {
        if self.claims.get(&job) != Some(&token) {
            self.broken(format!("{job:?} was let go of under a stale lease"));
        }
        if done {
            let times = self.finished.entry(job).or_default();
            *times += 1;
            if *times > 1 {
                self.broken(format!("{job:?} was finished twice"));
            }
        }
    }

    /// After everything was delivered: what arrived of each run is what it recorded, less what it is known to have lost.
    pub fn settle_accounts(&mut self) {
        for (boot, (account, survives)) in std::mem::take(&mut self.ended) {
            let received = self.received_of(&boot);
            // A run that was killed loses what was still in memory, and no more.
            let refused = (1..=account.recorded).filter(|seq| self.poison && is_refused(*seq)).count() as u64;
            let own = account.recorded.saturating_sub(account.queued + account.dropped() + refused);
            if survives && account.recovered == 0 && received < own {
                self.broken(format!(
                    "of killed run {boot:x?} {received} events arrived; {own} were on disk: {account:?}"
                ));
            }
            if received > account.recorded {
                self.broken(format!(
                    "of run {boot:x?} {received} events arrived, but {} were recorded",
                    account.recorded
                ));
            }
        }
    }

    /// After everything was delivered, of a run that still lives: what arrived and what it told of as lost are all that it recorded.
    pub fn settle_run(&mut self, boot: Boot, account: &Account) {
        let received = self.received_of(&boot);
        let told = self.told.get(&boot).copied().unwrap_or(0);
        if account.queued + account.spooled > 0 {
            self.broken(format!("run {boot:x?} still holds events: {account:?}"));
        }
        // With events of earlier runs among those lost or refused, only bounds can be said of this one.
        let all = received + account.dropped() + account.quarantined;
        if all < account.recorded || (account.recovered == 0 && all != account.recorded) {
            self.broken(format!("of run {boot:x?} {received} events arrived: {account:?}"));
        }
        if account.recovered == 0 && told != account.dropped() {
            self.broken(format!("run {boot:x?} lost {} events and told of {told}", account.dropped()));
        }
    }
}

/// A token works so long before it starts, for clocks that lag.
const EARLY_SECS: u64 = 30;

/// Whether the other side refuses every batch that holds the event at this place of a run.
pub fn is_poison(seq: u64) -> bool {
    seq.is_multiple_of(31)
}

/// Whether the other side rejects the event at this place of a run by its index.
pub fn is_rejected(seq: u64) -> bool {
    seq.is_multiple_of(37)
}

fn is_refused(seq: u64) -> bool {
    is_poison(seq) || is_rejected(seq)
}
