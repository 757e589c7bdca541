//! A child process whose log is kept and whose end is certain.

use std::{
    collections::VecDeque,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
};

/// How many bytes of a log are kept: more than a test at the most talkative level makes.
const LOG_BYTES: usize = 256 << 20;
/// How long the output of a program that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many lines a failed test shows.
const SHOWN_LINES: usize = 60;

/// A running program. It is killed when this value goes. Its last lines are printed then, unless it had ended well: of
/// tests that pass nobody sees them.
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    stdout: mpsc::UnboundedReceiver<String>,
    log: Arc<Mutex<Log>>,
    readers: Vec<JoinHandle<()>>,
}

/// The newest lines of a program, the oldest first.
#[derive(Default)]
struct Log {
    lines: VecDeque<String>,
    bytes: usize,
    lost: usize,
}

impl Log {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > LOG_BYTES
            && let Some(gone) = self.lines.pop_front()
        {
            self.bytes -= gone.len();
            self.lost += 1;
        }
    }

    fn last(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        self.lines
            .iter()
            .skip(skipped)
            .fold(String::new(), |text, line| text + line + "\n")
    }
}

impl Process {
    /// Starts the program; `name` is for messages.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}: {}", command.as_std().get_program().display()))?;
        let log = Arc::<Mutex<Log>>::default();
        let (lines, stdout) = mpsc::unbounded_channel();
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(tokio::spawn(collect(out, log.clone(), Some(lines))));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(tokio::spawn(collect(err, log.clone(), None)));
        }
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            stdout,
            log,
            readers,
        })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the line of JSON that says `"ready": true`.
    ///
    /// # Errors
    /// When it ends first, or says nothing within `limit`.
    pub async fn ready(&mut self, limit: Duration) -> Result<Value> {
        let wait = async {
            while let Some(line) = self.stdout.recv().await {
                if let Ok(value) = serde_json::from_str::<Value>(&line)
                    && value["ready"] == true
                {
                    return Some(value);
                }
            }
            None
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(Some(value)) => Ok(value),
            Ok(None) => {
                let status = self.child.wait().await?;
                bail!(
                    "{} ended before it was ready ({status}):\n{}",
                    self.name,
                    self.tail()
                )
            }
            Err(_) => bail!("{} was not ready after {limit:?}:\n{}", self.name, self.tail()),
        }
    }

    /// What it has printed so far, both streams, the oldest line first.
    pub fn log(&self) -> String {
        self.last(usize::MAX)
    }

    /// All that it printed, to the last line, for tests that look for what must not be there.
    ///
    /// # Errors
    /// When it still runs, or printed more than is kept.
    pub async fn whole_log(&mut self) -> Result<String> {
        ensure!(!self.is_running(), "{} still runs", self.name);
        for reader in self.readers.drain(..) {
            tokio::time::timeout(Duration::from_secs(10), reader).await??;
        }
        let lost = self.log.lock().unwrap_or_else(PoisonError::into_inner).lost;
        ensure!(lost == 0, "{lost} lines of {} are lost", self.name);
        Ok(self.log())
    }

    fn tail(&self) -> String {
        self.last(SHOWN_LINES)
    }

    fn last(&self, count: usize) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.last(count)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid as i32).context("a process number")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Asks it to end (SIGTERM), and waits for that.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(limit).await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("kill {}", self.name))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => {
                // Its last words may still be on their way; a process that it has left behind may hold the pipe.
                for reader in &mut self.readers {
                    let _ = tokio::time::timeout(LAST_WORDS, reader).await;
                }
                self.readers.clear();
                Ok(status?)
            }
            Err(_) => bail!("{} still runs after {limit:?}:\n{}", self.name, self.tail()),
        }
    }

    /// Resident memory in bytes, from /proc.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = text.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib * 1024)
    }

    /// How many files and sockets it has open.
    ///
    /// # Errors
    /// When it has ended.
    pub fn open_files(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails by an error does not panic, so this can't tell whether it has failed. The runner does: it
        // shows what a failed test printed, and of the others nothing.
        let ended_well = matches!(self.child.try_wait(), Ok(Some(status)) if status.success());
        if !ended_well || std::thread::panicking() {
            eprintln!("--- last lines of {}:\n{}", self.name, self.tail());
        }
    }
}

async fn collect(
    from: impl AsyncRead + Unpin,
    log: Arc<Mutex<Log>>,
    lines: Option<mpsc::UnboundedSender<String>>,
) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes).await {
        // Whatever the program prints, also if it is no text.
        let line = String::from_utf8_lossy(&bytes)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        bytes.clear();
        if let Some(lines) = &lines {
            // Nobody may be listening any more; the log has the line all the same.
            let _ = lines.send(line.clone());
        }
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Runs a program to its end and returns what it printed on stdout.
///
/// # Errors
/// When it fails, with what it printed; or when it runs for longer than `limit`.
pub async fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let (stdout, stderr, status) = outcome(command, limit).await?;
    if !status.success() {
        bail!("{:?}: {status}\n{stdout}{stderr}", command.as_std());
    }
    Ok(stdout)
}

/// Runs a program to its end and returns stdout, stderr and how it ended, whatever that was.
///
/// # Errors
/// When it can't be started or runs for longer than `limit`.
pub async fn outcome(command: &mut Command, limit: Duration) -> Result<(String, String, ExitStatus)> {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let out = match tokio::time::timeout(limit, run).await {
        Ok(out) => out.with_context(|| format!("run {}", command.as_std().get_program().display()))?,
        Err(_) => bail!("{:?} took longer than {limit:?}", command.as_std()),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&out.stdout), text(&out.stderr), out.status))
}
