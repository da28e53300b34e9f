//! One event: which kind it is, what is answered, what is logged, what is learnt.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use assess::{AddressClass, Attempt, Learning, Location, Settings};
use model::evidence::{AddressFacts, AgentFacts, DataVersions, Intelligence};
use model::log_record::{LogContext, LogRecord, LogType};
use model::{Action, Confidence, Decision, LoginEvent, Outcome, RiskAssessment, Stage, Timestamp, Verdict};
use policy::rules::{PlaceFacts, ProfileFacts};
use policy::{Defaults, Tenant, Tenants};
use profile::devices::Shown;
use profile::waiting::{WaitingAttempt, in_time};
use profile::{Fingerprints, Profile, RecentAnswer, StoredAssessment};

use crate::agents::KnownAgents;
use crate::backing::BackingError;
use crate::data_sets::DataSets;
use crate::log_id::log_id;
use crate::record_key::UserKey;
use crate::store::Store;
use crate::teach::{Extent, Lesson, teach};

/// What a step depends on beside the event and the state. Between two of these anything may change;
/// within one everything is fixed.
#[derive(Debug, Clone)]
pub struct Context<I> {
    default: InForce,
    own: HashMap<Box<str>, InForce>,
    intelligence: I,
    pub(crate) fingerprints: Fingerprints,
}

/// What is in force for a tenant, with the versions that his answers name.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    pub(crate) tenant: Arc<Tenant>,
    versions: Arc<DataVersions>,
}

impl<I: Intelligence> Context<I> {
    /// With settings (and their version) for all tenants, and data.
    #[must_use]
    pub fn new(settings: Arc<Settings>, version: Arc<str>, intelligence: I, fingerprints: Fingerprints) -> Self {
        let defaults = Defaults { settings: (*settings).clone(), version, ..Defaults::default() };
        Self::of_tenants(&Tenants::new(Arc::new(Tenant::by_default(&defaults))), intelligence, fingerprints)
    }

    /// With what is in force for each tenant, and data.
    #[must_use]
    pub fn of_tenants(tenants: &Tenants, intelligence: I, fingerprints: Fingerprints) -> Self {
        let in_force = |tenant: &Arc<Tenant>| {
            let settings = Some(tenant.version().clone());
            let versions = Arc::new(DataVersions { settings, ..intelligence.versions().clone() });
            InForce { tenant: tenant.clone(), versions }
        };
        let own = tenants.own().map(|(name, tenant)| (name.into(), in_force(tenant))).collect();
        Self { default: in_force(tenants.default()), own, intelligence, fingerprints }
    }
}

impl<I> Context<I> {
    pub(crate) fn of(&self, tenant: &str) -> &InForce {
        if self.own.is_empty() { &self.default } else { self.own.get(tenant).unwrap_or(&self.default) }
    }
}

/// The answer to a scored attempt.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What the assessors say.
    pub risk: RiskAssessment,
    /// What was decided.
    pub decision: Decision,
    /// When the (first) attempt was.
    pub time: Timestamp,
    /// Which data it was computed with.
    pub versions: Arc<DataVersions>,
    /// It was given before: nothing was learnt or logged.
    pub repeated: bool,
}

/// A log record to be written.
#[derive(Debug, Clone)]
pub struct LogPlan {
    kind: LogType,
    /// Whether the attempt was assessed at all. One that nobody assessed is logged without an assessment.
    is_assessed: bool,
    /// The answer to the attempt, where that is an earlier one.
    attempt: Option<(RiskAssessment, Decision)>,
    attempted_at: Option<Timestamp>,
    ip: Option<IpAddr>,
    address: Option<AddressFacts>,
    agent: Option<Arc<AgentFacts>>,
}

/// What comes of an event.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The answer, for an attempt that is scored.
    pub answered: Option<Answered>,
    /// The log record, where one is to be written.
    pub log: Option<LogPlan>,
    /// The event's time is too far ahead of its record's: it taught nothing.
    pub ahead: bool,
}

impl Step {
    /// The verdict, for an attempt that is scored.
    #[must_use]
    pub fn verdict<'s>(&'s self, event: &'s LoginEvent<'_>) -> Option<Verdict<'s>> {
        let answered = self.answered.as_ref()?;
        Some(Verdict {
            event_id: (&*event.id).into(),
            tenant: (&*event.tenant_id).into(),
            user_id: event.user_id.as_deref().unwrap_or_default().into(),
            time: answered.time,
            risk_assessment: (&answered.risk).into(),
            decision: &answered.decision,
            data_versions: &answered.versions,
        })
    }

    /// The kind of the log record, where one is to be written.
    #[must_use]
    pub fn log_type(&self) -> Option<LogType> {
        self.log.as_ref().map(|plan| plan.kind)
    }

    /// The log record, where one is to be written.
    #[must_use]
    pub fn log_record<'s>(&'s self, event: &'s LoginEvent<'_>, environment_name: &'s str) -> Option<LogRecord<'s>> {
        let plan = self.log.as_ref()?;
        // The answer of this step itself is not kept twice.
        let now = self.answered.as_ref().map(|answered| (&answered.risk, &answered.decision));
        let (risk, decision) = plan.attempt.as_ref().map(|(risk, decision)| (risk, decision)).or(now).unzip();
        let context = LogContext {
            kind: plan.kind,
            environment_name,
            ip: plan.ip,
            address: plan.address.as_ref(),
            agent: plan.agent.as_deref(),
            risk: risk.filter(|_| plan.is_assessed),
            decision,
            attempted_at: plan.attempted_at,
        };
        Some(LogRecord::new(event, log_id(event), context))
    }
}

/// The state of one input partition.
#[derive(Debug, Default)]
pub struct Partition {
    pub(crate) store: Store,
    pub(crate) data_sets: DataSets,
    pub(crate) agents: KnownAgents,
    /// The profile of the user whose turn it is. Its memory is used again for the next one.
    pub(crate) profile: Profile,
}

/// The device as an event shows it, and what its user agent says.
struct Shows {
    device: Shown,
    agent: Option<Arc<AgentFacts>>,
}

impl Partition {
    /// Processes one event. `record_time` is the timestamp of its record, where it came on a topic.
    ///
    /// # Errors
    /// The backing cannot be read; nothing was changed. Without a backing there is no error.
    pub fn step<I: Intelligence>(
        &mut self,
        event: &LoginEvent<'_>,
        record_time: Option<Timestamp>,
        context: &Context<I>,
    ) -> Result<Step, BackingError> {
        let failed_log_type = match event.outcome {
            Outcome::FailedPassword => LogType::FailedPassword,
            Outcome::FailedUsername => LogType::FailedUsername,
            _ => LogType::Failed,
        };
        match (event.stage, event.outcome, event.user_id.as_deref()) {
            (Stage::Attempt, Outcome::Success, Some(user)) => {
                self.with_profile(|this, profile| this.score(event, user, record_time, context, profile))
            }
            (Stage::Completion, _, Some(user)) => {
                self.with_profile(|this, profile| this.complete(event, user, context, profile))
            }
            (Stage::Completion, ..) => Ok(self.log_only(event, LogType::Failed, context)),
            (Stage::Attempt, ..) => Ok(self.log_only(event, failed_log_type, context)),
        }
    }

    /// Lends out the memory of a profile.
    fn with_profile<T>(&mut self, work: impl FnOnce(&mut Self, &mut Profile) -> T) -> T {
        let mut profile = std::mem::take(&mut self.profile);
        let done = work(self, &mut profile);
        self.profile = profile;
        done
    }

    fn score<I: Intelligence>(
        &mut self,
        event: &LoginEvent<'_>,
        user: &str,
        record_time: Option<Timestamp>,
        context: &Context<I>,
        profile: &mut Profile,
    ) -> Result<Step, BackingError> {
        let Context { intelligence, fingerprints, .. } = context;
        let InForce { tenant, versions } = context.of(&event.tenant_id);
        let settings = tenant.settings();
        let time = event.time;
        let ahead = record_time.is_some_and(|record_time| time.0 - record_time.0 > settings.max_ahead_ms);
        let key = UserKey::new(&event.tenant_id, user, fingerprints);
        // None: what is stored cannot be read. The attempt is answered, and nothing is changed.
        let mut profile = self.store.get(&key, profile)?.is_ok().then_some(profile);
        let id = fingerprints.event_id(&event.id);
        let Shows { device, agent: agent_facts } = self.shows(event, context);
        let Shown { cookie, agent } = &device;
        let evidence = fingerprints.evidence(event.address, agent.as_ref().map(|agent| agent.text), *cookie);
        if let Some(profile) = &profile
            && let Some(recent) = profile.answers.repeated(id, evidence, time, settings.dedup_ms)
        {
            let answered = self.answered(recent.assessment.risk_assessment(), &recent.assessment, true);
            return Ok(Step { answered: Some(answered), log: None, ahead });
        }

        let plan = tenant.plan(event);
        let data_set = self.data_sets.number_of(versions);
        let address = event.address.map(|ip| intelligence.address(ip));
        let class = match (event.address, &address) {
            (Some(ip), Some(facts)) => AddressClass::of(ip, facts, settings),
            _ => AddressClass::default(),
        };
        let location = Location::find(intelligence.city(), address.as_ref(), &event.geo(), settings);
        let attempt = Attempt {
            time,
            address: event.address,
            class,
            lists: intelligence.lists(),
            location,
            shown: device,
            has_browser: plan.has_browser,
            logins_count: event.logins_count(),
            data_set,
        };
        let mut assessment = if plan.assessed {
            assess::assess(&attempt, profile.as_deref(), settings)
        } else {
            StoredAssessment::none(time, data_set)
        };
        let risk = assessment.risk_assessment();
        let facts = || profile.as_deref().map(|profile| facts_of(profile, time, settings)).unwrap_or_default();
        assessment.decision = tenant.decide(event, plan, Some(&risk).filter(|_| plan.assessed), facts);
        let answered = self.answered(risk, &assessment, false);
        let hidden = attempt.class.non_public || attempt.class.relay || attempt.class.anonymised;
        let spot = attempt.location.spot().filter(|_| !hidden);

        let passes = assessment.decision.action == Action::None;
        if let Some(profile) = &mut profile {
            if !passes && settings.learning == Learning::OnDecision {
                // What is denied is over: no completion can make it good.
                if assessment.decision.action != Action::Deny {
                    let waiting = WaitingAttempt {
                        id,
                        evidence,
                        shown: attempt.shown,
                        address: attempt.address,
                        spot: spot.cloned(),
                        teaches: !ahead && plan.assessed,
                        assessment: assessment.clone(),
                    };
                    profile.waiting.add(waiting, settings.pending_max, settings.pending_ms);
                }
            } else if !ahead && plan.assessed && assessment.decision.action != Action::Deny {
                let trusted = assessment.confidence == Confidence::High || settings.learning == Learning::OnAttempt;
                let extent = if trusted { Extent::Everything } else { Extent::Refresh };
                teach(profile, &Lesson { time, shown: &attempt.shown, spot, extent }, settings);
            }
            let success_logged = passes && plan.is_login && plan.assessed;
            let recent = RecentAnswer { id, evidence, assessment, success_logged };
            profile.answers.remember(&recent, settings.dedup_max);
            self.store.put(&key, profile);
        }

        let is_logged = if passes { plan.is_login } else { tenant.logs_challenges() };
        let log = is_logged.then_some(LogPlan {
            kind: if passes { LogType::Success } else { LogType::MfaRequired },
            is_assessed: plan.assessed,
            attempt: None,
            attempted_at: None,
            ip: event.address,
            address,
            agent: agent_facts,
        });
        Ok(Step { answered: Some(answered), log, ahead })
    }

    fn complete<I: Intelligence>(
        &mut self,
        event: &LoginEvent<'_>,
        user: &str,
        context: &Context<I>,
        profile: &mut Profile,
    ) -> Result<Step, BackingError> {
        let Context { intelligence, fingerprints, .. } = context;
        let settings = context.of(&event.tenant_id).tenant.settings();
        let success = event.outcome == Outcome::Success;
        let kind = if success { LogType::Success } else { LogType::Failed };
        let key = UserKey::new(&event.tenant_id, user, fingerprints);
        // Whether an attempt waits is not known where the profile cannot be read.
        if self.store.get(&key, profile)?.is_err() {
            return Ok(self.log_only(event, kind, context));
        }
        let id = fingerprints.event_id(&event.id);
        let shows = self.shows(event, context);
        let position = profile.waiting.position(id, &shows.device);
        // A success takes its attempt away, in time or not; after a failure it goes on waiting.
        let waiting = match position {
            Some(index) if success => Some(profile.waiting.0.remove(index)),
            Some(index) => profile.waiting.0.get(index).cloned(),
            None => None,
        };
        let found = waiting.as_ref().filter(|waiting| in_time(waiting, event.time, settings.pending_ms));
        let Some(waiting) = found else {
            if waiting.is_some() && success {
                self.store.put(&key, profile);
            }
            // The attempt's own record told of this login already, with its assessment.
            if success && profile.answers.success_logged(id, event.time, settings.dedup_ms) {
                return Ok(Step::default());
            }
            return Ok(self.log_only(event, kind, context));
        };
        let risk = waiting.assessment.risk_assessment();
        let is_assessed = risk.assessments().next().is_some();
        if success {
            if waiting.teaches {
                let mut device = waiting.shown.clone();
                // Servers set the cookie at the end of a login.
                device.cookie = device.cookie.or(shows.device.cookie);
                let lesson = Lesson {
                    time: waiting.assessment.time,
                    shown: &device,
                    spot: waiting.spot.as_ref(),
                    extent: Extent::Everything,
                };
                teach(profile, &lesson, settings);
            }
            if is_assessed {
                profile.answers.note_success_logged(id, waiting.evidence, waiting.assessment.time);
            }
            self.store.put(&key, profile);
        }
        // A completion often brings no address: the attempt's is the login's.
        let ip = event.address.or(waiting.address);
        let log = LogPlan {
            kind,
            is_assessed,
            attempt: Some((risk, waiting.assessment.decision.clone())),
            attempted_at: Some(waiting.assessment.time),
            ip,
            address: ip.map(|ip| intelligence.address(ip)),
            agent: shows.agent,
        };
        Ok(Step { answered: None, log: Some(log), ahead: false })
    }

    fn answered(&self, risk: RiskAssessment, assessment: &StoredAssessment, repeated: bool) -> Answered {
        Answered {
            risk,
            decision: assessment.decision.clone(),
            time: assessment.time,
            versions: self.data_sets.get(assessment.data_set),
            repeated,
        }
    }

    /// An event that is only logged.
    fn log_only<I: Intelligence>(&mut self, event: &LoginEvent<'_>, kind: LogType, context: &Context<I>) -> Step {
        let log = LogPlan {
            kind,
            is_assessed: false,
            attempt: None,
            attempted_at: None,
            ip: event.address,
            address: event.address.map(|ip| context.intelligence.address(ip)),
            agent: self.shows(event, context).agent,
        };
        Step { answered: None, log: Some(log), ahead: false }
    }

    fn shows<I: Intelligence>(&mut self, event: &LoginEvent<'_>, context: &Context<I>) -> Shows {
        let Context { intelligence, fingerprints, .. } = context;
        // What a user agent is does not depend on whose user shows it.
        let versions = &context.default.versions;
        let known = event.user_agent().map(|text| self.agents.get(text, intelligence, fingerprints, versions));
        let cookie = event.cookie().map(|cookie| fingerprints.cookie(cookie));
        let (agent, facts) = known.unzip();
        Shows { device: Shown { cookie, agent }, agent: facts }
    }
}

/// What a tenant's rules are told about a user.
fn facts_of<'p>(profile: &'p Profile, time: Timestamp, settings: &Settings) -> ProfileFacts<'p> {
    if profile.is_forgotten_at(time, settings.profile_days) {
        return ProfileFacts::default();
    }
    let devices = profile.devices.0.iter().filter(|device| time < device.expiry).count();
    let last_place = profile.places.last.as_ref().map(|last| PlaceFacts {
        city: last.spot.city.as_deref(),
        country: last.spot.country.as_deref(),
        latitude: last.spot.point.latitude(),
        longitude: last.spot.point.longitude(),
        time: last.time,
    });
    ProfileFacts {
        known: true,
        last_login: profile.mark,
        devices: devices as u32,
        places: profile.places.stored.len() as u32,
        last_place,
    }
}
