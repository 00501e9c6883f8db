//! The JSON Schemas of recorded events, made from the Rust types.

use plimsoll::event::{
    Correlation, Dedup, EventId, EventType, EvidenceRef, Hex32, Position, Source, StreamName, SubjectId, Timestamp,
    U64, VERSION,
};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// The schema of a recorded event of that type: envelope and payload.
pub(super) fn of(event_type: EventType) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut data = event_type.payload_schema(&mut generator).to_value();
    let mut defs = Map::new();
    if let Some(Value::Object(own)) = data.as_object_mut().and_then(|data| data.remove("$defs")) {
        defs.extend(own);
    }
    let about = data.as_object_mut().and_then(|data| {
        data.remove("$schema");
        data.remove("title");
        data.remove("description")
    });
    let properties = properties(&mut generator, event_type, data);
    defs.extend(generator.take_definitions(true));
    // A draft may write a time in other ways.
    defs["Timestamp"]["pattern"] = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$".into();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": defs,
        "title": event_type.as_str(),
        "description": about,
        "type": "object",
        "properties": properties,
        "required": [
            "data", "dedup", "id", "occurred_at", "position", "recorded_at", "seq", "source", "stream", "type", "v",
        ],
    });
    tidy(&mut schema);
    schema.sort_all_objects();
    schema
}

fn properties(generator: &mut SchemaGenerator, event_type: EventType, data: Value) -> Value {
    let kind = event_type.stream_kind().form().split('/').next().unwrap();
    let mut stream = generator.subschema_for::<StreamName>().to_value();
    stream["pattern"] =
        if kind == event_type.stream_kind().form() { format!("^{kind}$") } else { format!("^{kind}/") }.into();
    stream["description"] = event_type.stream_kind().form().into();
    let mut evidence = generator.subschema_for::<Vec<EvidenceRef>>().to_value();
    evidence["minItems"] = 1.into();
    json!({
        "actor": generator.subschema_for::<SubjectId>(),
        "causation": generator.subschema_for::<EventId>(),
        "correlation": generator.subschema_for::<Correlation>(),
        "data": data,
        "dedup": generator.subschema_for::<Dedup>(),
        "evidence": evidence,
        "id": generator.subschema_for::<EventId>(),
        "occurred_at": generator.subschema_for::<Timestamp>(),
        "position": generator.subschema_for::<Position>(),
        "prev": generator.subschema_for::<Hex32>(),
        "recorded_at": generator.subschema_for::<Timestamp>(),
        "seq": generator.subschema_for::<U64>(),
        "source": generator.subschema_for::<Source>(),
        "stream": stream,
        "type": { "const": event_type.as_str() },
        "v": { "const": VERSION },
    })
}

/// A leaf holds no null and no field that its version does not have; what serde would also read is not recorded.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|one| one != "null");
                let only = types.remove(0);
                assert!(types.is_empty(), "a field of one type");
                members.insert("type".to_owned(), only);
            }
            if let Some(Value::Array(mut choices)) = members.remove("anyOf") {
                choices.retain(|one| one != &json!({ "type": "null" }));
                let Ok([Value::Object(only)]) = <[Value; 1]>::try_from(choices) else { panic!("a choice of one") };
                members.extend(only);
            }
            if members.contains_key("properties") && members.get("type").is_some_and(|one| one == "object") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            members.values_mut().for_each(tidy);
        }
        _ => {}
    }
}
