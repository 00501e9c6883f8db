//! Predicates before they are put into a statement, or taken out of one: of cosign's scans, and SLSA provenance. They are
//! about nothing by themselves; who hands one in says what it is about. What it is a predicate of, its members tell.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::loose::object;
use super::provenance::{COSIGN_VULN, Claims};
use super::statement::{Signed, Statement};
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch};
use crate::event::artifact::AttestationFormat;

/// Bare predicates.
pub(super) const FORMAT: Format = Format {
    name: "predicate",
    about: "predicate of cosign's vuln attestation, or SLSA provenance, without its statement",
    versions: "cosign vuln v1; SLSA v0.1, v0.2, v1",
    kinds: &[Kind::Attestation],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// Members under which predicates stand alone: in a statement of which the rest was cut away, and in what `docker buildx
/// imagetools inspect` prints.
const WRAPPERS: [&str; 2] = ["predicate", "SLSA"];

fn recognise(sketch: &Sketch) -> bool {
    let bare = sketch.has("invocation") && (sketch.has("scanner.uri") || sketch.has("scanner.db"));
    let built = (sketch.has("buildDefinition.buildType") || sketch.has("buildType") || sketch.has("recipe.type"))
        && (sketch.has("runDetails") || sketch.has("builder.id"));
    let stated = sketch.has("predicateType") || sketch.has("_type") || sketch.has("subject");
    let known = |member: &&str| {
        ["scanner", "buildDefinition", "buildType", "recipe"].iter().any(|it| sketch.has(&format!("{member}.{it}")))
    };
    sketch.shape == Shape::Object && !stated && (bare || built || WRAPPERS.iter().any(known))
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
    #[serde(borrow, rename = "SLSA")]
    slsa: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow)]
    scanner: Option<&'a RawValue>,
    #[serde(borrow)]
    build_definition: Option<&'a RawValue>,
    #[serde(borrow)]
    build_type: Option<&'a RawValue>,
    #[serde(borrow)]
    recipe: Option<&'a RawValue>,
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let text = document.text()?;
    let whole: &RawValue = serde_json::from_str(&text).map_err(|error| Rejection::json(&error))?;
    let wrapped: Wrapped<'_> = object(whole.get())?;
    let predicate = wrapped.predicate.or(wrapped.slsa).unwrap_or(whole);
    let members: Members<'_> = object(predicate.get())?;
    let predicate_type = match (members.scanner, members.build_definition, members.build_type, members.recipe) {
        (Some(scanner), ..) if !scanner.get().starts_with('{') => {
            return Err(Rejection::new(Reason::BadField, "is no object").at("scanner"));
        }
        (Some(_), ..) => COSIGN_VULN,
        (_, Some(_), ..) => "https://slsa.dev/provenance/v1",
        (_, _, Some(_), _) => "https://slsa.dev/provenance/v0.2",
        (_, _, _, Some(_)) => "https://slsa.dev/provenance/v0.1",
        _ => return Err(Rejection::new(Reason::UnknownFormat, "it is no predicate that is known here")),
    };
    let statement = Statement {
        version: "",
        predicate_type: predicate_type.to_owned(),
        subjects: None,
        named: Named::default(),
        claims: Claims::of(predicate_type, predicate)?,
        bom: None,
    };
    let facts = statement.facts(given, &Signed::new(AttestationFormat::Unsigned))?;
    let generated_at = statement.made_at();
    Ok(Report { format: "predicate".to_owned(), generated_at, named: Named::default(), facts })
}
