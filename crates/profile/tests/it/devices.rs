//! Which device is known, learnt, refreshed, and which one leaves.

use model::Timestamp;
use model::evidence::Version;
use profile::devices::Shown;
use profile::{AgentPrint, Device, Devices};

/// A browser of a family (0: not recognised) in a version.
fn agent(text: u64, family: u32, version: u64) -> AgentPrint {
    let browser = (family > 0).then(|| (family, Version::from_parts(&[version])));
    AgentPrint { text, browser }
}

fn shown(cookie: u64, agent: Option<AgentPrint>) -> Shown {
    Shown { cookie: (cookie > 0).then_some(cookie), agent }
}

fn device(cookie: u64, agent: Option<AgentPrint>, expiry: i64) -> Device {
    Device { cookie: (cookie > 0).then_some(cookie), agent, expiry: Timestamp(expiry) }
}

#[test]
fn what_is_known() {
    let devices = Devices(vec![
        device(1, Some(agent(10, 5, 120)), 100),
        device(2, Some(agent(20, 6, 50)), 200),
        device(0, Some(agent(30, 7, 9)), 200),
    ]);
    let cases = [
        ("cookie and text", shown(1, Some(agent(10, 5, 120))), 99, true, true),
        ("an expiry is exclusive", shown(1, Some(agent(10, 5, 120))), 100, false, false),
        ("a text of any device", shown(2, Some(agent(10, 5, 120))), 99, true, true),
        ("an upgrade of the cookie's device", shown(1, Some(agent(11, 5, 121))), 99, true, true),
        ("a downgrade", shown(1, Some(agent(11, 5, 119))), 99, true, false),
        ("another text of the same version", shown(1, Some(agent(11, 5, 120))), 99, true, true),
        ("an upgrade of another cookie's device", shown(2, Some(agent(11, 5, 121))), 99, true, false),
        ("an upgrade without a cookie", shown(0, Some(agent(31, 7, 10))), 99, false, true),
        ("of a device with one", shown(0, Some(agent(11, 5, 121))), 99, false, false),
        ("not recognised", shown(1, Some(agent(11, 0, 0))), 99, true, false),
        ("no user agent", shown(1, None), 99, true, false),
    ];
    for (name, shown, time, cookie, agent) in cases {
        let time = Timestamp(time);
        assert_eq!(shown.cookie.is_some_and(|c| devices.knows_cookie(c, time)), cookie, "{name}");
        assert_eq!(devices.knows_agent(&shown, time), agent, "{name}");
    }
}

#[test]
fn learning_a_device() {
    let known = || {
        vec![
            device(1, Some(agent(10, 5, 120)), 100),
            device(0, Some(agent(30, 7, 9)), 200),
            device(0, Some(agent(31, 7, 8)), 200),
            device(3, None, 300),
        ]
    };
    let changed = |index: usize, device: Device| {
        let mut devices = known();
        devices[index] = device;
        devices
    };
    let added = |device: Device| [known(), vec![device]].concat();
    let cases = [
        (
            "the cookie's device takes the user agent",
            shown(1, Some(agent(99, 9, 1))),
            changed(0, device(1, Some(agent(99, 9, 1)), 150)),
        ),
        ("and keeps its own when none is given", shown(1, None), changed(0, device(1, Some(agent(10, 5, 120)), 150))),
        (
            "an expiry is never shortened",
            shown(3, Some(agent(10, 5, 120))),
            changed(3, device(3, Some(agent(10, 5, 120)), 300)),
        ),
        (
            "a new cookie is a new device",
            shown(9, Some(agent(10, 5, 120))),
            added(device(9, Some(agent(10, 5, 120)), 150)),
        ),
        (
            "without a cookie the same text",
            shown(0, Some(agent(31, 7, 8))),
            changed(2, device(0, Some(agent(31, 7, 8)), 200)),
        ),
        (
            "else the first that it upgrades",
            shown(0, Some(agent(32, 7, 9))),
            changed(1, device(0, Some(agent(32, 7, 9)), 200)),
        ),
        ("else a new device", shown(0, Some(agent(10, 5, 120))), added(device(0, Some(agent(10, 5, 120)), 150))),
        ("nothing shown, nothing learnt", shown(0, None), known()),
    ];
    for (name, shown, wanted) in cases {
        let mut devices = Devices(known());
        devices.learn(&shown, Timestamp(50), Timestamp(150), 10);
        assert_eq!(devices.0, wanted, "{name}");
    }
}

#[test]
fn refreshing_a_device() {
    let known =
        || vec![device(1, Some(agent(10, 5, 120)), 100), device(0, Some(agent(30, 7, 9)), 100), device(3, None, 100)];
    let renewed = |index: usize, agent: Option<AgentPrint>| {
        let mut devices = known();
        devices[index].expiry = Timestamp(150);
        devices[index].agent = agent;
        devices
    };
    let cases = [
        ("the same", shown(1, Some(agent(10, 5, 120))), renewed(0, Some(agent(10, 5, 120)))),
        ("an upgrade is taken", shown(1, Some(agent(11, 5, 121))), renewed(0, Some(agent(11, 5, 121)))),
        ("another user agent is not", shown(1, Some(agent(30, 7, 9))), known()),
        ("none is not the same as one", shown(1, None), known()),
        ("none equals none", shown(3, None), renewed(2, None)),
        ("one is not the same as none", shown(3, Some(agent(10, 5, 120))), known()),
        ("a new cookie adds nothing", shown(9, Some(agent(10, 5, 120))), known()),
        ("without a cookie", shown(0, Some(agent(30, 7, 9))), renewed(1, Some(agent(30, 7, 9)))),
        ("an upgrade without a cookie", shown(0, Some(agent(33, 7, 10))), renewed(1, Some(agent(33, 7, 10)))),
        ("a cookie's device is not for that", shown(0, Some(agent(10, 5, 120))), known()),
    ];
    for (name, shown, wanted) in cases {
        let mut devices = Devices(known());
        devices.refresh(&shown, Timestamp(50), Timestamp(150));
        assert_eq!(devices.0, wanted, "{name}");
    }
}

#[test]
fn expired_devices_leave_before_one_is_learnt() {
    let mut devices = Devices(vec![device(1, None, 100), device(2, None, 101)]);
    devices.learn(&shown(1, None), Timestamp(100), Timestamp(500), 10);
    assert_eq!(devices.0, [device(2, None, 101), device(1, None, 500)]);
}

#[test]
fn the_one_with_the_earliest_expiry_leaves() {
    let cases = [
        ("the earliest", vec![300, 200, 250], 400, vec![300, 250, 400]),
        ("of equals the first", vec![300, 200, 200], 400, vec![300, 200, 400]),
        ("the new one too", vec![300, 200, 250], 150, vec![300, 200, 250]),
    ];
    for (name, known, new, wanted) in cases {
        let all = known.iter().zip(1..).map(|(expiry, cookie)| device(cookie, None, *expiry)).collect();
        let mut devices = Devices(all);
        devices.learn(&shown(9, None), Timestamp(0), Timestamp(new), 3);
        assert_eq!(devices.0.iter().map(|device| device.expiry.0).collect::<Vec<_>>(), wanted, "{name}");
    }
    let mut devices = Devices((1..=5).map(|cookie| device(cookie, None, 100)).collect());
    devices.learn(&shown(9, None), Timestamp(0), Timestamp(200), 2);
    assert_eq!(devices.0.len(), 2, "a smaller limit holds from the next device on");
}
