//! The settings documents of all tenants, by their places in their topic.
//!
//! The topic has one partition, so its offsets order all documents of all tenants, and one number says what was in
//! force: the *position*, the offset behind the last document that counts. Each partition of login events commits the
//! position that it is scored with. After a crash it is scored with that again, until everything that may have been
//! answered with it is answered once more; so the book keeps documents that others have replaced.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policy::{Defaults, Problem, Tenant, Tenants};
use serde_json::Value;

/// Most documents that are kept beside those in force. The older ones can no longer be asked for: a replay goes back
/// some seconds, and nobody changes settings so often.
const MAX_REPLACED: usize = 10_000;
/// Most tenants with a document.
pub const MAX_TENANTS: usize = 100_000;

/// A tenant's own document.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnDocument {
    /// The document.
    pub json: Value,
    /// Its version.
    pub version: Arc<str>,
}

/// What a document compiles to, and the document.
type Compiled = (Tenant, OwnDocument);

/// A document in its place.
#[derive(Debug)]
struct Entry {
    /// The offset behind it.
    position: i64,
    tenant: Box<str>,
    /// None: it was removed.
    in_force: Option<Arc<Tenant>>,
}

#[derive(Debug)]
struct Pages {
    /// What was in force before the first entry.
    base: Tenants,
    entries: VecDeque<Entry>,
    latest: Arc<Tenants>,
    position: i64,
    /// The offset up to which the topic was read, documents that do not count included.
    read_to: i64,
    documents: HashMap<Box<str>, Arc<OwnDocument>>,
}

/// The documents of all tenants.
#[derive(Debug)]
pub struct TenantBook {
    defaults: Defaults,
    pages: Mutex<Pages>,
    grown: Condvar,
}

/// What became of a record of the topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// It is in force from its position on.
    InForce,
    /// The tenant has the deployment's settings from there on.
    Removed,
    /// It does not count: this is wrong with it. What the tenant had before stays in force.
    Refused(Vec<Problem>),
    /// It was taken before.
    Known,
}

impl TenantBook {
    /// Without a document.
    #[must_use]
    pub fn new(defaults: Defaults) -> Self {
        let none = Tenants::new(Arc::new(Tenant::by_default(&defaults)));
        let pages = Pages {
            base: none.clone(),
            entries: VecDeque::new(),
            latest: Arc::new(none),
            position: 0,
            read_to: 0,
            documents: HashMap::new(),
        };
        Self { defaults, pages: Mutex::new(pages), grown: Condvar::new() }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in force for who has no document.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Everything that is wrong with a document of this tenant.
    ///
    /// # Errors
    /// That.
    pub fn check(&self, tenant: &str, json: &Value) -> Result<(), Vec<Problem>> {
        Tenant::compile(json, Some(tenant), &self.defaults).map(drop)
    }

    /// Takes a record of the topic, whose key names the tenant, at its offset. No value removes the document.
    pub fn take(&self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Taken {
        if offset < self.pages().read_to {
            return Taken::Known;
        }
        let taken = self.read(key, value);
        let mut pages = self.pages();
        pages.read_to = pages.read_to.max(offset + 1);
        let result = match taken {
            Err(problems) => Taken::Refused(problems),
            Ok((tenant, _)) if pages.documents.len() >= MAX_TENANTS && !pages.documents.contains_key(tenant) => {
                Taken::Refused(vec![problem("(key)", tenant, format!("documents of at most {MAX_TENANTS} tenants"))])
            }
            Ok((tenant, document)) => {
                let (in_force, document) = document.unzip();
                pages.put(offset + 1, tenant, in_force.map(Arc::new), document.map(Arc::new));
                if value.is_some() { Taken::InForce } else { Taken::Removed }
            }
        };
        drop(pages);
        self.grown.notify_all();
        result
    }

    /// The tenant and, where it is not removed, his document.
    fn read<'k>(
        &self,
        key: Option<&'k [u8]>,
        value: Option<&[u8]>,
    ) -> Result<(&'k str, Option<Compiled>), Vec<Problem>> {
        let named = key.and_then(|key| std::str::from_utf8(key).ok());
        let is_name = |name: &&str| (1..=model::event::MAX_TENANT_BYTES).contains(&name.len());
        let Some(tenant) = named.filter(is_name) else {
            return Err(vec![problem("(key)", "", "the tenant, as UTF-8 of 1 to 128 bytes".to_owned())]);
        };
        let Some(value) = value else { return Ok((tenant, None)) };
        if value.len() > policy::document::MAX_DOCUMENT_BYTES {
            let allowed = format!("a document of at most {} bytes", policy::document::MAX_DOCUMENT_BYTES);
            return Err(vec![problem("(document)", "", allowed)]);
        }
        let json: Value =
            serde_json::from_slice(value).map_err(|error| vec![problem("(document)", "", format!("JSON; {error}"))])?;
        let compiled = Tenant::compile(&json, Some(tenant), &self.defaults)?;
        let version = policy::tenant::document_version(&json);
        Ok((tenant, Some((compiled, OwnDocument { json, version }))))
    }

    /// The position of what is in force now.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.pages().position
    }

    /// What was in force at a position.
    #[must_use]
    pub fn at(&self, position: i64) -> Arc<Tenants> {
        let pages = self.pages();
        if position >= pages.position {
            return pages.latest.clone();
        }
        let mut tenants = pages.base.clone();
        for entry in pages.entries.iter().take_while(|entry| entry.position <= position) {
            tenants.set(&entry.tenant, entry.in_force.clone());
        }
        Arc::new(tenants)
    }

    /// What is in force for a tenant now.
    #[must_use]
    pub fn in_force(&self, tenant: &str) -> Arc<Tenant> {
        self.pages().latest.get(tenant).clone()
    }

    /// A tenant's own document, where he has one.
    #[must_use]
    pub fn document(&self, tenant: &str) -> Option<Arc<OwnDocument>> {
        self.pages().documents.get(tenant).cloned()
    }

    /// How many tenants have a document.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.pages().documents.len()
    }

    /// Waits until the topic was read up to this offset; answers whether that came about in time.
    #[must_use]
    pub fn wait_until_read(&self, offset: i64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut pages = self.pages();
        while pages.read_to < offset {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            pages = self.grown.wait_timeout(pages, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn problem(path: &str, value: &str, allowed: String) -> Problem {
    Problem { path: path.to_owned(), value: format!("{value:?}"), allowed }
}

impl Pages {
    fn put(&mut self, position: i64, tenant: &str, in_force: Option<Arc<Tenant>>, document: Option<Arc<OwnDocument>>) {
        match document {
            Some(document) => drop(self.documents.insert(tenant.into(), document)),
            None => drop(self.documents.remove(tenant)),
        }
        // Who asks for what is in force now shares it; it is copied for the change, once a document.
        Arc::make_mut(&mut self.latest).set(tenant, in_force.clone());
        self.entries.push_back(Entry { position, tenant: tenant.into(), in_force });
        self.position = position;
        if self.entries.len() > MAX_REPLACED
            && let Some(oldest) = self.entries.pop_front()
        {
            self.base.set(&oldest.tenant, oldest.in_force);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(book: &TenantBook, offset: i64, tenant: &str, document: Option<&Value>) -> Taken {
        let value = document.map(|document| document.to_string().into_bytes());
        book.take(offset, Some(tenant.as_bytes()), value.as_deref())
    }

    #[test]
    fn each_position_has_its_settings() {
        let book = TenantBook::new(Defaults::default());
        let days = |days: u32| json!({ "scoring": { "device.remember_for_days": days } });
        let seen = |position: i64, tenant: &str| book.at(position).get(tenant).settings().remember_for_days;
        assert_eq!((book.position(), seen(0, "a")), (0, 30));
        assert_eq!(take(&book, 4, "a", Some(&days(7))), Taken::InForce);
        assert_eq!(take(&book, 7, "b", Some(&days(8))), Taken::InForce);
        assert_eq!(take(&book, 9, "a", Some(&days(9))), Taken::InForce);
        assert_eq!(take(&book, 11, "b", None), Taken::Removed);
        let rows = [(0, 30, 30), (4, 30, 30), (5, 7, 30), (8, 7, 8), (9, 7, 8), (10, 9, 8), (12, 9, 30), (99, 9, 30)];
        for (position, a, b) in rows {
            assert_eq!((seen(position, "a"), seen(position, "b")), (a, b), "at {position}");
        }
        assert_eq!((book.position(), book.documents()), (12, 1));
    }

    #[test]
    fn what_is_wrong_does_not_count() {
        let book = TenantBook::new(Defaults::default());
        take(&book, 0, "a", Some(&json!({ "mfa_policy": "never" })));
        let before = book.document("a");
        assert!(before.is_some());
        let wrong = [&b"[]"[..], b"{", b"\xff", br#"{"mfa_policy": "sometimes"}"#, br#"{"tenant": "b"}"#];
        for (offset, wrong) in (1..).zip(wrong) {
            assert!(matches!(book.take(offset, Some(b"a"), Some(wrong)), Taken::Refused(_)), "{wrong:?}");
        }
        assert!(matches!(book.take(6, None, Some(b"{}")), Taken::Refused(_)));
        assert!(matches!(book.take(7, Some(b""), Some(b"{}")), Taken::Refused(_)));
        assert!(matches!(book.take(8, Some(b"\xff"), None), Taken::Refused(_)));
        assert_eq!(book.take(8, Some(b"a"), Some(b"{}")), Taken::Known, "a record is read once");
        assert_eq!((book.document("a"), book.position()), (before, 1));
        assert!(book.wait_until_read(9, Duration::ZERO), "they were read all the same");
        assert!(!book.wait_until_read(10, Duration::ZERO));
    }

    #[test]
    fn old_documents_leave() {
        let book = TenantBook::new(Defaults::default());
        let document = json!({ "mfa_policy": "never" });
        for offset in 0..=MAX_REPLACED as i64 + 5 {
            take(&book, offset, if offset % 2 == 0 { "a" } else { "b" }, Some(&document));
        }
        assert_eq!(book.pages().entries.len(), MAX_REPLACED);
        assert_eq!(book.at(3).own().count(), 2, "the oldest that is known");
    }
}
