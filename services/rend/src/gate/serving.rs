//! What an edge serves: the right bytes, from where it says, to those who may have them.

use rend_core::analytics::CacheStatus;
use rend_core::artifact::ArtifactPath;
use rend_core::fleet::wire::{WarmAnswer, WarmStatus, WarmWire};
use rend_core::gate::check::{Fetch, Published};
use rend_core::gate::{Timing, check};
use rend_core::id::AssetId;
use rend_core::time::Clock;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{BOOTSTRAPS, Gate, Manifest, STAMPEDE, WARM_MAX, unhex};

impl Gate {
    pub(super) async fn bootstrap(&mut self, asset: AssetId) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut query = String::new();
        for _ in 0..BOOTSTRAPS {
            let began = self.clock.mono();
            let url = format!("{}/api/player/{asset}{query}", self.api.base);
            let Ok(answer) = self.client.get(url).send().await else {
                return vec!["the bootstrap was not answered".into()];
            };
            self.note(Timing::PlaybackBootstrap, self.clock.mono().since(began));
            if answer.status() == StatusCode::UNAUTHORIZED && query.is_empty() {
                // A signed asset: its owner's key gets a token for it.
                match self.api.get(&format!("/v1/assets/{asset}/playback")).await {
                    Ok(handed) => query = format!("?token={}", handed["bootstrap_token"].as_str().unwrap_or_default()),
                    Err(why) => return vec![why],
                }
                continue;
            }
            if !answer.status().is_success() {
                return vec![format!("the bootstrap was answered with {}", answer.status())];
            }
            let cookies: Vec<String> = answer
                .headers()
                .get_all("set-cookie")
                .iter()
                .filter_map(|c| c.to_str().ok().map(str::to_owned))
                .collect();
            let playback = cookies.iter().find(|c| c.starts_with("rend_pb=") || c.starts_with("__Secure-rend_pb="));
            let path = playback.and_then(|c| c.split("; ").find_map(|part| part.strip_prefix("Path=")));
            let body: Value = answer.json().await.unwrap_or(Value::Null);
            let urls: Vec<&str> = ["playback_url", "manifest_url", "opener_url", "poster_url"]
                .iter()
                .filter_map(|name| body[*name].as_str())
                .collect();
            let transport = body["transport"].as_str().unwrap_or_default();
            wrong = check::bootstrap(&urls, transport, path, &format!("/v/{asset}/"));
            if let Some(pair) = playback.and_then(|c| c.split(';').next()) {
                self.sessions.insert(asset, pair.to_owned());
            }
        }
        wrong
    }

    /// What a viewer's session opens of `asset`. A download is not among it: its URL has a token of its own.
    pub(super) async fn manifest(&self, asset: AssetId) -> Result<Manifest, String> {
        let listed = self.api.get(&format!("/v1/assets/{asset}/artifacts")).await?;
        let published = |artifact: &Value| {
            let path: ArtifactPath = artifact["path"].as_str()?.parse().ok()?;
            let sha256 = unhex(artifact["sha256"].as_str()?)?;
            Some((path, Published { bytes: artifact["bytes"].as_u64()?, sha256 }))
        };
        let opened = |(path, _): &(ArtifactPath, Published)| !matches!(path, ArtifactPath::Download(_));
        Ok(listed["data"].as_array().into_iter().flatten().filter_map(published).filter(opened).collect())
    }

    /// Each artifact on each edge: purged, it comes from the origin; after that from the cache; always with the
    /// published bytes.
    pub(super) async fn miss_hit(&mut self, asset: AssetId, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        for at in 0..self.edges.len() {
            let id = self.edges[at].id.clone();
            if let Err(why) = self.purge(at, asset).await {
                wrong.push(format!("edge {id}: {why}"));
                continue;
            }
            for (path, published) in manifest {
                for (wanted, timing) in
                    [(CacheStatus::Miss, Timing::EdgeTtfbMiss), (CacheStatus::Hit, Timing::EdgeTtfbHit)]
                {
                    // A mutable playlist that is older than its freshness is revalidated, which is a hit too; and a
                    // segment may have been fetched ahead of its turn.
                    let ahead = matches!(path, ArtifactPath::Segment { .. });
                    let allowed: &[CacheStatus] = if wanted == CacheStatus::Hit {
                        &[CacheStatus::Hit, CacheStatus::Revalidated]
                    } else if ahead {
                        &[CacheStatus::Miss, CacheStatus::Hit, CacheStatus::Coalesced]
                    } else {
                        &[CacheStatus::Miss]
                    };
                    match self.fetch(at, asset, *path, &[]).await {
                        Ok(seen) => {
                            if seen.fetch.cache == Some(wanted) {
                                self.note(timing, seen.ttfb);
                            }
                            let faults = check::served(*path, &seen.fetch, allowed, published);
                            wrong.extend(faults.into_iter().map(|fault| format!("edge {id}: {fault}")));
                        }
                        Err(why) => wrong.push(format!("edge {id}: {path}: {why}")),
                    }
                }
            }
        }
        wrong
    }

    pub(super) async fn warm(&mut self, asset: AssetId, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        let wanted: Vec<_> = manifest.iter().take(WARM_MAX).collect();
        let paths: Vec<_> = wanted.iter().map(|(path, _)| *path).collect();
        for at in 0..self.edges.len() {
            let (id, url) = (self.edges[at].id.clone(), format!("{}/internal/warm", self.edges[at].private));
            if let Err(why) = self.purge(at, asset).await {
                wrong.push(format!("edge {id}: {why}"));
                continue;
            }
            let body = serde_json::to_value(WarmWire::new(asset, &paths)).unwrap_or(Value::Null);
            let answer = match self.private(Method::POST, &url, Some(body)).await {
                Ok((StatusCode::OK, body)) => serde_json::from_value::<WarmAnswer>(body).ok(),
                Ok(_) | Err(_) => None,
            };
            let Some(answer) = answer else {
                wrong.push(format!("edge {id} did not answer a warm"));
                continue;
            };
            for result in answer.results.iter().filter(|r| !matches!(r.status, WarmStatus::Filled | WarmStatus::Cached))
            {
                wrong.push(format!("edge {id} did not warm {}", result.path));
            }
            for (path, published) in &wanted {
                match self.fetch(at, asset, *path, &[]).await {
                    Ok(seen) => {
                        self.note(Timing::EdgeTtfbWarmedHit, seen.ttfb);
                        let allowed = [CacheStatus::Hit, CacheStatus::Revalidated];
                        let faults = check::served(*path, &seen.fetch, &allowed, published);
                        wrong.extend(faults.into_iter().map(|fault| format!("edge {id}: {fault}")));
                    }
                    Err(why) => wrong.push(format!("edge {id}: {path}: {why}")),
                }
            }
        }
        wrong
    }

    pub(super) async fn headers(&mut self, asset: AssetId, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        for at in 0..self.edges.len() {
            for (path, published) in manifest {
                let Ok(seen) = self.fetch(at, asset, *path, &[]).await else {
                    wrong.push(format!("{path} was not answered"));
                    continue;
                };
                wrong.extend(check::headers(*path, &seen.fetch, true));
                let tag = seen.fetch.etag.clone().unwrap_or_default();
                if let Ok(again) = self.fetch(at, asset, *path, &[("if-none-match", &tag)]).await {
                    wrong.extend(check::unchanged(*path, &again.fetch));
                }
                if published.bytes >= 4 && path.is_immutable() {
                    let last = published.bytes - 2;
                    if let Ok(part) = self.fetch(at, asset, *path, &[("range", &format!("bytes=1-{last}"))]).await {
                        wrong.extend(check::ranged(*path, &part.fetch, 1, last, published.bytes));
                    }
                }
            }
        }
        wrong
    }

    pub(super) async fn stampede(&mut self, asset: AssetId, manifest: &Manifest) -> Vec<String> {
        let largest = manifest
            .iter()
            .filter(|(path, _)| matches!(path, ArtifactPath::Segment { .. }))
            .max_by_key(|(_, p)| p.bytes);
        let Some((path, published)) = largest else { return vec!["there is no segment".into()] };
        let mut wrong = Vec::new();
        for at in 0..self.edges.len() {
            if let Err(why) = self.purge(at, asset).await {
                wrong.push(why);
                continue;
            }
            let all = futures::future::join_all((0..STAMPEDE).map(|_| self.fetch(at, asset, *path, &[]))).await;
            let unanswered = all.iter().filter(|seen| seen.is_err()).count();
            if unanswered > 0 {
                wrong.push(format!("{unanswered} of {STAMPEDE} clients at once were not answered"));
            }
            let fetches: Vec<Fetch> = all.into_iter().flatten().map(|seen| seen.fetch).collect();
            wrong.extend(check::coalesced(*path, &fetches, published));
        }
        wrong
    }

    /// Nobody plays without a token, and nothing internal answers publicly.
    pub(super) async fn denies(&mut self, asset: AssetId) -> Vec<String> {
        let mut wrong = Vec::new();
        for edge in &self.edges {
            let deny = [
                (format!("{}/v/{asset}/{}", edge.public, ArtifactPath::Master), StatusCode::UNAUTHORIZED),
                (format!("{}/metrics", edge.public), StatusCode::NOT_FOUND),
                (format!("{}/readyz", edge.public), StatusCode::NOT_FOUND),
                (format!("{}/internal/cache", edge.public), StatusCode::NOT_FOUND),
                (format!("{}/internal/cache", edge.private), StatusCode::UNAUTHORIZED),
            ];
            for (url, wanted) in deny {
                let status = self.client.get(&url).send().await.map(|answer| answer.status());
                if !matches!(&status, Ok(found) if *found == wanted) {
                    let path =
                        url.strip_prefix(&edge.public).or_else(|| url.strip_prefix(&edge.private)).unwrap_or_default();
                    let found = status.map_or_else(|_| "nothing".to_owned(), |s| s.as_u16().to_string());
                    wrong.push(format!(
                        "edge {}: {path} without a credential was answered with {found}, not {}",
                        edge.id,
                        wanted.as_u16()
                    ));
                }
            }
        }
        wrong
    }
}

/// What every ready asset has published.
pub(super) fn complete(manifest: &Manifest) -> Vec<String> {
    let paths = || manifest.iter().map(|(path, _)| path);
    let needed = [
        ("a master playlist", paths().any(|p| matches!(p, ArtifactPath::Master))),
        ("a media playlist", paths().any(|p| matches!(p, ArtifactPath::Variant(_)))),
        ("an initialisation segment", paths().any(|p| matches!(p, ArtifactPath::Init(_)))),
        ("a segment", paths().any(|p| matches!(p, ArtifactPath::Segment { .. }))),
        ("an opener", paths().any(|p| matches!(p, ArtifactPath::Opener))),
    ];
    needed.iter().filter(|(_, there)| !there).map(|(what, _)| format!("{what} is not published")).collect()
}
