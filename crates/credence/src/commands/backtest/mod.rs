//! `credence backtest`: one recorded stream, scored with two settings: what would have changed.
//!
//! Both runs see the same events. A completion is in the recording only where a login was really challenged, so what
//! a challenge that is new would have taught stays unknown: such an attempt goes on waiting, as one that was given up.

mod report;
mod tally;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use engine::Partition;
use intel::{Agents, Snapshot};
use model::{Encoding, LoginEvent};

use self::tally::{Decided, Tally};
use super::ConfigArgs;
use super::score::{Line, is_closed_pipe, open_input, read_line};
use crate::config::Config;
use crate::data::{self, ScoringContext};
use crate::scoring::{Encoded, Record, Scoring, Unscored};

/// Bytes read at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Exit status when lines could not be read.
const SOME_DEAD: u8 = 2;

/// Options of `credence backtest`.
#[derive(Args, Debug)]
pub struct BacktestArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Settings documents of tenants, JSON lines or a JSON array: given twice, before and after. Given once, it is
    /// compared with the configuration alone.
    #[arg(long, value_name = "FILE", required = true, num_args = 1)]
    settings: Vec<PathBuf>,
    /// How many changed logins are shown as examples.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    examples: u16,
    /// Print the result as JSON, for machines.
    #[arg(long)]
    json: bool,
    /// Files of events, one JSON object a line, in the order of their arrival; standard input when there is none.
    files: Vec<PathBuf>,
}

/// One of the two runs.
struct Side {
    context: ScoringContext,
    scoring: Scoring,
    partition: Partition,
    encoded: Encoded,
}

impl Side {
    fn new(config: &Config, settings: Option<&Path>, snapshot: &Arc<Snapshot>) -> Result<Self> {
        let tenants = data::tenants(config, settings)?;
        Ok(Self {
            context: data::context(config, &tenants, snapshot.clone()),
            scoring: Scoring::new(Encoding::Json, &config.environment_name).without_logs(),
            partition: Partition::default(),
            encoded: Encoded::default(),
        })
    }

    /// What is decided about a line, where it is an attempt that is scored; `of` is told of the event.
    fn decide(&mut self, line: &[u8], of: impl FnOnce(&LoginEvent<'_>)) -> Result<Option<Decided>, Unscored> {
        let record = Record { payload: line, content_type: Some("application/json"), time: None };
        let mut decided = None;
        self.scoring.score(record, &mut self.partition, &self.context, &mut self.encoded, |event, step| {
            of(event);
            decided = step.answered.as_ref().filter(|answered| !answered.repeated).map(Decided::of);
        })?;
        Ok(decided)
    }
}

impl BacktestArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let mut problems = Vec::new();
        if self.settings.len() > 2 {
            problems.push("option --settings: given twice at most, before and after".to_owned());
        }
        let mut inputs = Vec::new();
        for path in &self.files {
            match open_input(path) {
                Ok(file) => inputs.push(file),
                Err(error) => problems.push(format!("{} cannot be read: {error}", path.display())),
            }
        }
        let Some(config) = self.config.read_beside(problems)? else { return Ok(ExitCode::SUCCESS) };
        let loaded = data::load(&config, &Agents::default())?;
        for warning in data::warnings(&config, &loaded) {
            eprintln!("credence: warning: {warning}");
        }
        let snapshot = Arc::new(loaded.snapshot);
        let (before, after) = match self.settings.as_slice() {
            [one] => (None, Some(one)),
            several => (several.first(), several.last()),
        };
        let named = |path: Option<&PathBuf>| {
            path.map_or_else(|| "(configuration alone)".to_owned(), |path| path.display().to_string())
        };
        let tally = Tally::new([named(before), named(after)], usize::from(self.examples));
        let mut run = Backtest {
            sides: [
                Side::new(&config, before.map(PathBuf::as_path), &snapshot)?,
                Side::new(&config, after.map(PathBuf::as_path), &snapshot)?,
            ],
            tally,
        };
        if inputs.is_empty() {
            run.lines(&mut BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock()))?;
        }
        for file in inputs {
            run.lines(&mut BufReader::with_capacity(BUFFER_BYTES, file))?;
        }
        let text = if self.json { report::json(&run.tally) } else { report::text(&run.tally) };
        match io::stdout().lock().write_all(text.as_bytes()).map_err(anyhow::Error::from) {
            Err(error) if !is_closed_pipe(&error) => return Err(error),
            _ => {}
        }
        Ok(if run.tally.dead > 0 { ExitCode::from(SOME_DEAD) } else { ExitCode::SUCCESS })
    }
}

struct Backtest {
    sides: [Side; 2],
    tally: Tally,
}

impl Backtest {
    fn lines(&mut self, input: &mut impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        loop {
            match read_line(input, &mut line)? {
                Line::End => return Ok(()),
                Line::TooLong(_) => self.tally.dead += 1,
                Line::Whole if line.trim_ascii().is_empty() => {}
                Line::Whole => self.line(&line),
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let [before, after] = &mut self.sides;
        let tally = &mut self.tally;
        let mut tenant = String::new();
        let first = before.decide(line, |event| tenant.push_str(&event.tenant_id));
        let second = after.decide(line, |_| ());
        match (first, second) {
            (Ok(first), Ok(second)) => {
                tally.events += 1;
                if let (Some(first), Some(second)) = (first, second) {
                    tally.login(&tenant, [first, second], [&before.encoded.verdict, &after.encoded.verdict]);
                }
            }
            _ => tally.dead += 1,
        }
    }
}
