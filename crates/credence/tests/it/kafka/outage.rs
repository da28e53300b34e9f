//! The broker goes away and comes back in mid-stream.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use kafka_harness::Kafka;
use sim::Labelled;

use super::{Stage, await_answers, take};
use crate::instance::{Instance, get};
use crate::lab::{Wanted, traffic};

#[test]
fn a_broker_that_restarts_costs_nothing_but_time() {
    let Some(mut kafka) = Kafka::builder().start_or_skip() else { return };
    let stage = Stage::new(&kafka, "outage", "");
    let events: Vec<Labelled> = traffic(6, 12_000).collect();
    let mut wanted = Wanted::of(&events);
    let (feeder, mut verdicts) = (stage.feeder(), stage.tail("verdicts"));
    let mut instance = Instance::start(&stage.lab, &[]);
    let address = instance.address().unwrap();

    let mut parts = events.chunks(events.len().div_ceil(4));
    let mut next = || parts.next().unwrap().iter().for_each(|event| feeder.send(event));
    // Once stopped in good order, once crashed.
    let ways: [fn(&mut Kafka); 2] = [|kafka| kafka.stop().unwrap(), |kafka| kafka.kill().unwrap()];
    for go_away in ways {
        next();
        for record in take(&mut verdicts, 500) {
            wanted.answer(&record.payload.unwrap());
        }
        go_away(&mut kafka);
        next();
        let (over, is_over) = channel::<()>();
        thread::scope(|scope| {
            let live = scope.spawn(move || {
                let mut asked = 0;
                while is_over.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                    assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()));
                    asked += 1;
                }
                asked
            });
            kafka.start_again().unwrap();
            drop(over);
            assert!(live.join().unwrap() > 0, "the outage was too short to ask for health");
        });
    }
    feeder.flush();
    await_answers(&mut verdicts, &mut wanted);
    assert!(instance.exited().is_none(), "{:#?}", instance.log());
    assert_eq!(get(address, "/readyz").0, 200);
    assert_eq!(instance.terminate().0, Some(0), "{:#?}", instance.log());
}
