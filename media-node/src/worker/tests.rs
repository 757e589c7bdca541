use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

/// The ffmpeg that tests need anyway.
fn workers() -> Workers {
    Workers::new(None)
}

/// What ffmpeg itself makes of its test source.
fn made(arguments: &[&str]) -> Bytes {
    let made = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"])
        .args(["testsrc=size=640x360:rate=5:duration=1"])
        .args(arguments)
        .arg("pipe:1")
        .output()
        .expect("ffmpeg runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout.into()
}

fn mp4() -> Bytes {
    let flags = "frag_keyframe+empty_moov+default_base_moof";
    made(&["-c:v", "libx264", "-movflags", flags, "-f", "mp4"])
}

/// Width and height of a JPEG, from its frame header.
fn size(jpeg: &[u8]) -> (u16, u16) {
    assert_eq!(jpeg[..2], [0xff, 0xd8], "it begins as a JPEG does");
    let mut at = 2;
    while jpeg[at + 1] != 0xc0 {
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
    (number(at + 7), number(at + 5))
}

/// A program that does as the script says.
fn script(text: &str) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ffmpeg");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    (folder, path)
}

fn with(path: &Path, limits: Limits) -> Workers {
    Workers::with(Some(path.to_owned()), 1, limits)
}

/// Whether a process that the script has noted in a file of its own is there still. The shell can't write files, so its
/// number comes in the complaint.
fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[tokio::test]
async fn a_keyframe_becomes_a_picture_that_fits() {
    let mp4 = mp4();
    let whole = workers().snapshot(mp4.clone(), None).await.expect("a picture");
    assert_eq!(size(&whole), (640, 360));
    for (width, height, expected) in [
        (320, 1920, (320, 180)),
        (1920, 90, (160, 90)),
        (90, 50, (89, 50)),
        (1920, 1920, (640, 360)),
        (1, 1, (1, 1)),
    ] {
        let fit = Fit::new(width, height);
        let small = workers().snapshot(mp4.clone(), fit).await.expect("a picture");
        assert_eq!(size(&small), expected, "{width}x{height}");
        let fit = fit.expect("a box");
        let resized = workers().resize(whole.clone(), fit).await.expect("a picture");
        assert_eq!(size(&resized), expected, "{width}x{height}");
    }
}

#[test]
fn boxes() {
    assert!(Fit::new(0, 1).is_none() && Fit::new(1, 0).is_none());
    assert!(Fit::new(1921, 1).is_none() && Fit::new(1, 1921).is_none());
    assert_eq!(Fit::of(Some(90), None), Fit::new(90, 1920));
    assert_eq!(Fit::of(None, Some(0)), None);
}

#[tokio::test]
async fn without_an_ffmpeg_it_is_said_what_to_do() {
    let nowhere = Workers::new(Some("/nowhere/ffmpeg".into()));
    let error = nowhere.check().expect_err("there is none").to_string();
    assert!(
        error.contains("/nowhere/ffmpeg") && error.contains("--ffmpeg"),
        "{error}"
    );
    assert!(nowhere.snapshot(Bytes::new(), None).await.is_err());
    // A folder, and a file that can't be run, are none either.
    assert!(Workers::new(Some("/".into())).check().is_err());
    let (_folder, path) = script("");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(Workers::new(Some(path)).check().is_err());
}

#[tokio::test]
async fn what_is_no_video_is_refused() {
    for wrong in [
        Bytes::new(),
        Bytes::from_static(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        Bytes::from(vec![0; 100_000]),
        mp4().slice(..900),
    ] {
        let error = workers()
            .snapshot(wrong.clone(), None)
            .await
            .expect_err("no video");
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(!error.to_string().contains("0x"), "{error}");
        let fit = Fit::new(9, 9).expect("a box");
        let error = workers().resize(wrong, fit).await.expect_err("no picture");
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_killed_at_its_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    // Files can't be written once it is confined; a pipe can.
    let fifo = folder.path().join("pid");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("a pipe");
    let (_script, path) = script(&format!("echo $$ > {}\nexec sleep 60", fifo.display()));
    let limits = Limits {
        deadline: Duration::from_millis(700),
        ..Limits::default()
    };
    let workers = with(&path, limits);
    let running = workers.snapshot(Bytes::new(), None);
    let pid = tokio::task::spawn_blocking(move || fs::read_to_string(fifo).expect("a number"));
    let begun = Instant::now();
    let error = running.await.expect_err("it hangs");
    assert!(matches!(error, Error::Late(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let pid = pid.await.expect("a number");
    assert!(!is_alive(pid.trim()), "{pid} is left");
}

#[tokio::test]
async fn one_that_nobody_waits_for_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("pid");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("a pipe");
    let (_script, path) = script(&format!("echo $$ > {}\nexec sleep 60", fifo.display()));
    let workers = with(&path, Limits::default());
    let pid = tokio::task::spawn_blocking(move || fs::read_to_string(fifo).expect("a number"));
    let pid = tokio::select! {
        pid = pid => pid.expect("a number"),
        done = workers.snapshot(Bytes::new(), None) => panic!("{done:?}"),
    };
    let begun = Instant::now();
    while is_alive(pid.trim()) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{pid} is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_that_says_too_much_is_cut_short() {
    let (_folder, path) = script("exec cat /dev/zero");
    let limits = Limits {
        output_bytes: 100_000,
        ..Limits::default()
    };
    let error = with(&path, limits).snapshot(Bytes::new(), None).await;
    assert_eq!(error, Err(Error::TooLarge(100_000)));
    let (_folder, path) = script("yes wrong >&2 & exec sleep 0.2");
    let limits = Limits {
        deadline: Duration::from_secs(1),
        ..Limits::default()
    };
    let error = with(&path, limits).snapshot(Bytes::new(), None).await;
    assert!(error.is_err(), "{error:?}");
}

#[tokio::test]
async fn it_has_little_to_work_with() {
    // It reads its input first, as ffmpeg does: by then it is confined.
    let (_folder, path) = script(
        "cat >/dev/null; env; ulimit -a; cat /proc/self/stat; cat /proc/self/oom_score_adj; pwd; exit 0",
    );
    let workers = with(&path, Limits::default());
    let told = workers.snapshot(Bytes::new(), None).await.expect("an answer");
    let told = String::from_utf8_lossy(&told);
    assert!(!told.contains("CARGO") && !told.contains("HOME"), "{told}");
    assert!(told.contains("file(blocks)         0"), "{told}");
    assert!(told.contains("vmemory(kbytes)      786432"), "{told}");
    let stat = told
        .lines()
        .find(|line| line.contains("(cat)"))
        .expect("a process");
    let nice = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(17));
    assert_eq!(nice, Some("5"), "{stat}");
    assert!(told.lines().any(|line| line == "1000"), "{told}");
    let (folder, path) = script("");
    let file = folder.path().join("file");
    fs::write(
        &path,
        format!(
            "#!/bin/sh\ncat >/dev/null; echo x > {}; echo done",
            file.display()
        ),
    )
    .expect("written");
    let _ = with(&path, Limits::default()).snapshot(Bytes::new(), None).await;
    assert_eq!(fs::read(file).map_or(0, |text| text.len()), 0);
}

#[tokio::test]
async fn more_than_can_wait_are_turned_away() {
    let (_folder, path) = script("exec sleep 60");
    let limits = Limits {
        deadline: Duration::from_millis(300),
        ..Limits::default()
    };
    let workers = with(&path, limits);
    let all = (0..100).map(|_| workers.snapshot(Bytes::new(), None));
    let all = futures::future::join_all(all).await;
    let busy = all.iter().filter(|done| **done == Err(Error::Busy)).count();
    assert!((100 - 1 - WAITING..100).contains(&busy), "{busy} of 100");
}
