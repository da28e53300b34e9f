//! `docs/settings.md`, held against the code: its documents compile, its tables are those of the program.

use assess::Settings;
use assess::settings::KEYS;
use model::{Action, Reason};
use policy::document::{MAX_DOCUMENT_BYTES, MAX_FLOWS, MAX_LISTS, MAX_PROBLEMS, MAX_RULES, schema};
use policy::flow::{Flow, PROTOCOLS};
use policy::{Defaults, Tenant};

use crate::page::Page;

#[test]
fn documents_of_the_page_compile() {
    let page = Page::read("settings.md");
    let validator = jsonschema::validator_for(schema().as_value()).unwrap();
    assert!(page.of("json settings").count() > 0);
    for block in page.of("json settings") {
        let document = block.json();
        let compiled = Tenant::compile(&document, Some("acme"), &Defaults::default());
        compiled.unwrap_or_else(|problems| panic!("line {}: {problems:#?}", block.line));
        assert!(validator.is_valid(&document), "line {}", block.line);
        // The example shows every field.
        let properties = schema().get("properties").unwrap().as_object().unwrap().clone();
        for field in properties.keys() {
            assert!(document.get(field).is_some(), "line {}: {field} is not shown", block.line);
            assert!(page.text.contains(&format!("| `{field}")), "{field} is not explained");
        }
    }
    page.of("json").for_each(|block| drop(block.json()));
}

#[test]
fn keys_of_scoring() {
    let text = Page::read("settings.md").text;
    let entries = Settings::default().entries();
    for key in KEYS {
        let value = &entries.iter().find(|(name, _)| name == key.name).unwrap().1;
        let value = if value.is_empty() { "none".to_owned() } else { format!("`{value}`") };
        let row = format!("| `{}` | {} | {value} | {} |", key.name, key.about, key.allowed);
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn flows_actions_and_reasons() {
    let text = Page::read("settings.md").text;
    for (protocol, flow) in PROTOCOLS {
        let name = match flow {
            Flow::Browser => "browser",
            Flow::Password => "password",
            Flow::Unassessed => "not assessed",
            Flow::Machine => "machine",
            Flow::Refresh => "refresh token",
        };
        let row = text.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
        assert!(row.contains(&format!("`{protocol}`")), "{protocol} is {name}");
    }
    for action in Action::ALL {
        assert!(text.contains(&format!("\n| `{}` |", action.as_str())), "{action:?}");
    }
    for reason in Reason::ALL {
        assert!(text.contains(&format!("`{}`", reason.as_str())), "{reason:?}");
    }
}

#[test]
fn limits_of_the_page() {
    let text = Page::read("settings.md").text;
    for wanted in [
        format!("at most {} KiB. What", MAX_DOCUMENT_BYTES / 1024),
        format!("(up to {MAX_PROBLEMS} problems)"),
        format!("| none | {MAX_RULES} |"),
        format!("bool; {MAX_LISTS} lists"),
        format!("`skip`; {MAX_FLOWS} protocols"),
    ] {
        assert!(text.contains(&wanted), "{wanted}");
    }
}
