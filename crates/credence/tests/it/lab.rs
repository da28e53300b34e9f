//! A folder with data and a configuration, made-up logins, and what `credence score` says of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sim::{Demo, Labelled, Role, Traffic, TrafficConfig};
use tempfile::TempDir;

use crate::program;

/// A folder with the sample databases and lists, and a configuration file that names them.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    /// `more` is put at the end of the configuration, as TOML.
    pub(crate) fn new(more: &str) -> Lab {
        let folder = TempDir::with_prefix("credence-test-").unwrap();
        let files = Demo::write(folder.path()).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let relays: Vec<String> = files.relay_lists.iter().map(|path| name(path)).collect();
        let mut text = format!(
            "[data]\ncity = {:?}\nasn = {:?}\nanonymous_ip = {:?}\nrelay_lists = {relays:?}\n",
            name(&files.city),
            name(&files.asn),
            name(&files.anonymous),
        );
        for list in &files.deny_lists {
            let (category, path) = (list.category, name(&list.path));
            write!(text, "[[data.deny_lists]]\nname = {:?}\ncategory = {category:?}\npath = {path:?}\n", list.name)
                .unwrap();
        }
        text.push_str("[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n");
        text.push_str(more);
        fs::write(folder.path().join("credence.toml"), text).unwrap();
        Lab { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with this configuration.
    pub(crate) fn command(&self, command: &[&str], sets: &[String]) -> Command {
        let mut made = program::credence(self.folder.path());
        made.args(command).arg("--config").arg(self.path("credence.toml"));
        for set in sets {
            made.arg("--set").arg(set);
        }
        made
    }

    /// What `credence score` says of these events.
    pub(crate) fn score<'e>(&self, events: impl IntoIterator<Item = &'e Labelled>) -> Scored {
        let mut input = Vec::new();
        for event in events {
            input.extend_from_slice(&event.event);
            input.push(b'\n');
        }
        self.score_lines(&input)
    }

    /// The same for events as lines.
    pub(crate) fn score_lines(&self, input: &[u8]) -> Scored {
        let logs = self.path("logs.jsonl");
        let mut command = self.command(&["score"], &[]);
        command.arg("--logs").arg(&logs);
        let ran = program::run(&mut command, input);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let lines = |text: &str| text.lines().map(|line| line.as_bytes().to_vec()).collect();
        Scored { verdicts: lines(&ran.stdout), logs: lines(&fs::read_to_string(logs).unwrap()) }
    }
}

/// Answers, in the order of the events.
pub(crate) struct Scored {
    pub(crate) verdicts: Vec<Vec<u8>>,
    pub(crate) logs: Vec<Vec<u8>>,
}

/// Made-up logins; the events are about 1.8 times as many.
pub(crate) fn traffic(seed: u64, logins: u64) -> Traffic {
    Traffic::new(TrafficConfig { seed, logins, ..TrafficConfig::default() }).unwrap()
}

/// Tenant, user and event id: what a verdict answers.
pub(crate) type Name = (String, String, String);

/// How often each attempt has to be answered at least.
#[derive(Debug, Default)]
pub(crate) struct Wanted(HashMap<Name, usize>);

impl Wanted {
    pub(crate) fn of<'e>(events: impl IntoIterator<Item = &'e Labelled>) -> Wanted {
        let mut wanted = Wanted::default();
        events.into_iter().for_each(|event| wanted.ask(event));
        wanted
    }

    pub(crate) fn ask(&mut self, event: &Labelled) {
        if matches!(event.role, Role::Attempt | Role::Duplicate) {
            let user = event.user_id.clone().unwrap_or_default();
            *self.0.entry((event.tenant.to_string(), user, event.event_id.clone())).or_default() += 1;
        }
    }

    /// A verdict came. One more than wanted is a repetition, which at-least-once delivery allows.
    pub(crate) fn answer(&mut self, verdict: &[u8]) {
        let verdict: Value = serde_json::from_slice(verdict).unwrap();
        let text = |key: &str| verdict[key].as_str().unwrap().to_owned();
        let name = (text("tenant"), text("user_id"), text("event_id"));
        if let Some(count) = self.0.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&name);
            }
        }
    }

    /// How many attempts are not answered yet.
    pub(crate) fn open(&self) -> usize {
        self.0.len()
    }
}
