//! `credence logs`: tenant log records for analysts, from the topic or from files of JSON lines.

mod entry;
mod filter;
mod show;
mod source;
mod story;
mod table;
mod text;

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, Result};
use clap::Args;
use model::Timestamp;
use model::time::MINUTE_MS;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use self::filter::{Filter, FilterArgs, one_of};
use self::show::{Format, Order, Show};
use self::source::{Input, Part, Reader, Unread, read_files, read_topic};
use self::story::{Story, time_of};
use super::ConfigArgs;
use super::score::is_closed_pipe;
use crate::config::Config;
use crate::errors::all_errors;
use crate::printable::printable;
use crate::service::connection;

/// What is shown of the topic where nothing else is asked for.
const DEFAULT_SINCE_MS: i64 = 60 * MINUTE_MS;
/// Most records that `--limit` keeps.
const MAX_LIMIT: usize = 100_000;
/// Exit status when records could not be read.
const SOME_UNREAD: u8 = 2;

/// Options of `credence logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// The latest N that are wanted; with --follow the first N, and then it ends. 1 to 100000.
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// How records are written: text, json, csv.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: String,
    /// Go on with what comes, from now or from --since on, until interrupted. Of the topic only.
    #[arg(long, short)]
    follow: bool,
    /// Tell one login in sentences: who, what was seen and known, what was decided and why, what became of it.
    #[arg(long, value_name = "LOG_ID")]
    explain: Option<String>,
    /// Files of log records, one JSON object a line, as `credence score --logs` writes them; - is standard input.
    /// Without any the topic is read.
    files: Vec<PathBuf>,
}

/// What is to be done.
struct Task {
    from: Source,
    what: What,
}

enum Source {
    Files(Vec<Input>),
    Topic(Box<Config>, Part),
}

enum What {
    Show(Format, Order, Filter),
    Explain(String),
}

impl LogsArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let Some(task) = self.task()? else { return Ok(ExitCode::SUCCESS) };
        let mut unread = Unread::default();
        let result = task.run(&mut unread);
        let some_unread = unread.report();
        match result {
            // Who reads has had enough: no error.
            Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error),
            Ok(()) if some_unread => Ok(ExitCode::from(SOME_UNREAD)),
            Ok(()) => Ok(ExitCode::SUCCESS),
        }
    }

    /// Reads the options; everything that is wrong with them is told at once. `None` when the configuration was
    /// only to be printed.
    fn task(&self) -> Result<Option<Task>> {
        if self.config.print_config {
            return self.config.read().map(|_| None);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
        let now = Timestamp(i64::try_from(now).unwrap_or(i64::MAX));
        let mut problems = Vec::new();
        let mut filter = self.filter.read(now, &mut problems);
        let limit = self.limit(&mut problems);
        problems.extend(one_of("--format", &self.format, &["text", "json", "csv"]));
        let begin = self.explain.as_deref().and_then(time_of);
        if let Some(id) = &self.explain {
            if begin.is_none() {
                problems
                    .push(format!("--explain {}: allowed are the 32 hexadecimal digits of a `log_id`", printable(id)));
            }
            if self.follow || self.limit.is_some() || !self.filter.is_empty() || self.format != "text" {
                problems.push(
                    "--explain tells of one login: --follow, --limit, --format and filters do not go with it"
                        .to_owned(),
                );
            }
        }
        if self.follow && self.filter.has_until() {
            problems.push("--follow goes on without an end: --until does not go with it".to_owned());
        }
        if self.follow && !self.files.is_empty() {
            problems.push("--follow is for the topic: files and standard input are read to their end".to_owned());
        }
        let inputs = Input::open(&self.files, &mut problems);
        let since = begin.or(filter.since);
        let from = if self.files.is_empty() {
            let Some(config) = self.config.read_beside(problems)? else { return Ok(None) };
            let part = match self.follow {
                true => Part::Follow { since },
                false => {
                    let since = since.unwrap_or_else(|| {
                        let before = filter.until.unwrap_or(now).min(now);
                        Timestamp(before.0.saturating_sub(DEFAULT_SINCE_MS))
                    });
                    filter.since = Some(since);
                    Part::UpToNow { since }
                }
            };
            Source::Topic(Box::new(config), part)
        } else if problems.is_empty() {
            Source::Files(inputs)
        } else {
            return Err(all_errors("options and files", &problems));
        };
        let what = match &self.explain {
            Some(log_id) => What::Explain(log_id.clone()),
            None => What::Show(self.format(), self.order(limit), filter),
        };
        Ok(Some(Task { from, what }))
    }

    fn limit(&self, problems: &mut Vec<String>) -> Option<usize> {
        let given = self.limit.as_ref()?;
        let limit = given.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        if limit.is_none() {
            problems.push(format!("--limit {}: allowed are 1 to {MAX_LIMIT}", printable(given)));
        }
        limit
    }

    fn format(&self) -> Format {
        match self.format.as_str() {
            "json" => Format::Json,
            "csv" => Format::Csv,
            // On a terminal, and by the conventions of NO_COLOR and its kin.
            _ => Format::Text { colour: AutoStream::choice(&io::stdout()) != ColorChoice::Never },
        }
    }

    /// Files are shown in their own order. The partitions of the topic are read side by side.
    fn order(&self, limit: Option<usize>) -> Order {
        if self.follow || (limit.is_none() && !self.files.is_empty()) {
            Order::AsTheyCome { first: limit }
        } else {
            Order::ByTime { latest: limit }
        }
    }
}

impl Task {
    fn run(self, unread: &mut Unread) -> Result<()> {
        match self.what {
            What::Show(format, order, filter) => {
                let mut show = Show::new(BufWriter::new(io::stdout().lock()), format, order, filter)?;
                self.from.read(&mut show, unread)?;
                if let Some(said) = show.finish()? {
                    eprintln!("credence: {said}");
                }
            }
            What::Explain(log_id) => {
                let mut story = Story::of(&log_id);
                let place = self.from.name();
                self.from.read(&mut story, unread)?;
                let text = story.text().with_context(|| format!("there is no log record {log_id} in {place}"))?;
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()?;
            }
        }
        Ok(())
    }
}

impl Source {
    fn name(&self) -> String {
        match self {
            Source::Files(inputs) => inputs.iter().map(Input::name).collect::<Vec<_>>().join(", "),
            Source::Topic(config, _) => format!("topic {} of {}", config.topic_logs, config.brokers),
        }
    }

    fn read(self, to: &mut dyn Reader, unread: &mut Unread) -> Result<()> {
        match self {
            Source::Files(inputs) => read_files(inputs, to, unread),
            Source::Topic(config, part) => {
                let stop = Arc::new(AtomicBool::new(false));
                if let Part::Follow { .. } = part {
                    // The first signal ends the loop, a second one at once.
                    for signal in [SIGINT, SIGTERM] {
                        flag::register_conditional_shutdown(signal, 1, stop.clone())
                            .and_then(|_| flag::register(signal, stop.clone()))
                            .context("signals cannot be received")?;
                    }
                }
                read_topic(&connection(&config), &config.topic_logs, part, &stop, to, unread)
            }
        }
    }
}
