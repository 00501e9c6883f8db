//! The schemas of CDEvents, for every version of the specification that is understood.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Value, json};

use super::Error;

/// A version of the specification, up to what changes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spec {
    /// 0.3
    V0_3,
    /// 0.4
    V0_4,
    /// 0.5
    V0_5,
}

impl Spec {
    /// The version that a text names: patches change no words.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (minor, patch) = text.strip_prefix("0.")?.split_once('.')?;
        if patch.is_empty() || !patch.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        match minor {
            "3" => Some(Self::V0_3),
            "4" => Some(Self::V0_4),
            "5" => Some(Self::V0_5),
            _ => None,
        }
    }

    /// The version without patch.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3",
            Self::V0_4 => "0.4",
            Self::V0_5 => "0.5",
        }
    }
}

/// One type of event in one version of the specification.
pub(super) struct Schema {
    /// The type, with its own version: `dev.cdevents.branch.created.0.3.0`.
    pub(super) kind: String,
    document: Value,
    validator: OnceLock<Result<Validator, String>>,
}

/// Subjects and predicates in one word, as the files are called, and the files.
macro_rules! files {
    ($version:literal: $($name:ident)*) => {
        &[$((stringify!($name), include_str!(concat!("../../schema/cdevents/", $version, "/", stringify!($name), ".json")))),*]
    };
}

/// What schemas refer to.
macro_rules! links {
    ($version:literal) => {
        [
            include_str!(concat!("../../schema/cdevents/", $version, "/links/embeddedlinkend.json")),
            include_str!(concat!("../../schema/cdevents/", $version, "/links/embeddedlinkpath.json")),
            include_str!(concat!("../../schema/cdevents/", $version, "/links/embeddedlinkrelation.json")),
            include_str!(concat!("../../schema/cdevents/", $version, "/links/embeddedlinksarray.json")),
        ]
    };
}

type Files = &'static [(&'static str, &'static str)];

#[rustfmt::skip]
const V0_3: Files = files!("0.3":
            artifactpackaged artifactpublished artifactsigned branchcreated branchdeleted buildfinished buildqueued
            buildstarted changeabandoned changecreated changemerged changereviewed changeupdated environmentcreated
            environmentdeleted environmentmodified incidentdetected incidentreported incidentresolved
            pipelinerunfinished pipelinerunqueued pipelinerunstarted repositorycreated repositorydeleted
            repositorymodified servicedeployed servicepublished serviceremoved servicerolledback serviceupgraded
            taskrunfinished taskrunstarted testcaserunfinished testcaserunqueued testcaserunstarted
            testoutputpublished testsuiterunfinished testsuiterunqueued testsuiterunstarted
);

#[rustfmt::skip]
const V0_4: Files = files!("0.4":
            artifactdeleted artifactdownloaded artifactpackaged artifactpublished artifactsigned branchcreated
            branchdeleted buildfinished buildqueued buildstarted changeabandoned changecreated changemerged
            changereviewed changeupdated environmentcreated environmentdeleted environmentmodified incidentdetected
            incidentreported incidentresolved pipelinerunfinished pipelinerunqueued pipelinerunstarted
            repositorycreated repositorydeleted repositorymodified servicedeployed servicepublished serviceremoved
            servicerolledback serviceupgraded taskrunfinished taskrunstarted testcaserunfinished testcaserunqueued
            testcaserunskipped testcaserunstarted testoutputpublished testsuiterunfinished testsuiterunqueued
            testsuiterunstarted ticketclosed ticketcreated ticketupdated
);

#[rustfmt::skip]
const V0_5: Files = files!("0.5":
            artifactdeleted artifactdownloaded artifactpackaged artifactpublished artifactsigned branchcreated
            branchdeleted buildfinished buildqueued buildstarted changeabandoned changecreated changemerged
            changereviewed changeupdated environmentcreated environmentdeleted environmentmodified incidentdetected
            incidentreported incidentresolved pipelinerunfinished pipelinerunqueued pipelinerunstarted
            repositorycreated repositorydeleted repositorymodified servicedeployed servicepublished serviceremoved
            servicerolledback serviceupgraded taskrunfinished taskrunstarted testcaserunfinished testcaserunqueued
            testcaserunskipped testcaserunstarted testoutputpublished testsuiterunfinished testsuiterunqueued
            testsuiterunstarted ticketclosed ticketcreated ticketupdated
);

const LINKS_0_4: [&str; 4] = links!("0.4");
const LINKS_0_5: [&str; 4] = links!("0.5");

static SCHEMAS: LazyLock<BTreeMap<(Spec, &'static str), Schema>> = LazyLock::new(|| {
    let mut schemas = BTreeMap::new();
    for (spec, files, links) in
        [(Spec::V0_3, V0_3, &[][..]), (Spec::V0_4, V0_4, &LINKS_0_4[..]), (Spec::V0_5, V0_5, &LINKS_0_5[..])]
    {
        for (name, text) in files {
            // The files are part of the program: a test reads every one.
            let Ok(mut document) = serde_json::from_str::<Value>(text) else { continue };
            let kind = document.pointer("/properties/context/properties/type/default").and_then(Value::as_str);
            let Some(kind) = kind.map(str::to_owned) else { continue };
            embed(&mut document, links);
            schemas.insert((spec, *name), Schema { kind, document, validator: OnceLock::new() });
        }
    }
    schemas
});

/// Puts what a schema refers to into it, under the names that it refers by.
fn embed(document: &mut Value, links: &[&str]) {
    let parsed = links.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let definitions: serde_json::Map<_, _> =
        parsed.enumerate().map(|(n, schema)| (format!("links{n}"), schema)).collect();
    if let Some(members) = document.as_object_mut() {
        members.insert("$defs".to_owned(), json!(definitions));
    }
}

/// The schema of a subject and predicate in one word, in one version.
pub(super) fn schema(spec: Spec, name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|((of, file), _)| *of == spec && *file == name).map(|(_, schema)| schema)
}

/// Every schema with its version.
pub(super) fn all() -> impl Iterator<Item = (Spec, &'static Schema)> {
    SCHEMAS.iter().map(|((spec, _), schema)| (*spec, schema))
}

impl Schema {
    /// Holds an event to it.
    ///
    /// # Errors
    /// [`Error::Schema`], naming the field.
    pub(super) fn check(&self, event: &Value) -> Result<(), Error> {
        let built =
            self.validator.get_or_init(|| jsonschema::validator_for(&self.document).map_err(|error| error.to_string()));
        let validator = built.as_ref().map_err(|what| Error::Schema { field: String::new(), what: what.clone() })?;
        let Err(error) = validator.validate(event) else { return Ok(()) };
        let mut field = path(error.instance_path().as_str());
        let within = match error.kind() {
            ValidationErrorKind::Required { property } => property.as_str().map(str::to_owned),
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.first().cloned(),
            _ => None,
        };
        if let Some(within) = within {
            field = if field.is_empty() { within } else { format!("{field}.{within}") };
        }
        // Without the value, which may be somebody's name.
        Err(Error::Schema { field, what: error.masked().to_string() })
    }
}

/// A JSON pointer as we write paths: `/context/links/0` is `context.links[0]`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_one_and_knows_its_type() {
        assert_eq!(SCHEMAS.len(), V0_3.len() + V0_4.len() + V0_5.len());
        for (spec, schema) in all() {
            jsonschema::validator_for(&schema.document)
                .unwrap_or_else(|error| panic!("{spec:?} {}: {error}", schema.kind));
        }
        assert_eq!(schema(Spec::V0_4, "changecreated").unwrap().kind, "dev.cdevents.change.created.0.3.0");
    }

    #[test]
    fn pointers_become_paths_and_versions_are_taken_without_patch() {
        assert_eq!(path("/context/links/0/tags"), "context.links[0].tags");
        assert_eq!(Spec::of("0.4.1"), Some(Spec::V0_4));
        for odd in ["0.2.0", "0.5", "0.5.0-draft", "1.5.0", ""] {
            assert_eq!(Spec::of(odd), None, "{odd}");
        }
    }
}
