//! TLS as the command line has it.

use crate::args;
use crate::listen::tls::{Error, Files, Tls};
use anyhow::{Context, bail};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How long a gateway waits for its certificate. The kubelet may start a pod with a Secret that has just come before
/// the files of its volume have followed, which they do within a minute and a half.
pub(super) const KUBELET_PATIENCE: Duration = Duration::from_secs(100);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

impl args::Tls {
    /// Takes TLS where there is a certificate, and follows its files until `stop`. Files that don't exist yet are
    /// waited for as long as `patience`.
    pub(super) async fn start(&self, patience: Duration, stop: &CancellationToken) -> anyhow::Result<Tls> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let files = Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                };
                self.once_there(&files, patience, stop)
                    .await
                    .context("the certificate of --tls-cert and --tls-key can't be served")
            }
            _ if self.tls_required => {
                bail!("--tls-required needs a certificate: give --tls-cert and --tls-key")
            }
            _ => Ok(Tls::default()),
        }
    }

    async fn once_there(
        &self,
        files: &Files,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Tls, Error> {
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            match Tls::start(files.clone(), self.tls_required, stop.clone()).await {
                Err(Error::Unreadable(path, error))
                    if error.kind() == io::ErrorKind::NotFound && Instant::now() < deadline =>
                {
                    if !said {
                        info!(path = %path.display(), ?patience, "waits for the certificate");
                        said = true;
                    }
                    if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
                        return Err(Error::Unreadable(path, error));
                    }
                }
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn args(dir: &Path) -> args::Tls {
        args::Tls {
            tls_cert: Some(dir.join("tls.crt")),
            tls_key: Some(dir.join("tls.key")),
            tls_required: false,
        }
    }

    #[tokio::test]
    async fn files_that_come_late_are_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["weir.test".to_owned()]).expect("a certificate");
        let (args, stop) = (args(dir.path()), CancellationToken::new());
        let (started, ()) = tokio::join!(args.start(Duration::from_secs(10), &stop), async {
            sleep(Duration::from_millis(50)).await;
            let texts = [
                ("tls.key", made.signing_key.serialize_pem()),
                ("tls.crt", made.cert.pem()),
            ];
            for (name, text) in texts {
                // Whole or not at all, as the kubelet puts them there.
                let part = dir.path().join("part");
                std::fs::write(&part, text).expect("written");
                std::fs::rename(&part, dir.path().join(name)).expect("renamed");
            }
        });
        assert!(started.expect("the certificate came").is_offered());
    }

    #[tokio::test]
    async fn without_patience_or_with_other_faults_nothing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let (args, stop) = (args(dir.path()), CancellationToken::new());
        let begun = Instant::now();
        let missing = args.start(Duration::ZERO, &stop).await.err().expect("an error");
        assert!(
            format!("{missing:#}").contains("tls.crt can't be read"),
            "{missing:#}"
        );
        std::fs::write(dir.path().join("tls.key"), "").expect("written");
        std::fs::write(dir.path().join("tls.crt"), "").expect("written");
        let empty = args.start(KUBELET_PATIENCE, &stop).await.err().expect("an error");
        assert!(format!("{empty:#}").contains("holds no certificate"), "{empty:#}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
