//! `plimsoll.v1.MetricsService`.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono_tz::Tz;
use tonic::{Request, Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use super::Answers;
use crate::app::Views;
use crate::event::Timestamp;
use crate::projection::deployment::{self, Target, Tier};
use crate::projection::dora::{self, Bucket, Durations, Figure, Figures, LeadFrom, Material, Question, Selection};
use crate::projection::{self, Basis, Error, Result as QueryResult, Snapshot, instant};

/// The service over the views of one ledger.
#[derive(Clone)]
pub struct MetricsApi {
    views: Views,
}

/// What figures are made of.
const NEEDS: &[&projection::About] = &[
    &dora::ABOUT,
    &deployment::ABOUT,
    &projection::incident::ABOUT,
    &projection::source::ABOUT,
    &projection::artifact::ABOUT,
];

impl MetricsApi {
    /// The service over `views`.
    #[must_use]
    pub fn new(views: Views) -> Self {
        Self { views }
    }
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The window where none is given, in days.
const DAYS: i64 = 90;

/// After so many days late facts hardly move figures (DORA.md, 2.0).
const SETTLED_DAYS: i64 = 7;

/// More parts than this are too many for one answer.
const SLICES_MAX: usize = dora::BUCKETS_MAX - 1;

/// A question, read.
struct Asked {
    selection: Selection,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// How long the window is where its beginning is not given, in microseconds.
    last: i64,
    zone: Tz,
    lead_from: LeadFrom,
    automation: Vec<String>,
    inferred_within: Option<i64>,
}

fn invalid(field: &str, what: impl Into<String>) -> Status {
    status::of_query(&Error::invalid(field, what))
}

/// One of some words.
fn word<T: Copy>(field: &str, text: &str, words: &[(&str, T)]) -> Result<T, Status> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
        invalid(field, format!("{text:?} is none of {}", words.join(", ")))
    })
}

impl Asked {
    fn read(question: pb::DoraQuestion) -> Result<Self, Status> {
        let tiers = [Tier::Production, Tier::Staging, Tier::Testing, Tier::Development, Tier::Other];
        let mut words: Vec<(&str, Option<Tier>)> = tiers.iter().map(|tier| (tier.as_str(), Some(*tier))).collect();
        words.push(("", None));
        let lead_from = [
            ("", LeadFrom::Author),
            ("author", LeadFrom::Author),
            ("merge", LeadFrom::Merge),
            ("first_commit", LeadFrom::FirstCommit),
        ];
        let zone = if question.zone.is_empty() { "UTC" } else { &question.zone };
        let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND);
        let asked = Self {
            from: wire::instant_from_proto("from", question.from)?,
            to: wire::instant_from_proto("to", question.to)?,
            last: question.last_seconds.map_or(DAYS * DAY, micros),
            zone: zone.parse().map_err(|_unknown| invalid("zone", format!("{zone:?} is no IANA time zone")))?,
            lead_from: word("lead_time_from", &question.lead_time_from, &lead_from)?,
            inferred_within: question.inferred_within_seconds.map(micros),
            automation: question.automation,
            selection: Selection {
                services: question.services,
                environments: question.environments,
                tier: word("tier", &question.tier, &words)?,
            },
        };
        if asked.from.zip(asked.to).is_some_and(|(from, to)| from >= to) {
            return Err(invalid("to", "the window ends before it begins"));
        }
        Ok(asked)
    }

    /// The window: up to the last event that the answer makes use of, where no end is given.
    fn window(&self, basis: &Basis) -> QueryResult<Range<i64>> {
        let newest = basis.recorded_at.map_or(0, Timestamp::micros).saturating_add(1);
        let end = self.to.map_or(newest, Timestamp::micros);
        let earliest = Timestamp::from_micros_clamped(i64::MIN).micros();
        let start = self.from.map_or(end.saturating_sub(self.last).max(earliest), Timestamp::micros);
        if start >= end {
            return Err(Error::invalid("from", "the window ends before it begins"));
        }
        Ok(start..end)
    }

    fn gather(&self, snapshot: &Snapshot<'_>, basis: &Basis) -> QueryResult<Material> {
        let mut automation = BTreeSet::new();
        for author in &self.automation {
            let known = if author.starts_with("sbj_") { Some(author.clone()) } else { snapshot.pseudonym(author)? };
            automation.insert(known.ok_or_else(|| Error::NotFound(format!("author {author}")))?);
        }
        let question = Question {
            window: self.window(basis)?,
            lead_from: self.lead_from,
            automation,
            inferred_within: self.inferred_within,
        };
        let targets = dora::select(snapshot, basis, &self.selection)?;
        let everything = self.selection.services.is_empty() && self.selection.environments.is_empty();
        dora::gather(snapshot, basis, targets, &question, everything)
    }
}

#[tonic::async_trait]
impl pb::metrics_service_server::MetricsService for MetricsApi {
    async fn get_dora(&self, request: Request<pb::GetDoraRequest>) -> Result<Response<pb::GetDoraResponse>, Status> {
        let request = request.into_inner();
        let asked = Asked::read(request.question.unwrap_or_default())?;
        let words =
            [("", None), ("day", Some(Bucket::Day)), ("week", Some(Bucket::Week)), ("month", Some(Bucket::Month))];
        let bucket = word("by", &request.by, &words)?;
        for group in &request.group_by {
            word("group_by", group, &[("service", ()), ("environment", ())])?;
        }
        let has = |group: &str| request.group_by.iter().any(|asked| asked == group);
        let groups = (has("service"), has("environment"));
        wire::ask(&self.views, request.asked.unwrap_or_default(), NEEDS, move |snapshot, basis| {
            let material = asked.gather(snapshot, basis)?;
            answer(snapshot, basis, &asked, &material, groups, bucket)
        })
        .await
    }

    type ExportMetricsStream = Answers<pb::ExportMetricsResponse>;

    async fn export_metrics(
        &self,
        request: Request<pb::ExportMetricsRequest>,
    ) -> Result<Response<Self::ExportMetricsStream>, Status> {
        super::export::export(&self.views, request.into_inner())
    }

    async fn explain_dora(
        &self,
        request: Request<pb::ExplainDoraRequest>,
    ) -> Result<Response<pb::ExplainDoraResponse>, Status> {
        let request = request.into_inner();
        let question = Asked::read(request.question.unwrap_or_default())?;
        let words = Figure::ALL.map(|figure| (figure.as_str(), figure));
        let figure = word("figure", &request.figure, &words)?;
        let mut asked = request.asked.unwrap_or_default();
        let skip = wire::offset(&mut asked, &request.page_token)?;
        let limit = wire::page_size(request.page_size);
        wire::ask(&self.views, asked, NEEDS, move |snapshot, basis| {
            let material = question.gather(snapshot, basis)?;
            let found = dora::explain(snapshot, basis, &material, figure, request.all, (skip, limit))?;
            let next_page_token = wire::next_offset(basis, &found, limit, skip);
            let items: QueryResult<_> =
                found.into_iter().map(|item| item_to_proto(snapshot, &material, item)).collect();
            Ok(pb::ExplainDoraResponse {
                basis: Some(wire::basis_to_proto(basis)),
                from: Some(instant(material.window.start).into()),
                to: Some(instant(material.window.end).into()),
                figure: figure.as_str().to_owned(),
                items: items?,
                next_page_token,
            })
        })
        .await
    }
}

fn answer(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    asked: &Asked,
    material: &Material,
    groups: (bool, bool),
    bucket: Option<Bucket>,
) -> QueryResult<pb::GetDoraResponse> {
    let window = &material.window;
    let now = basis.recorded_at.map_or(window.end, Timestamp::micros);
    let whole = figures_to_proto(&dora::figures(material, window, asked.zone), now);
    let (from, to) = (instant(window.start), instant(window.end));
    Ok(pb::GetDoraResponse {
        basis: Some(wire::basis_to_proto(basis)),
        from: Some(from.into()),
        to: Some(to.into()),
        zone: asked.zone.name().to_owned(),
        as_of: basis.recorded_at.map(Into::into),
        settled: window.end <= now.saturating_sub(SETTLED_DAYS * DAY),
        targets: u32::try_from(material.targets.len()).unwrap_or(u32::MAX),
        deployment_frequency: whole.deployment_frequency,
        change_lead_time: whole.change_lead_time,
        change_failure_rate: whole.change_failure_rate,
        failed_deployment_recovery_time: whole.failed_deployment_recovery_time,
        deployment_rework_rate: whole.deployment_rework_rate,
        mttr: whole.mttr,
        slices: slices(material, asked.zone, groups, bucket, now)?,
        gaps: wire::gaps(snapshot, basis, from, to)?,
    })
}

/// The figures of each group in each part of the window.
fn slices(
    material: &Material,
    zone: Tz,
    (by_service, by_environment): (bool, bool),
    bucket: Option<Bucket>,
    now: i64,
) -> QueryResult<Vec<pb::DoraSlice>> {
    if !by_service && !by_environment && bucket.is_none() {
        return Ok(Vec::new());
    }
    let key = |target: &Target| {
        let service = by_service.then(|| target.service.clone());
        (service, by_environment.then(|| target.environment.clone()))
    };
    let groups = material.split(key);
    let parts = match bucket {
        Some(bucket) => dora::buckets(&material.window, bucket, zone),
        None => vec![material.window.clone()],
    };
    if groups.len().saturating_mul(parts.len()) > SLICES_MAX {
        let what = format!("{} groups in {} parts are more than {SLICES_MAX}", groups.len(), parts.len());
        return Err(Error::invalid("by", what));
    }
    let mut slices = Vec::with_capacity(groups.len() * parts.len());
    for ((service, environment), own) in groups {
        for part in &parts {
            slices.push(pb::DoraSlice {
                service: service.clone(),
                environment: environment.clone(),
                from: Some(instant(part.start).into()),
                to: Some(instant(part.end).into()),
                ..figures_to_proto(&dora::figures(&own, part, zone), now)
            });
        }
    }
    Ok(slices)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of deployments are small")]
fn ratio(part: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| part as f64 / n as f64)
}

/// How many are open, and since how long the oldest.
fn open(open: &[i64], now: i64) -> (u64, Option<i64>) {
    let age = open.first().map(|oldest| now.saturating_sub(*oldest).max(0) / SECOND);
    (u64::try_from(open.len()).unwrap_or(u64::MAX), age)
}

fn excluded(by_reason: &std::collections::BTreeMap<&'static str, u64>) -> std::collections::BTreeMap<String, u64> {
    by_reason.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect()
}

/// The figures alone; where and when they are of is not in them. Ages count to `now`.
#[expect(clippy::cast_precision_loss, reason = "numbers of deployments are small")]
fn figures_to_proto(figures: &Figures, now: i64) -> pb::DoraSlice {
    let Figures { frequency, lead_time, failure_rate, recovery, rework, restore } = figures;
    let of = |times: &Durations, percent| times.quantile(percent);
    let (recovering, recovering_for) = open(&recovery.open, now);
    let (lasting, lasting_for) = open(&restore.open, now);
    let (others, failed_others) = failure_rate.without_rollbacks;
    let inferred = failure_rate.inferred.map(|inferred| inferred.failed);
    pb::DoraSlice {
        deployment_frequency: Some(pb::DeploymentFrequency {
            n: frequency.n,
            per_day: frequency.n.map(|n| n as f64 / frequency.days),
            deployment_days: frequency.n.map(|_| frequency.deployment_days),
            median_days_per_week: frequency.median_days_per_week,
            median_gap_seconds: of(&frequency.gaps, 50),
            redeploys: frequency.redeploys,
            without_effect: frequency.without_effect,
        }),
        change_lead_time: Some(pb::ChangeLeadTime {
            n: lead_time.times.n(),
            p50_seconds: of(&lead_time.times, 50),
            p75_seconds: of(&lead_time.times, 75),
            p90_seconds: of(&lead_time.times, 90),
            p95_seconds: of(&lead_time.times, 95),
            mean_seconds: lead_time.times.mean(),
            excluded: excluded(&lead_time.excluded),
        }),
        change_failure_rate: Some(pb::ChangeFailureRate {
            n: failure_rate.n,
            failed: failure_rate.failed,
            ratio: ratio(failure_rate.failed, failure_rate.n),
            by_incident: failure_rate.links.incident,
            by_remediation: failure_rate.links.remediation,
            by_rollback: failure_rate.links.rollback,
            not_healthy: failure_rate.links.unfinished,
            n_excl_rollback: others,
            failed_excl_rollback: failed_others,
            ratio_excl_rollback: ratio(failed_others, others),
            inferred_failed: inferred,
            inferred_ratio: inferred.and_then(|failed| ratio(failed, failure_rate.n)),
        }),
        failed_deployment_recovery_time: Some(pb::FailedDeploymentRecoveryTime {
            n: recovery.times.n(),
            p50_seconds: of(&recovery.times, 50),
            p90_seconds: of(&recovery.times, 90),
            mean_seconds: recovery.times.mean(),
            open: recovering,
            oldest_open_seconds: recovering_for,
        }),
        deployment_rework_rate: Some(pb::DeploymentReworkRate {
            n: rework.n,
            rework: rework.rework,
            ratio: ratio(rework.rework, rework.n),
        }),
        mttr: Some(pb::Mttr {
            n: restore.times.n(),
            mean_seconds: restore.times.mean(),
            p50_seconds: of(&restore.times, 50),
            p90_seconds: of(&restore.times, 90),
            open: lasting,
            oldest_open_seconds: lasting_for,
            excluded: excluded(&restore.excluded),
        }),
        ..pb::DoraSlice::default()
    }
}

fn item_to_proto(snapshot: &Snapshot<'_>, material: &Material, item: dora::Item) -> QueryResult<pb::DoraItem> {
    let named = |n: &usize| material.targets.get(*n).map(|it| format!("{}/{}", it.environment, it.service));
    let mut found = pb::DoraItem {
        targets: item.targets.iter().filter_map(named).collect(),
        at: item.at.map(|at| instant(at).into()),
        began_at: item.began_at.map(|at| instant(at).into()),
        seconds: item.seconds,
        counts: item.counts,
        excluded: item.excluded.map(str::to_owned),
        ..pb::DoraItem::default()
    };
    match item.about {
        dora::ItemAbout::Deployment(id) => found.deployment = Some(id),
        dora::ItemAbout::Change { commit, author, deployment } => {
            found.commit = Some(wire::revision(commit));
            found.author = wire::person(snapshot, author)?;
            found.deployment = Some(deployment);
        }
        dora::ItemAbout::Incident(stream) => found.incident = Some(stream),
    }
    found.why = item
        .why
        .into_iter()
        .map(|why| pb::DoraReason { link: why.link.to_owned(), of: why.of, position: why.position })
        .collect();
    Ok(found)
}
