//! `credence score`: JSON lines in, verdicts out, no Kafka; the same engine and state as the stream.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use engine::Partition;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use intel::Agents;
use model::Confidence;
use model::Encoding;
use model::unreadable::MAX_EVENT_BYTES;
use serde_json::json;

use super::ConfigArgs;
use crate::data;
use crate::scoring::{Encoded, Record, Scoring};

/// Bytes read or written at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Lines between two looks at the progress bar.
const PROGRESS_LINES: u64 = 1024;
/// What could not be done where an output refuses.
const NO_VERDICTS: &str = "the verdicts cannot be written to standard output";
const NO_LOGS: &str = "the log records cannot be written (--logs)";
const NO_DEAD: &str = "the unreadable lines cannot be written (--dead)";
/// Exit status when lines could not be read.
const SOME_DEAD: u8 = 2;

/// Options of `credence score`.
#[derive(Args, Debug)]
#[command(after_help = "Exit status: 0 every line was read; 2 some were unreadable; 1 it could not start or go on.")]
pub struct ScoreArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also write the tenant log records, as JSON lines.
    #[arg(long, value_name = "FILE")]
    logs: Option<PathBuf>,
    /// Also write the lines that cannot be read, as {line, reason, ...}.
    #[arg(long, value_name = "FILE")]
    dead: Option<PathBuf>,
    /// Settings documents of tenants: JSON lines or a JSON array.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Files of events, one JSON object a line; standard input when there is none.
    files: Vec<PathBuf>,
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    lines: u64,
    events: u64,
    verdicts: u64,
    repeated: u64,
    by_confidence: [u64; 4],
    logs: u64,
    dead: u64,
    wrong_fields: u64,
}

impl ScoreArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let mut problems = Vec::new();
        // A configuration that is only to be printed opens nothing.
        let files = if self.config.print_config { Files::default() } else { Files::open(&self, &mut problems) };
        let Some(config) = self.config.read_beside(problems)? else { return Ok(ExitCode::SUCCESS) };
        let loaded = data::load(&config, &Agents::default())?;
        let tenants = data::tenants(&config, self.settings.as_deref())?;
        for warning in data::warnings(&config, &loaded) {
            eprintln!("credence: warning: {warning}");
        }
        let scoring = Scoring::new(Encoding::Json, &config.environment_name);
        let mut run = ScoreRun {
            context: data::context(&config, &tenants, Arc::new(loaded.snapshot)),
            scoring: if self.logs.is_some() { scoring } else { scoring.without_logs() },
            partition: Partition::default(),
            encoded: Encoded::default(),
            verdicts: BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()),
            logs: files.logs.map(emptied).transpose()?,
            dead: files.dead.map(emptied).transpose()?,
            counts: Counts::default(),
            progress: progress_bar(&self.files),
        };
        let started = Instant::now();
        let result = run.files(files.inputs).and_then(|()| run.finish());
        run.progress.finish_and_clear();
        match result {
            // Who reads the verdicts has had enough: no error.
            Err(error) if is_closed_pipe(&error) => return Ok(ExitCode::SUCCESS),
            result => result?,
        }
        eprintln!("{}", run.counts.summary(started.elapsed()));
        Ok(if run.counts.dead > 0 { ExitCode::from(SOME_DEAD) } else { ExitCode::SUCCESS })
    }
}

/// The files of the command line, open.
#[derive(Default)]
struct Files {
    inputs: Vec<(PathBuf, File)>,
    logs: Option<File>,
    dead: Option<File>,
}

impl Files {
    /// Opens what can be opened and notes what cannot.
    fn open(args: &ScoreArgs, problems: &mut Vec<String>) -> Self {
        let mut note = |path: &Path, what: &str, opened: io::Result<File>| match opened {
            Ok(file) => Some(file),
            Err(error) => {
                problems.push(format!("{} cannot be {what}: {error}", path.display()));
                None
            }
        };
        let mut inputs = Vec::new();
        for path in &args.files {
            inputs.extend(note(path, "read", open_input(path)).map(|file| (path.clone(), file)));
        }
        // What they held before is not thrown away until everything else is in order: see `emptied`.
        let open = |path: &PathBuf| File::options().write(true).create(true).truncate(false).open(path);
        let mut output = |path: &Option<PathBuf>| path.as_ref().and_then(|path| note(path, "written", open(path)));
        let files = Self { inputs, logs: output(&args.logs), dead: output(&args.dead) };
        files.check_apart(args, problems);
        files
    }

    /// Two outputs in one file would write over each other, and an input that is an output would be emptied.
    fn check_apart(&self, args: &ScoreArgs, problems: &mut Vec<String>) {
        let outputs = [("--logs", &args.logs, &self.logs), ("--dead", &args.dead, &self.dead)];
        let mut seen: Vec<(String, (u64, u64))> = Vec::new();
        for (path, file) in &self.inputs {
            seen.extend(identity(file).map(|id| (format!("the input {}", path.display()), id)));
        }
        for (option, path, file) in outputs {
            let (Some(path), Some(id)) = (path, file.as_ref().and_then(identity)) else { continue };
            if let Some((other, _)) = seen.iter().find(|(_, other)| *other == id) {
                problems.push(format!("{option} {} is the same file as {other}: give it another name", path.display()));
            }
            seen.push((format!("{option} {}", path.display()), id));
        }
    }
}

/// What tells a file on a disk from all others, by whatever name. Pipes and devices may be given twice.
fn identity(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

/// Opens a file for reading. A folder can be opened, too, and is found out here rather than at its turn.
pub(super) fn open_input(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

/// An output, without what it held before. A pipe or a device holds nothing.
fn emptied(file: File) -> io::Result<BufWriter<File>> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
}

pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A bar on a terminal, nothing in a pipe.
fn progress_bar(files: &[PathBuf]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes: Option<Vec<u64>> = files.iter().map(|path| path.metadata().ok().map(|file| file.len())).collect();
    let total = sizes.map(|sizes| sizes.iter().sum()).filter(|total| *total > 0);
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    let form = if total.is_some() {
        "{wide_bar} {bytes}/{total_bytes} {eta} {msg}"
    } else {
        "{spinner} {bytes} {elapsed} {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar
}

/// A line of the input.
pub(super) enum Line {
    /// Its bytes are in the buffer.
    Whole,
    /// Longer than any record may be; so many bytes were passed over.
    TooLong(usize),
    /// There is none.
    End,
}

/// Reads a line without its line feed. Of a line that is too long no more is kept than is needed to
/// know it.
pub(super) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut length = 0;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(match length {
                0 => Line::End,
                _ if length > MAX_EVENT_BYTES => Line::TooLong(length),
                _ => Line::Whole,
            });
        }
        let end = memchr::memchr(b'\n', available);
        let part = &available[..end.unwrap_or(available.len())];
        length += part.len();
        if length <= MAX_EVENT_BYTES {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(if length > MAX_EVENT_BYTES { Line::TooLong(length) } else { Line::Whole });
        }
    }
}

struct ScoreRun<'a> {
    context: data::ScoringContext,
    scoring: Scoring,
    partition: Partition,
    encoded: Encoded,
    verdicts: BufWriter<io::StdoutLock<'a>>,
    logs: Option<BufWriter<File>>,
    dead: Option<BufWriter<File>>,
    counts: Counts,
    progress: ProgressBar,
}

impl ScoreRun<'_> {
    fn files(&mut self, files: Vec<(PathBuf, File)>) -> Result<()> {
        if files.is_empty() {
            return self.lines(None, &mut BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock()));
        }
        for (path, file) in files {
            self.lines(Some(&path), &mut BufReader::with_capacity(BUFFER_BYTES, file))?;
        }
        Ok(())
    }

    fn lines(&mut self, path: Option<&PathBuf>, input: &mut impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        let mut number = 0u64;
        let mut unseen_bytes = 0;
        loop {
            let read = read_line(input, &mut line)?;
            number += 1;
            match read {
                Line::End => break,
                Line::TooLong(length) => {
                    let unreadable = model::Unreadable::TooLarge(length);
                    self.bury(path, number, unreadable.reason(), &unreadable.to_string())?;
                    unseen_bytes += length as u64;
                }
                Line::Whole => {
                    if !line.trim_ascii().is_empty() {
                        self.line(path, number, &line)?;
                    }
                    unseen_bytes += line.len() as u64 + 1;
                }
            }
            self.counts.lines += 1;
            if self.counts.lines.is_multiple_of(PROGRESS_LINES) {
                self.progress.inc(unseen_bytes);
                unseen_bytes = 0;
                if !self.progress.is_hidden() {
                    self.progress.set_message(format!("{} events", self.counts.events));
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, path: Option<&PathBuf>, number: u64, line: &[u8]) -> Result<()> {
        let record = Record { payload: line, content_type: Some("application/json"), time: None };
        let counts = &mut self.counts;
        let scored =
            self.scoring.score(record, &mut self.partition, &self.context, &mut self.encoded, |event, step| {
                counts.events += 1;
                counts.wrong_fields += event.wrong_fields.len() as u64;
                if let Some(answered) = &step.answered {
                    counts.verdicts += 1;
                    counts.repeated += u64::from(answered.repeated);
                    counts.by_confidence[answered.risk.confidence as usize] += 1;
                }
                counts.logs += u64::from(step.log.is_some());
            });
        if let Err(unscored) = scored {
            return self.bury(path, number, unscored.reason(), &unscored.to_string());
        }
        write_line(&mut self.verdicts, &self.encoded.verdict).context(NO_VERDICTS)?;
        if let Some(logs) = &mut self.logs {
            write_line(logs, &self.encoded.log).context(NO_LOGS)?;
        }
        Ok(())
    }

    fn bury(&mut self, path: Option<&PathBuf>, number: u64, reason: &str, detail: &str) -> Result<()> {
        self.counts.dead += 1;
        let Some(dead) = &mut self.dead else { return Ok(()) };
        let mut record = json!({ "line": number, "reason": reason, "detail": detail });
        if let Some(path) = path {
            record["file"] = json!(path.to_string_lossy());
        }
        write_line(dead, record.to_string().as_bytes()).context(NO_DEAD)
    }

    fn finish(&mut self) -> Result<()> {
        self.verdicts.flush().context(NO_VERDICTS)?;
        for (file, what) in [(&mut self.logs, NO_LOGS), (&mut self.dead, NO_DEAD)] {
            file.as_mut().map_or(Ok(()), BufWriter::flush).context(what)?;
        }
        Ok(())
    }
}

fn write_line(out: &mut impl Write, record: &[u8]) -> io::Result<()> {
    if record.is_empty() {
        return Ok(());
    }
    out.write_all(record)?;
    out.write_all(b"\n")
}

impl Counts {
    fn summary(&self, elapsed: Duration) -> String {
        let share =
            |confidence: Confidence| format!("{} {}", self.by_confidence[confidence as usize], confidence.as_str());
        let seconds = elapsed.as_secs_f64();
        format!(
            "credence: {} events in {seconds:.2} s ({:.0} a second): {} verdicts ({}), {} repeated; {} log records; \
             {} unreadable lines; {} fields of a wrong type",
            self.events,
            self.events as f64 / seconds.max(1e-9),
            self.verdicts,
            Confidence::ALL.map(share).join(", "),
            self.repeated,
            self.logs,
            self.dead,
            self.wrong_fields
        )
    }
}
