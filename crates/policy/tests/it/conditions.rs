//! What conditions see, and what they say of it.

use model::RiskAssessment;
use policy::rules::{Facts, ProfileFacts};
use policy::value::Value;

use crate::{evaluate, evaluate_over, listed};

#[test]
fn conditions_hold_of_the_login() {
    let holding = [
        // Typed fields of the event.
        "event.id == 'e1'",
        "event.tenant.id == 'acme.example'",
        "event.user.email.endsWith('@example.com') && event.user.email_verified",
        "event.time == timestamp('2026-03-02T07:00:00.250Z')",
        "event.user.created_at < timestamp('2021-01-01T00:00:00Z')",
        "event.stats.logins_count == 17",
        "event.stats.logins_count > 16.5 && event.stats.logins_count <= 17.0",
        "'admin' in event.authorization.roles && !('root' in event.authorization.roles)",
        "event.user.multifactor == ['otp', 'push']",
        "event.transaction.acr_values.exists(v, v == 'http://schemas.openid.net/pape/policies/2007/06/multi-factor')",
        "event.resource_server.identifier.startsWith('https://api.')",
        "event.request.geoip.latitude > 46 && event.request.geoip.longitude < 8.75",
        "event.connection.strategy == \"auth0\"",
        // Defaults of what is absent, null or of a wrong type.
        "event.stage == 'attempt' && event.outcome == 'success' && !has(event.stage)",
        "event.user.username == '' && !has(event.user.username)",
        "event.user.name == '' && !has(event.user.name)",
        "event.user.phone_number == ''",
        "!event.mfa.remembered && has(event.mfa) && !has(event.mfa.remembered)",
        "event.error.code == '' && !has(event.error) && !has(event.error.code)",
        "event.transaction.requested_scopes == [] && !has(event.transaction.requested_scopes)",
        "has(event.transaction.prompt) && size(event.transaction.prompt) == 0",
        "!has(event.security_context.ja3) && !has(event.security_context)",
        "has(event.user.email) && has(event.user) && has(event.request.geoip.cityName)",
        "has(event.transaction.idp_initiated) && !event.transaction.idp_initiated",
        // Trimmed fields, and fields that are not.
        "event.request.ip == '2001:db8::1'",
        "event.request.user_agent == 'Mozilla/5.0'",
        "event.request.geoip.countryCode == 'CH'",
        "event.request.hostname == ' login.example.com '",
        "event.device.id == '' && !has(event.device.id)",
        // Free objects.
        "event.user.app_metadata.level == 3 && event.user.app_metadata['plan'] == 'gold'",
        "event.user.app_metadata.level + 1 == 4",
        "event.user.app_metadata.level == 3.0 && event.user.app_metadata.ratio < 1",
        "event.user.app_metadata.level != 'three'",
        "event.user.app_metadata.big > 9223372036854775807",
        "'a' in event.user.app_metadata.tags && event.user.app_metadata.tags[1] == 'b'",
        "'beta' in event.user.app_metadata.flags && event.user.app_metadata.flags.beta",
        "has(event.user.app_metadata.flags.old) && event.user.app_metadata.flags.old == null",
        "!has(event.user.app_metadata.missing)",
        "!has(event.organization.metadata) && !has(event.organization.metadata.x) && event.organization.metadata == {}",
        "event.request.asn == 64500 && event.request.asn in [64500, 64501]",
        "event.session.id == 's1' && event.session.device.initial_ip == '192.0.2.7'",
        "!has(event.refresh_token) && !has(event.refresh_token.id)",
        "event.user.app_metadata.tags.exists(t, t.startsWith('b'))",
        "event.user.app_metadata.flags.exists(k, k == 'beta')",
        "size(event.user.user_metadata) == 1 && event.user.user_metadata.theme.size() == 4",
        // Nothing is less or greater than what is no number: the answer is false, and not an error.
        "!(1e300 * 1e300 * 0.0 < 0.0) && !(1e300 * 1e300 * 0.0 >= 0.0) && 1e300 * 1e300 > 1e300",
        "!((1e300 * 1e300 * 0.0 < 0.0) && has(event.user.app_metadata.missing.inner))",
        // Lists of objects.
        "event.authentication.methods.exists(m, m.name == 'mfa')",
        "event.authentication.methods[0].name == 'pwd' && event.authentication.methods[1].timestamp > event.authentication.methods[0].timestamp",
        "event.authentication.methods.filter(m, m.name == 'mfa').size() == 1",
        "event.authentication.methods.map(m, m.name) == ['pwd', 'mfa']",
        "event.authentication.methods.map(m, m.name != 'pwd', m.timestamp).all(t, event.time - t < duration('1m'))",
        "event.user.enrolledFactors.exists_one(f, has(f.type)) && event.user.enrolledFactors[1].type == ''",
        // Risk.
        "risk.confidence == 'medium' && has(risk.assessments.NewDevice) && !has(risk.assessments.UntrustedIP)",
        "risk.assessments.NewDevice.code == 'partial_match' && risk.assessments.NewDevice.confidence == 'medium'",
        "risk.assessments.NewDevice.details.device == 'unknown' && risk.assessments.NewDevice.details['useragent'] == 'known'",
        "risk.assessments.ImpossibleTravel.code == 'travel_from_last_login'",
        "risk.assessments.ImpossibleTravel.details.distance_km == 123.5",
        "risk.assessments.ImpossibleTravel.details.speed_kmh < 100 && risk.assessments.ImpossibleTravel.details.known_place",
        "risk.assessments.ImpossibleTravel.details.from.city == 'Bern' && !has(risk.assessments.ImpossibleTravel.details.to.city)",
        "risk.assessments.UntrustedIP.code == '' && !has(risk.assessments.UntrustedIP.details)",
        // Profile and enrolment.
        "profile.known && enrolled && profile.devices == 2 && profile.places > 2",
        "event.time - profile.last_login > duration('23h') && event.time - profile.last_login < duration('1000h')",
        "profile.last_place.city == 'Bern' && profile.last_place.country == '' && !has(profile.last_place.country)",
        "profile.last_place.latitude > 46.5 && profile.last_place.time == profile.last_login",
        // Operators.
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 2.0 == 3.5",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && 'a' < 'b' && false < true",
        "1 == 1.0 && 9007199254740993 != 9007199254740992.0 && 1 < 1.5 && !(2 < 1.5)",
        "(enrolled ? 'a' : 'b') == 'a' && !!enrolled",
        "{'a': 1, 'b': 2}['b'] == 2 && 'a' in {'a': 1} && {'a': 1}.a == 1 && {'a': 1} == {'a': 1.0}",
        "[1, 'a', null].exists(x, x == null)",
        "[[1, 2], [3]].exists(l, size(l) == 1 && l.exists(x, x == 3))",
        "size('Zürich') == 6 && 'Zürich'.size() == 6 && size([]) == 0",
        "'\\u00e9' == 'é' && r'\\d' == '\\\\d' && \"\"\"a\"b\"\"\" == 'a\"b'",
        "true // and a remark",
        // Functions.
        "'Kim@Example.com'.lowerAscii() == 'kim@example.com' && 'straße'.upperAscii() == 'STRAßE'",
        "event.request.user_agent.matches('^Mozilla/[0-9]+[.]') && matches('abc', 'b')",
        r"'Zürich 8'.matches('^Z.rich\\s\\d$') && !'Zürich'.matches(r'^\w+$') && 'Zürich'.matches('^[\\pL]+$') && 'a-b'.matches(r'a\b.\bb')",
        r"'a_1'.matches(r'^[\w.]+$') && !'a 1'.matches(r'^\S+$') && 'xéx'.matches(r'^\w\W\w$') && 'ABC'.matches('(?i)b') && '\\w' == r'\w'",
        "'abc'.contains('b') && 'abc'.startsWith('') && !'abc'.endsWith('b')",
        "int('42') == 42 && int(3.9) == 3 && int(-3.9) == -3 && int(timestamp('2026-01-01T00:00:00Z')) == 1767225600",
        "double('1.5') == 1.5 && double(2) == 2.0 && string(42) == '42' && string(true) == 'true'",
        "bool('true') && !bool('0') && string(1.5) == '1.5'",
        "string(timestamp('2026-01-01T00:00:00+01:00')) == '2025-12-31T23:00:00.000Z' && timestamp(1767225600) == timestamp('2026-01-01T00:00:00Z')",
        "duration('1h30m') == duration('5400s') && duration('-1.5s') < duration('0') && string(duration('1.5s')) == '1.5s'",
        "event.time - event.authentication.methods[0].timestamp > duration('1m') && event.time + duration('1h') > event.time",
        "event.time.getFullYear() == 2026 && event.time.getMonth() == 2 && event.time.getDate() == 2 && event.time.getDayOfMonth() == 1",
        "event.time.getDayOfWeek() == 1 && event.time.getDayOfYear() == 60 && event.time.getHours() == 7",
        "event.time.getHours('+05:30') == 12 && event.time.getMinutes('+05:30') == 30 && event.time.getHours('-08:00') == 23",
        "event.time.getMilliseconds() == 250 && event.time.getSeconds('UTC') == 0 && duration('90m').getHours() == 1",
        "timestamp('2024-12-31T23:59:59Z').getDayOfYear() == 365 && timestamp('2024-03-01T00:00:00Z').getDayOfYear() == 60",
        "sets.contains(event.authorization.roles, ['admin']) && !sets.contains(['admin'], event.authorization.roles)",
        "sets.intersects(event.authorization.roles, ['root', 'staff']) && !sets.intersects([], [1])",
        "sets.equivalent(event.authorization.roles, ['staff', 'admin', 'staff']) && !sets.equivalent([1], [1, 2])",
        // Networks.
        "isIP(event.request.ip) && !isIP('login.example.com') && !isIP('192.0.2.1:443')",
        "cidr('2001:db8::/32').containsIP(event.request.ip) && !cidr('192.0.2.0/24').containsIP(event.request.ip)",
        "inCIDRs('::ffff:192.0.2.9', ['192.0.2.0/24']) && inCIDRs(' 192.0.2.9 ', ['2001:db8::/32', '192.0.2.9'])",
        "!inCIDRs('', ['192.0.2.0/24']) && !inCIDRs('192.0.2.9', []) && !inCIDRs(event.user.email, ['192.0.2.0/24'])",
    ];
    for (condition, result) in holding.iter().zip(evaluate(&holding)) {
        assert_eq!(result, Ok(true), "{condition}");
    }
}

#[test]
fn a_listed_address_shows_its_entry() {
    let event = Value::from_json(b"{}").unwrap();
    let risk = listed();
    let facts = Facts { event: &event, risk: Some(&risk), profile: ProfileFacts::default(), enrolled: false };
    let holding = [
        "risk.confidence == 'low' && risk.assessments.UntrustedIP.details.matches == '192.0.2.0/24'",
        "risk.assessments.UntrustedIP.details.category == 'anonymizer' && risk.assessments.UntrustedIP.details.ip == '192.0.2.7'",
        "risk.assessments.UntrustedIP.details.source == 'example' && size(risk.assessments.UntrustedIP.details) == 4",
    ];
    assert_eq!(evaluate_over(&holding, &facts), [Ok(true), Ok(true), Ok(true)]);
}

/// A login of which next to nothing is known: everything reads as its default.
#[test]
fn nothing_known_reads_as_defaults() {
    let holding = [
        "event.id == '' && event.time == timestamp(0) && event.stage == 'attempt' && event.outcome == 'success'",
        "event.user.app_metadata == {} && event.session == {} && event.authentication.methods == [] || true",
        "size(event.authentication.methods) == 0 && event.request.geoip.latitude == 0",
        "risk.confidence == '' && !has(risk.assessments) && !has(risk.assessments.NewDevice) && !has(risk.confidence)",
        "risk.assessments.NewDevice.details == {}",
        "!profile.known && profile.devices == 0 && !has(profile.last_login) && profile.last_login == timestamp(0)",
        "!has(profile.last_place) && profile.last_place.city == '' && profile.last_place.latitude == 0",
        "!enrolled",
    ];
    let holding: Vec<&str> = holding.iter().copied().filter(|c| !c.contains("methods == []")).collect();
    for json in ["{}", "null", "[]", "7", r#"{"user":[],"request":"x","authentication":{"methods":[null]}}"#] {
        let event = Value::from_json(json.as_bytes()).unwrap();
        let none: Option<&RiskAssessment> = None;
        let facts = Facts { event: &event, risk: none, profile: ProfileFacts::default(), enrolled: false };
        for (condition, result) in holding.iter().zip(evaluate_over(&holding, &facts)) {
            assert_eq!(result, Ok(true), "{condition} of {json}");
        }
    }
}

#[test]
fn errors_say_where_and_why() {
    let cases = [
        (
            "event.user.app_metadata.missing == 1",
            "line 1, column 25: no key \"missing\"; has() tells whether it is there",
        ),
        (
            "event.user.app_metadata['missing'] == 1",
            "line 1, column 24: no key \"missing\"; has() tells whether it is there",
        ),
        ("has(event.user.app_metadata.a.b)", "line 1, column 29: no key \"a\"; has() tells whether it is there"),
        ("event.user.app_metadata.plan.x == 1", "line 1, column 30: expected map, found string"),
        ("event.user.app_metadata.plan", "line 1, column 25: expected bool, found string"),
        ("enrolled &&\n event.user.app_metadata.level", "line 2, column 26: expected bool, found int"),
        ("event.user.app_metadata.plan > 3", "line 1, column 30: \">\" does not take string and int"),
        ("event.user.app_metadata.plan + 3 == 3", "line 1, column 30: \"+\" does not take string and int"),
        ("event.user.app_metadata.level.startsWith('a')", "line 1, column 31: expected string, found int"),
        ("event.user.app_metadata.level.exists(x, true)", "line 1, column 25: expected list or map, found int"),
        ("1 in event.user.app_metadata.level", "line 1, column 3: expected list or map, found int"),
        ("event.authentication.methods[2].name == ''", "line 1, column 29: no element 2 in a list of 2"),
        ("[1][-1] == 1", "line 1, column 4: no element -1 in a list of 1"),
        ("1 / event.user.app_metadata.zero == 1", "line 1, column 3: division by zero"),
        ("1 % (1 - 1) == 1", "line 1, column 3: division by zero"),
        ("9223372036854775807 + 1 > 0", "line 1, column 21: a number or time beyond its range"),
        ("-9223372036854775808 / -1 > 0", "line 1, column 22: a number or time beyond its range"),
        (
            "-(event.stats.logins_count - 9223372036854775807 - 18) > 0",
            "line 1, column 1: a number or time beyond its range",
        ),
        ("int(1e30) == 1", "line 1, column 1: a number or time beyond its range"),
        ("int(event.user.email) == 1", "line 1, column 1: this string is no int"),
        ("timestamp(event.user.email) == event.time", "line 1, column 1: this string is no timestamp"),
        ("duration(event.user.email) > duration('1s')", "line 1, column 1: this string is no duration"),
        ("timestamp(99999999999999) == event.time", "line 1, column 1: a number or time beyond its range"),
        ("event.time + duration('87000000h') > event.time", "line 1, column 12: a number or time beyond its range"),
        ("{event.id: 1, 'e1': 2}.size() == 2", "line 1, column 15: a key that is there already"),
        ("{'a': 1}.b == 1", "line 1, column 10: no key \"b\"; has() tells whether it is there"),
        ("dyn(event.authentication.methods)[0].name == 'pwd'", "line 1, column 38: expected map, found message"),
    ];
    let conditions: Vec<&str> = cases.iter().map(|(condition, _)| *condition).collect();
    for ((condition, wanted), result) in cases.iter().zip(evaluate(&conditions)) {
        assert_eq!(result.map_err(|error| error.to_string()), Err((*wanted).to_owned()), "{condition}");
    }
}

/// `&&` and `||` have a value whenever one side decides, whatever the other side is.
#[test]
fn errors_are_absorbed_by_what_decides() {
    let missing = "event.user.app_metadata.missing";
    let cases = [
        (format!("false && {missing}"), Ok(false)),
        (format!("{missing} && false"), Ok(false)),
        (format!("true || {missing}"), Ok(true)),
        (format!("{missing} || true"), Ok(true)),
        (format!("{missing} && true"), Err(())),
        (format!("true && {missing}"), Err(())),
        (format!("{missing} || false"), Err(())),
        (format!("{missing} && event.user.app_metadata.plan"), Err(())),
        (format!("{missing} || enrolled || {missing}"), Ok(true)),
        (format!("[0, 1].exists(x, x == 1 || {missing})"), Ok(true)),
        ("[0, 1].exists(x, 1 / x == 1)".to_owned(), Ok(true)),
        ("[0, 1].all(x, 1 / x == 2)".to_owned(), Ok(false)),
        ("[0, 1].all(x, 1 / x == 1)".to_owned(), Err(())),
        ("[0, 1].exists_one(x, 1 / x == 1)".to_owned(), Err(())),
        ("[0, 1].filter(x, 1 / x == 1).size() == 1".to_owned(), Err(())),
        (format!("!({missing})"), Err(())),
        (format!("{missing} ? true : true"), Err(())),
        (format!("enrolled ? true : {missing}"), Ok(true)),
    ];
    let conditions: Vec<&str> = cases.iter().map(|(condition, _)| condition.as_str()).collect();
    for ((condition, wanted), result) in cases.iter().zip(evaluate(&conditions)) {
        assert_eq!(result.map_err(|_| ()), *wanted, "{condition}");
    }
}
