//! What time it is where the object store is: the `Date` of an answer.

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::SystemTime;

/// Notes the date of the answers to a request, whatever else they say.
#[derive(Clone, Debug, Default)]
pub(super) struct NoteDate(Arc<Mutex<Option<SystemTime>>>);

impl NoteDate {
    /// None where no answer came, or none with a date.
    pub(super) fn noted(&self) -> Option<SystemTime> {
        *self.0.lock()
    }
}

impl Intercept for NoteDate {
    fn name(&self) -> &'static str {
        "NoteDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.0.lock() = context.response().headers().get("date").and_then(read);
        Ok(())
    }
}

fn read(date: &str) -> Option<SystemTime> {
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

/// A bucket at a server that refuses everything, and says what time it is.
#[cfg(test)]
pub(crate) async fn saying(date: &'static str) -> super::Bucket {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = format!("HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nConnection: close\r\n\r\n");
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    let location = super::Location {
        bucket: "weir".to_owned(),
        endpoint: Some(format!("http://{address}")),
        region: "us-east-1".to_owned(),
        path_style: true,
    };
    let keys = super::Keys::Given {
        id: "id".to_owned(),
        secret: weir_proto::Redacted::new("secret".to_owned()),
    };
    super::Bucket::new(&location, keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::Embedded;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn the_store_says_what_time_it_is_whatever_else_it_says() {
        let date = saying("Mon, 05 Jan 2026 09:00:00 GMT").await.date().await;
        let second = SystemTime::UNIX_EPOCH + Duration::from_hours(491_001);
        assert_eq!(date.expect("an answer"), Some(second));
        assert_eq!(
            saying("soon").await.date().await.ok(),
            None,
            "refused, and no date"
        );
        // Ours has our own clock.
        let folder = tempfile::tempdir().expect("a folder");
        let stop = CancellationToken::new();
        let embedded = Embedded::start(folder.path(), stop.clone())
            .await
            .expect("a store");
        assert_eq!(embedded.bucket().date().await.expect("an answer"), None);
        stop.cancel();
        assert!(embedded.bucket().date().await.is_err());
    }

    #[test]
    fn dates_of_http() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_hours(491_001);
        assert_eq!(read("Mon, 05 Jan 2026 09:00:00 GMT"), Some(second));
        assert_eq!(read("yesterday"), None);
    }
}
