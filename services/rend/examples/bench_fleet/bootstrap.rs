//! Bootstraps of assets drawn by lot, beside a select of one row.

use futures::future::join_all;
use rend_core::prng::Prng;

use crate::Size;
use crate::figures::{Round, Watch, print_rates, print_times};
use crate::stand::{Http, Stand};

/// Connections at a time.
const CONNECTIONS: u64 = 16;

pub(crate) async fn measure(stand: &Stand, size: &Size) {
    let mut ours = join_all((0..CONNECTIONS).map(|_| Http::connect(&stand.api[0]))).await;
    let bare = join_all((0..CONNECTIONS).map(|_| stand.connect())).await;
    let statement = include_str!("../../../../rend-storage/src/postgres/sql/asset_get.sql");
    let prepared = join_all(bare.iter().map(|client| client.prepare(statement))).await;
    let prepared: Vec<_> = prepared.into_iter().map(Result::unwrap).collect();
    let (mut rend_rounds, mut bare_rounds) = (Vec::new(), Vec::new());
    for round in 0..size.rounds as u64 {
        let watch = Watch::lasting(size.round);
        let workers = ours.iter_mut().enumerate().map(|(n, http)| {
            let (watch, mut prng) = (watch.clone(), Prng::seeded(round * 100 + n as u64));
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let began = watch.now();
                    let path = format!("/api/player/{}", Stand::asset(1 + prng.below(size.assets)));
                    let (status, _) = http.ask("GET", &path, "", b"").await;
                    assert_eq!(status, 200, "{path}");
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        rend_rounds.push(Round::of(join_all(workers).await, size.round, 1));
        let watch = Watch::lasting(size.round);
        let workers = bare.iter().zip(&prepared).enumerate().map(|(n, (client, statement))| {
            let (watch, mut prng) = (watch.clone(), Prng::seeded(round * 100 + n as u64));
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let began = watch.now();
                    let id = Id(Stand::asset(1 + prng.below(size.assets)));
                    assert_eq!(client.query(statement, &[&id]).await.unwrap().len(), 1);
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        bare_rounds.push(Round::of(join_all(workers).await, size.round, 1));
    }
    print_rates(&format!("bootstraps a second, {CONNECTIONS} connections"), &rend_rounds, &bare_rounds);
    print_times("one bootstrap", &rend_rounds, &bare_rounds);
}

/// An identifier as PostgreSQL takes it.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) String);

impl tokio_postgres::types::ToSql for Id {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let digits: String = self.0.chars().filter(|c| *c != '-').collect();
        for at in (0..32).step_by(2) {
            out.extend_from_slice(&[u8::from_str_radix(&digits[at..at + 2], 16)?]);
        }
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(kind: &tokio_postgres::types::Type) -> bool {
        *kind == tokio_postgres::types::Type::UUID
    }

    tokio_postgres::types::to_sql_checked!();
}
