//! Connections, and what is asked over one.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Row;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::Fault;
use super::options::PostgresOptions;
use crate::StoreError;

/// What a statement's parameters are given as, in the order of their numbers.
pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The connections.
pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    answer_within: Duration,
}

impl Pool {
    /// A pool that connects when it is first asked.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let answer_within = options.statement_timeout + ANSWER_SLACK;
        let mut config = options.config.clone();
        let given = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        let statement_ms = options.statement_timeout.as_millis();
        // A transaction whose process froze must not hold rows for good.
        config.options(format!(
            "{given}-c statement_timeout={statement_ms} -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
        ));
        if config.get_application_name().is_none() {
            config.application_name("rend");
        }
        config.connect_timeout(options.connect_timeout).tcp_user_timeout(answer_within);
        config.keepalives_idle(KEEPALIVE_AFTER);
        let tls = MakeRustlsConnect::new(tls(options).map_err(Fault::into_store)?);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connections = deadpool_postgres::Pool::builder(Manager::from_config(config, tls, recycling))
            .max_size(options.connections_max.max(1))
            .wait_timeout(Some(options.connect_timeout))
            .create_timeout(Some(options.connect_timeout))
            .recycle_timeout(Some(options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|cause| StoreError::Unavailable(Box::new(cause)))?;
        Ok(Self { connections, answer_within })
    }

    /// A connection for single statements.
    pub(super) async fn session(&self) -> Result<Session, StoreError> {
        let object = self.connections.get().await.map_err(|cause| Fault::Pool(cause).into_store())?;
        Ok(Session { object: Some(object), answer_within: self.answer_within })
    }

    /// A connection with a transaction begun on it.
    pub(super) async fn transaction(&self) -> Result<Session, StoreError> {
        let session = self.session().await?;
        session.batch("BEGIN").await.map_err(Fault::into_store)?;
        Ok(session)
    }

    pub(super) fn connections(&self) -> (usize, usize) {
        let status = self.connections.status();
        (status.size, status.available)
    }
}

/// One connection, while somebody uses it.
///
/// It goes back to the pool by [`Session::end`] or [`Session::commit`]. One that is dropped instead, because its caller
/// went away or the server fell silent, may have a transaction or an answer under way, and is closed.
pub(super) struct Session {
    object: Option<Object>,
    answer_within: Duration,
}

impl Session {
    /// The same connection for work that may take long.
    pub(super) const fn patient(mut self) -> Self {
        self.answer_within = PATIENCE;
        self
    }

    /// Every row of a query.
    pub(super) async fn all(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let object = self.object()?;
        self.within(async {
            let statement = object.prepare_cached(sql).await?;
            object.query(&statement, params).await
        })
        .await
    }

    /// The first row of a query, if there is one.
    pub(super) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    /// Runs a statement, and answers how many rows it changed.
    pub(super) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let object = self.object()?;
        self.within(async {
            let statement = object.prepare_cached(sql).await?;
            object.execute(&statement, params).await
        })
        .await
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.within(self.object()?.batch_execute(sql)).await
    }

    /// Ends single statements, and answers what came of them.
    pub(super) fn end<T>(self, answer: Result<T, Fault>) -> Result<T, StoreError> {
        match answer {
            Err(silent @ Fault::Slow) => Err(silent.into_store()),
            answer => {
                self.release();
                answer.map_err(Fault::into_store)
            }
        }
    }

    /// Ends a transaction: what was written stays when `answer` is good, else none of it.
    pub(super) async fn commit<T>(self, answer: Result<T, Fault>) -> Result<T, StoreError> {
        let ended = match &answer {
            Ok(_) => self.batch("COMMIT").await,
            Err(Fault::Slow) => Err(Fault::Slow),
            Err(_) => self.batch("ROLLBACK").await,
        };
        match (answer, ended) {
            (answer, Ok(())) => {
                self.release();
                answer.map_err(Fault::into_store)
            }
            // Not even the rollback arrived: the server undoes it when the connection closes. What was wrong first is told.
            (Err(fault), Err(_)) | (Ok(_), Err(fault)) => Err(fault.into_store()),
        }
    }

    fn release(mut self) {
        drop(self.object.take());
    }

    fn object(&self) -> Result<&Object, Fault> {
        self.object.as_ref().ok_or(Fault::GivenUp)
    }

    /// The server ends a statement that takes too long; a server that does not even do that is given up.
    async fn within<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        Ok(tokio::time::timeout(self.answer_within, asked).await.map_err(|_| Fault::Slow)??)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// How TLS is spoken, where it is.
fn tls(options: &PostgresOptions) -> Result<rustls::ClientConfig, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(file) = &options.tls_ca_file {
        let certificates = CertificateDer::pem_file_iter(file).map_err(|cause| Fault::Certificates(Box::new(cause)))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|cause| Fault::Certificates(Box::new(cause)))?;
            roots.add(certificate).map_err(|cause| Fault::Certificates(Box::new(cause)))?;
        }
    } else if options.config.get_ssl_mode() != SslMode::Disable {
        // A system without certificates is one where no server's can be checked: TLS fails there, and says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|cause| Fault::Certificates(Box::new(cause)))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// How much longer than a statement may take the server is waited for.
const ANSWER_SLACK: Duration = Duration::from_secs(2);
/// How long the work of an operator may take: a new index on a large table.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long a transaction may hold what it holds without saying anything.
const IDLE_IN_TRANSACTION_MS: u64 = 15_000;
/// How long a connection is silent before the network is asked whether the other end is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
