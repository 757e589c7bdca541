//! Whom to trust at the other end of TLS, the same for sources and for servers that are pushed to.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::object_name;
use crate::rule::rules;

/// By what a server with TLS is known whose certificate is not one of a public authority. Exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "has(self.caSecretName) != has(self.fingerprint)",
    "tls has none or both of caSecretName and fingerprint: write fingerprint for a certificate that signs itself, or caSecretName for an authority of your own",
)])))]
pub struct Tls {
    /// Secret with the key `ca.crt`: the certificates (PEM) of the authorities of which one must have signed the server's, in
    /// the place of the public ones. The host in the URL must be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub ca_secret_name: Option<String>,
    /// SHA-256 fingerprint of the server's own certificate: 64 hexadecimal digits, with or without colons. Whoever has the key
    /// of that certificate is trusted; the names and dates in it mean nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fingerprint")]
    pub fingerprint: Option<String>,
}

impl Tls {
    /// The fingerprint as bytes. None if there is none, or one that the schema refuses.
    pub fn fingerprint_bytes(&self) -> Option<[u8; 32]> {
        let digits: Vec<u8> = self
            .fingerprint
            .as_deref()?
            .chars()
            .filter(|c| *c != ':')
            .map(|c| Some(c.to_digit(16)? as u8))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[pair.len() - 1])
            .collect();
        (digits.len() == 64).then_some(bytes)?.try_into().ok()
    }
}

fn fingerprint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 95,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$')",
            "not a SHA-256 fingerprint: write the 64 hexadecimal digits that `openssl x509 -noout -fingerprint -sha256` or the condition Connected shows",
        )]),
    })
}

/// The rule of an object with the fields `url` and `tls`: trust is asked for where there is TLS. `schemes` are those that speak it,
/// as a part of a regular expression.
macro_rules! only_with {
    ($schemes:literal, $advice:literal) => {
        (
            concat!("!has(self.tls) || self.url.matches('^(?i:", $schemes, ")://')"),
            concat!(
                "tls stands beside a URL that has no TLS: ",
                $advice,
                ", or take tls away"
            ),
        )
    };
}
pub(crate) use only_with;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_in_all_spellings() {
        let pairs: Vec<String> = (0..32).map(|n| format!("{:02x}", n * 7)).collect();
        let plain = pairs.concat();
        let colons = pairs.join(":").to_uppercase();
        let want: [u8; 32] = std::array::from_fn(|n| n as u8 * 7);
        let bytes = |text: &str| {
            let tls = Tls {
                fingerprint: Some(text.to_owned()),
                ..Tls::default()
            };
            tls.fingerprint_bytes()
        };
        assert_eq!(bytes(&plain), Some(want));
        assert_eq!(bytes(&colons), Some(want));
        for wrong in [
            "",
            "ab",
            &plain[1..],
            &format!("{plain}00"),
            &plain.replace('0', "g"),
        ] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert_eq!(Tls::default().fingerprint_bytes(), None);
    }
}
