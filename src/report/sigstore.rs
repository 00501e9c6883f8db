//! Sigstore bundles 0.1 to 0.3: a signature with what one needs to check it. What is signed is a DSSE envelope, or the
//! digest of an artifact.
//!
//! Nothing is checked here: that needs the trusted roots. The certificate and the log entry are told as they stand.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bom::NAME_MAX;
use super::loose::{List, Object, Strict, Text, object};
use super::provenance::Claims;
use super::statement::{One, Signed, Statement, all, cut_off};
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch};
use super::{bom, certificate, der, dsse, value};
use crate::event::artifact::{AttestationFormat, LogEntry};
use crate::event::{Timestamp, U64};

/// Sigstore bundles.
pub(super) const FORMAT: Format = Format {
    name: "sigstore",
    about: "Sigstore bundle, or several, one a line",
    versions: "0.1 to 0.3",
    kinds: &[Kind::Attestation],
    media_type: "application/vnd.dev.sigstore.bundle+json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// Media type of bundles without their version: stands for what is stated by a signature over nothing but an artifact's
/// digest, in whichever version of the bundle.
const SIGNATURE_ONLY: &str = "application/vnd.dev.sigstore.bundle+json";

fn recognise(sketch: &Sketch) -> bool {
    let media_type = sketch.get("mediaType").starts_with("application/vnd.dev.sigstore.bundle");
    let long = cut_off(sketch) && sketch.has("dsseEnvelope");
    let formed = sketch.has("verificationMaterial") && (sketch.has("dsseEnvelope") || sketch.has("messageSignature"));
    matches!(sketch.shape, Shape::Object | Shape::Lines) && (media_type || formed || long)
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    all(document, |json| one(json, given, details))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    #[serde(default, borrow)]
    media_type: Text<'a>,
    #[serde(default, borrow)]
    verification_material: Object<Material<'a>>,
    #[serde(default, borrow)]
    dsse_envelope: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message_signature: Option<Strict<MessageSignature<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material<'a> {
    /// 0.1 and 0.2, the signer's first.
    #[serde(default, borrow)]
    x509_certificate_chain: Object<Chain<'a>>,
    /// 0.3.
    #[serde(default, borrow)]
    certificate: Object<Certificate<'a>>,
    #[serde(default, borrow)]
    public_key: Object<PublicKey<'a>>,
    #[serde(default, borrow)]
    tlog_entries: List<Object<Entry<'a>>>,
    #[serde(default, borrow)]
    timestamp_verification_data: Object<Timestamps<'a>>,
}

#[derive(Deserialize)]
struct Timestamps<'a> {
    #[serde(default, borrow, rename = "rfc3161Timestamps")]
    rfc3161: List<Object<Stamp<'a>>>,
}

#[derive(Deserialize)]
struct Stamp<'a> {
    #[serde(default, borrow, rename = "signedTimestamp")]
    signed: Text<'a>,
}

#[derive(Deserialize)]
struct Chain<'a> {
    #[serde(default, borrow)]
    certificates: List<Object<Certificate<'a>>>,
}

#[derive(Deserialize)]
struct Certificate<'a> {
    #[serde(default, borrow, rename = "rawBytes")]
    raw_bytes: Text<'a>,
}

#[derive(Deserialize)]
struct PublicKey<'a> {
    #[serde(default, borrow)]
    hint: Text<'a>,
}

/// An entry of a log. Numbers of 64 bits are texts in this JSON, and a zero may be left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default, borrow)]
    log_index: Text<'a>,
    #[serde(default, borrow)]
    log_id: Object<LogId<'a>>,
    #[serde(default, borrow)]
    integrated_time: Text<'a>,
}

#[derive(Deserialize)]
struct LogId<'a> {
    #[serde(default, borrow, rename = "keyId")]
    key_id: Text<'a>,
}

#[derive(Deserialize)]
struct MessageSignature<'a> {
    #[serde(default, borrow, rename = "messageDigest")]
    digest: Object<MessageDigest<'a>>,
}

#[derive(Deserialize)]
struct MessageDigest<'a> {
    #[serde(default, borrow)]
    algorithm: Text<'a>,
    #[serde(default, borrow)]
    digest: Text<'a>,
}

fn one(json: &str, given: &Given, details: &mut dyn Details) -> Result<One, Rejection> {
    let bundle: Bundle<'_> = object(json)?;
    let version = version(bundle.media_type.get().ok_or_else(|| Rejection::missing("mediaType"))?)?;
    let (statement, mut signed) = match (bundle.dsse_envelope, &bundle.message_signature) {
        (Some(envelope), _) if envelope.get() != "null" => {
            let opened = dsse::open(envelope.get(), AttestationFormat::SigstoreBundle, details);
            opened.map_err(|rejection| rejection.at("dsseEnvelope"))?
        }
        (_, Some(Strict(signature))) => {
            let statement = signature.statement().map_err(|rejection| rejection.at("messageSignature"))?;
            (statement, Signed { signatures: 1, ..Signed::new(AttestationFormat::SigstoreBundle) })
        }
        _ => return Err(Rejection::missing("dsseEnvelope")),
    };
    let material = bundle.verification_material.0.ok_or_else(|| Rejection::missing("verificationMaterial"))?;
    material.complete(&mut signed).map_err(|rejection| rejection.at("verificationMaterial"))?;
    let integrated_at = signed.log_entry.as_ref().and_then(|entry| entry.integrated_at);
    Ok(One {
        format: format!("sigstore/{version}"),
        generated_at: statement.made_at().or(integrated_at).or_else(|| material.stamped_at()),
        facts: statement.facts(given, &signed)?,
        named: statement.named,
    })
}

/// `...bundle+json;version=0.1` of old, `...bundle.v0.3+json` now.
fn version(media_type: &str) -> Result<&'static str, Rejection> {
    let rest = media_type.strip_prefix("application/vnd.dev.sigstore.bundle").unwrap_or_default();
    let old = rest.strip_prefix("+json;").and_then(|rest| rest.trim_start().strip_prefix("version="));
    let new = rest.strip_prefix(".v").and_then(|rest| rest.strip_suffix("+json"));
    match old.or(new) {
        Some("0.1") => Ok("0.1"),
        Some("0.2") => Ok("0.2"),
        Some("0.3") => Ok("0.3"),
        _ => {
            let what = format!("{:?} is no Sigstore bundle of 0.1 to 0.3", value::cut(media_type, 128));
            Err(Rejection::new(Reason::UnsupportedVersion, what).at("mediaType"))
        }
    }
}

impl MessageSignature<'_> {
    /// What a signature over an artifact states: nothing but itself. The digest may be left out, as the signature is
    /// checked against the artifact.
    fn statement(&self) -> Result<Statement, Rejection> {
        let mut named = Named::default();
        if let Some(digest) = &self.digest.0 {
            let at = |rejection: Rejection| rejection.at("messageDigest");
            let algorithm = digest.algorithm.get().ok_or_else(|| at(Rejection::missing("algorithm")))?;
            let base64 = digest.digest.get().ok_or_else(|| at(Rejection::missing("digest")))?;
            let bytes = dsse::decode("digest", base64).map_err(|mut rejection| {
                rejection.reason = Reason::BadDigest;
                at(rejection)
            })?;
            named.digests.extend(bom::hash("digest", algorithm, &hex::encode(bytes)).map_err(at)?);
        }
        Ok(Statement {
            version: "",
            predicate_type: SIGNATURE_ONLY.to_owned(),
            subjects: Some(1),
            named,
            claims: Claims::default(),
            bom: None,
        })
    }
}

impl Material<'_> {
    /// Adds who signed, and where that was logged.
    fn complete(&self, signed: &mut Signed) -> Result<(), Rejection> {
        let of_chain =
            self.x509_certificate_chain.0.as_ref().and_then(|chain| chain.certificates.0.first()?.0.as_ref());
        let (at, certificate) = match (&self.certificate.0, of_chain) {
            (Some(certificate), _) => ("certificate.rawBytes", Some(certificate)),
            (None, of_chain) => ("x509CertificateChain.certificates[0].rawBytes", of_chain),
        };
        if let Some(certificate) = certificate {
            let base64 = certificate.raw_bytes.get().ok_or_else(|| Rejection::missing(at))?;
            signed.signer = certificate::signer(at, &dsse::decode(at, base64)?)?;
        }
        let hint = self.public_key.0.as_ref().and_then(|key| key.hint.cut(NAME_MAX));
        signed.key_id = signed.key_id.take().or(hint);
        if let Some(entry) = self.tlog_entries.0.first().and_then(|entry| entry.0.as_ref()) {
            signed.log_entry = entry.log_entry().map_err(|rejection| rejection.at("tlogEntries[0]"))?;
        }
        Ok(())
    }
}

impl Material<'_> {
    /// When an authority stamped the signature: with a log of the second kind that is the only time there is.
    fn stamped_at(&self) -> Option<Timestamp> {
        let stamps = self.timestamp_verification_data.0.as_ref()?.rfc3161.0.iter();
        stamps.filter_map(|stamp| stamp.0.as_ref()?.signed.get()).find_map(|base64| {
            let response = dsse::decode("signedTimestamp", base64).ok()?;
            let time = der::stamped_at(&response)?;
            let time = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%d%H%M%S%.fZ").ok()?;
            Timestamp::from_micros(time.and_utc().timestamp_micros()).ok()
        })
    }
}

impl Entry<'_> {
    /// None for an entry of a log without a name.
    fn log_entry(&self) -> Result<Option<LogEntry>, Rejection> {
        let Some(log) = self.log_id.0.as_ref().and_then(|id| id.key_id.cut(NAME_MAX)) else { return Ok(None) };
        let wrong = |field: &str, text: &str, reason: Reason| {
            let what = format!("{:?} is no whole number of 64 bits", value::cut(text, 64));
            Rejection::new(reason, what).at(field)
        };
        let index = self.log_index.get().unwrap_or("0");
        let index = index.parse::<u64>().map_err(|_why| wrong("logIndex", index, Reason::BadNumber))?;
        let seconds = self.integrated_time.get().unwrap_or("0");
        let seconds = seconds.parse::<i64>().map_err(|_why| wrong("integratedTime", seconds, Reason::BadTime))?;
        let integrated_at: Option<Timestamp> = match seconds {
            // A log of the second kind does not say.
            0 => None,
            seconds => Some(value::unix_seconds("integratedTime", seconds)?),
        };
        Ok(Some(LogEntry { integrated_at, log, log_index: U64(index) }))
    }
}
