//! The JSON schema of messages, as the JSON mapping of the contracts writes them.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Schemas by message name.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// A reference to the schema of `message`, which is added with all it needs.
    pub(super) fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(known) = well_known(message.full_name()) {
            return known;
        }
        let name = short(message);
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), Value::Null);
            let schema = self.object(message, &[]);
            self.0.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// The schema of a message without some of its fields, written out.
    pub(super) fn object(&mut self, message: &MessageDescriptor, without: &[&str]) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            if is_required(&field) {
                required.push(Value::from(field.name()));
            }
            let mut schema = self.field(&field);
            if let (Some(object), comment) = (schema.as_object_mut(), comment_of_field(&field))
                && !comment.is_empty()
            {
                object.insert("description".to_owned(), Value::from(comment));
            }
            properties.insert(field.name().to_owned(), schema);
        }
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            schema["required"] = Value::Array(required);
        }
        let comment = comment_of(message.parent_file(), message.path());
        if !comment.is_empty() {
            schema["description"] = Value::from(comment);
        }
        schema
    }

    /// The schema of a field's JSON form.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let one = match field.kind() {
            Kind::Message(inner) => self.reference(&inner),
            // AIP-158, and the same in every list: 0 is the default, more than the largest is the largest.
            Kind::Int32 if field.name() == "page_size" => {
                json!({"type": "integer", "format": "int32", "minimum": 0, "default": 50})
            }
            kind => scalar(&kind),
        };
        if field.cardinality() == Cardinality::Repeated {
            return json!({"type": "array", "items": one});
        }
        one
    }

    /// All schemas.
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0.into_iter().collect())
    }
}

fn scalar(kind: &Kind) -> Value {
    match kind {
        Kind::Double | Kind::Float => json!({"type": "number", "format": "double"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
            json!({"type": "integer", "format": "int32"})
        }
        // A number up to 2^53, a string past it.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": ["integer", "string"], "format": "int64", "pattern": "^-?[0-9]+$"})
        }
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::String | Kind::Message(_) | Kind::Enum(_) => json!({"type": "string"}),
    }
}

fn well_known(name: &str) -> Option<Value> {
    match name {
        "google.protobuf.Timestamp" => Some(json!({"type": ["string", "null"], "format": "date-time"})),
        "google.protobuf.FieldMask" => Some(json!({"type": "string"})),
        "google.protobuf.Struct" => Some(json!({"type": ["object", "null"]})),
        _ => None,
    }
}

/// `causeway.auth.v1.LoginRequest` as `auth.LoginRequest`.
fn short(message: &MessageDescriptor) -> String {
    let package = message.package_name().split('.').nth(1).unwrap_or_default();
    format!("{package}.{}", message.name())
}

fn is_required(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let required = field
        .parent_pool()
        .get_extension_by_name("causeway.common.v1.required");
    required.is_some_and(|extension| options.get_extension(&extension).as_bool() == Some(true))
}

/// The comment of a field in its proto file.
pub(super) fn comment_of_field(field: &FieldDescriptor) -> String {
    comment_of(field.parent_message().parent_file(), field.path())
}

fn comment_of(file: prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let proto = file.file_descriptor_proto();
    let locations = proto.source_code_info.iter().flat_map(|info| &info.location);
    let found = locations.into_iter().find(|location| location.path == path);
    found
        .map(|location| location.leading_comments().trim().replace("\n ", " "))
        .unwrap_or_default()
}
