use ipnet::IpNet;
use sim::networks::{self, PLACED, Use};
use sim::{lists, world::CITIES};

/// The entries of a list, read as any simple reader would.
fn entries(text: &str) -> Vec<IpNet> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let line = line.strip_prefix("ExitAddress ").unwrap_or(line);
            let first = line.split([' ', '\t', ',']).next()?;
            let address = first.parse().map(|address: std::net::IpAddr| address.into());
            first.parse().ok().or(address.ok())
        })
        .collect()
}

#[test]
fn lists_hold_what_the_networks_are_used_for() {
    for list in lists::deny_lists() {
        let entries = entries(&list.text);
        assert!(entries.len() >= 8, "{}", list.name);
        for placed in PLACED {
            let listed = entries.iter().any(|entry| {
                let network = IpNet::from(placed.network);
                network.contains(entry) || entry.contains(&network)
            });
            let category = match placed.usage {
                Use::Hosting => "datacenter",
                Use::CommercialVpn => "vpn",
                Use::TorExit => "tor",
                Use::Abuse => "abuse",
                Use::Reputation => "reputation",
                Use::CorporateVpn | Use::PublicProxy => "none",
            };
            assert_eq!(listed, category == list.category, "{placed:?} on {}", list.name);
        }
        // Of the access networks, only homes that are rented out are on a list.
        let access: IpNet = "198.18.0.0/16".parse().unwrap();
        for entry in entries.iter().filter(|entry| access.contains(*entry)) {
            let IpNet::V4(entry) = entry else { continue };
            assert_eq!(list.category, "residential_proxy");
            assert!(entry.prefix_len() == 32);
            assert!(networks::RENTED_OUT.contains(&entry.network().octets()[3]));
        }
        assert!(!entries.iter().any(|entry| entry.contains(&access)));
    }
}

#[test]
fn list_names_are_different() {
    let lists = lists::deny_lists();
    for (index, a) in lists.iter().enumerate() {
        for b in &lists[index + 1..] {
            assert!(a.name != b.name && a.file_name != b.file_name);
        }
    }
}

#[test]
fn relay_list_has_every_city_twice() {
    let text = lists::relay_csv();
    assert_eq!(entries(&text).len(), 2 * CITIES.len());
    assert!(text.starts_with("198.19.40.0/28,NL,NL-NH,Amsterdam,\n2001:db8:f000::/48,NL,"));
    assert!(text.contains(",SG,,Singapore,\n"));
    assert!(text.lines().all(|line| line.matches(',').count() == 4));
}
