use super::*;
use serde_json::{Value, json};

fn made(spec: &Value) -> Camera {
    serde_json::from_value(json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera",
        "metadata": {"name": "Front", "namespace": "default"}, "spec": spec}))
    .expect("a camera")
}

fn plan(spec: &Value) -> Result<Plan, Refusal> {
    camera(&made(spec), &Known::default(), Path::new("/media"))
}

fn job(spec: &Value) -> Job {
    match plan(spec) {
        Ok(Plan::Dial(job)) => *job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_be_run() {
    let rtsp = job(&json!({"path": "A/Door", "audio": false,
        "source": {"rtsp": {"url": "rtsp://10.1.2.3/main?x=1", "transport": "Udp"}}}));
    assert_eq!(rtsp.path.as_str(), "a/door");
    assert!(!rtsp.audio && rtsp.redial);
    let Source::Rtsp { url, transport, .. } = &rtsp.source else {
        panic!("{rtsp:?}")
    };
    assert_eq!(
        (url.as_str(), *transport),
        ("rtsp://10.1.2.3/main?x=1", Transport::Udp)
    );
    assert_eq!(rtsp.source.shown(), "rtsp://10.1.2.3/main");
    assert_eq!(
        job(&json!({"source": {"rtsp": {"url": "rtsp://h/"}}}))
            .path
            .as_str(),
        "front"
    );
    let rtmp = job(&json!({"source": {"rtmp": {"url": "rtmp://h/live/Main?key=canary-key"}}}));
    assert_eq!(rtmp.source.shown(), "rtmp://h/live/Main");
    assert!(rtmp.redial && !format!("{rtmp:?}").contains("canary"));
    assert_eq!(rtmp.source.peer().as_deref(), Some("h:1935"));
    assert!(matches!(
        plan(&json!({"source": {"publish": {}}})),
        Ok(Plan::AwaitPublisher)
    ));
    let file = job(&json!({"source": {"file": {"path": "sub/demo.mp4", "loop": false}}}));
    let Source::File { file, repeat } = file.source else {
        panic!("a file")
    };
    assert_eq!((file, repeat), (PathBuf::from("/media/sub/demo.mp4"), false));
}

#[test]
fn what_cant_is_said_with_what_to_do() {
    for (spec, reason, part) in [
        (
            json!({"source": {"http": {"url": "http://h/live.flv"}}}),
            reason::UNSUPPORTED_SOURCE,
            "rtsp, rtmp, file and publish",
        ),
        (
            json!({"source": {"rtmp": {"url": "rtmp://h/"}}}),
            reason::INVALID_SPEC,
            "no path",
        ),
        (
            json!({"source": {"rtmp": {"url": "rtmp://u:p@h/live/a"}}}),
            reason::INVALID_SPEC,
            "user and password",
        ),
        (
            json!({"source": {"rtmp": {"url": "rtmp://h/live/a"}}, "credentials": {"secretName": "s"}}),
            reason::INVALID_SPEC,
            "spec.credentials",
        ),
        (
            json!({"source": {"onvif": {"host": "h"}}}),
            reason::UNSUPPORTED_SOURCE,
            "ONVIF",
        ),
        (
            json!({"source": {"file": {"object": "k"}}}),
            reason::UNSUPPORTED_SOURCE,
            "spec.source.file.path",
        ),
        (
            json!({"source": {"file": {"path": "../etc/passwd"}}}),
            reason::INVALID_SPEC,
            "media folder",
        ),
        (
            json!({"source": {"file": {"path": "/etc/passwd"}}}),
            reason::INVALID_SPEC,
            "media folder",
        ),
        (
            json!({"source": {"file": {"path": "a\\b"}}}),
            reason::INVALID_SPEC,
            "media folder",
        ),
        (
            json!({"source": {"rtsp": {"url": "rtsp://u:p@h/"}}}),
            reason::INVALID_SPEC,
            "secretName",
        ),
        (
            json!({"source": {"rtsp": {"url": "http://h/"}}}),
            reason::INVALID_SPEC,
            "rtsp://",
        ),
        (
            json!({"source": {"rtsp": {"url": "rtsps:///x"}}}),
            reason::INVALID_SPEC,
            "no host",
        ),
        (
            json!({"source": {"rtsp": {"url": "rtsps://h/", "tls": {"fingerprint": "ab"}}}}),
            reason::INVALID_SPEC,
            "64 hexadecimal digits",
        ),
        (
            json!({"source": {"rtsp": {"url": "rtsp:///x"}}}),
            reason::INVALID_SPEC,
            "no host",
        ),
        (
            json!({"path": "/", "source": {"rtsp": {"url": "rtsp://h/"}}}),
            reason::INVALID_SPEC,
            "spec.path",
        ),
    ] {
        let refusal = plan(&spec).expect_err("refused");
        assert_eq!(refusal.reason, reason, "{spec}");
        assert!(refusal.message.contains(part), "{}", refusal.message);
        assert!(!refusal.message.contains("u:p"), "{}", refusal.message);
    }
}

#[test]
fn routes_pull_by_their_scheme() {
    for (url, credentials, want) in [
        ("rtsp://h/live", false, None),
        ("RTMP://h/live", false, None),
        ("rtmp://h/live", true, Some(reason::INVALID_SPEC)),
        ("rtmps://h/live", false, None),
        ("rtsps://h/live", true, None),
        ("http://h/live", false, Some(reason::UNSUPPORTED_SCHEME)),
    ] {
        let mut spec = json!({"pattern": "/x", "url": url});
        if credentials {
            spec["credentials"] = json!({"secretName": "s"});
        }
        let route = json!({"apiVersion": "weir.video/v1alpha1", "kind": "Route", "metadata": {"name": "r"}, "spec": spec});
        let route = serde_json::from_value(route).expect("a route");
        let found = pulled(url, &route, &Known::default()).map_err(|refusal| refusal.reason);
        assert_eq!(found.as_ref().err().copied(), want, "{url}");
        if let Ok(source) = found {
            assert!(url.to_lowercase().starts_with(source.protocol()), "{url}");
        }
    }
}

#[test]
fn a_directory_completes_the_url() {
    let check = |pattern: &str| {
        let route = json!({"apiVersion": "weir.video/v1alpha1", "kind": "Route", "metadata": {"name": "r"},
            "spec": {"pattern": pattern, "url": "rtmp://h/"}});
        check_route(&serde_json::from_value(route).expect("a route"))
    };
    assert_eq!(check("/hr/"), Ok(()));
    assert!(check("/hr/door").is_err());
}

#[test]
fn links_dont_lead_out_of_the_media_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let media = dir.path().join("media");
    std::fs::create_dir(&media).expect("a folder");
    std::fs::write(dir.path().join("secret.mp4"), "").expect("a file");
    std::fs::write(media.join("real.mp4"), "").expect("a file");
    std::os::unix::fs::symlink("../secret.mp4", media.join("out.mp4")).expect("a link");
    std::os::unix::fs::symlink("real.mp4", media.join("in.mp4")).expect("a link");
    assert!(file_below(&media, "out.mp4").is_err());
    let real = std::fs::canonicalize(media.join("real.mp4")).expect("there");
    assert_eq!(file_below(&media, "in.mp4"), Ok(real));
    assert_eq!(file_below(&media, "none.mp4"), Ok(media.join("none.mp4")));
}

#[test]
fn secrets_in_both_shapes() {
    let data = |pairs: &[(&str, &str)]| -> SecretData {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), Redacted::new(v.as_bytes().to_vec())))
            .collect()
    };
    for (pairs, want) in [
        (&[("username", "u"), ("password", "p\n")][..], Some(("u", "p"))),
        (&[("userinfo", "u%40x:p%3A:w")], Some(("u@x", "p::w"))),
        (&[("userinfo", "u")], Some(("u", ""))),
        (&[("username", "u")], None),
        (&[], None),
    ] {
        let found = credentials(&data(pairs), "s").ok();
        let found = found
            .as_ref()
            .map(|c| (c.username.as_str(), c.password.reveal().as_str()));
        assert_eq!(found, want);
    }
}

/// Certificates of two authorities, as PEM.
fn two_authorities() -> [String; 2] {
    [(); 2].map(|()| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["h".to_owned()]).expect("a name");
        params.self_signed(&key).expect("a certificate").pem()
    })
}

#[test]
fn authorities_come_from_a_secret() {
    let [one, _] = two_authorities();
    authorities(&secret_data(&[("ca.crt", &one), ("other", "x")]), "s").expect("one");
    for (pairs, reason, part) in [
        (&[("tls.crt", "x")][..], reason::SECRET_NOT_FOUND, "no key ca.crt"),
        (&[("ca.crt", "")], reason::INVALID_SPEC, "no certificate"),
    ] {
        let refused = authorities(&secret_data(pairs), "s").expect_err("refused");
        assert_eq!(refused.reason, reason);
        assert!(refused.message.contains(part), "{}", refused.message);
    }
}

#[test]
fn by_what_a_server_is_known() {
    let fingerprint = "ab".repeat(32);
    let [one, two] = two_authorities().map(|pem| Authorities::parse(pem.as_bytes()).expect("one"));
    let by = |tls: Value, known: &Known| {
        let spec = json!({"source": {"rtsp": {"url": "rtsps://h/", "tls": tls}}});
        let Ok(Plan::Dial(job)) = camera(&made(&spec), known, Path::new("/m")) else {
            panic!("{spec}");
        };
        let Source::Rtsp { trust, .. } = job.source.clone() else {
            panic!("{job:?}");
        };
        (job, trust)
    };
    let with = |authorities: &Authorities| Known {
        credentials: None,
        authorities: Some(authorities.clone()),
    };
    let nothing = Known::default();
    let (public, trust) = by(Value::Null, &nothing);
    assert_eq!(trust, Trust::Public);
    let (pinned, trust) = by(json!({"fingerprint": fingerprint}), &nothing);
    assert_eq!(trust, Trust::Fingerprint([0xab; 32]));
    let (first, trust) = by(json!({"caSecretName": "s"}), &with(&one));
    assert_eq!(trust, Trust::Authorities(one.clone()));
    // What is asked for and not there is not taken for leave to trust others.
    let (_, trust) = by(json!({"caSecretName": "s"}), &nothing);
    assert_eq!(trust, Trust::Authorities(Authorities::default()));
    let (second, _) = by(json!({"caSecretName": "s"}), &with(&two));
    assert_eq!(difference(&first, &first.clone()), Difference::None);
    assert_eq!(difference(&first, &second), Difference::Secrets);
    for (a, b) in [(&public, &pinned), (&public, &first), (&pinned, &first)] {
        assert_eq!(difference(a, b), Difference::Other);
    }
    let (repinned, _) = by(json!({"fingerprint": "cd".repeat(32)}), &nothing);
    assert_eq!(difference(&pinned, &repinned), Difference::Other);
}

#[test]
fn what_makes_a_job_another_one() {
    let base = json!({"source": {"rtsp": {"url": "rtsp://h/"}}});
    let login = |password: &str| Credentials {
        username: "u".to_owned(),
        password: Redacted::new(password.to_owned()),
    };
    let with = |c: Option<&Credentials>| {
        let known = Known {
            credentials: c.cloned(),
            authorities: None,
        };
        match camera(&made(&base), &known, Path::new("/m")) {
            Ok(Plan::Dial(job)) => job,
            other => panic!("{other:?}"),
        }
    };
    let (none, one, two) = (with(None), with(Some(&login("one"))), with(Some(&login("two"))));
    assert_eq!(difference(&one, &one.clone()), Difference::None);
    assert_eq!(difference(&one, &two), Difference::Secrets);
    assert_eq!(difference(&none, &one), Difference::Secrets);
    for other in [
        json!({"source": {"rtsp": {"url": "rtsp://h/x"}}}),
        json!({"source": {"rtsp": {"url": "rtsp://h/", "transport": "Tcp"}}}),
        json!({"path": "p", "source": {"rtsp": {"url": "rtsp://h/"}}}),
        json!({"audio": false, "source": {"rtsp": {"url": "rtsp://h/"}}}),
        json!({"source": {"file": {"path": "x.mp4"}}}),
    ] {
        assert_eq!(difference(&none, &job(&other)), Difference::Other, "{other}");
    }
    let rtmp = |name: &str| job(&json!({"source": {"rtmp": {"url": format!("rtmp://h/live?key={name}")}}}));
    assert_eq!(difference(&rtmp("a"), &rtmp("a")), Difference::None);
    assert_eq!(difference(&rtmp("a"), &rtmp("b")), Difference::Other);
    // What the job does not depend on.
    let same = json!({"displayName": "x", "idleTimeout": "1s", "source": {"rtsp": {"url": "rtsp://h/"}}});
    assert_eq!(difference(&none, &job(&same)), Difference::None);
}

fn secret_data(pairs: &[(&str, &str)]) -> SecretData {
    let value = |text: &str| Redacted::new(text.as_bytes().to_vec());
    pairs
        .iter()
        .map(|(key, text)| ((*key).to_owned(), value(text)))
        .collect()
}

fn forwarded(url: &str, key: Option<&str>, rest: Option<&str>) -> Result<Target, Refusal> {
    let data = key.map(|key| secret_data(&[("streamKey", key), ("username", "u"), ("password", "p")]));
    let secret = data.as_ref().map(|data| (data, "s"));
    let path = StreamPath::parse("in/door").expect("a path");
    forward(&field::Forward::new(url), secret, None, path, rest).map(|f| f.target)
}

#[test]
fn servers_with_tls_are_pushed_to_by_either_protocol() {
    let target = |url: &str| {
        let asked = field::Forward {
            tls: Some(field::Tls {
                fingerprint: Some("ab".repeat(32)),
                ca_secret_name: None,
            }),
            ..field::Forward::new(url)
        };
        let path = StreamPath::parse("in/door").expect("a path");
        forward(&asked, None, None, path, None).expect("a target").target
    };
    let pinned = Trust::Fingerprint([0xab; 32]);
    assert!(
        matches!(target("RTMPS://h/live/a"), Target::Rtmp { url, trust, .. } if url.tls() && trust == pinned)
    );
    let rtsp = target("rtsps://h/live/a");
    assert_eq!((rtsp.protocol(), &*rtsp.peer()), ("rtsp-push", "h:322"));
    assert!(matches!(rtsp, Target::Rtsp { trust, .. } if trust == pinned));
}

#[test]
fn a_stream_key_is_put_behind_the_url_and_not_shown() {
    for (url, key, whole) in [
        ("rtmp://h/live", "canary", "rtmp://h/live/canary"),
        ("rtmp://h/live/", "canary\n", "rtmp://h/live/canary"),
        ("rtmp://h/live?a=1", "canary?b=2", "rtmp://h/live/canary?a=1&b=2"),
        (
            "rtmp://h/live/door",
            "?user=u&password=canary",
            "rtmp://h/live/door?user=u&password=canary",
        ),
        (
            "RTMP://h/live/door?a=1",
            "?token=canary",
            "RTMP://h/live/door?a=1&token=canary",
        ),
    ] {
        let target = forwarded(url, Some(key), None).expect("a target");
        let Target::Rtmp { url: found, .. } = &target else {
            panic!("{target:?}");
        };
        assert_eq!(*found, RtmpUrl::parse(whole).expect("a URL"), "{url} {key}");
        let shown = target.shown();
        assert!(!shown.contains("canary") && !shown.contains('?'), "{shown}");
    }
}

#[test]
fn below_a_directory_the_rest_of_the_path_is_put_behind_the_url() {
    let shown = |url, key| forwarded(url, key, Some("a/b c")).map(|target| target.shown());
    assert_eq!(
        shown("rtsp://h/in?x=1", None).as_deref(),
        Ok("rtsp://h/in/a/b%20c")
    );
    assert_eq!(
        shown("rtmp://h/in/", Some("?token=t")).as_deref(),
        Ok("rtmp://h/in/a/b%20c")
    );
    let refused = shown("rtmp://h/in/", Some("key")).expect_err("one key for all");
    assert_eq!(refused.reason, reason::INVALID_SPEC);
}

#[test]
fn what_cannot_be_pushed_to_is_refused_without_its_secrets() {
    for (url, key, reason) in [
        ("rtmp://h/live", Some(""), reason::SECRET_NOT_FOUND),
        ("rtmp://h/live", Some("canary key"), reason::INVALID_SPEC),
        ("rtmp://h", None, reason::INVALID_SPEC),
        ("http://h/a", None, reason::UNSUPPORTED_SCHEME),
    ] {
        let refused = forwarded(url, key, None).expect_err(url);
        assert_eq!(refused.reason, reason, "{url}: {}", refused.message);
        assert!(!refused.message.contains("canary"), "{}", refused.message);
    }
    let Ok(Target::Rtsp {
        credentials: Some(credentials),
        ..
    }) = forwarded("rtsp://h/a", Some("key"), None)
    else {
        panic!("no credentials");
    };
    assert_eq!(
        (
            credentials.username.as_str(),
            credentials.password.reveal().as_str()
        ),
        ("u", "p")
    );
}
