//! The kinds that the stand-in serves, and how each of them differs.

use serde_json::{Value, json};

/// What raises `metadata.generation`.
#[derive(Clone, Copy, PartialEq)]
pub enum Generation {
    /// Nothing: the kind has none.
    Absent,
    /// A change of `spec`.
    Spec,
    /// A change of anything but `metadata`: custom resources without a status subresource.
    All,
}

/// One kind.
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
    /// Whether a definition made it: no strategic merge, a schema that prunes.
    pub custom: bool,
    pub status: bool,
    pub scale: bool,
    pub generation: Generation,
}

const fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    let generation = Generation::Absent;
    Kind { group, version, kind, plural, namespaced: true, custom: false, status: false, scale: false, generation }
}

const fn custom(kind_name: &'static str, plural: &'static str) -> Kind {
    let mut made = kind("argoproj.io", "v1alpha1", kind_name, plural);
    made.custom = true;
    made.generation = Generation::All;
    made
}

const fn workload(kind_name: &'static str, plural: &'static str) -> Kind {
    let mut made = kind("apps", "v1", kind_name, plural);
    made.status = true;
    made.scale = true;
    made.generation = Generation::Spec;
    made
}

const fn namespaces() -> Kind {
    let mut made = kind("", "v1", "Namespace", "namespaces");
    made.namespaced = false;
    made
}

/// All of them.
pub static KINDS: &[Kind] = &[
    custom("Application", "applications"),
    custom("AppProject", "appprojects"),
    workload("Deployment", "deployments"),
    workload("StatefulSet", "statefulsets"),
    namespaces(),
    kind("", "v1", "ConfigMap", "configmaps"),
    kind("", "v1", "Event", "events"),
    kind("", "v1", "Secret", "secrets"),
];

impl Kind {
    /// `argoproj.io/v1alpha1`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `applications.argoproj.io`, or `secrets`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Where objects of it are in the store: etcd sorts by the bytes of the whole key.
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("/registry/{}/{namespace}", self.resource())
    }

    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        self.prefix(namespace) + name
    }

    /// The kind with these in a path.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    }

    /// The kind of an object.
    pub fn of(object: &Value) -> Option<&'static Self> {
        KINDS.iter().find(|kind| object["kind"] == kind.kind && object["apiVersion"] == kind.api_version())
    }
}

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What `GET` on a path that names no object says: groups, versions, resources. `None` where there is nothing.
pub fn discovery(segments: &[&str]) -> Option<Value> {
    match segments {
        ["version"] => Some(json!({
            "major": "1", "minor": "36", "gitVersion": super::VERSION, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-11-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "stand-in",
        })),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => {
            let groups: Vec<Value> =
                [("apps", "v1"), ("argoproj.io", "v1alpha1")].map(|(name, version)| group(name, version)).into();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let kind = KINDS.iter().find(|kind| kind.group == *name)?;
            let mut group = group(kind.group, kind.version);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Some(group)
        }
        ["api", version] => resources("", version),
        ["apis", group, version] => resources(group, version),
        _ => None,
    }
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut listed = Vec::new();
    let mut group_version = None;
    for kind in KINDS.iter().filter(|kind| kind.group == group && kind.version == version) {
        group_version = Some(kind.api_version());
        listed.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": VERBS,
        }));
        let verbs = ["get", "patch", "update"];
        if kind.status {
            let name = format!("{}/status", kind.plural);
            listed
                .push(json!({"name": name, "singularName": "", "namespaced": true, "kind": kind.kind, "verbs": verbs}));
        }
        if kind.scale {
            let name = format!("{}/scale", kind.plural);
            listed.push(json!({
                "name": name, "singularName": "", "namespaced": true, "kind": "Scale", "group": "autoscaling",
                "version": "v1", "verbs": verbs,
            }));
        }
    }
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version?, "resources": listed}))
}
