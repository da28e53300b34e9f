//! The pages of the documentation, taken apart: headings, and fenced blocks by what is written behind the fence.

use std::path::Path;

/// A fenced block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The latest heading of level 3 before it in its section of level 2; empty where there is none.
    pub(crate) heading: String,
    /// What stands behind the fence, for instance `json rule`.
    pub(crate) kind: String,
    pub(crate) text: String,
    /// Where it begins.
    pub(crate) line: usize,
}

impl Block {
    /// Its JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("line {}: {error}", self.line))
    }
}

/// A page of `docs/`.
#[derive(Debug)]
pub(crate) struct Page {
    /// Headings of level 3.
    pub(crate) headings: Vec<String>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut headings, mut blocks) = (Vec::new(), Vec::new());
        let mut heading = String::new();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, Some(kind)) => {
                    let (heading, kind) = (heading.clone(), kind.trim().to_owned());
                    open = Some(Block { heading, kind, text: String::new(), line: number + 1 });
                }
                (None, None) => {
                    if let Some(found) = line.strip_prefix("### ") {
                        found.clone_into(&mut heading);
                        headings.push(heading.clone());
                    } else if line.starts_with("## ") {
                        heading.clear();
                    }
                }
            }
        }
        assert!(open.is_none(), "{name}: a block without an end");
        Self { headings, blocks, text }
    }

    /// The blocks of a kind.
    pub(crate) fn of<'p>(&'p self, kind: &'p str) -> impl Iterator<Item = &'p Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// The only block of a kind.
    pub(crate) fn one(&self, kind: &str) -> serde_json::Value {
        let found: Vec<_> = self.of(kind).collect();
        assert_eq!(found.len(), 1, "blocks of kind {kind}");
        found[0].json()
    }
}
