//! A child process whose log is kept and whose end is certain.

use std::{
    collections::VecDeque,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// How many lines of a log are kept.
const LOG_LINES: usize = 5000;
/// How many of them a failed test shows.
const SHOWN_LINES: usize = 60;

/// A running program. It is killed when this value goes, and its last lines are printed if the test has failed.
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    stdout: mpsc::UnboundedReceiver<String>,
    log: Arc<Mutex<VecDeque<String>>>,
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
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (lines, stdout) = mpsc::unbounded_channel();
        if let Some(out) = child.stdout.take() {
            tokio::spawn(collect(out, log.clone(), Some(lines)));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(collect(err, log.clone(), None));
        }
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            stdout,
            log,
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

    /// All that it has printed, both streams, the oldest line first.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        joined(log.iter())
    }

    fn tail(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        joined(log.iter().skip(log.len().saturating_sub(SHOWN_LINES)))
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
            Ok(status) => Ok(status?),
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
        if std::thread::panicking() {
            eprintln!("--- last lines of {}:\n{}", self.name, self.tail());
        }
    }
}

fn joined<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.fold(String::new(), |text, line| text + line + "\n")
}

async fn collect(
    from: impl AsyncRead + Unpin,
    log: Arc<Mutex<VecDeque<String>>>,
    lines: Option<mpsc::UnboundedSender<String>>,
) {
    let mut reader = BufReader::new(from).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        if let Some(lines) = &lines {
            // Nobody may be listening any more; the log has the line all the same.
            let _ = lines.send(line.clone());
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOG_LINES {
            log.pop_front();
        }
        log.push_back(line);
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
