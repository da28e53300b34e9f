//! Deny lists: the tree against a naive scan.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use intel::deny_lists::{DenyLists, ListIdentity, MAX_LISTS, NetworkSet};
use intel::list_format::parse_list;
use ipnet::IpNet;
use model::assessment::Category;
use proptest::prelude::*;

fn identity(name: &str) -> ListIdentity {
    ListIdentity { name: name.into(), category: Category::Abuse, confidence: None }
}

/// Few different bits, so that networks nest and addresses hit.
fn any_ip() -> impl Strategy<Value = IpAddr> {
    let v4 = prop::collection::vec(prop::sample::select(vec![0u8, 1, 64, 128, 255]), 4)
        .prop_map(|b| IpAddr::from(Ipv4Addr::new(198, b[1], b[2], b[3])));
    let v6 = prop::collection::vec(prop::sample::select(vec![0u16, 1, 0x8000, 0xffff]), 3)
        .prop_map(|s| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, s[0], s[1], 0, 0, 0, s[2])));
    prop_oneof![v4, v6]
}

fn any_network() -> impl Strategy<Value = IpNet> {
    (any_ip(), 1..=128u8).prop_map(|(ip, length)| {
        let width = if ip.is_ipv4() { 32 } else { 128 };
        IpNet::new(ip, 1 + (length - 1) % width).unwrap().trunc()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_longest_entry_of_each_list(
        entries in prop::collection::vec((0..4usize, any_network()), 0..40),
        ips in prop::collection::vec(any_ip(), 1..20),
    ) {
        let mut lists = DenyLists::default();
        let mut relays = NetworkSet::default();
        for list in 0..4 {
            lists.add(identity(&format!("list-{list}")), &[]);
        }
        for (list, network) in &entries {
            lists.add(identity(&format!("list-{list}")), &[*network]);
            relays.add(&[*network]);
        }
        for ip in ips {
            let got: Vec<_> = lists.matches(ip).iter().map(|found| (found.list.to_string(), found.prefix_len)).collect();
            let naive = |list: usize| {
                let of_list = entries.iter().filter(|(of, network)| *of == list && network.contains(&ip));
                of_list.map(|(_, network)| network.prefix_len()).max()
            };
            let wanted: Vec<_> =
                (0..4).filter_map(|list| naive(list).map(|length| (format!("list-{list}"), length))).collect();
            prop_assert_eq!(&got, &wanted, "{}", ip);
            prop_assert_eq!(relays.contains(ip), !wanted.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_a_list_of_something_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let list = parse_list(&bytes);
        prop_assert!(list.entries.iter().all(|network| network.prefix_len() > 0 && network.trunc() == *network));
        prop_assert!(list.named_lines.len() <= list.other_lines);
    }

    #[test]
    fn an_entry_is_read_as_it_is_written(network in any_network(), tail in "[ ,;|\t][^\n]{0,20}|") {
        let list = parse_list(format!("{network}{tail}\n").as_bytes());
        prop_assert_eq!(list.entries, vec![network]);
    }
}

#[test]
fn a_million_prefixes() {
    let mut text = String::with_capacity(20_000_000);
    // Every second /28 of 16.0.0.0/4 is on the list.
    for number in 0..1_000_000u32 {
        let network = Ipv4Addr::from_bits(0x1000_0000 + number * 32);
        text.push_str(&format!("{network}/28\n"));
    }
    let list = parse_list(text.as_bytes());
    assert_eq!((list.entries.len(), list.other_lines), (1_000_000, 0));
    let mut lists = DenyLists::default();
    assert!(lists.add(identity("large"), &list.entries));
    for number in (0..1_000_000u32).step_by(997) {
        let first = 0x1000_0000 + number * 32;
        let found = |bits: u32| lists.matches(Ipv4Addr::from_bits(bits).into()).first().map(|entry| entry.prefix_len);
        assert_eq!((found(first), found(first + 15), found(first + 16)), (Some(28), Some(28), None));
    }
}

#[test]
fn at_most_64_lists() {
    let mut lists = DenyLists::default();
    let network = ["192.0.2.0/24".parse().unwrap()];
    for number in 0..MAX_LISTS {
        assert!(lists.add(identity(&format!("list-{number}")), &network));
    }
    assert!(!lists.add(identity("one more"), &network));
    assert!(lists.add(identity("list-63"), &network), "a known name is no new list");
    assert_eq!((lists.len(), lists.matches("192.0.2.1".parse().unwrap()).len()), (64, 64));
}
