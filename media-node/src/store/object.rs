//! The object store: a bucket by S3, wherever it is.
//!
//! | file | holds |
//! |---|---|
//! | `credentials` | keys from the files of a Secret, read again when they are replaced |
//! | `date` | what time it is there |
//! | `embedded` | an S3 server of our own over a folder, for one machine |
//! | `error` | why something did not work, by what can be done about it |
//!
//! What the objects are called and what is in them is not known here.

mod credentials;
mod date;
mod embedded;
mod error;

pub use credentials::Keys;
#[cfg(test)]
pub(crate) use date::saying;
pub use embedded::Embedded;
pub use error::Error;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use tracing::debug;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take, what is sent with it and a body that is read whole included: a part at 1 Mbit/s.
const ATTEMPT: Duration = Duration::from_secs(90);
/// How long the next bytes of a body may take that is read as it comes. The client itself waits for them for ever.
const SILENCE: Duration = Duration::from_secs(30);
/// Larger objects are sent in parts. S3 takes parts from 5 MiB.
pub const PART_BYTES: u64 = 8 << 20;
/// How many keys one request may delete (S3).
const MOST_DELETED: usize = 1_000;
/// Objects of a page; stores give no more than a thousand.
const MOST_LISTED: i32 = if cfg!(test) { 100 } else { 1_000 };

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub bucket: String,
    /// URL of the object store; without it, AWS S3 of `region`.
    pub endpoint: Option<String>,
    pub region: String,
    /// The bucket is in the URL's path rather than its host name.
    pub path_style: bool,
}

/// A bucket. Cheap to clone. Nothing is tried twice here: who calls knows how long it is worth.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// An object as a list or a look shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub key: String,
    pub bytes: u64,
}

/// An object with what was said of it when it was put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub bytes: u64,
    pub metadata: BTreeMap<String, String>,
}

/// Some objects in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub objects: Vec<Found>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

impl Bucket {
    /// Connects to nothing yet.
    pub fn new(location: &Location, keys: Keys) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let mut config = Builder::new()
            .http_client(http)
            .region(Region::new(location.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .force_path_style(location.path_style)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Not every store that speaks S3 knows the newer checksums; what is stored is checked by us.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &location.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self {
            client: Client::from_conf(config.build()),
            name: location.bucket.clone(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the bucket is there and may be used.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::Denied`], or whatever else keeps it away.
    pub async fn check(&self) -> Result<(), Error> {
        let asked = self.client.head_bucket().bucket(&self.name).send().await;
        asked.map(drop).map_err(|error| match Error::of(&error) {
            Error::NotFound => Error::NoBucket(self.name.clone()),
            error => error,
        })
    }

    /// What time it is where the bucket is; none if that isn't said, as by the embedded store, which has our clock anyway.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn date(&self) -> Result<Option<SystemTime>, Error> {
        let noted = date::NoteDate::default();
        let asked = self.client.head_bucket().bucket(&self.name).customize();
        let asked = asked.interceptor(noted.clone()).send().await;
        match (noted.noted(), asked) {
            (Some(date), _) => Ok(Some(date)),
            (None, Ok(_)) => Ok(None),
            (None, Err(error)) => Err(Error::of(&error)),
        }
    }

    /// Makes the bucket if it isn't there.
    pub async fn make(&self) -> Result<(), Error> {
        match self.check().await {
            Err(Error::NoBucket(_)) => {
                let asked = self.client.create_bucket().bucket(&self.name).send().await;
                asked.map(drop).map_err(|error| Error::of(&error))
            }
            checked => checked,
        }
    }

    /// Puts a file's content under a key, in parts if it is large, and looks whether all of it arrived.
    pub async fn put_file(
        &self,
        key: &str,
        file: &Path,
        content_type: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let length = tokio::fs::metadata(file).await.map_err(Error::File)?.len();
        let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
        if length <= PART_BYTES {
            let body = part(file, 0..length).await?;
            self.client
                .put_object()
                .bucket(&self.name)
                .key(key)
                .content_type(content_type)
                .content_length(length as i64)
                .set_metadata(Some(metadata))
                .body(body)
                .send()
                .await
                .map_err(|error| Error::of(&error))?;
        } else {
            self.put_parts(key, file, length, content_type, metadata).await?;
        }
        match self.head(key).await? {
            Some(head) if head.bytes == length => Ok(()),
            found => Err(Error::Incomplete {
                key: key.to_owned(),
                sent: length,
                stored: found.map(|head| head.bytes),
            }),
        }
    }

    async fn put_parts(
        &self,
        key: &str,
        file: &Path,
        length: u64,
        content_type: &str,
        metadata: HashMap<String, String>,
    ) -> Result<(), Error> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .set_metadata(Some(metadata))
            .send()
            .await
            .map_err(|error| Error::of(&error))?;
        let upload = begun.upload_id().unwrap_or_default().to_owned();
        let sent = self.send_parts(key, &upload, file, length).await;
        if sent.is_err() {
            // Parts of an upload that is not completed cost as much as objects. This may fail too, and a part that
            // the store is still taking outlasts it: the next try clears away what is left.
            let abort = self.client.abort_multipart_upload().bucket(&self.name);
            let _ = abort.key(key).upload_id(&upload).send().await;
        }
        sent
    }

    /// Clears away what earlier tries to store this object have left: uploads in parts that were begun, and neither completed nor
    /// given up, because the line or the process broke off. Best effort: the object itself is there. Nobody else may be storing it.
    pub async fn give_up_uploads(&self, key: &str) {
        let begun = self.client.list_multipart_uploads().bucket(&self.name);
        let begun = match begun.prefix(key).send().await {
            Ok(begun) => begun,
            Err(error) => {
                debug!(key, error = %Error::of(&error), "uploads that were begun can't be listed");
                return;
            }
        };
        for upload in begun.uploads() {
            let (Some(of), Some(id)) = (upload.key(), upload.upload_id()) else {
                continue;
            };
            if of == key {
                let abort = self.client.abort_multipart_upload().bucket(&self.name);
                let _ = abort.key(of).upload_id(id).send().await;
            }
        }
    }

    async fn send_parts(&self, key: &str, upload: &str, file: &Path, length: u64) -> Result<(), Error> {
        let mut parts = Vec::new();
        let mut offset = 0;
        while offset < length {
            let end = (offset + PART_BYTES).min(length);
            let number = parts.len() as i32 + 1;
            let sent = self
                .client
                .upload_part()
                .bucket(&self.name)
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .content_length((end - offset) as i64)
                .body(part(file, offset..end).await?)
                .send()
                .await
                .map_err(|error| Error::of(&error))?;
            let sent = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag().map(str::to_owned))
                .build();
            parts.push(sent);
            offset = end;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.name)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts)
            .send()
            .await
            .map_err(|error| Error::of(&error))?;
        Ok(())
    }

    /// Puts a small object.
    pub async fn put(&self, key: &str, content: Bytes, content_type: &str) -> Result<(), Error> {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .body(content.into())
            .send()
            .await
            .map(drop)
            .map_err(|error| Error::of(&error))
    }

    /// What is under a key; none if nothing is.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => Ok(Some(Head {
                bytes: found
                    .content_length()
                    .and_then(|n| u64::try_from(n).ok())
                    .unwrap_or(0),
                metadata: found
                    .metadata()
                    .cloned()
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
            })),
            Err(error) => match Error::of(&error) {
                Error::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// A range of an object's bytes, whole in memory.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let read = async {
            let body = self.stream(key, range).await?.collect().await;
            body.map_err(|error| Error::Broken(error.to_string()))
        };
        let read = timeout(ATTEMPT, read).await;
        let bytes = read
            .map_err(|_| Error::Broken(format!("not all came within {ATTEMPT:?}")))??
            .into_bytes();
        if bytes.len() as u64 != wanted {
            return Err(Error::Broken(format!("{} of {wanted} bytes came", bytes.len())));
        }
        Ok(bytes)
    }

    /// A range of an object's bytes as they come.
    ///
    /// # Errors
    /// [`Error::Broken`] too where the object is shorter than that.
    pub async fn stream(&self, key: &str, range: Range<u64>) -> Result<ByteStream, Error> {
        let last = range.end.saturating_sub(1);
        let asked = self.client.get_object().bucket(&self.name).key(key);
        let got = asked.range(format!("bytes={}-{last}", range.start)).send().await;
        let got = got.map_err(|error| Error::of(&error))?;
        let wanted = range.end.saturating_sub(range.start);
        match got.content_length().and_then(|n| u64::try_from(n).ok()) {
            Some(bytes) if bytes != wanted => {
                Err(Error::Broken(format!("{bytes} of {wanted} bytes are there")))
            }
            _ => Ok(got.body),
        }
    }

    /// A page of the objects whose keys begin with `prefix`, from where the page before ended.
    pub async fn list(&self, prefix: &str, from: Option<&str>) -> Result<Page, Error> {
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .max_keys(MOST_LISTED)
            .set_continuation_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| Error::of(&error))?;
        let objects = listed.contents().iter().filter_map(|object| {
            Some(Found {
                key: object.key()?.to_owned(),
                bytes: object.size().and_then(|n| u64::try_from(n).ok())?,
            })
        });
        Ok(Page {
            objects: objects.collect(),
            next: listed.next_continuation_token().map(str::to_owned),
        })
    }

    /// Deletes objects; those that aren't there count as deleted. Answers with the keys that are left and
    /// why.
    pub async fn delete(&self, keys: &[String]) -> Result<Vec<(String, String)>, Error> {
        let mut left = Vec::new();
        for some in keys.chunks(MOST_DELETED) {
            let names = some
                .iter()
                .filter_map(|key| ObjectIdentifier::builder().key(key).build().ok());
            let names = Delete::builder()
                .set_objects(Some(names.collect()))
                .quiet(true)
                .build();
            let names = names.map_err(|error| Error::Other(error.to_string()))?;
            let asked = self.client.delete_objects().bucket(&self.name).delete(names);
            let answer = asked.send().await.map_err(|error| Error::of(&error))?;
            for error in answer.errors() {
                let why = error.message().or(error.code()).unwrap_or_default().to_owned();
                // It may be any of them: none counts as deleted.
                let Some(key) = error.key() else {
                    return Err(Error::Other(why));
                };
                left.push((key.to_owned(), why));
            }
        }
        Ok(left)
    }
}

/// The chunks of a body, as a stream that tells what went wrong, and ends when nothing comes any more.
pub fn chunks(body: ByteStream) -> BoxStream<'static, Result<Bytes, Error>> {
    futures::stream::try_unfold(body, async |mut body| {
        let next = timeout(SILENCE, body.try_next()).await;
        let chunk = next
            .map_err(|_| Error::Broken(format!("nothing came for {SILENCE:?}")))?
            .map_err(|error| Error::Broken(error.to_string()))?;
        Ok(chunk.map(|chunk| (chunk, body)))
    })
    .boxed()
}

/// A part of a file, read when it is sent.
async fn part(file: &Path, range: Range<u64>) -> Result<ByteStream, Error> {
    tokio::fs::File::open(file).await.map_err(Error::File)?;
    ByteStream::read_from()
        .path(file)
        .offset(range.start)
        .length(Length::Exact(range.end - range.start))
        .build()
        .await
        .map_err(|error| Error::Other(error.to_string()))
}

#[cfg(test)]
mod tests;
