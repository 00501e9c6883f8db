//! Just enough of DER to take one value out of a structure whose form is known.

/// An element, and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// Tags that are met.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const UTF8: u8 = 0x0c;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, around a value.
pub(super) const EXPLICIT_0: u8 = 0xa0;

/// The first element: length in one byte, or in up to three behind the first.
pub(super) fn first(der: &[u8]) -> Option<Element<'_>> {
    let (tag, length, from): (u8, usize, usize) = match *der {
        [tag, length @ ..=0x7f, ..] => (tag, usize::from(length), 2),
        [tag, 0x81, length, ..] => (tag, usize::from(length), 3),
        [tag, 0x82, high, low, ..] => (tag, usize::from(u16::from_be_bytes([high, low])), 4),
        [tag, 0x83, high, middle, low, ..] => {
            (tag, usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?, 5)
        }
        _ => return None,
    };
    let to = from.checked_add(length)?;
    Some(Element { tag, content: der.get(from..to)?, rest: der.get(to..)? })
}

/// The content of the first element, which must have that tag.
pub(super) fn content(tag: u8, der: &[u8]) -> Option<&[u8]> {
    first(der).filter(|element| element.tag == tag).map(|element| element.content)
}

/// What stands behind so many elements.
pub(super) fn skip(der: &[u8], elements: usize) -> Option<&[u8]> {
    (0..elements).try_fold(der, |der, _| first(der).map(|element| element.rest))
}

/// The time in a time-stamp response of RFC 3161, which is the one thing wanted of it: `20250612120216Z`.
pub(super) fn stamped_at(response: &[u8]) -> Option<&str> {
    // TimeStampResp: status, then ContentInfo: type, then [0] SignedData.
    let content_info = content(SEQUENCE, skip(content(SEQUENCE, response)?, 1)?)?;
    let signed_data = content(SEQUENCE, content(EXPLICIT_0, skip(content_info, 1)?)?)?;
    // SignedData: version, digest algorithms, then what is signed: type, then [0] TSTInfo within octets.
    let signed = content(SEQUENCE, skip(signed_data, 2)?)?;
    let info = content(SEQUENCE, content(OCTETS, content(EXPLICIT_0, skip(signed, 1)?)?)?)?;
    // TSTInfo: version, policy, imprint, serial number, then the time.
    std::str::from_utf8(content(GENERALIZED_TIME, skip(info, 4)?)?).ok()
}
