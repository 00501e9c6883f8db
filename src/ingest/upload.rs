//! Documents that are handed in: what a report says, and what only who hands it in knows, together make events.

use serde::Deserialize;

use super::{Events, Reason, Rejection, TagSeen, redact, validation};
use crate::event::{
    Correlation, Data, Dedup, Digest, Draft, EvidenceRef, GitOid, Hex32, Source, StreamName, Subject, Timestamp,
};
use crate::report::{Kind, Named, Report, value};

/// What only who hands a document in knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The format, where it is not to be found out.
    pub format: Option<String>,
    /// The artifact it is about.
    pub artifact: Option<Digest>,
    /// The source commit it is about.
    pub commit: Option<GitOid>,
    /// The repository of the commit: `host/path`.
    pub repository: Option<String>,
    /// What it is called: the check, the suite, the artifact.
    pub name: Option<String>,
    /// The tag in the registry that names the artifact.
    pub tag: Option<String>,
    /// Id of the pipeline run it was made in.
    pub run: Option<String>,
    /// Which attempt of the run, from 1.
    pub attempt: Option<u32>,
    /// The branch, without `refs/heads/`.
    pub branch: Option<String>,
    /// Id of the change.
    pub change: Option<String>,
    /// The environment of the target that was tried.
    pub environment: Option<String>,
    /// The service of the target that was tried.
    pub service: Option<String>,
    /// The platform it is about: `linux/amd64`.
    pub platform: Option<String>,
    /// The tool's exit code.
    pub exit_code: Option<i32>,
    /// Restrictions that the tool was run with, separated by white space: `--ignore-unfixed --severity HIGH`.
    pub filters: Option<String>,
    /// Where to look at it.
    pub url: Option<String>,
    /// When it was made, where the document does not say so itself.
    pub at: Option<Timestamp>,
    /// Who says so.
    pub source: Option<Source>,
    /// Who made it.
    pub actor: Option<Subject>,
    /// The undertaking it belongs to.
    pub correlation: Option<Correlation>,
    /// True when it is to be recorded although the document says that it is about something else.
    #[serde(default)]
    pub other_subject: bool,
}

/// Most subjects of one attestation that are recorded, each as an event of its own.
const SUBJECTS_MAX: usize = 500;

/// Events of a report. Pure.
///
/// The idempotency key is made of the document, of what it is about, and of the run or the time: the same report of the
/// same run is the same event, however often it is handed in. A document that says no time, handed in without one and
/// without a run, is another event each time: nobody can tell whether the tool ran again.
///
/// # Errors
/// [`Reason::NoSubject`], [`Reason::OtherSubject`], [`Reason::FutureTime`], or what does not fit into an event.
pub fn events(
    kind: Kind,
    about: &About,
    report: Report,
    evidence: &EvidenceRef,
    received_at: Timestamp,
) -> Result<Events, Rejection> {
    let about = &blackened(about)?;
    let occurred_at = report.generated_at.or(about.at).unwrap_or(received_at);
    value::not_ahead("generated_at", occurred_at, received_at)?;
    let repository = about.repository.as_deref().map(repository_stream).transpose()?;
    let commit = about.commit.clone().or_else(|| report.named.commit.clone());
    let streams = streams(kind, about, &report.named, repository.as_ref(), commit.as_ref())?;
    let source = source(about)?;
    let mut events = Events {
        tags: tag(about, &report.named, occurred_at).into_iter().collect(),
        // Handed in again, a document that says no time would be of another time: what was said first stands.
        repeats: report.generated_at.or(about.at).is_none(),
        ..Events::default()
    };
    for stream in streams {
        for (n, fact) in report.facts.iter().enumerate() {
            let mut fact = fact.clone();
            if kind == Kind::Validation {
                fact = validation::of(fact);
            }
            complete(&mut fact, about, &report, commit.as_ref(), repository.as_ref(), &evidence.blake3);
            if matches!(&fact, Data::ArtifactPublished(fact) if fact.name.is_empty()) {
                let what = "name the artifact with its registry: ghcr.io/acme/churn-api";
                return Err(Rejection::new(Reason::NoSubject, what).at("name"));
            }
            let dedup = dedup(kind, about, &report, &stream, &evidence.blake3, n, occurred_at)?;
            let mut draft = Draft::new(fact, stream.clone(), source.clone(), dedup, occurred_at);
            draft.actor.clone_from(&about.actor);
            draft.correlation.clone_from(&about.correlation);
            draft.evidence = vec![evidence.clone()];
            events.drafts.push(draft);
        }
    }
    Ok(events)
}

/// Who says what a document says: whoever is named, else the report itself.
///
/// # Errors
/// None in practice.
pub fn source(about: &About) -> Result<Source, Rejection> {
    Ok(about.source.clone().map_or_else(|| "report".parse(), Ok)?)
}

/// The tag that is given, or that a report was made by, where it names one and the digest it led to.
fn tag(about: &About, named: &Named, at: Timestamp) -> Option<TagSeen> {
    let [digest] = &named.digests[..] else { return None };
    if let (Some(name), Some(tag)) = (&about.name, &about.tag) {
        return Some(TagSeen { name: name.clone(), tag: tag.clone(), digest: digest.clone(), at });
    }
    let name = named.name.as_deref()?.split('@').next()?;
    let (name, tag) = name.rsplit_once(':')?;
    let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    // Without a registry it may be a name that only the scanner's machine knows.
    let host = name.split_once('/').map_or("", |(host, _)| host);
    let is_image = host.contains(['.', ':']) || host == "localhost";
    (is_tag && is_image).then(|| TagSeen { name: name.to_owned(), tag: tag.to_owned(), digest: digest.clone(), at })
}

/// The stream of a repository named `host/path`.
///
/// # Errors
/// [`Reason::BadField`].
pub fn repository_stream(name: &str) -> Result<StreamName, Rejection> {
    let wrong = || Rejection::new(Reason::BadField, format!("{name:?} is not HOST/PATH")).at("repository");
    let (host, path) = name.split_once('/').ok_or_else(wrong)?;
    StreamName::of("repo", &[host, path]).map_err(|_why| wrong())
}

/// Where the events belong: to the artifacts, or to the repository of the commit.
fn streams(
    kind: Kind,
    about: &About,
    named: &Named,
    repository: Option<&StreamName>,
    commit: Option<&GitOid>,
) -> Result<Vec<StreamName>, Rejection> {
    if kind == Kind::Validation {
        return target(about).map(|stream| vec![stream]);
    }
    let of_source = matches!(kind, Kind::Check | Kind::Tests | Kind::Coverage);
    if let (true, Some(given)) = (!about.other_subject && !named.digests.is_empty(), &about.artifact)
        && !named.digests.contains(given)
    {
        let said: Vec<_> = named.digests.iter().take(3).map(Digest::as_str).collect();
        let what = format!("the document is about {}, not about {given}", said.join(", "));
        return Err(Rejection::new(Reason::OtherSubject, what).at("artifact"));
    }
    if let (false, Some(given), Some(said)) = (about.other_subject, &about.commit, &named.commit)
        && given != said
    {
        let what = format!("the document is about commit {said}, not about {given}");
        return Err(Rejection::new(Reason::OtherSubject, what).at("commit"));
    }
    if !of_source {
        let digests: Vec<Digest> = match &about.artifact {
            Some(digest) => vec![digest.clone()],
            // Whoever names a commit means it, whatever image the report happens to name as well.
            None if about.commit.is_some() && repository.is_some() => Vec::new(),
            None => named.digests.clone(),
        };
        if digests.len() > SUBJECTS_MAX {
            let what = format!("the document is about {} artifacts: name the one that is meant", digests.len());
            return Err(Rejection::new(Reason::NoSubject, what).at("artifact"));
        }
        if !digests.is_empty() {
            return digests.iter().map(|digest| Ok(StreamName::of("artifact", &[digest.as_str()])?)).collect();
        }
    }
    match (repository, commit) {
        (Some(repository), Some(_)) => Ok(vec![repository.clone()]),
        (None, Some(_)) => Err(Rejection::new(Reason::NoSubject, "name the repository of the commit").at("repository")),
        (_, None) if of_source => Err(Rejection::new(Reason::NoSubject, "name the commit it is about").at("commit")),
        (_, None) => Err(Rejection::new(
            Reason::NoSubject,
            "the document names no digest: name the artifact, or commit and repository, that it is about",
        )
        .at("artifact")),
    }
}

/// The target that was tried.
fn target(about: &About) -> Result<StreamName, Rejection> {
    let named = |field: &'static str, name: &Option<String>| {
        let missing = || Rejection::new(Reason::NoSubject, "name environment and service of what was tried").at(field);
        name.clone().filter(|name| !name.is_empty() && !name.contains('/')).ok_or_else(missing)
    };
    let (environment, service) = (named("environment", &about.environment)?, named("service", &about.service)?);
    Ok(StreamName::of("target", &[&environment, &service])?)
}

/// What is said of a document may hold a secret as well, and stands in an event that cannot be erased: texts are blackened,
/// and a URL loses its user.
fn blackened(about: &About) -> Result<About, Rejection> {
    let clean = |text: &Option<String>| {
        text.as_ref().map(|text| {
            let mut bytes = text.clone().into_bytes();
            redact::redact(&mut bytes, &[]);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let tag = about.tag.as_deref();
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(Rejection::new(Reason::BadField, "no tag of a registry: 1 to 128 of A-Z a-z 0-9 . _ -").at("tag"));
    }
    let bounded = |field: &'static str, text: &Option<String>| match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => {
            let what = format!("{} bytes, and at most {TEXT_BYTES_MAX} are taken", text.len());
            Err(Rejection::new(Reason::BadField, what).at(field))
        }
        _ => Ok(()),
    };
    for (field, text) in [
        ("name", &about.name),
        ("run", &about.run),
        ("branch", &about.branch),
        ("change", &about.change),
        ("platform", &about.platform),
        ("filters", &about.filters),
        ("url", &about.url),
    ] {
        bounded(field, text)?;
    }
    let url = about.url.as_deref().map(super::git::without_password);
    let filters = clean(&about.filters).map(|flags| without_values(&flags));
    Ok(About { filters, name: clean(&about.name), url: clean(&url), ..about.clone() })
}

/// Flags of a tool, without the values of those that take who asks and what opens.
fn without_values(flags: &str) -> String {
    let opens = |flag: &str| {
        let flag = flag.to_ascii_lowercase();
        flag.starts_with('-')
            && ["password", "token", "secret", "key", "user", "username"].iter().any(|end| flag.ends_with(end))
    };
    let mut value_follows = false;
    let words = flags.split_whitespace().map(|word| {
        let black = std::mem::replace(&mut value_follows, opens(word));
        if black { "*".repeat(word.len()) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Longest text that is said of a document. Seven of them fit into an event.
const TEXT_BYTES_MAX: usize = 2048;

fn dedup(
    kind: Kind,
    about: &About,
    report: &Report,
    stream: &StreamName,
    document: &Hex32,
    n: usize,
    occurred_at: Timestamp,
) -> Result<Dedup, Rejection> {
    let when = match (&about.run, about.attempt) {
        (Some(run), attempt) => format!("run {run}.{}", attempt.unwrap_or(1)),
        (None, _) if report.generated_at.is_some() => "as it says".to_owned(),
        (None, _) => occurred_at.to_string(),
    };
    // The clean output of two tools is often the same: what it was taken for, and is said to be about, is part of the key.
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let commit = about.commit.as_ref().map(ToString::to_string).unwrap_or_default();
    let key = format!(
        "{kind} {} {stream} {commit}\n{}\n{}\n{}\n{}\n{when}",
        report.format,
        text(&about.platform),
        text(&about.name),
        text(&about.branch),
        text(&about.change),
    );
    let key = blake3::hash(key.as_bytes()).to_hex();
    Ok(format!("report:{document}:{}#{n}", key.get(..16).unwrap_or_default()).parse::<Dedup>()?)
}

/// Puts what was given where the document is silent.
fn complete(
    fact: &mut Data,
    about: &About,
    report: &Report,
    commit: Option<&GitOid>,
    repository: Option<&StreamName>,
    document: &Hex32,
) {
    /// Fills fields that are empty.
    macro_rules! fill {
        ($fact:expr; $($field:ident = $value:expr),* $(,)?) => {{ $( $fact.$field = $fact.$field.take().or_else(|| $value); )* }};
    }
    let filters =
        || about.filters.as_deref().map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    match fact {
        Data::ScanFinished(fact) => fill!(fact;
            attempt = about.attempt, commit = commit.cloned(), repository = repository.cloned(), run = about.run.clone(),
            exit_code = about.exit_code, filters = filters(), platform = about.platform.clone(), url = about.url.clone(),
            name = about.name.clone().or_else(|| report.named.name.clone()), report = Some(document.clone()),
            report_format = Some(report.format.clone()),
        ),
        Data::SbomAttached(fact) => fill!(fact;
            commit = commit.cloned(), repository = repository.cloned(), run = about.run.clone(),
            platform = about.platform.clone(), named_digest = report.named.digests.first().cloned(),
        ),
        Data::AttestationAttached(fact) => fill!(fact;
            commit = commit.cloned(), repository = repository.cloned(), run = about.run.clone(),
        ),
        Data::CheckFinished(fact) => {
            fill!(fact;
                artifact = about.artifact.clone(), attempt = about.attempt, branch = about.branch.clone(),
                change = about.change.clone(), commit = commit.cloned(), exit_code = about.exit_code,
                report = Some(document.clone()), run = about.run.clone(), url = about.url.clone(),
            );
            if let Some(name) = &about.name {
                fact.name.clone_from(name);
            }
        }
        Data::TestsuiteFinished(fact) => {
            fill!(fact;
                artifact = about.artifact.clone(), attempt = about.attempt, branch = about.branch.clone(),
                change = about.change.clone(), commit = commit.cloned(), exit_code = about.exit_code,
                report = Some(document.clone()), run = about.run.clone(), url = about.url.clone(),
            );
            if let Some(name) = &about.name {
                fact.suite.clone_from(name);
            }
        }
        Data::ArtifactPublished(fact) => {
            fill!(fact; run = about.run.clone(), url = about.url.clone(), platform = about.platform.clone());
            if let Some(name) = &about.name {
                fact.name.clone_from(name);
            }
            fact.tags.extend(about.tag.clone());
        }
        Data::ValidationFinished(fact) => {
            fill!(fact;
                artifacts = about.artifact.clone().map(|digest| vec![digest]), commit = commit.cloned(),
                report = Some(document.clone()), run = about.run.clone(), url = about.url.clone(),
            );
            if let Some(name) = &about.name {
                fact.name.clone_from(name);
            }
        }
        _ => {}
    }
}
