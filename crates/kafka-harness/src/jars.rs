//! Finds Java and the jars of Kafka; fetches the jars once with Maven.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::process::{log_excerpt, wait_with_deadline};
use crate::{HarnessError, KAFKA_VERSION, io_error};

const POM: &str = include_str!("../pom.xml");
const JAVA_AT_LEAST: u32 = 17;
/// For the download (115 MB), and for waiting while another process downloads.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(480);

/// Whether Kafka can be started here: Java 17 or later, and Maven or jars fetched before.
///
/// # Errors
/// One sentence that says what is missing and how to get it.
pub fn available() -> Result<(), String> {
    let java = java();
    match java_major(&java) {
        Some(major) if major >= JAVA_AT_LEAST => {}
        Some(major) => {
            return Err(format!(
                "Kafka {KAFKA_VERSION} needs Java {JAVA_AT_LEAST} or later, but {} is Java \
                 {major}; install a newer JDK or point JAVA_HOME at one",
                java.display()
            ));
        }
        None => {
            return Err(format!(
                "no Java found as {}; install JDK {JAVA_AT_LEAST} or point JAVA_HOME at one",
                java.display()
            ));
        }
    }
    if is_complete(&libs()) || succeeds(Command::new("mvn").arg("-v")) {
        return Ok(());
    }
    Err(format!(
        "the Kafka jars are not in {} and Maven (mvn) is not there to fetch them; install Maven",
        libs().display()
    ))
}

/// The Java program to start: that of `JAVA_HOME`, else that of the path.
pub(crate) fn java() -> PathBuf {
    match std::env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => Path::new(&home).join("bin/java"),
        _ => PathBuf::from("java"),
    }
}

/// The folder with all jars, fetched now if need be. One process fetches, others wait for it.
pub(crate) fn ensure() -> Result<PathBuf, HarnessError> {
    available().map_err(HarnessError::Unavailable)?;
    let libs = libs();
    if is_complete(&libs) {
        return Ok(libs);
    }
    let cache = cache();
    fs::create_dir_all(&cache).map_err(io_error("create folder", &cache))?;
    // The lock goes with the file handle, so a killed process leaves none behind.
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(io_error("create", &lock_path))?;
    let begin = Instant::now();
    while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if begin.elapsed() > DOWNLOAD_DEADLINE {
            return Err(HarnessError::Download {
                folder: libs,
                reason: format!("another process still holds {}", lock_path.display()),
            });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if !is_complete(&libs) {
        download(&cache, &libs)?;
    }
    Ok(libs)
}

/// Fetches into a folder beside the final one and renames it, so that the final one is whole.
fn download(cache: &Path, libs: &Path) -> Result<(), HarnessError> {
    let partial = cache.join("libs.partial");
    for leftover in [partial.as_path(), libs] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io_error("remove", leftover))?;
        }
    }
    let pom = cache.join("pom.xml");
    fs::write(&pom, POM).map_err(io_error("write", &pom))?;
    let log_path = cache.join("download.log");
    let log = File::create(&log_path).map_err(io_error("create", &log_path))?;
    let log_too = log.try_clone().map_err(io_error("open", &log_path))?;
    let failed = |reason: String| HarnessError::Download { folder: libs.to_owned(), reason };

    let mut maven = Command::new("mvn")
        // Batch mode, and a jar whose checksum differs is an error.
        .args(["-B", "-C", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(io_error("start", Path::new("mvn")))?;
    match wait_with_deadline(&mut maven, DOWNLOAD_DEADLINE) {
        Some(status) if status.success() => {}
        Some(status) => {
            let said = log_excerpt(&log_path, 0);
            return Err(failed(format!("mvn ended with {status}:\n{said}")));
        }
        None => {
            let _ = maven.kill();
            let _ = maven.wait();
            return Err(failed(format!("mvn took more than {DOWNLOAD_DEADLINE:?}:\n{}", log_excerpt(&log_path, 0))));
        }
    }
    if !is_complete(&partial) {
        return Err(failed("mvn succeeded but the Kafka jar is missing".into()));
    }
    fs::rename(&partial, libs).map_err(io_error("rename", &partial))
}

fn is_complete(libs: &Path) -> bool {
    libs.join(format!("kafka_2.13-{KAFKA_VERSION}.jar")).is_file()
}

fn libs() -> PathBuf {
    cache().join("libs")
}

/// `$CREDENCE_KAFKA_CACHE`, else `kafka` in the target folder of the workspace; a folder per
/// release in it. A relative `CARGO_TARGET_DIR` counts from the workspace's root.
fn cache() -> PathBuf {
    let base = match std::env::var_os("CREDENCE_KAFKA_CACHE") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache),
        _ => {
            let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            let root = here.ancestors().nth(2).unwrap_or(here);
            root.join(target).join("kafka")
        }
    };
    base.join(KAFKA_VERSION)
}

fn java_major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stderr))
}

/// Reads the first quoted version; Java 8 and before call themselves `1.8` and so count as 1.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions() {
        for (text, major) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nmore", Some(17)),
            ("java version \"1.8.0_392\"", Some(1)),
            ("openjdk version \"26-ea\" 2026-03-17", Some(26)),
            ("no quotes", None),
            ("\"x\"", None),
        ] {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn pom_names_the_same_release() {
        assert!(POM.contains(&format!("<version>{KAFKA_VERSION}</version>")));
    }
}
