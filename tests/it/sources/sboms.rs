//! Bills of materials.

use plimsoll::event::Digest;
use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;
use plimsoll::report::{Component, Details, Document, FORMATS, Finding, Format, Given, Rejection, Report};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Try, fixture, received_at};

/// Handed in for an artifact, as of documents that do not say what they are about.
fn given() -> Try<'static> {
    let artifact = format!("sha256:{}", "a1".repeat(32)).parse().ok();
    Try { about: About { artifact, ..About::default() }, details: true, ..Try::default() }
}

fn named() -> Try<'static> {
    Try { details: true, ..Try::default() }
}

/// Every fixture, and whether it names what it is about.
const FIXTURES: &[(&str, bool)] = &[
    ("sbom/cyclonedx/alpine-image.json", true),
    ("sbom/cyclonedx/centos-7-image-1.5.json", false),
    ("sbom/cyclonedx/cisa-1-vex-affected.json", false),
    ("sbom/cyclonedx/cisa-1-vex-fixed.json", false),
    ("sbom/cyclonedx/cisa-1-vex-not_affected.json", false),
    ("sbom/cyclonedx/cisa-1-vex-under_investigation.json", false),
    ("sbom/cyclonedx/components-flat.json", true),
    ("sbom/cyclonedx/laravel-1.4.json", false),
    ("sbom/cyclonedx/laravel-1.4.xml", false),
    ("sbom/cyclonedx/minikube-kbom-1.5.json", false),
    ("sbom/cyclonedx/py-environment-1.6.json", false),
    ("sbom/cyclonedx/py-req-1.4.json", false),
    ("sbom/cyclonedx/py-req-1.5.json", false),
    ("sbom/cyclonedx/py-req-1.6.json", false),
    ("sbom/cyclonedx/py-req-1.6.xml", false),
    ("sbom/cyclonedx/small-legal.json", false),
    ("sbom/cyclonedx/syft-gomod-1.2.json", false),
    ("sbom/cyclonedx/syft-gomod-1.3.json", false),
    ("sbom/cyclonedx/syft-gomod-1.4.json", false),
    ("sbom/cyclonedx/syft-gomod-1.5.json", false),
    ("sbom/cyclonedx/syft-gomod-1.6.json", false),
    ("sbom/cyclonedx/syft-gomod-1.6.xml", false),
    ("sbom/cyclonedx/syft-gomod-1.7.json", false),
    ("sbom/cyclonedx/trivy-with-vulnerabilities-1.7.json", false),
    ("sbom/cyclonedx/vex-affected.json", false),
    ("sbom/spdx/alpine-3.10.syft-2.2.json", false),
    ("sbom/spdx/alpine-image-2.2.json", false),
    ("sbom/spdx/example10-2.3.json", false),
    ("sbom/spdx/example10-3.0.json", false),
    ("sbom/spdx/example14-maven-2.3.json", false),
    ("sbom/spdx/ko-image-amd64-2.2.json", true),
    ("sbom/spdx/ko-index-2.2.json", true),
    ("sbom/spdx/syft-gomod-2.2.json", false),
    ("sbom/spdx/syft-gomod-2.3.json", false),
    ("sbom/spdx/syft-gomod-3.0.json", false),
    ("sbom/syft/alpine-schema-13.json", true),
    ("sbom/syft/alpine-schema-6.json", true),
    ("sbom/syft/gomod-schema-11.json", false),
];

#[test]
fn bills_of_materials_become_facts() {
    for (path, says_what_it_is_about) in FIXTURES {
        if *says_what_it_is_about {
            named().golden(path);
        } else {
            named().refuses(&fixture(path), Reason::NoSubject, Some("artifact"));
            given().golden(path);
        }
    }
}

#[test]
fn broken_bills_of_materials_never_panic() {
    // The two largest have nothing that others have not, and take most of the time.
    for (path, _) in FIXTURES.iter().filter(|(path, _)| !path.contains("laravel")) {
        given().never_panics(path);
    }
}

#[derive(Default, PartialEq, Debug)]
struct Kept(Vec<Component>, Vec<Finding>);

impl Details for Kept {
    fn component(&mut self, component: Component) {
        self.0.push(component);
    }
    fn finding(&mut self, finding: Finding) {
        self.1.push(finding);
    }
}

fn format(name: &str) -> &'static Format {
    FORMATS.iter().find(|format| format.name == name).unwrap()
}

fn read(name: &str, document: &Document<'_>) -> Result<(Report, Kept), Rejection> {
    let given = Given { document: "0".repeat(64).parse().unwrap(), exit_code: None, received_at: received_at() };
    let mut kept = Kept::default();
    let report = (format(name).read)(document, &given, &mut kept)?;
    assert_eq!((format(name).read)(document, &given, &mut ()).unwrap(), report, "it matters whether anybody looks");
    Ok((report, kept))
}

/// Of a document that does not fit into memory the same is read as of one that does.
#[test]
fn streams_are_read_as_bytes_are() {
    for (path, _) in FIXTURES {
        let bytes = fixture(path);
        let sketch = Document::bytes(&bytes).sketch().unwrap();
        let name = plimsoll::report::detect(None, &sketch).unwrap().name;
        let open = || Ok(Box::new(bytes.as_slice()) as Box<dyn std::io::Read>);
        let wanted = read(name, &Document::bytes(&bytes)).unwrap();
        // One that fits into memory, and one that does not.
        for size in [bytes.len() as u64, 1 << 40] {
            assert_eq!(read(name, &Document::stream(size, &open)).unwrap(), wanted, "{path}");
        }
    }
}

/// Generators may put what names the form behind everything else, and everything else may be long.
#[test]
fn long_documents_are_recognised_by_their_beginning() {
    let many = |one: Value| vec![one; 3000];
    let component = json!({"bom-ref": "a", "name": "a", "type": "library"});
    let sorted =
        format!("{{\"components\":{},\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\"}}", json!(many(component)));
    let package = json!({"SPDXID": "SPDXRef-a", "name": "a"});
    let spdx = format!("{{\"packages\":{},\"spdxVersion\":\"SPDX-2.3\"}}", json!(many(package)));
    let element = json!({"type": "software_Package", "spdxId": "urn:a", "name": "a"});
    let info = json!({"type": "CreationInfo", "specVersion": "3.0.1"});
    let graph = format!(
        "{{\"@graph\":{},\"@context\":\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\"}}",
        json!([many(element), vec![info]].concat())
    );
    let artifact = json!({"id": "a", "name": "a", "foundBy": "b-cataloger"});
    let syft = format!("{{\"artifacts\":{},\"schema\":{{\"version\":\"16.1.0\"}}}}", json!(many(artifact)));
    for document in [sorted, spdx, graph, syft] {
        let lines = given().lines(document.as_bytes()).unwrap();
        assert!(lines.contains("\"components\":3000,"), "{}", &lines[..500]);
    }
}

/// The XML of a document says the same as its JSON.
#[test]
fn xml_is_read_as_json_is() {
    let (json, xml) = (fixture("sbom/cyclonedx/laravel-1.4.json"), fixture("sbom/cyclonedx/laravel-1.4.xml"));
    let json = read("cyclonedx", &Document::bytes(&json)).unwrap();
    assert_eq!(read("cyclonedx-xml", &Document::bytes(&xml)).unwrap(), json);
}

fn cyclonedx(with: Value) -> Vec<u8> {
    let mut document = json!({"bomFormat": "CycloneDX", "specVersion": "1.6"});
    document.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    document.to_string().into_bytes()
}

fn container(with: Value) -> Vec<u8> {
    let mut component = json!({"type": "container", "name": "a"});
    component.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    cyclonedx(json!({"metadata": {"component": component}}))
}

#[test]
fn cyclonedx_names_what_is_wrong() {
    let text = String::from_utf8(fixture("sbom/cyclonedx/py-environment-1.6.json")).unwrap();
    given().refuses(&text.as_bytes()[..text.len() / 2], Reason::Malformed, None);
    let bad = |body: &[u8], reason, field| given().refuses(body, reason, Some(field));
    bad(text.replace("\"1.6\"", "\"1.8\"").as_bytes(), Reason::UnsupportedVersion, "specVersion");
    bad(text.replace("bomFormat", "x").as_bytes(), Reason::MissingField, "bomFormat");
    bad(br#"{"bomFormat":"CycloneDX","specVersion":null}"#, Reason::MissingField, "specVersion");
    bad(&cyclonedx(json!({"components": {}})), Reason::BadField, "components");
    bad(
        &cyclonedx(json!({"components": [{}, {"components": [{}, 1]}]})),
        Reason::BadField,
        "components[1].components[1]",
    );
    bad(&cyclonedx(json!({"vulnerabilities": "none"})), Reason::BadField, "vulnerabilities");
    bad(&cyclonedx(json!({"metadata": []})), Reason::BadField, "metadata");
    bad(&cyclonedx(json!({"metadata": {"component": 1}})), Reason::BadField, "metadata.component");
    bad(&cyclonedx(json!({"metadata": {"timestamp": "2031-01-01T00:00:00Z"}})), Reason::FutureTime, "generated_at");
    let twice = br#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[],"components":[{}]}"#;
    bad(twice, Reason::BadField, "components");
    let huge = br#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":1e999}]}"#;
    bad(huge, Reason::BadNumber, "components[0]");
    let deep = format!("{{\"bomFormat\":\"CycloneDX\",\"components\":{}", "[{\"components\":".repeat(99));
    given().refuses(deep.as_bytes(), Reason::TooDeep, None);
    let short = "sha256:abcd";
    bad(&container(json!({"version": short})), Reason::BadDigest, "metadata.component.version");
    bad(&container(json!({"purl": "pkg:oci/a@sha256%3Aabcd"})), Reason::BadDigest, "metadata.component.purl");
    let trivy = |value: Value| {
        container(json!({"properties": [{}, {"name": "aquasecurity:trivy:RepoDigest", "value": value}]}))
    };
    bad(&trivy(json!("a@sha256:abcd")), Reason::BadDigest, "metadata.component.properties[1].value");
    bad(
        &container(json!({"hashes": [{"alg": "SHA-256", "content": "abcd"}]})),
        Reason::BadDigest,
        "metadata.component.hashes[0].content",
    );
    // What is not essential is passed over.
    for junk in [
        json!({"metadata": null, "components": null, "serialNumber": 7}),
        json!({"metadata": {"timestamp": "2026-01-01T00:00:00", "tools": 7}}),
    ] {
        let line = given().lines(&cyclonedx(junk)).unwrap();
        assert!(line.contains("\"components\":0") && !line.contains("generated_at"), "{line}");
    }
}

#[test]
fn an_image_is_named_where_the_generators_name_it() {
    let of = |body: &[u8]| read("cyclonedx", &Document::bytes(body)).unwrap().0.named.digests;
    let (one, two) = ("1a".repeat(32), "2b".repeat(32));
    let digest = |hex: &str| format!("sha256:{hex}").parse::<Digest>().unwrap();
    let repo = |value: &str| json!({"name": "aquasecurity:trivy:RepoDigest", "value": value});
    let image = json!({"name": "aquasecurity:trivy:ImageID", "value": format!("sha256:{two}")});
    assert_eq!(
        of(&container(json!({"properties": [image, repo(""), repo(&format!("h/a@sha256:{one}"))]}))),
        [digest(&one)]
    );
    assert_eq!(of(&container(json!({"properties": [image]}))), []);
    assert_eq!(of(&container(json!({"version": format!("sha256:{}", one.to_uppercase())}))), [digest(&one)]);
    let hashes = json!([{"alg": "SHA-1", "content": "x"}, {"alg": "SHA-256", "content": one}]);
    assert_eq!(of(&container(json!({"hashes": hashes}))), [digest(&one)]);
    assert_eq!(of(&container(json!({"type": "file", "hashes": hashes}))), []);
    let xml = format!(
        "<c:bom xmlns:c='http://cyclonedx.org/schema/bom/1.5'>\
         <c:metadata><c:component type='container'>\
         <c:properties><c:property name='x'>y</c:property>\
         <c:property name='aquasecurity:trivy:RepoDigest'>h/a@sha&#50;56:{one}\
         </c:property></c:properties></c:component></c:metadata></c:bom>"
    );
    assert_eq!(read("cyclonedx-xml", &Document::bytes(xml.as_bytes())).unwrap().0.named.digests, [digest(&one)]);
    let purl = format!("pkg:oci/a@sha256%3A{two}?repository_url=h/a");
    assert_eq!(of(&container(json!({"hashes": hashes, "purl": purl}))), [digest(&two)]);
}

/// A manifest on the machine where Syft ran may be another than the registry's.
#[test]
fn an_image_is_not_named_by_its_local_manifest() {
    let digest = format!("sha256:{}", "2b".repeat(32));
    for of in ["metadata", "target"] {
        let source = json!({"type": "image", "name": "churn", of: {"manifestDigest": digest, "repoDigests": []}});
        let body =
            json!({"artifacts": [], "artifactRelationships": [], "source": source, "schema": {"version": "16.1.0"}});
        let body = body.to_string();
        assert_eq!(read("syft", &Document::bytes(body.as_bytes())).unwrap().0.named.digests, []);
        named().refuses(body.as_bytes(), Reason::NoSubject, Some("artifact"));
        assert!(given().lines(body.as_bytes()).is_ok());
    }
}

#[test]
fn other_bills_of_materials_name_what_is_wrong() {
    let bad = |body: Value, reason, field| given().refuses(body.to_string().as_bytes(), reason, Some(field));
    bad(json!({"SPDXID": "SPDXRef-DOCUMENT", "packages": []}), Reason::MissingField, "spdxVersion");
    bad(json!({"spdxVersion": "SPDX-2.4", "packages": []}), Reason::UnsupportedVersion, "spdxVersion");
    bad(json!({"spdxVersion": "SPDX-2.3", "packages": {}}), Reason::BadField, "packages");
    bad(json!({"sbom": {"spdxVersion": "SPDX-2.3", "packages": [{}, []]}}), Reason::BadField, "sbom.packages[1]");
    let spdx = |described: &str| {
        let purl = json!({"referenceType": "purl", "referenceLocator": "pkg:oci/a@sha256:abcd"});
        json!({"spdxVersion": "SPDX-2.3", "packages": [{"SPDXID": "SPDXRef-a", "externalRefs": [purl]}],
            "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": described}]})
    };
    bad(spdx("SPDXRef-a"), Reason::BadDigest, "packages[0].externalRefs[0].referenceLocator");
    // Of what it is not about, a digest that is none says nothing wrong.
    assert!(given().lines(spdx("SPDXRef-b").to_string().as_bytes()).is_ok());
    let graph = |version: &str| json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{"type": "CreationInfo", "@id": "_:a", "specVersion": version}]});
    bad(graph("3.1.0"), Reason::UnsupportedVersion, "@graph.specVersion");
    bad(graph(""), Reason::MissingField, "@graph.specVersion");
    bad(
        json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{}, []]}),
        Reason::BadField,
        "@graph[1]",
    );
    let syft = |artifacts: Value, source: Value, version: &str| json!({"artifacts": artifacts, "artifactRelationships": [], "source": source, "schema": {"version": version}});
    bad(syft(json!([]), json!({}), "17.0.0"), Reason::UnsupportedVersion, "schema.version");
    bad(syft(json!([]), json!({}), ""), Reason::MissingField, "schema.version");
    bad(syft(Value::Null, json!({}), "16.1.0"), Reason::MissingField, "artifacts");
    bad(syft(json!([{}, []]), json!({}), "16.1.0"), Reason::BadField, "artifacts[1]");
    let source = json!({"metadata": {"repoDigests": ["", "a@sha256:abcd"]}});
    bad(syft(json!([]), source, "16.1.0"), Reason::BadDigest, "source.metadata.repoDigests[1]");
    let xml = |body: &str| format!("<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">{body}").into_bytes();
    given().refuses(&xml("<components>"), Reason::Malformed, None);
    given().refuses(&xml("&secret;</bom>"), Reason::Entities, None);
    given().refuses(&xml("</bom><bom/>"), Reason::Malformed, None);
    given().refuses(&xml(&"<a>".repeat(200)), Reason::TooDeep, None);
    let declared = b"<!DOCTYPE bom [<!ENTITY a \"b\">]><bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\"/>";
    given().refuses(declared, Reason::Entities, None);
    given().refuses(
        b"<bom xmlns=\"http://cyclonedx.org/schema/bom/2.0\"/>",
        Reason::UnsupportedVersion,
        Some("specVersion"),
    );
}

/// A tree of components: of each, its children.
#[derive(Debug, Clone)]
struct Tree(Vec<Self>);

fn trees() -> impl Strategy<Value = Tree> {
    Just(Tree(Vec::new())).prop_recursive(6, 60, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Tree))
}

impl Tree {
    fn count(&self) -> usize {
        self.0.iter().map(|child| 1 + child.count()).sum()
    }
    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|child| json!({"name": "a&b", "components": child.json(), "pedigree": {"ancestors": [{"name": "x"}]}}))
            .collect()
    }
    fn xml(&self) -> String {
        let one = |child: &Self| {
            let within = child.xml();
            format!(
                "<component><name>a&amp;<![CDATA[b]]></name><pedigree><ancestors><component/></ancestors></pedigree>{within}</component>"
            )
        };
        format!("<components>{}</components>", self.0.iter().map(one).collect::<String>())
    }
}

proptest! {
    #[test]
    fn nested_components_are_counted_and_handed_over(tree in trees()) {
        let json = cyclonedx(json!({"components": tree.json(), "dependencies": [{"components": [{}]}]}));
        let xml = format!("<bom xmlns='http://cyclonedx.org/schema/bom/1.6'>{}</bom>", tree.xml());
        let json = read("cyclonedx", &Document::bytes(&json)).unwrap();
        let xml = read("cyclonedx-xml", &Document::bytes(xml.as_bytes())).unwrap();
        prop_assert_eq!(json.1.0.len(), tree.count());
        let named = json.1.0.iter().all(|component| component.name == "a&b");
        prop_assert!(named);
        let count = format!("components: {},", tree.count());
        let facts = format!("{:?}", json.0.facts);
        prop_assert!(facts.contains(&count), "{}", facts);
        prop_assert_eq!(json, xml);
    }
}
