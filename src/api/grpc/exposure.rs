//! `FindExposure` of `plimsoll.v1.ProvenanceService`.

use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use crate::app::Views;
use crate::event::Timestamp;
use crate::projection::package::{
    self, Exposed, Package, Period, Place, Question, Sighting, Statement, Subject, Unknown,
};
use crate::projection::{About, Basis, Error, Result as QueryResult, Snapshot, artifact, deployment};

const NEEDS: &[&About] = &[&deployment::ABOUT, &artifact::ABOUT, &package::ABOUT];

/// Where and when something ran that has a package or a vulnerability.
pub(super) async fn find(
    views: &Views,
    request: pb::FindExposureRequest,
) -> Result<Response<pb::FindExposureResponse>, Status> {
    let question = Question {
        subject: subject(&request)?,
        environment: wire::filter(&request.environment),
        service: wire::filter(&request.service),
        from: wire::instant_from_proto("from", request.from)?,
        to: wire::instant_from_proto("to", request.to)?,
    };
    let mut asked = request.asked.unwrap_or_default();
    let skipped = wire::offset(&mut asked, &request.page_token)?;
    let after = wire::continues(&mut asked, &request.unknown_page_token)?.map(<(i64, i64)>::from);
    let limit = wire::page_size(request.page_size);
    wire::ask(views, asked, NEEDS, move |snapshot, basis| {
        let found = package::exposure(snapshot, basis, &question, skipped, limit)?;
        let unknown = package::unknown(snapshot, basis, &question, &found.doubt, after, limit)?;
        Ok(pb::FindExposureResponse {
            basis: Some(wire::basis_to_proto(basis)),
            packages: purls(&found.packages),
            not_compared: purls(&found.not_compared),
            vulnerabilities: found.vulnerabilities,
            disclosed_at: found.disclosed_at.map(Into::into),
            first_seen: found.first_seen.map(sighting),
            artifacts: found.artifacts as u64,
            next_page_token: wire::next_offset(basis, &found.periods, limit, skipped),
            periods: found.periods.into_iter().map(period).collect(),
            periods_total: found.periods_total as u64,
            next_unknown_page_token: wire::next_page(basis, &unknown, limit, |it| it.place().into()),
            unknown: unknown.into_iter().map(unknown_image).collect(),
            without_images: without_images(snapshot, basis, &question)?,
            gaps: wire::gaps(
                snapshot,
                basis,
                question.from.unwrap_or(Timestamp::from_micros_clamped(i64::MIN)),
                wire::at_or_newest(basis, question.to),
            )?,
        })
    })
    .await
}

fn subject(request: &pb::FindExposureRequest) -> Result<Subject, Status> {
    let wrong = |field: &str, what: String| status::of_query(&Error::invalid(field, what));
    match (request.package.as_str(), request.vulnerability.as_str()) {
        ("", "") => Err(wrong("package", "ask about a package or about a vulnerability".to_owned())),
        (package, "") => package.parse().map(Subject::Package).map_err(|what| wrong("package", what)),
        ("", vulnerability) => Ok(Subject::Vulnerability(vulnerability.to_owned())),
        _ => Err(wrong("vulnerability", "ask about a package or about a vulnerability, not about both".to_owned())),
    }
}

fn purls(packages: &[Package]) -> Vec<String> {
    packages.iter().map(Package::purl).collect()
}

fn sighting(sighting: Sighting) -> pb::Sighting {
    pb::Sighting {
        kind: sighting.kind.as_str().to_owned(),
        tool: sighting.tool,
        at: Some(sighting.at.into()),
        recorded_at: Some(sighting.recorded_at.into()),
        position: sighting.position,
    }
}

fn period(period: Period) -> pb::ExposurePeriod {
    pb::ExposurePeriod {
        environment: period.environment,
        service: period.service,
        from: Some(period.from.into()),
        to: period.to.map(Into::into),
        end: period.end.map(|end| end.as_str().to_owned()),
        ended_by: period.ended_by,
        suppressed: period.suppressed,
        first_seen: Some(sighting(period.first_seen)),
        images: period.artifacts.into_iter().map(exposed).collect(),
        images_total: period.artifacts_total as u64,
        packages: purls(&period.packages),
    }
}

fn exposed(exposed: Exposed) -> pb::ExposedImage {
    pb::ExposedImage {
        image: Some(wire::image(exposed.image)),
        packages: purls(&exposed.packages),
        evidence: exposed.evidence.as_str().to_owned(),
        first_seen: Some(sighting(exposed.first_seen)),
        statements: exposed.statements.into_iter().map(statement).collect(),
    }
}

fn statement(statement: Statement) -> pb::VulnerabilityStatement {
    pb::VulnerabilityStatement {
        sighting: Some(sighting(statement.sighting)),
        package: statement.package.as_ref().map(Package::purl),
        severity: statement.severity.as_str().to_owned(),
        suppressed: statement.suppressed,
        fixed_in: statement.fixed_in,
    }
}

fn unknown_image(unknown: Unknown) -> pb::UnknownImage {
    let place = |place: Place| pb::UnknownPlace {
        environment: place.environment,
        service: place.service,
        from: Some(place.from.into()),
        to: place.to.map(Into::into),
    };
    pb::UnknownImage {
        image: Some(wire::image(unknown.image)),
        places: unknown.places.into_iter().map(place).collect(),
        reasons: unknown.reasons,
    }
}

fn without_images(snapshot: &Snapshot<'_>, basis: &Basis, question: &Question) -> QueryResult<Vec<pb::UnknownTarget>> {
    let targets = package::without_images(snapshot, basis, question)?;
    let target = |(environment, service)| pb::UnknownTarget { environment, service };
    Ok(targets.into_iter().map(target).collect())
}
