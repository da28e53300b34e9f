//! What is refused when it arrives, in which words.

use policy::rules::ConditionSet;

fn told(condition: &str) -> Vec<String> {
    match ConditionSet::compile(&[condition]) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|(_, error)| error.to_string()).collect(),
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        // Types.
        ("event.user.email", "line 1, column 1: expected bool, found string"),
        ("enrolled && event.user.email", "line 1, column 13: expected bool, found string"),
        ("enrolled\n  || event.stats.logins_count", "line 2, column 6: expected bool, found int"),
        ("event.user.email == 5", "line 1, column 21: expected string, found int"),
        ("event.stats.logins_count > '3'", "line 1, column 28: expected int, found string"),
        ("5 in event.authorization.roles", "line 1, column 1: expected string, found int"),
        ("'a' in event.user.email", "line 1, column 8: expected list or map, found string"),
        (
            "event.stats.logins_count + 1.5 > 2.0",
            "line 1, column 26: \"+\" does not take int and double; int() and double() convert",
        ),
        ("'a' - 'b' == ''", "line 1, column 5: \"-\" does not take string and string"),
        ("event.time + event.time > event.time", "line 1, column 12: \"+\" does not take timestamp and timestamp"),
        ("event.time > '2026-01-01'", "line 1, column 14: expected timestamp, found string"),
        ("-event.user.email == ''", "line 1, column 2: expected int or double, found string"),
        ("!event.user.email", "line 1, column 2: expected bool, found string"),
        ("event.user.email ? true : false", "line 1, column 1: expected bool, found string"),
        ("(enrolled ? 'a' : 1) == 'a'", "line 1, column 19: expected string, found int"),
        ("event.user.email == null", "line 1, column 1: string is never null; has() tells whether a field is there"),
        (
            "event.user == 'a'",
            "line 1, column 1: expected a value, found the object event.user; its fields are user_id, email, email_verified, username, name, phone_number, multifactor, enrolledFactors, user_metadata, app_metadata, created_at",
        ),
        ("event.mfa", "line 1, column 1: expected bool, found the object event.mfa; its fields are remembered"),
        ("event.user.email.x == 1", "line 1, column 18: string has no field \"x\""),
        ("event.authorization.roles['a'] == 'b'", "line 1, column 27: expected int, found string"),
        ("event.user.email[0] == 'a'", "line 1, column 1: expected list or map, found string"),
        ("event.authorization.roles.exists(r, r)", "line 1, column 37: expected bool, found string"),
        ("event.user.email.exists(c, true)", "line 1, column 1: expected list or map, found string"),
        ("event.stats.logins_count.startsWith('a')", "line 1, column 1: expected string, found int"),
        ("event.user.email.contains(5)", "line 1, column 27: expected string, found int"),
        ("size(5) == 1", "line 1, column 6: expected string, list or map, found int"),
        ("int(enrolled) == 1", "line 1, column 5: expected int, double, string or timestamp, found bool"),
        ("event.user.email.getHours() == 1", "line 1, column 1: expected timestamp or duration, found string"),
        ("duration('1h').getDate() == 1", "line 1, column 1: expected timestamp, found duration"),
        ("sets.contains(event.authorization.roles, [1])", "line 1, column 42: expected list(string), found list(int)"),
        ("sets.contains(event.user.email, [1])", "line 1, column 15: expected list, found string"),
        ("{1.5: 1}.size() == 1", "line 1, column 2: expected string, int or bool, found double"),
        ("{'a': 1, 'a': 2}.size() == 1", "line 1, column 10: a key that is there already"),
        // Names.
        ("evnt.user.email == ''", "line 1, column 1: unknown name \"evnt\": the nearest known one is \"event\""),
        (
            "event.user.emial == ''",
            "line 1, column 12: unknown field of event.user \"emial\": the nearest known one is \"email\"",
        ),
        (
            "event . user\n. emial == ''",
            "line 2, column 3: unknown field of event.user \"emial\": the nearest known one is \"email\"",
        ),
        (
            "has(event.request.geoip.countrycode)",
            "line 1, column 25: unknown field of event.request.geoip \"countrycode\": the nearest known one is \"countryCode\"",
        ),
        (
            "event.authentication.methods[0].nam == ''",
            "line 1, column 33: unknown field of event.authentication.methods[] \"nam\": the nearest known one is \"name\"",
        ),
        (
            "event.authentication.methods.exists(m, m.tiemstamp > event.time)",
            "line 1, column 42: unknown field of event.authentication.methods[] \"tiemstamp\": the nearest known one is \"timestamp\"",
        ),
        ("event.mfa.xyz", "line 1, column 11: unknown field of event.mfa \"xyz\": known are remembered"),
        (
            "risk.assessments.NewDevise.code == ''",
            "line 1, column 18: unknown field of risk.assessments \"NewDevise\": the nearest known one is \"NewDevice\"",
        ),
        (
            "event.user.email.startswith('a')",
            "line 1, column 18: unknown function \"startswith\": the nearest known one is \"startsWith\"",
        ),
        (
            "inCIDR(event.request.ip, ['192.0.2.0/24'])",
            "line 1, column 1: unknown function \"inCIDR\": the nearest known one is \"inCIDRs\"",
        ),
        (
            "sets.contain([1], [1])",
            "line 1, column 6: unknown function \"sets.contain\": the nearest known one is \"sets.contains\"",
        ),
        ("contains(event.user.email, 'a')", "line 1, column 1: contains is called on a value: value.contains(...)"),
        ("event.request.ip.isIP()", "line 1, column 18: isIP is not called on a value: isIP(...)"),
        (
            "roles.exists(r, r == 'a')",
            "line 1, column 1: unknown name \"roles\": known are event, risk, profile, enrolled",
        ),
        ("[1].exists(x, y == 1)", "line 1, column 15: unknown name \"y\": known are x, event, risk, profile, enrolled"),
        ("[1].exists(event, true)", "line 1, column 12: the name \"event\" is taken"),
        ("[1].exists(x, [2].exists(x, true))", "line 1, column 26: the name \"x\" is taken"),
        ("[1].exists(1, true)", "line 1, column 12: expected the name of a variable"),
        ("[1].exists(x)", "line 1, column 5: exists takes a variable and an expression, found 1 arguments"),
        ("has(event)", "line 1, column 5: has() takes a field, such as event.user.email"),
        ("has(event.user.email, 1)", "line 1, column 1: has takes 1 argument, found 2"),
        ("event.user.email.contains()", "line 1, column 18: contains takes 1 argument, found 0"),
        // Literals that are read at once.
        (
            "cidr('192.0.2.0/33').containsIP(event.request.ip)",
            "line 1, column 6: \"192.0.2.0/33\" is no network; expected an address or CIDR notation with a length of 1 or more",
        ),
        (
            "inCIDRs(event.request.ip, ['0.0.0.0/0'])",
            "line 1, column 28: \"0.0.0.0/0\" is no network; expected an address or CIDR notation with a length of 1 or more",
        ),
        (
            "inCIDRs(event.request.ip, event.authorization.roles)",
            "line 1, column 27: expected a literal list of networks",
        ),
        ("cidr(event.request.ip).containsIP('')", "line 1, column 6: expected a network as a literal string"),
        ("event.user.email.containsIP('')", "line 1, column 1: expected cidr('...'), found string"),
        ("cidr('192.0.2.0/24') == 'a'", "line 1, column 1: expected a value, found cidr"),
        (
            "event.time > timestamp('2026-01-01')",
            "line 1, column 24: \"2026-01-01\" is no timestamp; expected RFC 3339 with offset, from 2000 up to 2100",
        ),
        (
            "event.time - event.time > duration('5 minutes')",
            "line 1, column 36: \"5 minutes\" is no duration; expected numbers with the units h, m, s and ms, such as 1h30m",
        ),
        (
            "event.time.getHours('Europe/Zurich') == 8",
            "line 1, column 21: \"Europe/Zurich\" is no fixed offset from UTC, such as +02:00",
        ),
        ("event.user.email.matches('(')", "line 1, column 26: not a pattern: unclosed group"),
        ("event.user.email.matches(event.user.name)", "line 1, column 26: expected a pattern as a literal string"),
        // Syntax.
        ("", "line 1, column 1: expected bool, found nothing"),
        ("enrolled &&", "line 1, column 12: unexpected the end"),
        ("(enrolled", "line 1, column 10: expected \")\""),
        ("enrolled)", "line 1, column 9: expected the end, found \")\""),
        ("enrolled & true", "line 1, column 10: cannot read \"&\""),
        ("event.user.email = 'a'", "line 1, column 18: cannot read \"=\""),
        ("'abc", "line 1, column 1: cannot read \"'abc\""),
        ("5u == 5u", "line 1, column 1: an unsigned number cannot be used here"),
        ("b'a' == b'a'", "line 1, column 1: a literal of bytes cannot be used here"),
        ("Thing{a: 1} == 1", "line 1, column 6: an object with a type cannot be used here"),
        ("9223372036854775808 > 0", "line 1, column 1: invalid int literal"),
        ("event.?user == 1", "line 1, column 6: unsupported syntax '.?'"),
    ];
    let mut wrong = Vec::new();
    for (condition, wanted) in cases {
        if told(condition) != [wanted] {
            wrong.push(format!("{condition}\n  told {:?}\n  not  {wanted:?}", told(condition)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_of_all_conditions_are_told_at_once() {
    let errors = ConditionSet::compile(&["enrolled", "event.user.emial == 5 || event.user.name == 6", "true", "1 +"])
        .unwrap_err();
    let told: Vec<_> = errors.iter().map(|(index, error)| (*index, error.line, error.column)).collect();
    assert_eq!(told, [(1, 1, 12), (1, 1, 45), (3, 1, 4)]);
}
