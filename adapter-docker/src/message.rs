//! The protocol's calls, requests and answers, as Docker's daemon spells them.
//!
//! Sources: Docker's plugin API documentation ("Volume plugin protocol"), and what dockerd 20.10
//! was seen to send: no Content-Type, an empty Host, `Opts` null, and an empty body on a retry.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A call of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Activate,
    Create,
    Get,
    List,
    Mount,
    Unmount,
    Path,
    Remove,
    Capabilities,
}

impl Call {
    /// The call that a request's path names.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Some(match path {
            "/Plugin.Activate" => Self::Activate,
            "/VolumeDriver.Create" => Self::Create,
            "/VolumeDriver.Get" => Self::Get,
            "/VolumeDriver.List" => Self::List,
            "/VolumeDriver.Mount" => Self::Mount,
            "/VolumeDriver.Unmount" => Self::Unmount,
            "/VolumeDriver.Path" => Self::Path,
            "/VolumeDriver.Remove" => Self::Remove,
            "/VolumeDriver.Capabilities" => Self::Capabilities,
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "Activate",
            Self::Create => "Create",
            Self::Get => "Get",
            Self::List => "List",
            Self::Mount => "Mount",
            Self::Unmount => "Unmount",
            Self::Path => "Path",
            Self::Remove => "Remove",
            Self::Capabilities => "Capabilities",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRequest {
    pub(crate) name: String,
    /// Null when the user gave no `-o`.
    #[serde(default, deserialize_with = "options")]
    pub(crate) opts: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NameRequest {
    pub(crate) name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MountRequest {
    pub(crate) name: String,
    /// Absent in calls of clients that speak the protocol of Docker 1.11 (dvdcli).
    #[serde(rename = "ID", default)]
    pub(crate) id: Option<String>,
}

/// Options of which none is given twice: JSON leaves open which of the two would count.
struct Options(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Options, A::Error> {
                let mut options = BTreeMap::new();
                while let Some((key, value)) = pairs.next_entry()? {
                    if options.insert(key, value).is_some() {
                        return Err(A::Error::custom("an option is given twice"));
                    }
                }
                Ok(Options(options))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

fn options<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Option::<Options>::deserialize(deserializer).map(|options| options.map(|Options(pairs)| pairs))
}

/// Reads a request's body. The error is for the caller to read and shows nothing of the body.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    if is_empty(body) {
        return Err(
            "the request has no body; if this is a retry, run the command again".to_owned(),
        );
    }
    serde_json::from_slice(body).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data => {
                if let Some(wrong) = wrong_field(body) {
                    return wrong;
                }
                "has not the fields of this call, or has one twice"
            }
            _ => "is not JSON",
        };
        format!(
            "the request's body {kind} (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

/// The field that a call cannot do without, or that is of the wrong type, by name: never by value.
fn wrong_field(body: &[u8]) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Some("the request's body has to be a JSON object".to_owned());
    };
    match fields.get("Name") {
        None => return Some("the field `Name` is missing".to_owned()),
        Some(Value::String(_)) => {}
        Some(_) => return Some("the field `Name` has to be text".to_owned()),
    }
    if !matches!(
        fields.get("ID"),
        None | Some(Value::Null | Value::String(_))
    ) {
        return Some("the field `ID` has to be text".to_owned());
    }
    match fields.get("Opts") {
        None | Some(Value::Null) => None,
        Some(Value::Object(options)) => {
            let (key, _) = options.iter().find(|(_, value)| !value.is_string())?;
            let key: String = key.chars().filter(|c| !c.is_control()).take(60).collect();
            Some(format!(
                "the option `{key}` has to be text: write its value in quotes"
            ))
        }
        Some(_) => Some("the field `Opts` has to be an object of texts".to_owned()),
    }
}

/// The volume that a request names, for the log: bounded, and without control characters.
pub(crate) fn named(body: &[u8]) -> Option<String> {
    let request: NameRequest = serde_json::from_slice(body).ok()?;
    let safe = request.name.chars().filter(|c| !c.is_control());
    Some(safe.take(128).collect())
}

/// Whether a body holds nothing: what Docker's client sends when it repeats a request.
pub(crate) fn is_empty(body: &[u8]) -> bool {
    body.trim_ascii().is_empty()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ErrorAnswer<'a> {
    pub(crate) err: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ActivateAnswer {
    pub(crate) implements: [&'static str; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CapabilitiesAnswer {
    pub(crate) capabilities: Scope,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Scope {
    pub(crate) scope: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MountpointAnswer<'a> {
    pub(crate) mountpoint: &'a str,
    pub(crate) err: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetAnswer<'a> {
    pub(crate) volume: VolumeAnswer<'a>,
    pub(crate) err: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListAnswer<'a> {
    pub(crate) volumes: Vec<ListedVolume<'a>>,
    pub(crate) err: &'a str,
}

/// One volume of many: little work for each. Docker's daemon takes no more than name and mount
/// point from a list (moby, volume/drivers/adapter.go).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedVolume<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mountpoint: Option<String>,
    pub(crate) status: ListedStatus<'a>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedStatus<'a> {
    pub(crate) inventory_age: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumeAnswer<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mountpoint: String,
    /// RFC 3339 or absent: anything else makes the daemon treat the volume as missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) status: BTreeMap<&'static str, Value>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Call, CreateRequest, MountRequest, NameRequest, parse};

    #[test]
    fn requests_as_the_daemon_sends_them() {
        let create: CreateRequest = parse(br#"{"Name":"v","Opts":null}"#).unwrap();
        assert_eq!(create.opts, None);
        let create: CreateRequest = parse(br#"{"Name":"v","Opts":{"size":"1GiB"}}"#).unwrap();
        assert_eq!(create.opts.unwrap()["size"], "1GiB");
        let mount: MountRequest = parse(br#"{"Name":"v"}"#).unwrap();
        assert_eq!(mount.id, None);
        let name: NameRequest = parse(br#"{"Name":"","More":[1,{}]}"#).unwrap();
        assert_eq!(name.name, "");
    }

    #[test]
    fn bad_bodies_are_described_and_not_repeated() {
        for body in [
            "",
            " \n",
            "{",
            "[]",
            "null",
            "{\"Name\":1}",
            "{\"name\":\"s3cr3t\"}",
        ] {
            let error = parse::<NameRequest>(body.as_bytes()).unwrap_err();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        for (body, named) in [
            (r#"{"Opts":{}}"#, "`Name` is missing"),
            (r#"{"Name":7}"#, "`Name` has to be text"),
            (
                r#"{"Name":"v","Opts":{"size":10737418240}}"#,
                "option `size`",
            ),
            (r#"{"Name":"v","Opts":["s3cr3t"]}"#, "`Opts`"),
        ] {
            let error = parse::<CreateRequest>(body.as_bytes()).unwrap_err();
            assert!(error.contains(named), "{body}: {error}");
        }
        let error = parse::<MountRequest>(br#"{"Name":"v","ID":1}"#).unwrap_err();
        assert!(error.contains("`ID`"), "{error}");
        let twice = br#"{"Name":"a","Name":"b"}"#;
        assert!(parse::<NameRequest>(twice).is_err());
        let twice = br#"{"Name":"a","Opts":{"size":"1G","size":"2G"}}"#;
        let error = parse::<CreateRequest>(twice).unwrap_err();
        assert!(error.contains("twice"), "{error}");
    }

    proptest! {
        #[test]
        fn no_body_makes_parsing_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse::<CreateRequest>(&body));
            drop(parse::<MountRequest>(&body));
            drop(parse::<NameRequest>(&body));
        }

        #[test]
        fn a_name_survives_the_round_trip(name in ".{0,300}") {
            let body = serde_json::json!({ "Name": name, "ID": name }).to_string();
            let read: MountRequest = parse(body.as_bytes()).unwrap();
            prop_assert_eq!(&read.name, &name);
            prop_assert_eq!(read.id, Some(name));
        }

        #[test]
        fn no_path_makes_routing_panic(path in ".{0,60}") {
            prop_assert!(Call::from_path(&path).is_none() || path.starts_with('/'));
        }
    }
}
