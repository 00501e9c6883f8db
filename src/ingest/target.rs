//! Which target is meant: what deployers call by application, namespace and cluster, the ledger calls by environment and
//! service.

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::Rejection;
use crate::event::StreamName;

/// What a source says of where it deploys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The deployer's application.
    pub application: Option<&'a str>,
    /// Its project.
    pub project: Option<&'a str>,
    /// The namespace it deploys to.
    pub namespace: Option<&'a str>,
    /// The cluster it deploys to, by name.
    pub cluster: Option<&'a str>,
    /// The environment, where the source has such a thing.
    pub environment: Option<&'a str>,
    /// The service, where the source has such a thing.
    pub service: Option<&'a str>,
    /// The repository, `host/path`.
    pub repository: Option<&'a str>,
}

/// A rule: of what all its patterns match, it says environment and service. Patterns are globs in which `*` crosses `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRule {
    /// Applications.
    pub application: Option<String>,
    /// Projects.
    pub project: Option<String>,
    /// Namespaces.
    pub namespace: Option<String>,
    /// Clusters.
    pub cluster: Option<String>,
    /// Environments, as the source calls them.
    pub source_environment: Option<String>,
    /// Repositories, `host/path`.
    pub repository: Option<String>,
    /// The environment that is meant; where absent, as without the rule.
    pub environment: Option<String>,
    /// The service that is meant; where absent, as without the rule.
    pub service: Option<String>,
}

/// Every rule, in order: the first that matches holds.
#[derive(Debug, Clone, Default)]
pub struct Targets(Vec<(Vec<(What, GlobMatcher)>, TargetRule)>);

#[derive(Debug, Clone, Copy)]
enum What {
    Application,
    Project,
    Namespace,
    Cluster,
    Environment,
    Repository,
}

impl Targets {
    /// From the rules.
    ///
    /// # Errors
    /// In words, naming the pattern that is none.
    pub fn new(rules: Vec<TargetRule>) -> Result<Self, String> {
        let mut all = Vec::with_capacity(rules.len());
        for rule in rules {
            let mut patterns = Vec::new();
            for (what, pattern) in [
                (What::Application, &rule.application),
                (What::Project, &rule.project),
                (What::Namespace, &rule.namespace),
                (What::Cluster, &rule.cluster),
                (What::Environment, &rule.source_environment),
                (What::Repository, &rule.repository),
            ] {
                if let Some(pattern) = pattern {
                    let glob = Glob::new(pattern).map_err(|error| format!("targets: {pattern:?}: {error}"))?;
                    patterns.push((what, glob.compile_matcher()));
                }
            }
            all.push((patterns, rule));
        }
        Ok(Self(all))
    }

    /// The stream of the target that is meant.
    ///
    /// Where no rule says otherwise, the environment is what the source calls one, else the namespace, else the cluster;
    /// the service is what the source calls one, else the application's name without the environment before or after it,
    /// else the repository's last part.
    ///
    /// # Errors
    /// [`Reason::MissingField`](super::Reason::MissingField) when nothing names an environment or a service.
    pub fn stream(&self, asked: &Asked<'_>) -> Result<StreamName, Rejection> {
        let matches = |what: What, glob: &GlobMatcher| {
            let value = match what {
                What::Application => asked.application,
                What::Project => asked.project,
                What::Namespace => asked.namespace,
                What::Cluster => asked.cluster,
                What::Environment => asked.environment,
                What::Repository => asked.repository,
            };
            value.is_some_and(|value| glob.is_match(value))
        };
        let rule = self.0.iter().find(|(patterns, _)| patterns.iter().all(|(what, glob)| matches(*what, glob)));
        let rule = rule.map(|(_, rule)| rule);
        let environment = rule.and_then(|rule| rule.environment.as_deref());
        let environment = environment.or(asked.environment).or(asked.namespace).or(asked.cluster);
        let environment =
            environment.filter(|text| !text.is_empty()).ok_or_else(|| Rejection::missing("environment"))?;
        let service = rule.and_then(|rule| rule.service.as_deref()).or(asked.service);
        let service = service.or_else(|| asked.application.map(|name| without(name, environment)));
        let service = service.or_else(|| asked.repository.and_then(|path| path.rsplit('/').next()));
        let service = service.filter(|text| !text.is_empty()).ok_or_else(|| Rejection::missing("service"))?;
        Ok(StreamName::of("target", &[&segment(environment), &segment(service)])?)
    }
}

/// An application's name without its environment.
fn without<'a>(name: &'a str, environment: &str) -> &'a str {
    let name = name.rsplit('/').next().unwrap_or(name);
    let after = name.strip_suffix(environment).and_then(|rest| rest.strip_suffix(['-', '_', '.']));
    let before = name.strip_prefix(environment).and_then(|rest| rest.strip_prefix(['-', '_', '.']));
    after.or(before).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// One segment of a stream's name: no slash, and neither of the names that mean directories.
fn segment(text: &str) -> String {
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        text => text.replace('/', ":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_holds_and_else_names_tell() {
        let rule = |application: &str, environment: Option<&str>, service: Option<&str>| TargetRule {
            application: Some(application.to_owned()),
            environment: environment.map(str::to_owned),
            service: service.map(str::to_owned),
            ..TargetRule::default()
        };
        let rules = vec![rule("churn-*-prod", Some("production"), None), rule("ml*", None, Some("model"))];
        let targets = Targets::new(rules).unwrap();
        let asked = |application, namespace| Asked { application, namespace, ..Asked::default() };
        let stream = |asked: Asked<'_>| targets.stream(&asked).unwrap().to_string();
        assert_eq!(stream(asked(Some("churn-api-prod"), Some("churn"))), "target/production/churn-api-prod");
        assert_eq!(stream(asked(Some("mlx"), Some("staging"))), "target/staging/model");
        assert_eq!(stream(asked(Some("churn-api-staging"), Some("staging"))), "target/staging/churn-api");
        assert_eq!(stream(asked(Some("argocd/staging-web"), Some("staging"))), "target/staging/web");
        assert_eq!(stream(asked(Some("production"), Some("production"))), "target/production/production");
        let review = Asked { environment: Some("review/42"), repository: Some("h/o/app"), ..Asked::default() };
        assert_eq!(stream(review), "target/review:42/app");
        assert_eq!(targets.stream(&asked(None, Some("x"))).unwrap_err().field.as_deref(), Some("service"));
        assert_eq!(targets.stream(&asked(Some("x"), None)).unwrap_err().field.as_deref(), Some("environment"));
        assert!(Targets::new(vec![rule("a[", None, None)]).unwrap_err().contains("a["));
    }
}
