//! What a function may touch is the same on Lambda and on Spin.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use edge_lambda::permissions::FunctionPermissions;
use toml::{Table, Value};

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let texts = list.filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[test]
fn variables_and_outbound_hosts_are_those_of_spin_toml() {
    let manifest: Table = include_str!("../../spin.toml").parse().unwrap();
    let components = manifest["component"].as_table().unwrap();
    let all = FunctionPermissions::all();
    for (name, permissions) in &all {
        let component = &components[name];
        let table = component["variables"].as_table().unwrap();
        let mut theirs: Vec<&String> = table.keys().collect();
        // An outbound host is a variable on Lambda, and a permission on Spin.
        let outbound = permissions.outbound.iter();
        theirs.extend(outbound.clone());
        theirs.sort();
        let mut ours: Vec<&String> = permissions.secrets.iter().collect();
        ours.extend(&permissions.settings);
        ours.sort();
        assert_eq!(ours, theirs, "{name}");
        let mut hosts: Vec<String> = outbound.map(|name| format!("{{{{ {name} }}}}")).collect();
        // Where objects are is a bucket on Lambda, and a host on Spin.
        let has_objects = !permissions.objects.is_empty();
        hosts.extend(has_objects.then(|| "{{ usage_objects }}".to_owned()));
        assert_eq!(
            strings(component.get("allowed_outbound_hosts")),
            hosts,
            "{name}"
        );
    }
    // A component with a database is a function, and each function is listed.
    let with_data = components
        .iter()
        .filter(|(_, component)| !strings(component.get("sqlite_databases")).is_empty());
    let with_data: Vec<&String> = with_data.map(|(name, _)| name).collect();
    assert_eq!(with_data.len(), all.len());
    assert!(with_data.iter().all(|name| all.contains_key(*name)));
}

/// What the sources below a folder say, tests among them apart.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap();
    let text = |path: PathBuf| match path.extension() {
        _ if path.is_dir() && path.ends_with("testing") => String::new(),
        _ if path.is_dir() => sources(&path),
        Some(kind) if kind == "rs" => std::fs::read_to_string(path).unwrap(),
        _ => String::new(),
    };
    entries.map(|entry| text(entry.unwrap().path())).collect()
}

/// That nothing else is touched is shown by the tests of the functions (`MemoryStore::of`) and by
/// the scenarios on Lambda.
#[test]
fn no_partition_is_listed_that_the_code_does_not_name() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let edge = sources(&functions.join("edge/src"));
    let channel = sources(&functions.join("chat/channel/src"));
    for (name, permissions) in FunctionPermissions::all() {
        let folder = functions.join(&name);
        let mut text = sources(&folder.join("src")) + &edge;
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if manifest.contains("\nchat-channel = ") {
            text += &channel;
        }
        for partition in permissions.partitions {
            let beginning = partition.trim_end_matches('*');
            let literal = match beginning == partition {
                true => format!("\"{partition}\""),
                false => format!("\"{beginning}{{"),
            };
            assert!(text.contains(&literal), "{name}: {partition}");
        }
    }
}
