//! Which records are wanted: the options of the command, and what they mean for a record.

use assess::settings::nearest;
use model::time::{DAY_MS, MINUTE_MS};
use model::{Answer, Assessor, Confidence, Timestamp};

use super::entry::Entry;
use crate::printable::printable;

/// The types of log records, with their words.
pub(super) const TYPES: [(&str, &str); 6] = [
    ("s", "login"),
    ("f", "failed login"),
    ("fp", "wrong password"),
    ("fu", "unknown user"),
    ("mfar", "challenge"),
    ("sapi", "api call"),
];
/// What can be decided.
pub(super) const ACTIONS: [&str; 5] = ["none", "challenge", "enroll", "email_challenge", "deny"];
/// The longest span before now.
const MAX_SPAN_DAYS: i64 = 36_500;

/// Every option of a filter, as it was given.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct FilterArgs {
    /// Only of this tenant. Repeatable.
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// Only of this user, by id or name. Repeatable.
    #[arg(long, value_name = "USER")]
    user: Vec<String>,
    /// Only of this type: s, f, fp, fu, mfar, sapi. Repeatable.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Only with this overall confidence: low, medium, high, neutral. Repeatable.
    #[arg(long, value_name = "CONFIDENCE")]
    confidence: Vec<String>,
    /// Only with this answer: Assessor.code, or a code of any assessor. Repeatable.
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
    /// Only with this decision: none, challenge, enroll, email_challenge, deny. Repeatable.
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// Only logins at or after this time: RFC 3339, or a span before now: 90s, 15m, 2h, 7d. Without it the last
    /// hour of the topic, or all of a file.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only logins before this time, given as for --since.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Which records are wanted. Of each kind one has to fit, where any is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Filter {
    tenants: Vec<String>,
    users: Vec<String>,
    kinds: Vec<String>,
    confidences: Vec<String>,
    /// Assessor, where one was named, and code.
    codes: Vec<(Option<String>, String)>,
    actions: Vec<String>,
    /// From this time on.
    pub(super) since: Option<Timestamp>,
    /// Up to, not including, this time.
    pub(super) until: Option<Timestamp>,
}

impl FilterArgs {
    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.tenant, &self.user, &self.kind, &self.confidence, &self.code, &self.action];
        lists.iter().all(|list| list.is_empty()) && self.since.is_none() && self.until.is_none()
    }

    /// Whether it is said until when.
    pub(super) fn has_until(&self) -> bool {
        self.until.is_some()
    }

    /// Reads the options; what is wrong with them is added to `problems`.
    pub(super) fn read(&self, now: Timestamp, problems: &mut Vec<String>) -> Filter {
        let kinds: Vec<&str> = TYPES.iter().map(|(kind, _)| *kind).collect();
        let confidences = Confidence::ALL.map(Confidence::as_str);
        let mut words = |option: &str, given: &[String], allowed: &[&str]| -> Vec<String> {
            given.iter().for_each(|word| problems.extend(one_of(option, word, allowed)));
            given.to_vec()
        };
        let mut filter = Filter {
            tenants: self.tenant.clone(),
            users: self.user.clone(),
            kinds: words("--type", &self.kind, &kinds),
            confidences: words("--confidence", &self.confidence, &confidences),
            actions: words("--action", &self.action, &ACTIONS),
            ..Filter::default()
        };
        for given in &self.code {
            match parse_code(given) {
                Ok(code) => filter.codes.push(code),
                Err(problem) => problems.push(problem),
            }
        }
        let mut time = |option: &str, given: &Option<String>| {
            let parsed = given.as_ref().map(|text| parse_time(option, text, now)).transpose();
            parsed.unwrap_or_else(|problem| {
                problems.push(problem);
                None
            })
        };
        filter.since = time("--since", &self.since);
        filter.until = time("--until", &self.until);
        if let (Some(since), Some(until)) = (filter.since, filter.until)
            && since >= until
        {
            problems.push(format!("--since {since} is not before --until {until}"));
        }
        filter
    }
}

/// The problem with a word that is none of the known ones.
pub(super) fn one_of(option: &str, word: &str, allowed: &[&str]) -> Option<String> {
    let unknown = !allowed.contains(&word);
    unknown.then(|| format!("{option} {}: allowed are {}{}", printable(word), allowed.join(", "), hint(word, allowed)))
}

/// The known word that is most like this one, as a question.
fn hint(word: &str, known: &[&str]) -> String {
    nearest(word, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn parse_code(given: &str) -> Result<(Option<String>, String), String> {
    let (assessor, code) = match given.split_once('.') {
        Some((assessor, code)) => (Some(assessor), code),
        None => (None, given),
    };
    let of_assessor = |answer: &&Answer| assessor.is_none_or(|name| answer.assessor().as_str() == name);
    if Answer::ALL.iter().filter(of_assessor).any(|answer| answer.code() == code) {
        return Ok((assessor.map(str::to_owned), code.to_owned()));
    }
    let assessors = Assessor::ALL.map(Assessor::as_str);
    if let Some(name) = assessor
        && !assessors.contains(&name)
    {
        let problem = one_of("--code", name, &assessors).unwrap_or_default();
        return Err(format!("{problem} (before the dot of {})", printable(given)));
    }
    let mut codes: Vec<&str> = Answer::ALL.iter().filter(of_assessor).map(|answer| answer.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    let of = assessor.map(|name| format!(" of {name}")).unwrap_or_default();
    Err(format!("--code {}: the codes{of} are {}{}", printable(given), codes.join(", "), hint(code, &codes)))
}

/// A time of the command line: RFC 3339, or a span before now.
fn parse_time(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let span = || {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit_ms = match unit {
            "s" => 1000,
            "m" => MINUTE_MS,
            "h" => 60 * MINUTE_MS,
            "d" => DAY_MS,
            _ => return None,
        };
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let span_ms = plain.then(|| digits.parse::<i64>().ok()?.checked_mul(unit_ms)).flatten()?;
        (span_ms <= MAX_SPAN_DAYS * DAY_MS).then(|| Timestamp(now.0.saturating_sub(span_ms)))
    };
    Timestamp::parse_rfc3339(text).or_else(span).ok_or_else(|| {
        format!(
            "{option} {}: allowed are a time like 2026-03-02T09:00:00Z or 2026-03-02T10:00:00+01:00 from 2000 to \
             2099, and a span before now like 90s, 15m, 2h or 7d, at most {MAX_SPAN_DAYS}d",
            printable(text)
        )
    })
}

impl Filter {
    /// Whether a record is wanted.
    pub(super) fn wants(&self, entry: &Entry) -> bool {
        let data = entry.data();
        let any = |wanted: &[String], found: &[&serde_json::Value]| {
            wanted.is_empty() || wanted.iter().any(|word| found.iter().any(|text| text.as_str() == Some(word)))
        };
        self.since.is_none_or(|since| since <= entry.date)
            && self.until.is_none_or(|until| entry.date < until)
            && any(&self.kinds, &[&data["type"]])
            && any(&self.tenants, &[&data["tenant_name"]])
            && any(&self.users, &[&data["user_id"], &data["user_name"]])
            && any(&self.confidences, &[&entry.risk()["confidence"]])
            && any(&self.actions, &[&entry.decision()["action"]])
            && self.wants_codes(entry)
    }

    fn wants_codes(&self, entry: &Entry) -> bool {
        if self.codes.is_empty() {
            return true;
        }
        let Some(assessments) = entry.risk()["assessments"].as_object() else { return false };
        assessments.iter().any(|(assessor, assessment)| {
            self.codes.iter().any(|(wanted, code)| {
                wanted.as_ref().is_none_or(|wanted| wanted == assessor) && assessment["code"] == code.as_str()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_spans_before_now() {
        let now = Timestamp(1_772_442_000_000);
        for (text, wanted) in [
            ("2026-03-02T09:00:00Z", Some(now.0)),
            ("2026-03-02T10:00:00+01:00", Some(now.0)),
            ("0s", Some(now.0)),
            ("90s", Some(now.0 - 90_000)),
            ("15m", Some(now.0 - 900_000)),
            ("2h", Some(now.0 - 7_200_000)),
            ("7d", Some(now.0 - 604_800_000)),
            ("36500d", Some(now.0 - 36_500 * DAY_MS)),
            ("36501d", None),
            ("9223372036854775807d", None),
            ("99999999999999999999s", None),
            ("2026-03-02", None),
            ("-1h", None),
            ("+1h", None),
            ("1.5h", None),
            ("h", None),
            ("15", None),
            ("15é", None),
            ("", None),
        ] {
            let got = parse_time("--since", text, now);
            assert_eq!(got.as_ref().ok().map(|time| time.0), wanted, "{text}: {got:?}");
        }
    }
}
