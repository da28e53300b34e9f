//! Any bytes as a deny list or relay list, and the entries in the trees.
#![no_main]

use intel::deny_lists::{DenyLists, ListIdentity, NetworkSet};
use intel::list_format::{MAX_NAMED_LINES, parse_list};
use model::assessment::Category;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let list = parse_list(bytes);
    assert!(list.named_lines.len() <= MAX_NAMED_LINES.min(list.other_lines));
    let mut lists = DenyLists::default();
    let identity = ListIdentity { name: "fuzz".into(), category: Category::Abuse, confidence: None };
    assert!(lists.add(identity, &list.entries));
    let mut relays = NetworkSet::default();
    relays.add(&list.entries);
    for entry in &list.entries {
        assert!(entry.prefix_len() > 0 && *entry == entry.trunc(), "{entry} is not canonical");
        // Every entry covers its own first address, whatever else there is.
        let matches = lists.matches(entry.addr());
        assert!(matches.first().is_some_and(|found| found.prefix_len >= entry.prefix_len()), "{entry} is lost");
        assert!(relays.contains(entry.addr()), "{entry} is lost");
    }
});
