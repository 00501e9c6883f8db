//! An event that a projection cannot take: it stops there, for all to see, with those that need it; the others go on.

use plimsoll::api::local;
use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use plimsoll::app::{self, Views};
use plimsoll::event::{Data, Draft};
use plimsoll::ledger::DataDir;
use plimsoll::projection::{
    About, Error, Projection, Result, Step, Stop, all, artifact, compare, deployment, dora, incident, practice, source,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use tonic::Code;

use super::super::history::{BEGIN, arrivals, event};
use super::super::properties::check;
use super::super::story::{Story, digest};
use super::Product;

/// The projection of that name cannot take the event; else it is as it is.
struct Poisoned {
    inner: Box<dyn Projection>,
    breaks: bool,
}

impl Projection for Poisoned {
    fn about(&self) -> &'static About {
        self.inner.about()
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        // What it wrote before it noticed must not stay.
        self.inner.fold(step)?;
        match &step.event.data {
            Data::ArtifactPublished(it) if it.name == "poison" => {
                assert!(!self.breaks, "the fold of the test breaks off");
                Err(Error::Poison("it is the test's poison".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self, tx: &rusqlite::Connection) -> Result<()> {
        self.inner.flush(tx)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

fn with_poison_for(name: &str, breaks: bool) -> Vec<Box<dyn Projection>> {
    let wrap = |inner: Box<dyn Projection>| -> Box<dyn Projection> {
        if inner.about().name == name { Box::new(Poisoned { inner, breaks }) } else { inner }
    };
    all().into_iter().map(wrap).collect()
}

fn poison() -> Draft {
    let stream = format!("artifact/{}", digest("poison"));
    event("artifact.published", &stream, "test", "poison", BEGIN, &json!({"name": "poison", "tags": []}))
}

/// Names of those that stopped; all of them did at one event.
fn names(stopped: &[(&'static str, Stop)]) -> (Vec<&'static str>, Option<u64>) {
    let mut at: Vec<u64> = stopped.iter().map(|(_, stop)| stop.position).collect();
    at.dedup();
    assert!(at.len() <= 1, "{stopped:?}");
    (stopped.iter().map(|(name, _)| *name).collect(), at.first().copied())
}

#[test]
fn it_stops_alone_with_those_that_need_it_wherever_the_event_comes() {
    const OTHERS: &[&About] = &[&source::ABOUT, &deployment::ABOUT, &incident::ABOUT, &practice::ABOUT];
    check(&(arrivals(), any::<Index>(), any::<bool>()), 12, |((_, mut arriving), n, breaks)| {
        arriving.insert(n.index(arriving.len() + 1), poison());
        let product = Product::of(&arriving);
        let events = product.events();
        let at = events.iter().find(|event| event.envelope.dedup.as_str() == "poison").unwrap();
        let position = u64::try_from(at.position).unwrap();
        let stopped = product.fold_with("whole", usize::MAX, with_poison_for("artifact", breaks));
        assert_eq!(names(&stopped), (vec!["artifact", "dora", "package", "meter"], Some(position)));
        assert!(stopped.iter().all(|(_, stop)| stop.by == at.envelope.id.to_string()));
        assert!(stopped[1].1.reason.starts_with("it needs artifact, which stopped"), "{stopped:?}");
        // Neither transactions nor when it was noticed show.
        assert_eq!(product.fold_with("one", 1, with_poison_for("artifact", breaks)), stopped);
        assert_eq!(compare(&product.path("whole"), &product.path("one"), &all()).unwrap(), None);
        // The others are as if nothing had been.
        let runs = |name: &str| {
            let asked = product.try_ask(name, None, OTHERS, |snapshot, basis| {
                let targets = deployment::targets(snapshot, basis, None, None)?;
                let runs = targets.iter().map(|target| {
                    let mut runs = deployment::deployments(snapshot, basis, target, (None, None), None, usize::MAX)?;
                    runs.iter_mut().for_each(|run| run.artifact_set.clear());
                    Ok(runs)
                });
                runs.collect::<Result<Vec<_>>>()
            });
            asked.unwrap()
        };
        assert_eq!(runs("whole"), runs("views"));
        // Those that stopped answer from what they have, and not from more.
        for about in [&artifact::ABOUT, &dora::ABOUT] {
            let asked = |known_at| product.try_ask("whole", known_at, &[about], |_, basis| Ok(basis.known_at));
            assert_eq!(asked(Some(position)).unwrap(), position);
            assert!(matches!(asked(None), Err(Error::Stopped { position: at, .. }) if at == position));
        }
    });
}

fn artifact_stops() -> Vec<Box<dyn Projection>> {
    with_poison_for("artifact", false)
}

#[test]
fn it_is_seen_from_outside_and_a_rebuild_with_a_program_that_can_take_it_mends_it() {
    let mut story = Story::default();
    story.commit("a", &[], 0).build("a", 1).deploy("a", "a", 2);
    let product = Product::new();
    product.append(&story.0);
    let dir = DataDir::new(product.dir.path().join("node"));
    std::fs::create_dir_all(dir.root()).unwrap();
    let known_at = product.ledger.head().size;
    product.append(&[poison()]);
    let mut rest = Story(story.0.clone());
    rest.deploy("b", "b", 3);
    product.append(&rest.0[story.0.len()..]);
    product.runtime.block_on(async {
        let head = product.ledger.head().size;
        let state = |known_at| pb::GetStateRequest {
            asked: Some(pb::Asked { min_position: head, known_at }),
            environment: "production".to_owned(),
            ..Default::default()
        };
        // A program of the same version that could take it does not begin anew by itself.
        for registry in [artifact_stops, all] {
            let views = Views::open(&product.ledger, &dir, registry).unwrap();
            let mut client = EnvironmentServiceClient::new(local(views.clone()).await.unwrap());
            views.wait_for(head).await.unwrap();
            let status = client.get_projections(pb::GetProjectionsRequest {}).await.unwrap().into_inner();
            for projection in &status.projections {
                let stopped = ["artifact", "dora", "package", "meter"].contains(&projection.name.as_str());
                assert_eq!(projection.position, if stopped { known_at } else { head }, "{projection:?}");
                assert_eq!((projection.stopped_by.is_some(), projection.reason.is_some()), (stopped, stopped));
            }
            let refused = client.get_state(state(None)).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition);
            assert!(refused.message().contains("projection artifact stopped"), "{refused:?}");
            let before = client.get_state(state(Some(known_at))).await.unwrap().into_inner();
            assert_eq!(before.targets[0].deployment.as_ref().unwrap().id, "a");
            let targets = pb::ListTargetsRequest { asked: state(None).asked, ..Default::default() };
            assert_eq!(client.list_targets(targets).await.unwrap().into_inner().targets.len(), 1);
            views.close().await.unwrap();
        }
        let rebuilt = product.path("rebuilt");
        let ledger = product.ledger.clone();
        let path = rebuilt.clone();
        tokio::task::spawn_blocking(move || app::build(&ledger, &path, all, &|_, _| ())).await.unwrap().unwrap();
        product.fold("views", usize::MAX);
        // The fold of this test reads no private text, so there is nothing to look for in it.
        let mut compared = all();
        compared.retain(|projection| projection.about().name != "search");
        assert_eq!(compare(&product.path("views"), &rebuilt, &compared).unwrap(), None);
    });
}
