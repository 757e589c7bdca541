//! Asking all pods, and making one of their answers.

use super::super::streams::{ConsumerId, Stream, StreamDirectory, Survey};
use super::door::{STREAMS, SURVEY};
use async_trait::async_trait;
use axum::http::Method;
use bytes::Bytes;
use futures::future::join_all;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir_proto::media::StreamPath;

/// A pod that takes longer is left out.
const DEADLINE: Duration = Duration::from_millis(1500);
/// What stays as it is in a URL's path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The streams of this process. Made by the role.
pub trait LocalStreams: Send + Sync + 'static {
    fn survey(&self) -> Survey;
    fn stream(&self, path: &StreamPath) -> Option<Stream>;
    fn close(&self, path: &StreamPath);
    /// Does nothing when the consumer is another pod's.
    fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId);
}

/// The other pods of the pool, and a way to ask them. Made by the role.
#[async_trait]
pub trait Pods: Send + Sync + 'static {
    /// Their addresses, `host:port`.
    fn others(&self) -> Vec<String>;

    /// The body of the answer to a request, if it is a success.
    ///
    /// # Errors
    /// Why there is none.
    async fn ask(&self, address: &str, method: Method, target: &str) -> Result<Bytes, String>;
}

/// The streams of the pool that this process belongs to.
pub struct Pool {
    local: Arc<dyn LocalStreams>,
    /// None: this process is alone.
    pods: Option<Arc<dyn Pods>>,
}

impl Pool {
    pub fn new(local: Arc<dyn LocalStreams>, pods: Option<Arc<dyn Pods>>) -> Arc<Self> {
        Arc::new(Self { local, pods })
    }

    /// The answers of the other pods; of those that don't answer, none.
    async fn ask_all(&self, method: Method, target: &str) -> Vec<Bytes> {
        let Some(pods) = &self.pods else {
            return Vec::new();
        };
        let asked = pods.others().into_iter().map(|address| {
            let method = method.clone();
            async move {
                let asked = tokio::time::timeout(DEADLINE, pods.ask(&address, method, target)).await;
                let answer = asked.unwrap_or_else(|_| Err("no answer in time".into()));
                if let Err(error) = &answer {
                    tracing::warn!(pod = address, error, "a pod did not answer and is left out");
                }
                answer.ok()
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask_surveys(&self, target: &str) -> Vec<Survey> {
        let answers = self.ask_all(Method::GET, target).await;
        let read = |answer: Bytes| match serde_json::from_slice(&answer) {
            Ok(survey) => Some(survey),
            Err(error) => {
                tracing::warn!(%error, "a pod's answer can't be read and is left out");
                None
            }
        };
        answers.into_iter().filter_map(read).collect()
    }
}

#[async_trait]
impl StreamDirectory for Pool {
    async fn survey(&self) -> Survey {
        let others = self.ask_surveys(SURVEY).await;
        let all = std::iter::once(self.local.survey()).chain(others);
        all.reduce(together).map(merged).unwrap_or_default()
    }

    async fn stream(&self, path: &StreamPath) -> Option<Stream> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("path", path.as_str())
            .finish();
        let others = self.ask_surveys(&format!("{SURVEY}?{query}")).await;
        let others = others.into_iter().flat_map(|survey| survey.streams);
        let all = self.local.stream(path).into_iter().chain(others);
        all.filter(|stream| stream.path == *path).reduce(one_of_both)
    }

    async fn close(&self, path: &StreamPath) {
        self.local.close(path);
        let target = format!("{STREAMS}{}", utf8_percent_encode(path.as_str(), PLAIN));
        self.ask_all(Method::DELETE, &target).await;
    }

    async fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId) {
        self.local.close_consumer(path, consumer);
        let path = utf8_percent_encode(path.as_str(), PLAIN);
        let target = format!("{STREAMS}{path}?consumer={}", consumer.bits());
        self.ask_all(Method::DELETE, &target).await;
    }
}

fn together(mut all: Survey, more: Survey) -> Survey {
    all.streams.extend(more.streams);
    all.sessions += more.sessions;
    all
}

/// Each path once.
fn merged(survey: Survey) -> Survey {
    let mut streams: HashMap<StreamPath, Stream> = HashMap::new();
    for stream in survey.streams {
        let stream = match streams.remove(&stream.path) {
            Some(other) => one_of_both(other, stream),
            None => stream,
        };
        streams.insert(stream.path.clone(), stream);
    }
    Survey {
        streams: streams.into_values().collect(),
        ..survey
    }
}

/// One stream of what two pods say of it: who watches at either of them, and the rest as the one knows
/// it that is nearer to the source.
fn one_of_both(a: Stream, b: Stream) -> Stream {
    let (mut near, far) = if (a.hops, a.started) <= (b.hops, b.started) {
        (a, b)
    } else {
        (b, a)
    };
    near.consumers.extend(far.consumers);
    near
}
