//! DSSE envelopes: a payload in base64 and its signatures, one envelope or several, one a line, as cosign writes them.
//!
//! The signatures are counted and not checked: that needs keys, and which of them to trust is for a policy to say.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bom::NAME_MAX;
use super::loose::{Strict, Text, object};
use super::provenance::Claims;
use super::statement::{One, Signed, Statement, all, cut_off};
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch};
use crate::event::artifact::AttestationFormat;

/// DSSE envelopes.
pub(super) const FORMAT: Format = Format {
    name: "dsse",
    about: "DSSE envelope, or several, one a line",
    versions: "v1",
    kinds: &[Kind::Attestation],
    media_type: "application/vnd.dsse.envelope.v1+json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// A payload may be longer than what is looked at, and stand before everything else: then it begins as an object does in
/// base64.
fn recognise(sketch: &Sketch) -> bool {
    let whole = sketch.has("payload") && sketch.has("payloadType");
    let mut members = sketch.members.keys();
    let alone = members.all(|key| key == "payload" || key == "signatures") && sketch.has("payload");
    let begins = || {
        sketch
            .text
            .split_once("\"payload\"")
            .is_some_and(|(_, rest)| rest.trim_start_matches([' ', ':', '\n', '\t']).starts_with("\"ey"))
    };
    matches!(sketch.shape, Shape::Object | Shape::Lines) && (whole || (cut_off(sketch) && alone && begins()))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    all(document, |json| {
        let (statement, signed) = open(json, AttestationFormat::Dsse, details)?;
        Ok(One {
            format: "dsse/v1".to_owned(),
            generated_at: statement.made_at(),
            facts: statement.facts(given, &signed)?,
            named: statement.named,
        })
    })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Option<Text<'a>>,
    #[serde(borrow, rename = "payloadType")]
    payload_type: Option<Text<'a>>,
    #[serde(borrow)]
    signatures: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Signature<'a> {
    #[serde(default, borrow, rename = "keyid")]
    key_id: Text<'a>,
}

/// Payload type of in-toto statements; predicates may have types of their own between it and `+json`.
const IN_TOTO: &str = "application/vnd.in-toto";

/// Opens an envelope: what is stated, and how it is signed. A payload that is no in-toto statement is what its own type
/// says, about nothing by itself.
///
/// # Errors
/// [`Reason::MissingField`], [`Reason::BadField`], and of the statement within, at `payload`.
pub(super) fn open(
    json: &str,
    format: AttestationFormat,
    details: &mut dyn Details,
) -> Result<(Statement, Signed), Rejection> {
    let envelope: Envelope<'_> = object(json)?;
    let payload_type = envelope.payload_type.as_ref().and_then(|text| text.cut(NAME_MAX));
    let payload_type = payload_type.ok_or_else(|| Rejection::missing("payloadType"))?;
    let payload = envelope.payload.as_ref().and_then(Text::get).ok_or_else(|| Rejection::missing("payload"))?;
    let payload = decode("payload", payload)?;
    let signatures = envelope.signatures.ok_or_else(|| Rejection::missing("signatures"))?;
    let signatures: Vec<Strict<Signature<'_>>> =
        serde_json::from_str(signatures.get()).map_err(|error| Rejection::json(&error).at("signatures"))?;
    let signed = Signed {
        signatures: signatures.len() as u64,
        key_id: signatures.iter().find_map(|Strict(signature)| signature.key_id.cut(NAME_MAX)),
        ..Signed::new(format)
    };
    if !payload_type.starts_with(IN_TOTO) {
        let claims = Claims::default();
        let named = Named::default();
        let statement =
            Statement { version: "", predicate_type: payload_type, subjects: None, named, claims, bom: None };
        return Ok((statement, signed));
    }
    let text = String::from_utf8(payload).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Rejection::new(Reason::NotUtf8, format!("byte {at} of what it holds is not UTF-8")).at("payload")
    })?;
    let statement = Statement::read(&text, details).map_err(|rejection| rejection.at("payload"))?;
    Ok((statement, signed))
}

/// Base64 in the standard or the URL-safe alphabet, with padding or without.
///
/// # Errors
/// [`Reason::BadField`].
pub(super) fn decode(field: &str, text: &str) -> Result<Vec<u8>, Rejection> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    // Some tools break lines as in MIME.
    let text: Cow<'_, str> = match text.contains(|c: char| c.is_ascii_whitespace()) {
        true => text.split_ascii_whitespace().collect::<String>().into(),
        false => text.into(),
    };
    engine
        .decode(text.as_bytes())
        .map_err(|error| Rejection::new(Reason::BadField, format!("is no base64: {error}")).at(field))
}
