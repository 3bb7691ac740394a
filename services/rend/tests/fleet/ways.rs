//! The network of a fleet: a way of its own from each process to each that it calls.

use crate::proxy::Proxy;

/// Every way between the processes, the servers and whoever looks at them from outside.
#[derive(Default)]
pub(crate) struct Ways(Vec<Way>);

struct Way {
    from: &'static str,
    to: &'static str,
    proxy: Proxy,
}

impl Ways {
    /// The URL under which `from` reaches `to`, which is really at `url`.
    pub(crate) fn lay(&mut self, from: &'static str, to: &'static str, url: &str) -> String {
        let proxy = Proxy::before(url);
        let here = proxy.url.clone();
        self.0.push(Way { from, to, proxy });
        here
    }

    /// Cuts `name` off from everybody.
    pub(crate) fn cut(&self, name: &str) {
        self.of(name).for_each(Proxy::cut);
    }

    /// Lets it be reached, and reach others, again.
    pub(crate) fn mend(&self, name: &str) {
        self.of(name).for_each(Proxy::mend);
    }

    /// Loses every byte from and to `name` for now.
    pub(crate) fn freeze(&self, name: &str) {
        self.of(name).for_each(Proxy::freeze);
    }

    /// Hands on what was kept back.
    pub(crate) fn thaw(&self, name: &str) {
        self.of(name).for_each(Proxy::thaw);
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Proxy> {
        self.0.iter().filter(move |way| way.from == name || way.to == name).map(|way| &way.proxy)
    }
}
