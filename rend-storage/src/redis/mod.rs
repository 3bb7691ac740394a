//! What processes of a fleet share for a moment, in Redis: how often somebody has asked, and that something happened.
//!
//! Nothing here is remembered for good, and nothing that was acknowledged lies here: without Redis every caller has
//! another way, which its own documentation states. So nothing is tried again here, and a call takes a bounded time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{Client, Cmd, ErrorKind, RedisError};

use crate::StoreError;

mod limits;

/// A Redis. Clones share one connection, which is made when it is first needed and again when it broke.
///
/// It must be used within a tokio runtime. Neither its `Debug` nor an error shows the URL, which may hold a password.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    connection: ConnectionManager,
    answer_within: Duration,
    prefix: Arc<str>,
}

impl Redis {
    /// The Redis at `url`, such as `redis://:password@host:6379/0` or `rediss://…` for TLS, whose certificate is checked.
    /// It connects to nothing yet. A call waits for `answer_within` at most, connecting included.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] when the URL names no Redis.
    pub fn new(url: &str, answer_within: Duration) -> Result<Self, StoreError> {
        let refused = |cause: RedisError| StoreError::Refused(Box::new(cause));
        let client = Client::open(url).map_err(refused)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(answer_within))
            .set_response_timeout(Some(answer_within));
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(refused)?;
        Ok(Self { client, connection, answer_within, prefix: "rend:".into() })
    }

    /// The same Redis, where the names of all keys and channels begin with `prefix` in place of `rend:`: for several
    /// fleets over one.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Whether it answers.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ask::<()>(&redis::cmd("PING")).await
    }

    /// Says `word` to everybody who listens on `channel` at this moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`].
    pub async fn say(&self, channel: &str, word: &str) -> Result<(), StoreError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(format!("{}{channel}", self.prefix)).arg(word);
        self.ask::<()>(&publish).await
    }

    /// Listens on `channel` over a connection of its own. What was said before is not heard.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`].
    pub async fn listen(&self, channel: &str) -> Result<Listening, StoreError> {
        let listen = async {
            let mut heard = self.client.get_async_pubsub().await?;
            heard.subscribe(format!("{}{channel}", self.prefix)).await?;
            Ok(Listening(heard))
        };
        self.within(listen).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        self.within(command.query_async(&mut connection)).await
    }

    async fn within<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.answer_within, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) if cause.kind() == ErrorKind::AuthenticationFailed => {
                Err(StoreError::Refused(Box::new(cause)))
            }
            Ok(Err(cause)) => Err(StoreError::Unavailable(Box::new(cause))),
            Err(late) => Err(StoreError::Unavailable(Box::new(late))),
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// What is said on a channel, from the moment this was made.
pub struct Listening(PubSub);

impl Listening {
    /// The next word, or `None` once the connection broke: then words may be missed.
    pub async fn heard(&mut self) -> Option<String> {
        let message = self.0.on_message().next().await?;
        Some(message.get_payload().unwrap_or_default())
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}
