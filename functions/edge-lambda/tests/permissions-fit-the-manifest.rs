//! What a function may touch is the same on Lambda and on Spin.

use edge_lambda::permissions::Permissions;
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
    let all = Permissions::all();
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
        let hosts: Vec<String> = outbound.map(|name| format!("{{{{ {name} }}}}")).collect();
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
