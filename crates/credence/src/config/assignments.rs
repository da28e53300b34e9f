//! What the file, the environment and the options set: each one key with one value.

use std::path::{Path, PathBuf};

use assess::settings::nearest;
use intel::DenyListSource;
use model::Confidence;
use model::assessment::Category;

use super::keys::{PROPERTIES_PREFIX, all_keys};
use super::{Inputs, resolve};

/// Environment variables of this program begin so.
const ENVIRONMENT_PREFIX: &str = "CREDENCE_";
/// Variables that other parts of the project use.
const FOREIGN_VARIABLES: [&str; 1] = ["CREDENCE_KAFKA_CACHE"];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    Option(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Option(name) => write!(f, "option {name}"),
        }
    }
}

/// One key set to one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Where it was set.
    pub origin: Origin,
    /// The key, dotted.
    pub key: String,
    /// The value as text; a list has its elements.
    pub value: Vec<String>,
}

impl Assignment {
    /// The value as one text.
    pub(super) fn text(&self) -> String {
        self.value.join(",")
    }

    /// The folder that relative paths start from.
    pub(super) fn base(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => path.parent(),
            _ => None,
        }
    }

    /// The elements of a list: those of a list, or of one comma-separated text.
    pub(super) fn elements(&self) -> Vec<&str> {
        match self.value.as_slice() {
            [one] => one.split(',').map(str::trim).filter(|element| !element.is_empty()).collect(),
            several => several.iter().map(String::as_str).collect(),
        }
    }
}

/// Something that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("{path}: not TOML: {why}")]
    NotToml {
        /// Where it is.
        path: String,
        /// Why not.
        why: String,
    },
    /// There is no such key.
    #[error("{origin}: unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// Where it was set.
        origin: String,
        /// The key.
        key: String,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// An option `--set` without an equals sign.
    #[error("option --set: `{option}` is no KEY=VALUE: it has no \"=\"")]
    NotAssigned {
        /// The option's text.
        option: String,
    },
    /// The key does not take this value.
    #[error("{origin}: `{key}` = {value:?}: allowed are {allowed}")]
    BadValue {
        /// Where it was set.
        origin: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// The environment variable of a key.
fn variable_of(key: &str) -> String {
    let name: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("{ENVIRONMENT_PREFIX}{name}")
}

/// Everything that is set, in the order of precedence, the strongest last.
pub(super) fn collect(inputs: &Inputs) -> (Vec<Assignment>, Vec<ConfigError>) {
    let mut assignments = Vec::new();
    let mut errors = Vec::new();
    if let Some((path, text)) = &inputs.file {
        match text.parse::<toml::Table>() {
            Ok(table) => flatten(&Origin::File(path.clone()), "", table, &mut assignments),
            Err(error) => errors.push(ConfigError::NotToml {
                path: path.display().to_string(),
                why: error.to_string().trim().to_owned(),
            }),
        }
    }
    from_environment(&inputs.environment, &mut assignments, &mut errors);
    for option in &inputs.set {
        match option.split_once('=') {
            Some((key, value)) => assignments.push(Assignment {
                origin: Origin::Option("--set"),
                key: key.trim().to_owned(),
                value: vec![value.to_owned()],
            }),
            None => errors.push(ConfigError::NotAssigned { option: option.clone() }),
        }
    }
    let mut option = |origin, key: &str, value: Vec<String>| {
        if !value.is_empty() {
            assignments.push(Assignment { origin: Origin::Option(origin), key: key.to_owned(), value });
        }
    };
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    option("--city", "data.city", inputs.city.iter().map(path).collect());
    option("--asn", "data.asn", inputs.asn.iter().map(path).collect());
    option("--anonymous", "data.anonymous_ip", inputs.anonymous.iter().map(path).collect());
    option("--deny-list", "data.deny_lists", inputs.deny_lists.clone());
    option("--relay-list", "data.relay_lists", inputs.relay_lists.iter().map(path).collect());
    option("--allow", "allow", inputs.allow.clone());
    (assignments, errors)
}

fn from_environment(
    environment: &[(String, String)],
    assignments: &mut Vec<Assignment>,
    errors: &mut Vec<ConfigError>,
) {
    let properties = variable_of(PROPERTIES_PREFIX);
    for (name, value) in environment {
        if !name.starts_with(ENVIRONMENT_PREFIX) || FOREIGN_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let key = match name.strip_prefix(&properties) {
            // librdkafka's names have dots and no underscores.
            Some(property) => Some(format!("{PROPERTIES_PREFIX}{}", property.to_lowercase().replace('_', "."))),
            None => all_keys().find(|key| variable_of(key) == *name),
        };
        match key {
            // Several deny lists or tokens stand behind each other, with a semicolon between.
            Some(key) if key == "data.deny_lists" || key == "api.tokens" => {
                let value = value.split(';').map(|list| list.trim().to_owned()).collect();
                assignments.push(Assignment { origin, key, value });
            }
            Some(key) => assignments.push(Assignment { origin, key, value: vec![value.clone()] }),
            None => {
                let known: Vec<String> = all_keys().map(|key| variable_of(&key)).collect();
                let like = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                errors.push(ConfigError::UnknownKey {
                    origin: "environment".to_owned(),
                    key: name.clone(),
                    nearest: like,
                });
            }
        }
    }
}

/// Tables become dotted keys; values become text.
fn flatten(origin: &Origin, prefix: &str, table: toml::Table, assignments: &mut Vec<Assignment>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let value = match value {
            toml::Value::Table(inner) => {
                flatten(origin, &key, inner, assignments);
                continue;
            }
            toml::Value::Array(elements) => elements.into_iter().map(text_of).collect(),
            other => vec![text_of(other)],
        };
        assignments.push(Assignment { origin: origin.clone(), key, value });
    }
}

/// A value as text; a table as the text of a deny list option.
fn text_of(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Table(table) => {
            let fields: Vec<_> = table.into_iter().map(|(name, value)| format!("{name}={}", text_of(value))).collect();
            fields.join(",")
        }
        other => other.to_string(),
    }
}

/// What a deny list may be.
pub(super) const DENY_LIST_FORM: &str = "name=NAME,category=CATEGORY,path=PATH[,confidence=low|medium|high]; categories \
     are tor, residential_proxy, vpn, proxy, anonymizer, datacenter, abuse, reputation, unroutable";

/// Reads the text of a deny list.
#[must_use]
pub fn parse_deny_list(text: &str, base: Option<&Path>) -> Option<DenyListSource> {
    let (mut name, mut category, mut path, mut confidence) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field.split_once('=')?;
        let given_twice = match key.trim() {
            "name" => name.replace(value.to_owned()).is_some(),
            "category" => category.replace(Category::parse(value)?).is_some(),
            "path" => path.replace(resolve(base, value)).is_some(),
            "confidence" => {
                let own = Confidence::parse(value).filter(|confidence| *confidence != Confidence::Neutral)?;
                confidence.replace(own).is_some()
            }
            _ => return None,
        };
        if given_twice {
            return None;
        }
    }
    Some(DenyListSource { name: name?, category: category?, path: path?, confidence })
}
