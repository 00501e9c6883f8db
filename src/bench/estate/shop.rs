//! Who and what there is in the shop: services, people, builds, and where they stand.

use std::sync::Arc;

use anyhow::Context as _;

use super::super::Result;
use super::chance::Chance;
use crate::event::target::Application;
use crate::event::{Data, Digest, Draft, GitOid, Name, Source, StreamName, Subject, Timestamp};

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Of a minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// Of an hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// Of a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// The environments, in the order in which a build comes through them.
pub(super) const ENVIRONMENTS: [&str; 3] = ["development", "staging", "production"];

/// Which of them is production.
pub(super) const PRODUCTION: usize = 2;

/// The cluster of each environment.
const CLUSTERS: [&str; 3] = ["dev-eu", "stage-eu", "prod-eu"];

/// People who write changes.
const PEOPLE: u64 = 300;

/// Where images are.
const REGISTRY: &str = "ghcr.io/acme";

/// Somebody who writes changes.
#[derive(Debug)]
pub(super) struct Person {
    /// As git has them.
    pub(super) identity: String,
    /// As the forge has them.
    pub(super) login: String,
}

impl Person {
    pub(super) fn author(&self) -> Subject {
        Subject::identity(self.identity.clone())
    }

    pub(super) fn user(&self) -> Subject {
        Subject::identity(self.login.clone())
    }
}

/// An image that was built of a change.
#[derive(Debug)]
pub(super) struct Build {
    /// Which service it is of.
    pub(super) service: usize,
    /// The number of the change.
    pub(super) number: u64,
    /// How many images were built before, of all services.
    pub(super) nth: u64,
    pub(super) commit: GitOid,
    pub(super) digest: Digest,
    pub(super) tag: String,
    pub(super) run: String,
    /// True for an urgent repair.
    pub(super) hotfix: bool,
    /// When the change was merged.
    pub(super) merged_at: i64,
}

/// A service in one environment.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) stream: StreamName,
    pub(super) application: Application,
    /// The key that events of the application have before everything else.
    pub(super) uid: String,
    /// What runs.
    pub(super) live: Option<Arc<Build>>,
    /// What ran before.
    pub(super) before: Option<Arc<Build>>,
    /// Entries in the deployer's history.
    pub(super) history: u64,
    /// The commit that desired state was last changed by.
    pub(super) manifest: Option<GitOid>,
    /// Id of the content of the file in the configuration's repository.
    pub(super) values: Option<GitOid>,
    /// Until when the last deployment takes.
    pub(super) busy_until: i64,
}

/// A service, its repository, and where it stands.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) index: u64,
    pub(super) name: Name,
    pub(super) repository: StreamName,
    /// Who tells of its commits.
    pub(super) git: Source,
    /// Where its image is, without tag.
    pub(super) image: String,
    /// What the main branch points to.
    pub(super) tip: GitOid,
    /// How many changes there were.
    pub(super) changes: u64,
    /// One for each environment.
    pub(super) targets: Vec<Target>,
}

impl Service {
    pub(super) fn target(&self, environment: usize) -> Result<&Target> {
        self.targets.get(environment).context("no such environment")
    }
}

/// The whole shop.
#[derive(Debug)]
pub(super) struct Shop {
    seed: u64,
    pub(super) services: Vec<Service>,
    people: Vec<Person>,
    /// The forge's webhooks.
    pub(super) forge: Source,
    /// What pipelines report by themselves.
    pub(super) pipeline: Source,
    pub(super) registry: Source,
    pub(super) pager: Source,
    /// The repository of desired state: its stream, and who tells of its commits.
    pub(super) configuration: StreamName,
    pub(super) configuration_git: Source,
    /// Who tells of what each cluster runs.
    deployers: Vec<Source>,
}

impl Shop {
    pub(super) fn new(seed: u64, n_services: u64) -> Result<Self> {
        let people = (0..PEOPLE).map(person).collect();
        let deployers = CLUSTERS.iter().map(|cluster| format!("argocd/{cluster}").parse()).collect::<Result<_, _>>()?;
        let mut shop = Self {
            seed,
            services: Vec::new(),
            people,
            forge: "github".parse()?,
            pipeline: "ci".parse()?,
            registry: "registry/ghcr.io".parse()?,
            pager: "pagerduty".parse()?,
            configuration: "repo/github.com/acme/deploy".parse()?,
            configuration_git: "git/github.com/acme/deploy".parse()?,
            deployers,
        };
        shop.services = (0..n_services).map(|index| shop.found(index)).collect::<Result<_>>()?;
        Ok(shop)
    }

    /// A service before its first change.
    fn found(&self, index: u64) -> Result<Service> {
        const PARTS: [&str; 8] = ["api", "worker", "web", "gateway", "ingest", "scorer", "sync", "admin"];
        const AREAS: [&str; 20] = [
            "billing", "churn", "orders", "stock", "search", "pricing", "carts", "returns", "ledger", "loyalty",
            "mail", "media", "fraud", "tax", "shipping", "reviews", "offers", "login", "reports", "support",
        ];
        let part = one_of(&PARTS, index);
        let name = format!("{}-{:04}-{part}", one_of(&AREAS, index / 8), index);
        let targets = ENVIRONMENTS.iter().zip(CLUSTERS).enumerate();
        let targets = targets.map(|(n, (environment, cluster))| self.target(index, n, &name, environment, cluster));
        Ok(Service {
            index,
            repository: StreamName::of("repo", &["github.com", "acme", &name])?,
            git: format!("git/github.com/acme/{name}").parse()?,
            image: format!("{REGISTRY}/{name}"),
            tip: self.oid("root", index, 0)?,
            changes: 0,
            targets: targets.collect::<Result<_>>()?,
            name: name.parse()?,
        })
    }

    fn target(&self, index: u64, n: usize, name: &str, environment: &str, cluster: &str) -> Result<Target> {
        let hash = self.hash("uid", index, n as u64);
        let bytes = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        let uid = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
        let application = Application {
            cluster: Some(cluster.to_owned()),
            name: format!("{name}-{environment}"),
            namespace: Some(name.to_owned()),
            project: Some(environment.to_owned()),
            server: None,
            uid: Some(uid.clone()),
        };
        Ok(Target {
            stream: StreamName::of("target", &[environment, name])?,
            application,
            uid,
            live: None,
            before: None,
            history: 0,
            manifest: None,
            values: None,
            busy_until: i64::MIN,
        })
    }

    pub(super) fn service(&self, index: usize) -> Result<&Service> {
        self.services.get(index).context("no such service")
    }

    pub(super) fn service_mut(&mut self, index: usize) -> Result<&mut Service> {
        self.services.get_mut(index).context("no such service")
    }

    pub(super) fn target_mut(&mut self, index: usize, environment: usize) -> Result<&mut Target> {
        self.service_mut(index)?.targets.get_mut(environment).context("no such environment")
    }

    pub(super) fn deployer(&self, environment: usize) -> Result<&Source> {
        self.deployers.get(environment).context("no such environment")
    }

    /// Somebody of the service's team, or now and then somebody else.
    pub(super) fn somebody(&self, service: u64, chance: &mut Chance) -> usize {
        let team = service.wrapping_mul(7) % PEOPLE;
        let n = if chance.per_mille(850) { (team + chance.below(6)) % PEOPLE } else { chance.below(PEOPLE) };
        usize::try_from(n).unwrap_or(0)
    }

    /// Somebody to review what `author` wrote: nobody approves what is their own.
    pub(super) fn reviewer(&self, author: usize, service: u64, chance: &mut Chance) -> usize {
        let reviewer = self.somebody(service, chance);
        if reviewer == author { (author + 1).checked_rem(self.people.len()).unwrap_or(0) } else { reviewer }
    }

    pub(super) fn person(&self, n: usize) -> Result<&Person> {
        self.people.get(n).context("no such person")
    }

    fn hash(&self, what: &str, a: u64, b: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&a.to_le_bytes()).update(&b.to_le_bytes());
        hasher.update(what.as_bytes()).finalize()
    }

    /// A git object's id.
    pub(super) fn oid(&self, what: &str, a: u64, b: u64) -> Result<GitOid> {
        Ok(self.hash(what, a, b).to_hex().get(..40).unwrap_or_default().parse()?)
    }

    /// An artifact's digest.
    pub(super) fn digest(&self, what: &str, a: u64, b: u64) -> Result<Digest> {
        Ok(format!("sha256:{}", self.hash(what, a, b).to_hex()).parse()?)
    }

    /// A number that is the same for the same things.
    pub(super) fn number(&self, what: &str, a: u64, b: u64) -> u64 {
        let hash = self.hash(what, a, b);
        u64::from_le_bytes(hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default())
    }
}

/// A draft.
pub(super) fn draft(data: impl Into<Data>, stream: &StreamName, source: &Source, key: &str, at: i64) -> Result<Draft> {
    Ok(Draft::new(data, stream.clone(), source.clone(), key.parse()?, Timestamp::from_micros(at)?))
}

/// The instant. None that is made here is outside what a time can be.
pub(super) fn time(at: i64) -> Timestamp {
    Timestamp::from_micros_clamped(at)
}

/// One of some words.
pub(super) fn one_of<'a>(words: &[&'a str], n: u64) -> &'a str {
    let index = usize::try_from(n).unwrap_or(0).checked_rem(words.len()).unwrap_or(0);
    words.get(index).copied().unwrap_or_default()
}

fn person(n: u64) -> Person {
    const GIVEN: [&str; 20] = [
        "Ada", "Bela", "Carmen", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Igor", "Jana", "Kofi", "Lena", "Mirko",
        "Nadia", "Oskar", "Petra", "Rania", "Sven", "Teresa", "Yusuf",
    ];
    const FAMILY: [&str; 15] = [
        "Adler", "Bakker", "Costa", "Demir", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen", "Kowalski",
        "Lindberg", "Moreau", "Novak", "Okafor",
    ];
    let (given, family) = (one_of(&GIVEN, n), one_of(&FAMILY, n / 20));
    let login = format!("{}-{}", given.to_ascii_lowercase(), family.to_ascii_lowercase());
    Person { identity: format!("{given} {family} <{login}@acme.example>"), login: format!("github:{login}") }
}

/// What a change is called.
pub(super) fn sentence(n: u64) -> String {
    const DOES: [&str; 10] = ["Fix", "Add", "Drop", "Speed up", "Tidy", "Retry", "Log", "Test", "Bound", "Rename"];
    const WHAT: [&str; 12] = [
        "the cache",
        "the timeout",
        "the queue",
        "the retry",
        "the parser",
        "the index",
        "the health check",
        "the client",
        "the migration",
        "the metrics",
        "the pagination",
        "the validation",
    ];
    const OF: [&str; 10] = [
        "orders",
        "payments",
        "sessions",
        "uploads",
        "customers",
        "exports",
        "invoices",
        "events",
        "quotes",
        "addresses",
    ];
    format!("{} {} of {}", one_of(&DOES, n), one_of(&WHAT, n / 10), one_of(&OF, n / 120))
}
