//! One statement at a time, over HTTP.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;

use super::ClickHouseConfig;
use super::fault::Fault;
use crate::StoreError;

/// The server, and how it is spoken to.
pub(super) struct Server {
    client: reqwest::Client,
    url: Url,
    database: String,
    user: String,
    password: String,
    async_inserts: bool,
}

/// What a statement is told beside its text: names of parameters and their values.
pub(super) type Params<'a> = &'a [(&'a str, String)];

impl Server {
    pub(super) fn new(config: &ClickHouseConfig) -> Result<Self, StoreError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fits = (1..=64).contains(&config.database.len()) && config.database.bytes().all(plain);
        if !fits {
            return Err(StoreError::Unavailable("the database's name is not 1 to 64 letters, digits and _".into()));
        }
        let url = Url::parse(&config.url).map_err(|_| StoreError::Unavailable("its URL is not one".into()))?;
        // Without one the client would not be built, but fall over.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(StoreError::Unavailable("no TLS provider is installed in this process".into()));
        }
        let client = reqwest::Client::builder()
            .timeout(config.answer_within)
            .connect_timeout(config.answer_within.min(Duration::from_secs(5)))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| StoreError::Unavailable(Box::new(error.without_url())))?;
        Ok(Self {
            client,
            url,
            database: config.database.clone(),
            user: config.user.clone(),
            password: config.password.clone(),
            async_inserts: config.async_inserts,
        })
    }

    /// The database's name, which is a plain word.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Asks, and answers rows of fields that hold neither tabs nor line ends.
    pub(super) async fn rows(&self, statement: &str, params: Params<'_>) -> Result<Vec<Vec<String>>, Fault> {
        let mut url = self.url_in(Some(&self.database));
        for (name, value) in params {
            url.query_pairs_mut().append_pair(&format!("param_{name}"), value);
        }
        let answer = self.send(url, Bytes::copy_from_slice(statement.as_bytes())).await?;
        let text = std::str::from_utf8(&answer).map_err(|_| Fault::Odd("its text"))?;
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Runs a statement that answers nothing, in the database or outside of any.
    pub(super) async fn run(&self, statement: &str, in_database: bool) -> Result<(), Fault> {
        let url = self.url_in(in_database.then_some(self.database.as_str()));
        self.send(url, Bytes::copy_from_slice(statement.as_bytes())).await.map(drop)
    }

    /// Inserts rows in `RowBinary`, and waits until they are on disk. Rows with a token that was used lately are not
    /// written again.
    pub(super) async fn insert(&self, statement: &'static str, token: &str, rows: Bytes) -> Result<(), Fault> {
        let mut url = self.url_in(Some(&self.database));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("query", statement).append_pair("max_partitions_per_insert_block", "10000");
            if self.async_inserts {
                query.append_pair("async_insert", "1").append_pair("wait_for_async_insert", "1");
            } else {
                query.append_pair("insert_deduplication_token", token);
            }
        }
        self.send(url, rows).await.map(drop)
    }

    fn url_in(&self, database: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let Some(database) = database {
            url.query_pairs_mut().append_pair("database", database);
        }
        // An error is then always told by the status, never in the middle of an answer.
        url.query_pairs_mut().append_pair("wait_end_of_query", "1");
        url
    }

    async fn send(&self, url: Url, body: Bytes) -> Result<Bytes, Fault> {
        let away = |error: reqwest::Error| Fault::Away(error.is_timeout());
        let request = self.client.post(url).header("X-ClickHouse-User", &self.user);
        let request = request.header("X-ClickHouse-Key", &self.password).body(body);
        let mut answer = request.send().await.map_err(away)?;
        if !answer.status().is_success() {
            let code = answer.headers().get("X-ClickHouse-Exception-Code").and_then(|code| code.to_str().ok());
            let code = code.and_then(|code| code.parse().ok()).unwrap_or(0);
            // The body of an error repeats the statement and its values: it is not read.
            return Err(Fault::Refused { status: answer.status().as_u16(), code });
        }
        let mut text = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            if text.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Odd("it is too long"));
            }
            text.extend_from_slice(&piece);
        }
        Ok(text.freeze())
    }
}

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
