//! What the predicates of attestations say: of a build where they are SLSA provenance (0.1, 0.2, 1.0, 1.1), else when they
//! were made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bom::NAME_MAX;
use super::loose::{List, Object, Text, object};
use super::{Rejection, value};
use crate::event::{GitOid, StreamName, Timestamp};

/// What a statement says of a build, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) build_type: Option<String>,
    pub(super) builder: Option<String>,
    pub(super) commit: Option<GitOid>,
    pub(super) git_ref: Option<String>,
    pub(super) repository: Option<StreamName>,
    pub(super) run: Option<String>,
    pub(super) issued_at: Option<Timestamp>,
}

/// Predicate type of cosign's scans.
pub(super) const COSIGN_VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

impl Claims {
    /// Of a predicate of that type. Of one that is not known here, none.
    ///
    /// # Errors
    /// [`Reason::BadField`](super::Reason::BadField) when it is no object, or has a member twice.
    pub(super) fn of(predicate_type: &str, predicate: &RawValue) -> Result<Self, Rejection> {
        let bare = predicate_type.trim_start_matches("https://");
        let time_of = |member: &[&str]| -> Result<Self, Rejection> {
            Ok(Self { issued_at: time(&parse(predicate)?, member), ..Self::default() })
        };
        if bare.starts_with("slsa.dev/provenance/") {
            return Ok(parse::<Provenance<'_>>(predicate)?.claims());
        }
        if bare.starts_with("cosign.sigstore.dev/attestation/vuln") || bare.starts_with("in-toto.io/attestation/vulns")
        {
            let scan = parse::<Scan<'_>>(predicate)?.metadata.0;
            let at = scan.and_then(|scan| scan.finished.get().or(scan.started.get()).and_then(value::zoned_time));
            return Ok(Self { issued_at: at, ..Self::default() });
        }
        if bare.starts_with("cosign.sigstore.dev/attestation/") {
            return time_of(&["Timestamp"]);
        }
        if bare.starts_with("openvex.dev/ns") {
            return time_of(&["last_updated", "timestamp"]);
        }
        if bare.starts_with("slsa.dev/verification_summary/") {
            return time_of(&["timeVerified"]);
        }
        Ok(Self::default())
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, Rejection> {
    object(json.get())
}

fn time(object: &BTreeMap<Cow<'_, str>, Text<'_>>, members: &[&str]) -> Option<Timestamp> {
    members.iter().find_map(|member| object.get(*member)?.get().and_then(value::zoned_time))
}

#[derive(Deserialize)]
struct Scan<'a> {
    #[serde(default, borrow)]
    metadata: Object<ScanMetadata<'a>>,
}

#[derive(Deserialize)]
struct ScanMetadata<'a> {
    #[serde(default, borrow, rename = "scanStartedOn")]
    started: Text<'a>,
    #[serde(default, borrow, rename = "scanFinishedOn")]
    finished: Text<'a>,
}

/// Provenance of any version: each has its own members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provenance<'a> {
    // 1.0 and 1.1.
    #[serde(default, borrow)]
    build_definition: Object<BuildDefinition<'a>>,
    #[serde(default, borrow)]
    run_details: Object<RunDetails<'a>>,
    // 0.1 and 0.2.
    #[serde(default, borrow)]
    builder: Object<Builder<'a>>,
    #[serde(default, borrow)]
    metadata: Object<Metadata<'a>>,
    #[serde(default, borrow)]
    materials: Resources<'a>,
    // 0.2.
    #[serde(default, borrow)]
    build_type: Text<'a>,
    #[serde(default, borrow)]
    invocation: Object<Invocation<'a>>,
    // 0.1.
    #[serde(default, borrow)]
    recipe: Object<Recipe<'a>>,
}

/// A build may take in thousands of things; the statement is in memory anyway.
type Resources<'a> = List<Object<Resource<'a>>, { usize::MAX }>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    #[serde(default, borrow)]
    build_type: Text<'a>,
    #[serde(default, borrow)]
    external_parameters: Object<External<'a>>,
    #[serde(default, borrow)]
    resolved_dependencies: Resources<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct External<'a> {
    #[serde(default, borrow)]
    workflow: Object<Workflow<'a>>,
    /// Where a build service has its sources from; that of `docker buildx` is the second.
    #[serde(default, borrow)]
    source: Object<Resource<'a>>,
    #[serde(default, borrow)]
    config_source: Object<Resource<'a>>,
}

#[derive(Deserialize)]
struct Workflow<'a> {
    #[serde(default, borrow, rename = "ref")]
    git_ref: Text<'a>,
    #[serde(default, borrow)]
    repository: Text<'a>,
}

#[derive(Deserialize)]
struct RunDetails<'a> {
    #[serde(default, borrow)]
    builder: Object<Builder<'a>>,
    #[serde(default, borrow)]
    metadata: Object<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Builder<'a> {
    #[serde(default, borrow)]
    id: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(default, borrow)]
    invocation_id: Text<'a>,
    #[serde(default, borrow)]
    build_invocation_id: Text<'a>,
    /// As Azure writes it.
    #[serde(default, borrow, rename = "buildInvocationID")]
    build_invocation_id_azure: Text<'a>,
    #[serde(default, borrow)]
    started_on: Text<'a>,
    #[serde(default, borrow)]
    finished_on: Text<'a>,
    #[serde(default, borrow)]
    build_started_on: Text<'a>,
    #[serde(default, borrow)]
    build_finished_on: Text<'a>,
    #[serde(default, borrow, rename = "https://mobyproject.org/buildkit@v1#metadata")]
    buildkit_0: Object<BuildKit<'a>>,
    #[serde(default, borrow, rename = "buildkit_metadata")]
    buildkit_1: Object<BuildKit<'a>>,
}

/// What `docker buildx` adds: for a build from a local directory it alone knows the commit.
#[derive(Deserialize)]
struct BuildKit<'a> {
    #[serde(default, borrow)]
    vcs: Object<Vcs<'a>>,
}

#[derive(Deserialize)]
struct Vcs<'a> {
    #[serde(default, borrow)]
    source: Text<'a>,
    #[serde(default, borrow)]
    revision: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    #[serde(default, borrow)]
    config_source: Object<Resource<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipe<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Text<'a>,
    /// Index into the materials.
    #[serde(default, borrow)]
    defined_in_material: Text<'a>,
}

/// Something that is named by address and digests.
#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(default, borrow)]
    uri: Text<'a>,
    #[serde(default, borrow)]
    digest: Object<BTreeMap<Cow<'a, str>, Text<'a>>>,
}

/// Where sources come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Origin {
    commit: Option<GitOid>,
    repository: Option<StreamName>,
    git_ref: Option<String>,
}

impl Resource<'_> {
    /// A commit stands under `gitCommit` or `sha1`, and in real statements also under `sha256`: the digits tell. A `sha1`
    /// of what is not known to be a repository may be that of a file.
    fn origin(&self, known: bool) -> Option<Origin> {
        let digests = self.digest.0.as_ref()?;
        let uri = self.uri.get().unwrap_or_default();
        let git = known || is_git(uri);
        let commit = digests.iter().find_map(|(algorithm, digits)| {
            let oid = digits.get()?.to_ascii_lowercase().parse::<GitOid>().ok()?;
            let short = oid.as_str().len() == 40;
            match &**algorithm {
                "gitCommit" | "commit" => Some(oid),
                "sha1" => (git && short).then_some(oid),
                "sha256" => short.then_some(oid),
                _ => None,
            }
        })?;
        let (repository, git_ref) = address(uri);
        Some(Origin { commit: Some(commit), repository, git_ref })
    }
}

/// The sources among many things: the one repository that commits are from. With several, nobody can tell.
fn only(resources: &Resources<'_>) -> Option<Origin> {
    let mut origins = resources.0.iter().filter_map(|resource| resource.0.as_ref()?.origin(false));
    let first = origins.next()?;
    origins.all(|other| other.commit == first.commit).then_some(first)
}

impl Provenance<'_> {
    fn claims(&self) -> Claims {
        let definition = self.build_definition.0.as_ref();
        let details = self.run_details.0.as_ref();
        let metadata = details.and_then(|details| details.metadata.0.as_ref()).or(self.metadata.0.as_ref());
        let builder = details.and_then(|details| details.builder.0.as_ref()).or(self.builder.0.as_ref());
        let recipe = self.recipe.0.as_ref();
        let build_type = definition.and_then(|definition| definition.build_type.get());
        let build_type = build_type.or(self.build_type.get()).or(recipe.and_then(|recipe| recipe.kind.get()));
        let origin = self.origin(metadata).unwrap_or_default();
        let first = |texts: [Option<&str>; 3]| texts.into_iter().flatten().next().map(str::to_owned);
        let run = metadata.and_then(|it| {
            first([it.invocation_id.get(), it.build_invocation_id.get(), it.build_invocation_id_azure.get()])
        });
        let finished = metadata.and_then(|it| first([it.finished_on.get(), it.build_finished_on.get(), None]));
        let started = metadata.and_then(|it| first([it.started_on.get(), it.build_started_on.get(), None]));
        let time = |text: Option<String>| text.and_then(|text| value::zoned_time(&text));
        Claims {
            build_type: build_type.map(public),
            builder: builder.and_then(|builder| builder.id.get()).map(public),
            commit: origin.commit,
            git_ref: origin.git_ref,
            repository: origin.repository,
            run: run.as_deref().map(public),
            issued_at: time(finished).or_else(|| time(started)),
        }
    }

    fn origin(&self, metadata: Option<&Metadata<'_>>) -> Option<Origin> {
        if let Some(definition) = &self.build_definition.0 {
            let external = definition.external_parameters.0.as_ref();
            let workflow = external.and_then(|external| external.workflow.0.as_ref());
            let direct = external.and_then(|external| external.source.0.as_ref()?.origin(true));
            let direct =
                direct.or_else(|| external.and_then(|external| external.config_source.0.as_ref()?.origin(true)));
            let repository = workflow.and_then(|workflow| workflow.repository.get().and_then(|uri| address(uri).0));
            let resources = definition.resolved_dependencies.0.iter().filter_map(|it| it.0.as_ref()?.origin(false));
            let of_workflow = resources.filter(|it| repository.is_some() && it.repository == repository);
            let mut origin = direct.or_else(|| of_workflow.into_iter().next());
            origin = origin.or_else(|| only(&definition.resolved_dependencies)).or_else(|| vcs(metadata));
            let git_ref = workflow.and_then(|workflow| workflow.git_ref.get()).filter(|text| text.starts_with("refs/"));
            if let (Some(origin), Some(git_ref)) = (&mut origin, git_ref) {
                origin.git_ref = Some(value::cut(git_ref, NAME_MAX));
            }
            return origin.or_else(|| {
                let git_ref = git_ref.map(|git_ref| value::cut(git_ref, NAME_MAX));
                workflow.map(|_| Origin { commit: None, repository, git_ref })
            });
        }
        let config =
            self.invocation.0.as_ref().and_then(|invocation| invocation.config_source.0.as_ref()?.origin(true));
        let recipe = self.recipe.0.as_ref().and_then(|recipe| recipe.defined_in_material.get()?.parse::<usize>().ok());
        let recipe = recipe.and_then(|n| self.materials.0.get(n)?.0.as_ref()?.origin(true));
        config.or(recipe).or_else(|| only(&self.materials)).or_else(|| vcs(metadata))
    }
}

/// What `docker buildx` says of the directory that it built. A revision with changes on top (`-dirty`) is no commit.
fn vcs(metadata: Option<&Metadata<'_>>) -> Option<Origin> {
    let metadata = metadata?;
    let kit = metadata.buildkit_0.0.as_ref().or(metadata.buildkit_1.0.as_ref())?;
    let vcs = kit.vcs.0.as_ref()?;
    let commit = vcs.revision.get()?.to_ascii_lowercase().parse().ok()?;
    let (repository, git_ref) = vcs.source.get().map(address).unwrap_or_default();
    Some(Origin { commit: Some(commit), repository, git_ref })
}

/// Whether an address is that of a git repository, whatever is fetched from it.
fn is_git(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    uri.starts_with("git+")
        || uri.starts_with("git://")
        || uri.starts_with("git@")
        || path.ends_with(".git")
        || path.contains(".git@")
        || path.contains("/_git/")
}

/// Stream of the repository at an address, and the ref that stands behind `@` or `#`.
fn address(uri: &str) -> (Option<StreamName>, Option<String>) {
    let uri = uri.strip_prefix("git+").unwrap_or(uri);
    let (host, rest) = match uri.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        // As ssh has it.
        None => match uri.split_once(':') {
            Some((host, path)) if host.contains('@') && !host.contains('/') => (host, path),
            _ => return (None, None),
        },
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let path = rest.split('?').next().unwrap_or(rest);
    let (path, behind) = path.split_once('@').unwrap_or((path, ""));
    let git_ref = [behind, fragment].into_iter().find(|text| text.starts_with("refs/"));
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let path = path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/');
    let named = !host.is_empty() && !path.is_empty();
    let stream = if named { StreamName::of("repo", &[&host, path]).ok() } else { None };
    (stream, git_ref.map(|text| value::cut(text, NAME_MAX)))
}

/// A name or address without user information, which is nobody's business.
pub(super) fn public(text: &str) -> String {
    let cut = |text: &str| value::cut(text, NAME_MAX);
    let Some((scheme, rest)) = text.split_once("://") else { return cut(text) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')).and_then(|at| rest.get(at + 1..)) {
        Some(rest) => cut(&format!("{scheme}://{rest}")),
        None => cut(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_repositories_are_told_without_users_and_refs() {
        let of = |uri: &str| {
            let (stream, git_ref) = address(uri);
            (stream.map(|stream| stream.to_string()).unwrap_or_default(), git_ref.unwrap_or_default())
        };
        let main = "refs/heads/main";
        for (uri, stream, git_ref) in [
            ("git+https://github.com/o/r@refs/heads/main", "repo/github.com/o/r", main),
            ("https://github.com/o/r.git#refs/heads/main", "repo/github.com/o/r", main),
            ("https://u:secret@Dev.Azure.com:443/o/p/_git/r", "repo/dev.azure.com/o/p/_git/r", ""),
            ("git@github.com:o/r.git", "repo/github.com/o/r", ""),
            ("git+ssh://git@github.com/o/r.git@v1", "repo/github.com/o/r", ""),
            ("pkg:docker/alpine@3", "", ""),
            ("https://example.com", "", ""),
        ] {
            assert_eq!(of(uri), (stream.to_owned(), git_ref.to_owned()), "{uri}");
        }
        assert_eq!(public("https://u:p@h/x@y"), "https://h/x@y");
        assert_eq!(public("Build Service (a@b)"), "Build Service (a@b)");
    }

    fn claims(predicate: &str) -> Claims {
        let raw = RawValue::from_string(predicate.to_owned()).unwrap();
        Claims::of("https://slsa.dev/provenance/v1", &raw).unwrap()
    }

    #[test]
    fn the_commit_is_that_of_the_workflow_or_the_only_one_there_is() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let dependency = |name: &str, key: &str, digits: &str| {
            format!(r#"{{"uri":"git+https://h/o/{name}@refs/tags/v1","digest":{{"{key}":"{digits}"}}}}"#)
        };
        let v1 = |external: &str, dependencies: &str| {
            claims(&format!(
                r#"{{"buildDefinition":{{"externalParameters":{external},"resolvedDependencies":[{dependencies}]}}}}"#
            ))
        };
        let both = format!("{},{}", dependency("a", "sha1", &one), dependency("b", "gitCommit", &two));
        let workflow = r#"{"workflow":{"repository":"https://h/o/b","ref":"refs/heads/x"}}"#;
        let told = v1(workflow, &both);
        assert_eq!(told.commit.unwrap().as_str(), two);
        assert_eq!(told.git_ref.as_deref(), Some("refs/heads/x"));
        assert_eq!(v1("{}", &both).commit, None);
        assert_eq!(v1("{}", &dependency("a", "gitCommit", &one)).git_ref.as_deref(), Some("refs/tags/v1"));
        let old = |material: &str| claims(&format!(r#"{{"materials":[{material}]}}"#));
        assert_eq!(
            old(r#"{"uri":"https://h/file.jar","digest":{"sha1":"1111111111111111111111111111111111111111"}}"#).commit,
            None
        );
        let vcs = format!(
            r#"{{"metadata":{{"https://mobyproject.org/buildkit@v1#metadata":{{"vcs":{{"source":"git@h:o/a.git","revision":"{one}"}}}}}}}}"#
        );
        assert_eq!(claims(&vcs).repository.unwrap().as_str(), "repo/h/o/a");
        assert_eq!(claims(&vcs.replace(&one, &format!("{one}-dirty"))).commit, None);
    }
}
