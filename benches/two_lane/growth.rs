//! What more users, less memory, more partitions and a second instance do.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use credence::config::Config;
use credence::data::{self, ScoringContext};
use credence::state::{DiskStores, ProfileStores as _};
use delivery::{Changes, LocalState as _};
use engine::Partition;
use profile::Fingerprints;
use rustix::process::Signal;
use stream::Cluster;

use crate::Size;
use crate::events::{Event, traffic};
use crate::lab::{Lab, Scene, Stage};
use crate::probe::{cpu_seconds, resident_bytes};
use crate::process::Process;
use crate::table::{Table, count};
use crate::users::{self, Users};

/// The argument that makes this program measure one number of users.
pub(crate) const ROLE: &str = "growth-of";

/// Events between two commits of the state.
const BATCH: usize = 3_000;
/// Changes that are written to the store at once while it is filled.
const CHUNK: u32 = 5_000;
/// How long instances may take to share the partitions.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn measure(lab: &Lab, size: Size) -> Result<()> {
    users(lab, size)?;
    partitions(lab, size)
}

fn users(lab: &Lab, size: Size) -> Result<()> {
    let mut table = Table::new([
        "users",
        "CPU us/event, all in memory",
        "CPU us/event, memory for a tenth",
        "found in memory",
        "memory B/user",
        "resident B/user",
        "store B/user",
        "changelog B/user",
        "filling the store, profiles/s",
    ]);
    for users in size.pick(&[10_000, 100_000, 1_000_000, 10_000_000][..], &[10_000, 50_000][..]) {
        // A process of its own: memory that was freed would hide what is taken next.
        let events = size.pick(200_000, 20_000);
        let folder = lab.new_path("growth");
        let config = Stage::new(lab, &Scene { learns_at_once: true, ..Scene::new(&format!("growth-{users}"), 1) })?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ROLE).arg(config.file()).arg(&folder).arg(users.to_string()).arg(events.to_string());
        let ran = command.output()?;
        let output = String::from_utf8(ran.stdout)?;
        ensure!(ran.status.success(), "{users} users: {}", String::from_utf8_lossy(&ran.stderr));
        std::fs::remove_dir_all(&folder)?;
        let cells: Vec<String> = output.trim().split('\t').map(str::to_owned).collect();
        table.row::<9>(cells.try_into().ok().context("a row with other columns")?);
    }
    table.print("Users: engine and local store on one thread, without Kafka; logins of users by chance");
    Ok(())
}

/// Measures one number of users; the arguments are those that [`users`] gives.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let [config, folder, users, events] = arguments else { anyhow::bail!("four arguments are needed") };
    let inputs = credence::config::Inputs {
        file: Some((config.into(), std::fs::read_to_string(config)?)),
        ..credence::config::Inputs::default()
    };
    let config = Config::read(&inputs).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let (users, events): (u32, u32) = (users.parse()?, events.parse()?);
    let context = users::context(&config)?;
    let fingerprints = data::fingerprints(&config);
    let known = Users::new(&context, &fingerprints)?;
    let cluster = Cluster { id: "growth".to_owned(), partitions: 1, verdict_partitions: 1, log_partitions: 1 };
    let folder = Path::new(folder);
    let foreign = prometheus::IntCounter::new("foreign", "Foreign records.")?;
    let stores = DiskStores::open(folder, &config, &cluster, &fingerprints, foreign)?;
    let mut state = State { context, fingerprints, known, stores, position: 0, users, number: 0, random: 1 };

    let begin = Instant::now();
    let changelog = state.fill()?;
    let filled = f64::from(users) / begin.elapsed().as_secs_f64();
    let store = disk_bytes(folder)?;

    let pid = std::process::id();
    let before = resident_bytes(pid)?;
    let mut partition = Partition::open(state.stores.backing(0)?, usize::MAX / 1024)?;
    state.warm(&mut partition, 1);
    let resident = resident_bytes(pid)?.saturating_sub(before);
    let stats = partition.stats();
    ensure!(stats.profiles == users as usize, "{} profiles are in memory, not {users}", stats.profiles);
    let memory = stats.cached_bytes;
    let (in_memory, found) = state.run(&mut partition, events)?;
    ensure!(found > 0.999, "all users should be in memory, and {found} were");
    drop(partition);

    let mut partition = Partition::open(state.stores.backing(0)?, memory / 10)?;
    state.warm(&mut partition, 10);
    let (with_a_tenth, found) = state.run(&mut partition, events)?;
    ensure!(partition.stats().corrupt == 0, "profiles could not be read");

    let a_user = |bytes: usize| count(bytes as f64 / f64::from(users));
    println!(
        "{}\t{in_memory:.1}\t{with_a_tenth:.1}\t{:.0} %\t{}\t{}\t{}\t{}\t{}",
        count(f64::from(users)),
        found * 100.0,
        a_user(memory),
        a_user(resident),
        a_user(store),
        a_user(changelog),
        count(filled),
    );
    Ok(())
}

struct State {
    context: ScoringContext,
    fingerprints: Fingerprints,
    known: Users,
    stores: DiskStores,
    /// Of the changelog, as it would be.
    position: i64,
    users: u32,
    /// Batches so far.
    number: u64,
    random: u64,
}

impl State {
    /// Writes all profiles to the store; answers the bytes of keys and values.
    fn fill(&mut self) -> Result<usize> {
        let (mut changes, mut bytes) = (Changes::default(), 0);
        for (key, value) in &self.known.others {
            changes.push(0, key, Some(value));
        }
        for user in 0..self.users {
            changes.push(0, &users::record_key(user), Some(self.known.profile(user)));
            if changes.len() >= CHUNK as usize || user + 1 == self.users {
                bytes += changes.bytes();
                self.apply(&mut changes)?;
            }
        }
        Ok(bytes)
    }

    fn apply(&mut self, changes: &mut Changes) -> Result<()> {
        let from = Some(self.position).filter(|position| *position > 0);
        self.position += i64::try_from(changes.len())?;
        self.stores.apply(0, from, &mut changes.iter(), self.position)?;
        changes.clear();
        Ok(())
    }

    /// Brings one of so many users into memory.
    fn warm(&mut self, partition: &mut Partition, one_of: usize) {
        let all = (0..self.users).step_by(one_of);
        for (index, user) in all.enumerate() {
            let (tenant, name) = users::name(user);
            partition.restore(&tenant, &name, &self.fingerprints, self.known.profile(user).into());
            if index % CHUNK as usize == 0 {
                self.settle(partition);
            }
        }
        self.settle(partition);
    }

    /// What the store has already counts as stored.
    fn settle(&mut self, partition: &mut Partition) {
        self.number += 1;
        partition.take_changes(self.number, |_, _| ());
        partition.stored(self.number);
    }

    /// Logins of users by chance, with what follows for the store. Answers microseconds of processor time an
    /// event, those of the store's own threads included, and the share of profiles that were found in memory.
    fn run(&mut self, partition: &mut Partition, events: u32) -> Result<(f64, f64)> {
        let logins: Vec<String> = (0..events).map(|number| self.login(number)).collect();
        let before = partition.stats();
        let cpu = cpu_seconds(std::process::id())?;
        let mut changes = Changes::default();
        for logins in logins.chunks(BATCH) {
            for login in logins {
                users::step(partition, &self.context, login)?;
            }
            self.number += 1;
            partition.take_changes(self.number, |key, value| changes.push(0, key, value));
            self.apply(&mut changes)?;
            partition.stored(self.number);
        }
        let cpu = cpu_seconds(std::process::id())? - cpu;
        let after = partition.stats();
        let (hits, misses) = ((after.hits - before.hits) as f64, (after.misses - before.misses) as f64);
        Ok((cpu * 1e6 / f64::from(events), hits / (hits + misses)))
    }

    fn login(&mut self, number: u32) -> String {
        // xorshift64: its quality is of no matter here.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let user = (self.random % u64::from(self.users)) as u32;
        users::login_with_id(user, users::LOGINS, &format!("login-{:016x}", self.number << 32 | u64::from(number)))
    }
}

/// What the files below a folder take on disk.
fn disk_bytes(folder: &Path) -> Result<usize> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() as usize * 512 };
    }
    Ok(bytes)
}

fn partitions(lab: &Lab, size: Size) -> Result<()> {
    let events: Vec<Event> = traffic(size.pick(20_000, 2_000), size.pick(60_000, 5_000))?.collect();
    let mut table =
        Table::new(["partitions", "instances", "events/s", "events/CPU-s, all instances", "events a commit"]);
    for partitions in size.pick(&[1, 4, 16, 64][..], &[1, 16][..]) {
        for instances in [1, 2] {
            if instances > *partitions {
                continue;
            }
            let name = format!("growth-{partitions}-{instances}");
            let stage = Stage::new(lab, &Scene::new(&name, *partitions))?;
            let processes = (0..instances).map(|_| stage.instance(&lab.new_path("state")));
            let processes: Vec<Process> = processes.collect::<Result<_>>()?;
            until_shared(&processes)?;
            let cpu = || processes.iter().map(Process::cpu_seconds).sum::<Result<f64>>();
            let (begin, cpu_before) = (Instant::now(), cpu()?);
            stage.feed(&events)?;
            stage.until_committed(&stage.offsets()?, i64::try_from(events.len())?)?;
            let (seconds, cpu) = (begin.elapsed().as_secs_f64(), cpu()? - cpu_before);
            let mut commits = 0.0;
            for process in processes {
                commits += process.check_metrics()?.sum("credence_commits_total", "");
                process.end(Signal::TERM)?;
            }
            let all = events.len() as f64;
            table.row([
                partitions.to_string(),
                instances.to_string(),
                count(all / seconds),
                count(all / cpu),
                count(all / commits),
            ]);
        }
    }
    table.print(&format!(
        "Partitions and instances: {} events, fed as fast as they are taken",
        count(events.len() as f64)
    ));
    Ok(())
}

/// Waits until every instance has partitions.
fn until_shared(processes: &[Process]) -> Result<()> {
    let begin = Instant::now();
    for process in processes {
        while process.metrics()?.sum("credence_assigned_partitions", "") == 0.0
            || process.metrics()?.sum("credence_restoring_partitions", "") > 0.0
        {
            ensure!(begin.elapsed() < PATIENCE, "the instances do not share the partitions");
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}
