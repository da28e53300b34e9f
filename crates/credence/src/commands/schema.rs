//! `credence schema`: the JSON Schemas and the AsyncAPI document, generated from the types.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::schemas::documents;

/// Options of `credence schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Folder to write the documents to; without it they are listed.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print one document, for instance verdict.schema.json.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl SchemaArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let documents = documents();
        if let Some(name) = &self.name {
            let found = documents.iter().find(|document| document.name == name);
            let known = || documents.iter().map(|document| document.name).collect::<Vec<_>>().join(", ");
            let document = found.with_context(|| format!("there is no document `{name}`; there are {}", known()))?;
            print!("{}", document.text);
        }
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            for document in &documents {
                let path = folder.join(document.name);
                std::fs::write(&path, &document.text)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
                println!("{}", path.display());
            }
        } else if self.name.is_none() {
            for document in &documents {
                println!("{}: {}", document.name, document.about);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
