//! The start of a connection, and paths of requests.

use crate::http::{classify, clean_path, split_extension};

/// What was decided stays decided as more bytes come; a clean path has nothing left to clean.
pub(super) fn http_request(data: &[u8]) {
    let start = &data[..data.len().min(64)];
    let mut decided = None;
    for length in 0..=start.len() {
        let protocol = classify(&start[..length]);
        if decided.is_some() {
            assert_eq!(protocol, decided);
        }
        decided = protocol;
    }
    let target = String::from_utf8_lossy(data);
    for path in [&*target, &format!("/{target}")] {
        let clean = clean_path(path);
        let path = clean.as_deref().unwrap_or(path);
        assert_eq!(clean_path(path), None);
        if path.starts_with('/') {
            assert!(path.split('/').all(|segment| segment != ".." && segment != "."));
            assert!(!path.contains("//"));
        }
        if let Some((stem, extension)) = split_extension(path) {
            assert_eq!(format!("{stem}.{extension}"), path);
            assert!(!extension.contains('/'));
        }
    }
}
