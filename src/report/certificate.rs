//! Who a certificate of Fulcio (Sigstore's authority) says somebody is.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::bom::NAME_MAX;
use super::{Reason, Rejection, der, value};
use crate::event::Subject;
use crate::event::pipeline::Identity;

/// Fulcio's extensions: the issuer as bare text (deprecated, in every certificate), the same in DER, and the workflow.
const ISSUER_BARE: &str = "1.3.6.1.4.1.57264.1.1";
const ISSUER: &str = "1.3.6.1.4.1.57264.1.8";
const USER_NAME: &str = "1.3.6.1.4.1.57264.1.7";
const BUILD_SIGNER: &str = "1.3.6.1.4.1.57264.1.9";
const BUILD_CONFIG: &str = "1.3.6.1.4.1.57264.1.18";

/// Most bytes of an identity, as of any subject.
const IDENTITY_MAX: usize = 1024;

/// The identity in a certificate; none in one that no OIDC token stands behind.
///
/// # Errors
/// [`Reason::BadField`] when it is no certificate.
pub(super) fn signer(field: &str, bytes: &[u8]) -> Result<Option<Identity>, Rejection> {
    let (_, certificate) = X509Certificate::from_der(bytes)
        .map_err(|error| Rejection::new(Reason::BadField, format!("is no certificate in DER: {error}")).at(field))?;
    let extension = |oid: &str| {
        let mut extensions = certificate.extensions().iter();
        extensions.find(|extension| extension.oid.to_id_string() == oid).map(|extension| extension.value)
    };
    let bare = || std::str::from_utf8(extension(ISSUER_BARE)?).ok();
    let Some(issuer) = extension(ISSUER).and_then(utf8_string).or_else(bare).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let names = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let name = names.flatten().find_map(|name| match name {
        GeneralName::URI(text) | GeneralName::RFC822Name(text) | GeneralName::DNSName(text) => Some(*text),
        // The value is explicitly tagged.
        GeneralName::OtherName(oid, value) if oid.to_id_string() == USER_NAME => {
            der::content(der::EXPLICIT_0, value).and_then(utf8_string)
        }
        _ => None,
    });
    let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= IDENTITY_MAX) else { return Ok(None) };
    let of_build = [BUILD_SIGNER, BUILD_CONFIG].into_iter().filter_map(|oid| extension(oid).and_then(utf8_string));
    let is_workflow = name.contains("/.github/workflows/") || of_build.into_iter().any(|uri| uri == name);
    Ok(Some(Identity {
        issuer: value::cut(issuer, NAME_MAX),
        subject: Subject::identity(name),
        workflow: is_workflow.then(|| value::cut(name, NAME_MAX)),
    }))
}

/// The text of a `UTF8String` in DER.
fn utf8_string(der: &[u8]) -> Option<&str> {
    std::str::from_utf8(der::content(der::UTF8, der)?).ok()
}
