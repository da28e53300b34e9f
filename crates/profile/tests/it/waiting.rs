//! Waiting attempts and remembered answers at their limits.

use model::{Action, Confidence, Decision, Reason, Timestamp};
use profile::devices::Shown;
use profile::waiting::in_time;
use profile::{AgentPrint, Answers, Profile, RecentAnswer, StoredAssessment, Waiting, WaitingAttempt};

fn assessment(time: i64) -> StoredAssessment {
    StoredAssessment {
        time: Timestamp(time),
        confidence: Confidence::Low,
        impossible_travel: None,
        travel: None,
        new_device: None,
        cookie_known: false,
        untrusted_ip: None,
        entry: None,
        decision: Decision::new(Action::Challenge, Reason::ConfidenceLow),
        data_set: 0,
    }
}

fn attempt(id: u64, evidence: u32, time: i64) -> WaitingAttempt {
    let shown = Shown { cookie: None, agent: None };
    WaitingAttempt { id, evidence, shown, address: None, spot: None, teaches: true, assessment: assessment(time) }
}

fn times(waiting: &Waiting) -> Vec<i64> {
    waiting.0.iter().map(|waiting| waiting.assessment.time.0).collect()
}

#[test]
fn an_attempt_waits_up_to_an_instant() {
    for (now, waits) in [(0, true), (59, true), (60, false), (-1000, true), (i64::from(i32::MAX), false)] {
        assert_eq!(in_time(&attempt(1, 1, 0), Timestamp(now), 60), waits, "{now}");
    }
}

#[test]
fn who_leaves_when_there_are_too_many() {
    let cases = [
        ("there is room", vec![10, 20], 500, vec![10, 20, 500]),
        ("those whose time is up", vec![10, 20, 480], 500, vec![480, 500]),
        ("else the earliest", vec![480, 470, 490], 500, vec![480, 490, 500]),
        ("of equals the first", vec![470, 490, 470], 500, vec![490, 470, 500]),
        ("it may be the new one", vec![480, 470, 490], 460, vec![480, 470, 490]),
    ];
    for (name, known, new, wanted) in cases {
        let mut waiting = Waiting::default();
        for (id, time) in known.iter().enumerate() {
            waiting.add(attempt(id as u64, 0, *time), 3, 60);
        }
        waiting.add(attempt(99, 0, new), 3, 60);
        assert_eq!(times(&waiting), wanted, "{name}");
    }
}

#[test]
fn the_same_attempt_waits_once() {
    let mut waiting = Waiting::default();
    for (id, evidence, time) in [(1, 1, 10), (1, 2, 20), (2, 1, 30), (1, 1, 40)] {
        waiting.add(attempt(id, evidence, time), 8, 60);
    }
    let mut all = times(&waiting);
    all.sort_unstable();
    assert_eq!(all, [20, 30, 40]);
}

#[test]
fn a_completion_finds_its_attempt() {
    let agent = |text| AgentPrint { text, browser: None };
    let with = |cookie: u64, text: u64| Shown {
        cookie: (cookie > 0).then_some(cookie),
        agent: (text > 0).then(|| agent(text)),
    };
    let mut waiting = Waiting::default();
    for (evidence, shown) in [(1, with(1, 10)), (2, with(2, 20)), (3, with(0, 30)), (4, with(0, 0))] {
        waiting.add(WaitingAttempt { shown, ..attempt(7, evidence, 0) }, 8, 60);
    }
    for (cookie, text, wanted) in
        [(1, 10, 0), (2, 20, 1), (0, 20, 1), (2, 0, 1), (0, 0, 0), (5, 30, 2), (5, 0, 2), (5, 50, 3), (1, 20, 3)]
    {
        assert_eq!(waiting.position(7, &with(cookie, text)), Some(wanted), "{cookie} {text}");
    }
    assert_eq!(waiting.position(8, &with(1, 10)), None);
}

#[test]
fn answers_are_remembered_by_arrival() {
    let answer = |id, time| RecentAnswer { id, evidence: 1, assessment: assessment(time), success_logged: id == 2 };
    let mut answers = Answers::default();
    for (id, time) in [(1, 500), (2, 100), (3, 300), (4, 200)] {
        answers.remember(&answer(id, time), 3);
    }
    let repeated = |id, evidence, time| answers.repeated(id, evidence, Timestamp(time), 10).is_some();
    assert!(!repeated(1, 1, 500), "the first to arrive has left");
    assert!(repeated(2, 1, 110) && repeated(2, 1, 90) && !repeated(2, 1, 111) && !repeated(2, 1, 89));
    assert!(!repeated(2, 2, 100), "other evidence");
    assert!(answers.success_logged(2, Timestamp(100), 10) && !answers.success_logged(3, Timestamp(300), 10));
}

#[test]
fn a_profile_without_a_mark_or_with_an_old_one_counts_as_none() {
    let day = 86_400_000;
    let mut profile = Profile::default();
    assert!(profile.is_forgotten_at(Timestamp(0), 400));
    profile.renew_mark(Timestamp(day));
    profile.renew_mark(Timestamp(0));
    for (now, forgotten) in [(401 * day - 1, false), (401 * day, true), (-500 * day, false)] {
        assert_eq!(profile.is_forgotten_at(Timestamp(now), 400), forgotten, "{now}");
    }
}
