//! A client that reaches a server at another address than the server's own, until the server has described itself.
//!
//! ```text
//! client                            here                                            server
//! DESCRIBE rtsp://127.0.0.1:1/x     the true URL, credentials for that              DESCRIBE rtsps://camera/a
//!                                   Content-Base and a=control, where there is none  200
//! SETUP rtsps://camera/a/track1     as it is                                        SETUP rtsps://camera/a/track1
//! ```
//! What a client asks after the description it makes of the URLs in that (RFC 2326 appendix C.1.1), so that it names the
//! server rightly from there on, and nothing else has to be looked at. The numbers of its requests stay as they are.

use super::auth::Challenge;
use super::message::{Request, Response, write_request, write_status};
use crate::Redacted;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::fmt;

/// Why there is no introduction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not the one for whom the connection was made.
    #[error("the client asks for another URL than it was given")]
    Stranger,
    #[error("the client begins with another request than DESCRIBE")]
    NotDescribe,
}

/// What is between the two.
pub struct Introduction {
    /// As the client has it.
    inside: String,
    /// As the server has it.
    outside: String,
    credentials: Option<(String, Redacted<String>)>,
    /// Random, for Digest.
    client_nonce: String,
    challenge: Option<Challenge>,
    /// Answers to the challenge so far.
    answers: u32,
}

/// The URLs may hold keys.
impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduction")
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}

impl Introduction {
    /// `inside` is the URL that the client was given, which nobody else knows; `outside` is the true one, without credentials.
    pub fn new(
        inside: String,
        outside: String,
        credentials: Option<(String, Redacted<String>)>,
        client_nonce: String,
    ) -> Self {
        Self {
            inside,
            outside,
            credentials,
            client_nonce,
            challenge: None,
            answers: 0,
        }
    }

    /// Takes a request of the client; `out` is for the server.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn request(&mut self, request: &Request, out: &mut BytesMut) -> Result<(), Error> {
        if request.uri() != self.inside {
            return Err(Error::Stranger);
        }
        if request.method() != "DESCRIBE" {
            return Err(Error::NotDescribe);
        }
        let shows = request.headers.get("Authorization").is_some();
        let authorization = match (&self.challenge, &self.credentials) {
            (Some(challenge), Some((username, password))) if shows => {
                self.answers += 1;
                let about = (request.method(), self.outside.as_str());
                Some(challenge.answer(username, password, about, self.answers, &self.client_nonce))
            }
            // What the client has made is for the wrong URL.
            _ => None,
        };
        let mut headers = others(request.headers.iter(), &["Authorization", "Content-Length"]);
        headers.extend(authorization.as_deref().map(|text| ("Authorization", text)));
        write_request(out, request.method(), &self.outside, &headers, &request.body);
        Ok(())
    }

    /// Takes a response of the server; `out` is for the client. True if the two know each other now.
    pub fn response(&mut self, response: &Response, out: &mut BytesMut) -> bool {
        if response.status == 401 {
            self.challenge = Challenge::best(response.headers.all("WWW-Authenticate"));
            self.answers = 0;
        }
        let is_described = (200..300).contains(&response.status);
        let mut headers = others(response.headers.iter(), &["Content-Length"]);
        let mut body = Cow::Borrowed(&response.body[..]);
        if is_described {
            let says = |name: &str| response.headers.get(name).is_some();
            if !says("Content-Base") && !says("Content-Location") {
                headers.push(("Content-Base", &self.outside));
            }
            body = with_control(&response.body, &self.outside);
        }
        write_status(out, response.status, response.reason(), &headers, &body);
        is_described
    }
}

/// The headers but those.
fn others<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    left_out: &[&str],
) -> Vec<(&'a str, &'a str)> {
    headers
        .filter(|(name, _)| !left_out.iter().any(|other| name.eq_ignore_ascii_case(other)))
        .collect()
}

/// The description with a URL for the whole of it, which is that of the request where it names none.
fn with_control<'a>(description: &'a [u8], url: &str) -> Cow<'a, [u8]> {
    let mut at = 0;
    for line in description.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"a=control:") {
            return Cow::Borrowed(description);
        }
        if line.starts_with(b"m=") {
            break;
        }
        at += line.len();
    }
    let mut out = Vec::with_capacity(description.len() + url.len() + 16);
    out.put_slice(&description[..at]);
    if at > 0 && description[at - 1] != b'\n' {
        out.put_slice(b"\r\n");
    }
    out.put_slice(format!("a=control:{url}\r\n").as_bytes());
    out.put_slice(&description[at..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::auth::Credentials;
    use crate::rtsp::{Message, Parser};

    const INSIDE: &str = "rtsp://127.0.0.1:4711/secret";
    const OUTSIDE: &str = "rtsps://camera.example:7441/a?key=1";

    fn introduction() -> Introduction {
        let login = ("viewer".to_owned(), Redacted::new("canary".to_owned()));
        Introduction::new(
            INSIDE.to_owned(),
            OUTSIDE.to_owned(),
            Some(login),
            "cn".to_owned(),
        )
    }

    fn message(text: &str) -> Message {
        let mut bytes = BytesMut::from(text);
        let message = Parser::new().parse(&mut bytes).expect("RTSP").expect("all of it");
        assert!(bytes.is_empty());
        message
    }

    fn request(text: &str) -> Request {
        match message(text) {
            Message::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn response(text: &str) -> Response {
        match message(text) {
            Message::Response(response) => response,
            other => panic!("{other:?}"),
        }
    }

    fn described(introduction: &mut Introduction, headers: &str, sdp: &str) -> Response {
        let length = sdp.len();
        let text = format!("RTSP/1.0 200 Fine\r\nCSeq: 2\r\n{headers}Content-Length: {length}\r\n\r\n{sdp}");
        let mut out = BytesMut::new();
        assert!(introduction.response(&response(&text), &mut out));
        response(std::str::from_utf8(&out).expect("text"))
    }

    #[test]
    fn the_server_is_asked_by_its_own_name_and_shown_credentials_for_that() {
        let mut introduction = introduction();
        let mut out = BytesMut::new();
        let asked = format!("DESCRIBE {INSIDE} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n");
        introduction.request(&request(&asked), &mut out).expect("taken");
        let sent = request(std::str::from_utf8(&out).expect("text"));
        assert_eq!((sent.method(), sent.uri()), ("DESCRIBE", OUTSIDE));
        assert_eq!(sent.headers.get("Accept"), Some("application/sdp"));
        assert_eq!(sent.headers.get("Authorization"), None);

        out.clear();
        let refused = "RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\
                       WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n";
        assert!(!introduction.response(&response(refused), &mut out));
        let told = response(std::str::from_utf8(&out).expect("text"));
        assert_eq!((told.status, told.reason()), (401, "No"));
        assert_eq!(told.headers.all("WWW-Authenticate").count(), 2);

        out.clear();
        let again = asked.replace(
            "CSeq: 1",
            "CSeq: 2\r\nAuthorization: Digest username=\"viewer\", \
            realm=\"r\", nonce=\"n\", uri=\"rtsp://127.0.0.1:4711/secret\", response=\"0\"",
        );
        introduction.request(&request(&again), &mut out).expect("taken");
        let sent = request(std::str::from_utf8(&out).expect("text"));
        assert_eq!(sent.headers.get("CSeq"), Some("2"));
        assert_eq!(sent.headers.all("Authorization").count(), 1);
        let shown = sent.headers.get("Authorization").expect("credentials");
        assert!(shown.contains(&format!("uri=\"{OUTSIDE}\"")), "{shown}");
        let Some(Credentials::Digest(digest)) = Credentials::parse(shown) else {
            panic!("{shown}");
        };
        assert_eq!(
            digest.response,
            digest.expected_response("r", "n", "DESCRIBE", OUTSIDE, "canary")
        );
    }

    #[test]
    fn what_the_description_leaves_to_the_request_is_said_in_it() {
        let sdp = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=control:track1\r\n";
        let told = described(&mut introduction(), "", sdp);
        assert_eq!(told.headers.get("Content-Base"), Some(OUTSIDE));
        let body = std::str::from_utf8(&told.body).expect("text");
        assert_eq!(
            body,
            sdp.replace("m=video", &format!("a=control:{OUTSIDE}\r\nm=video"))
        );

        let sdp = "v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:track1\r\n";
        let told = described(&mut introduction(), "Content-Base: rtsps://camera/b/\r\n", sdp);
        assert_eq!(
            told.headers.all("Content-Base").collect::<Vec<_>>(),
            ["rtsps://camera/b/"]
        );
        assert_eq!(told.body, sdp);
        assert_eq!((told.status, told.reason()), (200, "Fine"));
    }

    #[test]
    fn descriptions_of_any_shape_get_one_control() {
        let all = "a=control:u\r\n";
        for (sdp, want) in [
            ("", all.to_owned()),
            ("m=video", format!("{all}m=video")),
            ("v=0", format!("v=0\r\n{all}")),
            ("v=0\nm=a\na=control:x", format!("v=0\n{all}m=a\na=control:x")),
        ] {
            assert_eq!(with_control(sdp.as_bytes(), "u"), want.as_bytes(), "{sdp:?}");
        }
    }

    #[test]
    fn who_was_not_given_the_url_is_not_introduced() {
        let mut introduction = introduction();
        let mut out = BytesMut::new();
        for (text, want) in [
            (
                "DESCRIBE rtsp://127.0.0.1:4711/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
                Error::Stranger,
            ),
            (
                "SETUP rtsp://127.0.0.1:4711/secret RTSP/1.0\r\nCSeq: 1\r\n\r\n",
                Error::NotDescribe,
            ),
        ] {
            assert_eq!(introduction.request(&request(text), &mut out), Err(want));
            assert!(out.is_empty());
        }
        assert!(!format!("{introduction:?}").contains("secret"));
    }
}
