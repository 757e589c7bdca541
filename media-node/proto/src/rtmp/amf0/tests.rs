use super::*;
use bytes::BytesMut;

fn written(values: &[Value]) -> BytesMut {
    let mut out = BytesMut::new();
    for value in values {
        value.write(&mut out);
    }
    out
}

fn one_of_each() -> Vec<Value> {
    vec![
        "connect".into(),
        1.0.into(),
        true.into(),
        Value::Null,
        Value::Undefined,
        Value::Unsupported,
        Value::Reference(3),
        Value::object([
            ("app", "live".into()),
            ("", Value::object([])),
            ("on", false.into()),
        ]),
        Value::EcmaArray(vec![("width".into(), 1920.0.into())]),
        Value::StrictArray(vec!["hvc1".into(), Value::StrictArray(vec![]), (-0.5).into()]),
        Value::Date {
            ms: 1.7e12,
            time_zone: -60,
        },
        Value::Xml("<a/>".into()),
        Value::TypedObject {
            class: "flex".into(),
            properties: vec![("门".into(), "é".into())],
        },
        Value::String("x".repeat(40_000)),
    ]
}

#[test]
fn values_come_back() {
    let values = one_of_each();
    assert_eq!(parse(&written(&values)), Ok(values));
    assert_eq!(parse(&[]), Ok(vec![]));
}

#[test]
fn bytes_are_those_of_the_specification() {
    let connect = [
        "connect".into(),
        1.0.into(),
        Value::object([("app", "live".into()), ("fpad", false.into())]),
    ];
    assert_eq!(
        written(&connect),
        &b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\x04fpad\x01\0\0\0\x09"[..]
    );
    let array = Value::EcmaArray(vec![("a".into(), Value::Null)]);
    assert_eq!(written(&[array]), &b"\x08\0\0\0\x01\0\x01a\x05\0\0\x09"[..]);
    let long = Value::String("y".repeat(65_536));
    assert_eq!(written(&[long])[..6], [12, 0, 1, 0, 0, b'y']);
}

#[test]
fn a_cut_anywhere_is_an_error_or_between_two_values() {
    let values = &one_of_each()[..13];
    let whole = written(values);
    let mut boundaries = vec![0];
    for value in values {
        boundaries.push(boundaries.last().unwrap() + written(std::slice::from_ref(value)).len());
    }
    for end in 0..whole.len() {
        match parse(&whole[..end]) {
            Ok(found) => assert_eq!(boundaries[found.len()], end),
            Err(error) => assert!(matches!(error, Error::Truncated { .. }), "{end}: {error}"),
        }
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize, open: &[u8], close: &[u8]| {
        let mut bytes = open.repeat(depth);
        bytes.push(5);
        bytes.extend(close.repeat(depth));
        bytes
    };
    for (open, close) in [
        (&b"\x03\0\x01a"[..], &b"\0\0\x09"[..]),
        (b"\x08\0\0\0\0\0\x01a", b"\0\0\x09"),
        (b"\x0a\0\0\0\x01", b""),
        (b"\x10\0\0\0\x01a", b"\0\0\x09"),
    ] {
        assert!(parse(&nested(MAX_DEPTH - 1, open, close)).is_ok());
        let deep = parse(&nested(MAX_DEPTH, open, close));
        assert!(matches!(deep, Err(Error::TooDeep { .. })), "{deep:?}");
        let deeper = parse(&nested(MAX_BYTES / 20, open, close));
        assert!(matches!(deeper, Err(Error::TooDeep { .. })), "{deeper:?}");
    }
}

#[test]
fn counts_and_lengths_are_not_believed() {
    for bytes in [
        &b"\x0a\xff\xff\xff\xff"[..],
        b"\x08\xff\xff\xff\xff",
        b"\x0c\xff\xff\xff\xff",
        b"\x0f\x7f\xff\xff\xffxml",
        b"\x02\xff\xffxyz",
        b"\x03\xff\xff",
    ] {
        assert!(matches!(parse(bytes), Err(Error::Truncated { .. })), "{bytes:x?}");
    }
    assert!(parse(&vec![5; MAX_VALUES]).is_ok());
    assert_eq!(
        parse(&vec![5; MAX_VALUES + 1]),
        Err(Error::TooMany { offset: MAX_VALUES })
    );
    assert_eq!(
        parse(&vec![5; MAX_BYTES + 1]),
        Err(Error::TooLong { bytes: MAX_BYTES + 1 })
    );
    let array = [&[10, 0xff, 0xff, 0xff, 0xff][..], &[6; 5000]].concat();
    assert!(matches!(parse(&array), Err(Error::TooMany { .. })));
}

#[test]
fn what_is_no_amf0_is_refused() {
    assert_eq!(parse(&[5, 17, 1]), Err(Error::Amf3 { offset: 1 }));
    for marker in [4, 9, 14, 18, 255] {
        assert_eq!(parse(&[5, 6, marker]), Err(Error::Marker { offset: 2, marker }));
    }
}

#[test]
fn properties_are_found_in_objects_of_any_kind() {
    let properties = vec![("a".to_owned(), Value::from(1.0)), ("a".to_owned(), Value::Null)];
    for value in [
        Value::Object(properties.clone()),
        Value::EcmaArray(properties.clone()),
        Value::TypedObject {
            class: String::new(),
            properties,
        },
    ] {
        assert_eq!(value.property("a").and_then(Value::as_number), Some(1.0));
        assert_eq!(value.property("b"), None);
    }
    assert_eq!(Value::Null.property("a"), None);
    assert_eq!(
        parse(b"\x02\0\x02\xd6\xd0").unwrap()[0].as_str(),
        Some("\u{fffd}\u{fffd}")
    );
}
