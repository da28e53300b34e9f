//! Files to a snapshot: all of them, or none and every reason why.

use std::fs;
use std::path::{Path, PathBuf};

use intel::{Agents, DenyListSource, LoadError, Loaded, Sources, load};
use model::Confidence;
use model::assessment::Category;
use model::evidence::{Intelligence, SourceState};
use tempfile::TempDir;

struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
    fn missing(&self) -> PathBuf {
        self.0.path().join("missing")
    }
}

fn list(name: &str, path: &Path) -> DenyListSource {
    DenyListSource { name: name.to_owned(), category: Category::Vpn, path: path.to_owned(), confidence: None }
}

fn loaded(sources: &Sources) -> Loaded {
    load(sources, Agents::default()).unwrap()
}

fn refused(sources: &Sources) -> Vec<LoadError> {
    load(sources, Agents::default()).unwrap_err()
}

#[test]
fn nothing_configured_is_nothing_loaded() {
    let loaded = loaded(&Sources::default());
    assert_eq!((loaded.snapshot.city(), loaded.snapshot.lists()), (SourceState::Absent, SourceState::Absent));
    assert!(loaded.sources.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let room = Room::new();
    let good = room.file("good.txt", "192.0.2.0/24\n");
    let sources = Sources {
        city: Some(room.file("city.mmdb", b"no database")),
        asn: Some(room.missing()),
        anonymous: Some(room.file("empty.mmdb", b"")),
        deny_lists: vec![
            list("empty", &room.file("empty.txt", b"")),
            list("page", &room.file("page.txt", "<!DOCTYPE html>\n<html><p>192.0.2.1</p></html>\n")),
            list("comments", &room.file("comments.txt", "# nothing\n; at\n// all\n\n")),
            list("gone", &room.missing()),
            list("", &good),
            list("anonymous-ip", &good),
            list("twice", &good),
            DenyListSource { category: Category::Tor, ..list("twice", &good) },
            DenyListSource { confidence: Some(Confidence::Low), ..list("twice", &good) },
        ],
        relay_lists: vec![room.missing()],
        degrade: false,
    };
    let errors = refused(&sources);
    let files = errors.iter().filter(|error| matches!(error, LoadError::File { .. })).count();
    assert_eq!(files, 8, "{errors:#?}");
    for wanted in [LoadError::BadName, LoadError::ReservedName, LoadError::Disagreement("twice".to_owned())] {
        assert!(errors.contains(&wanted), "{wanted} in {errors:#?}");
    }
}

#[test]
fn degraded_a_source_has_failed_and_the_others_work() {
    let room = Room::new();
    let good = room.file("good.txt", "192.0.2.0/24\n");
    let some = Sources {
        city: Some(room.missing()),
        deny_lists: vec![list("gone", &room.missing()), list("good", &good)],
        degrade: true,
        ..Sources::default()
    };
    let loaded = loaded(&some);
    assert_eq!((loaded.snapshot.city(), loaded.snapshot.lists()), (SourceState::Unavailable, SourceState::Ready));
    assert_eq!(loaded.warnings.len(), 2);
    assert_eq!(loaded.snapshot.address("192.0.2.1".parse().unwrap()).matches.as_ref().unwrap().len(), 1);
    let none = Sources { deny_lists: vec![list("gone", &room.missing())], ..some.clone() };
    assert_eq!(self::loaded(&none).snapshot.lists(), SourceState::Unavailable);
    // What is wrong in the configuration itself is no missing data.
    let wrong = Sources { deny_lists: vec![list("anonymous-ip", &good)], ..some };
    assert_eq!(refused(&wrong), [LoadError::ReservedName]);
}

#[test]
fn files_of_one_name_are_one_list() {
    let room = Room::new();
    let sources = Sources {
        deny_lists: vec![
            list("exits", &room.file("a.txt", "192.0.2.0/24\n")),
            list("exits", &room.file("b.txt", "192.0.2.128/25\n2001:db8::/32\n")),
        ],
        ..Sources::default()
    };
    let loaded = loaded(&sources);
    let facts = loaded.snapshot.address("192.0.2.200".parse().unwrap());
    let matches = facts.matches.as_ref().unwrap();
    assert_eq!((matches.len(), matches[0].prefix_len), (1, 25));
    assert_eq!((loaded.sources.len(), loaded.sources[0].entries), (1, Some(3)));
}

#[test]
fn more_than_64_lists_are_refused() {
    let room = Room::new();
    let good = room.file("good.txt", "192.0.2.0/24\n");
    let of = |count: usize| Sources {
        deny_lists: (0..count).map(|number| list(&format!("list-{number}"), &good)).collect(),
        ..Sources::default()
    };
    assert_eq!(loaded(&of(64)).snapshot.lists(), SourceState::Ready);
    assert_eq!(refused(&of(65)), [LoadError::TooManyLists]);
}

#[test]
fn the_anonymous_ip_database_is_a_list_beside_the_others() {
    let room = Room::new();
    let anonymous = room.file("anonymous.mmdb", sim::databases::anonymous_ip().unwrap());
    let loaded = loaded(&Sources { anonymous: Some(anonymous), ..Sources::default() });
    assert_eq!(loaded.snapshot.lists(), SourceState::Ready);
    assert_eq!(loaded.sources[0].name, "anonymous-ip");
    let versions = loaded.snapshot.versions();
    assert!(versions.anonymous_ip.is_some() && versions.deny_lists.is_none());
}

#[test]
fn non_public_addresses_are_on_no_list_and_in_no_database() {
    let room = Room::new();
    let everything = "1.0.0.0/1\n128.0.0.0/1\n::/1\n8000::/1\n10.0.0.0/8\nfe80::/10\n::1\n";
    let path = room.file("all.txt", everything);
    let loaded = loaded(&Sources {
        deny_lists: vec![list("all", &path)],
        relay_lists: vec![path.clone()],
        ..Sources::default()
    });
    for ip in
        ["10.0.0.1", "100.64.0.1", "169.254.0.1", "127.0.0.1", "192.168.0.1", "172.16.0.1", "fc00::1", "fe80::1", "::1"]
    {
        let facts = loaded.snapshot.address(ip.parse().unwrap());
        assert!(facts.non_public && !facts.relay && facts.matches.as_ref().unwrap().is_empty(), "{ip}");
    }
    for ip in ["192.0.2.1", "2001:db8::1"] {
        let facts = loaded.snapshot.address(ip.parse().unwrap());
        assert!(!facts.non_public && facts.relay && facts.matches.as_ref().unwrap().len() == 1, "{ip}");
    }
}

#[test]
fn case_12_a_bad_new_file_never_replaces_a_good_one() {
    let room = Room::new();
    let database = sim::databases::city().unwrap();
    let sources = Sources {
        city: Some(room.file("city.mmdb", &database)),
        deny_lists: vec![list("exits", &room.file("exits.txt", "192.0.2.0/24\n"))],
        ..Sources::default()
    };
    let good = loaded(&sources);
    let before = good.snapshot.versions().clone();
    for (name, content) in [
        ("city.mmdb", &database[..database.len() / 2]),
        ("city.mmdb", b""),
        ("city.mmdb", b"<html>"),
        ("exits.txt", b""),
        ("exits.txt", b"<html>404</html>"),
        ("exits.txt", b"# 0 entries\n"),
    ] {
        let old = fs::read(room.0.path().join(name)).unwrap();
        room.file(name, content);
        assert_eq!(refused(&sources).len(), 1, "{name} with {} bytes", content.len());
        room.file(name, old);
    }
    assert_eq!(*loaded(&sources).snapshot.versions(), before);
    // The old snapshot still answers.
    assert_eq!(good.snapshot.address("192.0.2.1".parse().unwrap()).matches.as_ref().unwrap().len(), 1);
    room.file("exits.txt", "192.0.2.0/25\n");
    assert_ne!(*loaded(&sources).snapshot.versions(), before, "changed content is another version");
}

#[test]
fn case_14_the_age_of_every_source_is_known() {
    let room = Room::new();
    let sources = Sources {
        city: Some(room.file("city.mmdb", sim::databases::city().unwrap())),
        deny_lists: vec![list("exits", &room.file("exits.txt", "192.0.2.0/24\n"))],
        relay_lists: vec![room.file("relay.txt", "198.51.100.0/24\n")],
        ..Sources::default()
    };
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    fs::File::options().write(true).open(room.0.path().join("exits.txt")).unwrap().set_modified(old).unwrap();
    let loaded = loaded(&sources);
    let age: Vec<_> = loaded.sources.iter().map(|info| (info.name.as_str(), info.made_at_s)).collect();
    // A database's age is its build, whenever it was downloaded; a list's is its file's.
    assert_eq!(age[..2], [("city", 1_767_225_600), ("exits", 1_600_000_000)]);
    assert!(age[2].0 == "relay" && age[2].1 > 1_700_000_000);
    assert!(loaded.sources.iter().all(|info| info.version.len() == 16));
}

#[test]
fn lines_without_an_entry_are_named() {
    let room = Room::new();
    let text = "192.0.2.1\nnonsense\n192.0.2.0/33\n\u{202e}x\n0.0.0.0/0\n1\n2\n3\n";
    let loaded =
        loaded(&Sources { deny_lists: vec![list("exits", &room.file("exits.txt", text))], ..Sources::default() });
    assert_eq!(loaded.warnings.len(), 1);
    let warning = &loaded.warnings[0];
    assert!(warning.contains("7 lines") && warning.contains("line 2: \"nonsense\""), "{warning}");
    assert!(!warning.contains('\u{202e}'), "{warning}");
}
