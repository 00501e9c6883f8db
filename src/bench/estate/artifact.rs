//! What is told of a build: how it was made, where it is, what was found in it, what is in it.

use bytes::Bytes;

use super::super::Result;
use super::shop::{Build, DAY, MINUTE, Service, Shop, draft, time};
use crate::event::artifact::{
    ArtifactPublished, BuildFinished, SbomAttached, SbomFormat, ScanFinished, ScanKind, ScanScope, ScanStatus,
    Severities, TagRepointed,
};
use crate::event::check::Conclusion;
use crate::event::{Draft, EvidenceRef, MediaType, StreamName, U64};

/// Packages that an image holds.
pub(super) const PACKAGES: u64 = 300;

/// Packages that there are in the world.
const PACKAGES_KNOWN: u64 = 4_000;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

impl Shop {
    /// Build, publication, tag and scan, one after the other from `at` on.
    pub(super) fn artifact(
        &self,
        service: &Service,
        build: &Build,
        before: Option<&Build>,
        at: i64,
    ) -> Result<Vec<Draft>> {
        let stream = StreamName::of("artifact", &[build.digest.as_str()])?;
        let media_type: MediaType = MANIFEST.parse()?;
        let size = 40_000_000 + self.number("size", build.nth, 0) % 90_000_000;
        let config_digest = self.digest("configuration", build.nth, 0)?;
        let built = BuildFinished {
            attempt: Some(1),
            base_images: None,
            build_type: Some("https://actions.github.io/buildtypes/workflow/v1".to_owned()),
            builder: Some("https://github.com/actions/runner/github-hosted".to_owned()),
            commit: Some(build.commit.clone()),
            conclusion: Conclusion::Success,
            config_digest: Some(config_digest.clone()),
            dirty: None,
            git_ref: Some("refs/heads/main".to_owned()),
            materials_total: None,
            media_type: Some(media_type.clone()),
            name: Some(service.image.clone()),
            pipeline: Some(".github/workflows/ci.yml".to_owned()),
            platform: Some("linux/amd64".to_owned()),
            platforms: None,
            provenance: None,
            purl: None,
            recipe: Some("Dockerfile".to_owned()),
            repository: Some(service.repository.clone()),
            run: Some(build.run.clone()),
            service: Some(service.name.clone()),
            size: Some(U64(size)),
            started_at: Some(time(at - 4 * MINUTE)),
            url: None,
            version: Some(build.tag.clone()),
        };
        let published = ArtifactPublished {
            config_digest: Some(config_digest),
            index: None,
            labelled_commit: Some(build.commit.clone()),
            media_type: Some(media_type),
            name: service.image.clone(),
            platform: Some("linux/amd64".to_owned()),
            platforms: None,
            purl: None,
            run: Some(build.run.clone()),
            size: Some(U64(size)),
            tags: vec![build.tag.clone(), "main".to_owned()],
            url: None,
        };
        let repointed = TagRepointed {
            before: before.map(|before| before.digest.clone()),
            name: service.image.clone(),
            observed_between: None,
            tag: "main".to_owned(),
        };
        Ok(vec![
            draft(built, &stream, &self.pipeline, &format!("build:{}.1 {}", build.run, build.digest), at)?,
            draft(published, &stream, &self.forge, &format!("published:{}", build.digest), at + MINUTE / 6)?,
            draft(repointed, &stream, &self.registry, &format!("main@{}", build.digest), at + MINUTE / 5)?,
            self.scan(service, build, &stream, at + MINUTE)?,
        ])
    }

    fn scan(&self, service: &Service, build: &Build, stream: &StreamName, at: i64) -> Result<Draft> {
        let found = self.number("findings", build.service as u64, build.number / 8);
        let few = |shift: u32, limit: u64| u32::try_from((found >> shift) % limit).unwrap_or(0);
        let severities = Severities {
            critical: few(0, 20) / 18,
            high: few(8, 6),
            info: 0,
            low: few(16, 60),
            medium: few(24, 30),
            unknown: few(32, 3),
        };
        let open = severities.critical + severities.high + severities.low + severities.medium + severities.unknown;
        let data = ScanFinished {
            attempt: Some(1),
            commit: Some(build.commit.clone()),
            cvss_max: None,
            database_updated_at: Some(time(at - at.rem_euclid(DAY))),
            database_version: Some("2".to_owned()),
            exit_code: Some(0),
            filters: None,
            findings: Some(open),
            fixable: None,
            kind: ScanKind::Vulnerability,
            known_exploited: None,
            name: Some(format!("{}:{}", service.image, build.tag)),
            platform: Some("linux/amd64".to_owned()),
            redactions: None,
            report: None,
            report_format: None,
            repository: Some(service.repository.clone()),
            run: Some(build.run.clone()),
            scope: Some(ScanScope::Image),
            severities: Some(severities),
            started_at: Some(time(at - MINUTE / 2)),
            status: ScanStatus::Completed,
            suppressed: None,
            tool: "trivy".to_owned(),
            tool_version: Some("0.58.1".to_owned()),
            url: None,
        };
        draft(data, stream, &self.pipeline, &format!("scan:{}.1 trivy {}", build.run, build.digest), at)
    }

    /// The bill of materials of a build, with the document that it is.
    pub(super) fn sbom(&self, service: &Service, build: &Build, at: i64) -> Result<(Draft, Bytes)> {
        let document = self.document(service, build, at);
        let reference = EvidenceRef::of(CYCLONEDX.parse()?, &document);
        let data = SbomAttached {
            commit: Some(build.commit.clone()),
            components: u32::try_from(PACKAGES).unwrap_or(0),
            document: reference.blake3.clone(),
            format: SbomFormat::Cyclonedx,
            generated_at: Some(time(at - at.rem_euclid(1_000_000))),
            named_digest: Some(build.digest.clone()),
            platform: None,
            repository: Some(service.repository.clone()),
            run: Some(build.run.clone()),
            serial: Some(self.serial(build)),
            spec_version: "1.6".to_owned(),
            tool: Some("syft".to_owned()),
            tool_version: Some("1.18.0".to_owned()),
            vulnerabilities: None,
        };
        let stream = StreamName::of("artifact", &[build.digest.as_str()])?;
        let key = format!("report:{}:{}#0", reference.blake3, build.run);
        let mut draft = draft(data, &stream, &self.pipeline, &key, at)?;
        draft.evidence.push(reference);
        Ok((draft, document.into()))
    }

    fn serial(&self, build: &Build) -> String {
        let (high, low) = (self.number("serial", build.nth, 0), self.number("serial", build.nth, 1));
        let bytes = uuid::Uuid::from_u64_pair(high, low).into_bytes();
        format!("urn:uuid:{}", uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A CycloneDX document as generators write it for an image, without white space.
    fn document(&self, service: &Service, build: &Build, at: i64) -> Vec<u8> {
        let (image, digest) = (&service.image, &build.digest);
        let generated = time(at - at.rem_euclid(1_000_000));
        let mut text = format!(
            "{{\"$schema\":\"http://cyclonedx.org/schema/bom-1.6.schema.json\",\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\
             \"serialNumber\":\"{}\",\"version\":1,\"metadata\":{{\"timestamp\":\"{generated}\",\"tools\":{{\"components\":[{{\
             \"type\":\"application\",\"author\":\"anchore\",\"name\":\"syft\",\"version\":\"1.18.0\"}}]}},\"component\":{{\
             \"bom-ref\":\"{digest}\",\"type\":\"container\",\"name\":\"{image}\",\"version\":\"{digest}\"}}}},\"components\":[",
            self.serial(build)
        );
        for n in 0..PACKAGES {
            if n > 0 {
                text.push(',');
            }
            self.component(&mut text, n, service.index, build.number);
        }
        text.push_str("]}");
        text.into_bytes()
    }

    /// The first hundred packages are in every image, and two thirds are the service's own choice; each is raised now and then.
    fn component(&self, text: &mut String, n: u64, service: u64, number: u64) {
        let id = if n < 100 { n } else { 100 + (n * 13 + self.number("package", service, 0)) % (PACKAGES_KNOWN - 100) };
        let raised = (number + self.number("raised", service, id)) / 24;
        let (kind, name) = match id % 3 {
            0 => ("npm", format!("acme-part-{id}")),
            1 => ("pypi", format!("part-{id}")),
            _ => ("deb/debian", format!("libpart{id}")),
        };
        let version = format!("{}.{}.{}", 1 + id % 4, raised % 40, id % 7);
        let purl = format!("pkg:{kind}/{name}@{version}");
        text.push_str(&format!(
            "{{\"bom-ref\":\"{purl}?package-id={:016x}\",\"type\":\"library\",\"name\":\"{name}\",\"version\":\"{version}\",\
             \"licenses\":[{{\"license\":{{\"id\":\"MIT\"}}}}],\"cpe\":\"cpe:2.3:a:{name}:{name}:{version}:*:*:*:*:*:*:*\",\
             \"purl\":\"{purl}\",\"properties\":[{{\"name\":\"syft:location:0:path\",\"value\":\"/app/{name}/METADATA\"}}]}}",
            id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ));
    }
}
