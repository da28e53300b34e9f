//! What is done to whom and when: everything that a seed decides.

use std::time::Duration;

use fastrand::Rng;

/// A disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// SIGKILL, and a new process later; `wipe` removes its state folder first, as if on a new machine.
    Kill { wipe: bool },
    /// SIGSTOP until the session is over and its partitions have gone to others, then SIGCONT: a zombie.
    Stop,
    /// SIGTERM, and a new process later.
    Term,
    /// An instance more.
    Grow,
    /// An instance less, by SIGTERM.
    Shrink,
    /// The broker ends in good order and starts again.
    BrokerStop,
    /// The broker is killed and starts again.
    BrokerKill,
}

impl Action {
    /// As it is shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Kill { wipe: false } => "SIGKILL",
            Action::Kill { wipe: true } => "SIGKILL, state folder removed",
            Action::Stop => "SIGSTOP",
            Action::Term => "SIGTERM",
            Action::Grow => "one instance more",
            Action::Shrink => "one instance less",
            Action::BrokerStop => "broker restart",
            Action::BrokerKill => "broker SIGKILL",
        }
    }
}

/// A disturbance with its circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    /// Wait before it until every partition has given verdicts again. Without that it may hit a group in
    /// the middle of a rebalance.
    pub(crate) settle: bool,
    /// Wait so long after that.
    pub(crate) pause: Duration,
    /// Let a burst of events come so long before it, to hit an instance that has its hands full.
    pub(crate) after_burst: Option<Duration>,
    /// Which of the instances that there are then, modulo their number.
    pub(crate) choice: usize,
    /// How long the process is away, or stopped beyond its session.
    pub(crate) away: Duration,
}

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) seed: u64,
    pub(crate) kills: u32,
    /// Changes of the number of instances.
    pub(crate) moves: u32,
    pub(crate) broker_restarts: u32,
    pub(crate) mean_pause: Duration,
}

/// The steps that follow from a seed.
pub(crate) fn plan(wish: &Wish) -> Vec<Step> {
    let mut rng = Rng::with_seed(wish.seed);
    let mut actions: Vec<Action> = (0..wish.kills)
        .map(|number| match number % 4 {
            // With four kills and more each kind occurs, and with five a folder is removed.
            0 => Action::Kill { wipe: number % 8 == 4 },
            1 => Action::Stop,
            2 => Action::Term,
            _ => Action::Kill { wipe: false },
        })
        .collect();
    // Which is which is decided below.
    actions.extend((0..wish.moves).map(|_| Action::Grow));
    actions.extend((0..wish.broker_restarts).map(|_| Action::BrokerStop));
    rng.shuffle(&mut actions);
    let mut grow = true;
    let mut clean = rng.bool();
    for action in &mut actions {
        match action {
            Action::Grow => {
                *action = if grow { Action::Grow } else { Action::Shrink };
                grow = !grow;
            }
            Action::BrokerStop => {
                *action = if clean { Action::BrokerStop } else { Action::BrokerKill };
                clean = !clean;
            }
            _ => {}
        }
    }
    let mean_ms = u64::try_from(wish.mean_pause.as_millis()).unwrap_or(u64::MAX / 2);
    let steps = actions.into_iter().map(|action| Step {
        action,
        settle: rng.bool(),
        pause: Duration::from_millis(rng.u64(0..=mean_ms.saturating_mul(2))),
        after_burst: rng.bool().then(|| Duration::from_millis(rng.u64(5..60))),
        choice: rng.usize(0..1 << 16),
        away: Duration::from_millis(rng.u64(0..3_000)),
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(seed: u64) -> Wish {
        Wish { seed, kills: 20, moves: 5, broker_restarts: 2, mean_pause: Duration::from_secs(1) }
    }

    fn count(steps: &[Step], of: impl Fn(Action) -> bool) -> usize {
        steps.iter().filter(|step| of(step.action)).count()
    }

    #[test]
    fn a_seed_names_one_schedule() {
        assert_eq!(plan(&wish(7)), plan(&wish(7)));
        assert_ne!(plan(&wish(7)), plan(&wish(8)));
    }

    #[test]
    fn every_schedule_has_what_was_wished() {
        for seed in 0..200 {
            let steps = plan(&wish(seed));
            assert_eq!(count(&steps, |action| matches!(action, Action::Kill { .. })), 10, "seed {seed}");
            assert_eq!(count(&steps, |action| action == Action::Stop), 5, "seed {seed}");
            assert_eq!(count(&steps, |action| action == Action::Term), 5, "seed {seed}");
            assert!(count(&steps, |action| action == Action::Kill { wipe: true }) > 0, "seed {seed}");
            assert_eq!(count(&steps, |action| action == Action::BrokerStop), 1, "seed {seed}");
            assert_eq!(count(&steps, |action| action == Action::BrokerKill), 1, "seed {seed}");
            // Never an instance less than at the start.
            let mut more = 0;
            for step in &steps {
                match step.action {
                    Action::Grow => more += 1,
                    Action::Shrink => more -= 1,
                    _ => {}
                }
                assert!((0..=1).contains(&more), "seed {seed}");
            }
        }
    }
}
