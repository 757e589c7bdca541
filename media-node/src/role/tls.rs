//! TLS as the command line has it.

use crate::args;
use crate::listen::tls::{Files, Tls};
use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

impl args::Tls {
    /// Takes TLS where there is a certificate, and follows its files until `stop`.
    pub(super) async fn start(&self, stop: &CancellationToken) -> anyhow::Result<Tls> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let files = Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                };
                Tls::start(files, self.tls_required, stop.clone())
                    .await
                    .context("the certificate of --tls-cert and --tls-key can't be served")
            }
            _ if self.tls_required => {
                bail!("--tls-required needs a certificate: give --tls-cert and --tls-key")
            }
            _ => Ok(Tls::default()),
        }
    }
}
