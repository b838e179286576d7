//! The catalogue's page and its JSON.

use sward_core::op::{Outputs, PortKind};
use sward_ops::catalogue;
use sward_ops::catalogue::document;

#[test]
fn the_page_is_as_the_catalogue_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ops.md");
    let page = document::page();
    if std::env::var_os("SWARD_BLESS").is_some() {
        std::fs::write(path, &page).expect("docs/ops.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/ops.md is stale: run SWARD_BLESS=1 cargo test -p sward-ops --test ops_page");
}

#[test]
fn every_op_stands_on_the_page() {
    let page = document::page();
    for name in catalogue().names() {
        assert!(page.contains(&format!("\n### {name}\n")), "{name} has a category without a heading");
    }
}

#[test]
fn every_schema_is_written_out() {
    for schema in catalogue().schemas() {
        let name = schema.name;
        for (what, text) in [
            ("doc", schema.doc),
            ("shape", schema.shape_rule),
            ("domain", schema.domain_rule),
            ("gradient", schema.gradient),
            ("pytorch", schema.pytorch),
        ] {
            assert!(!text.trim().is_empty(), "{name}: {what}");
        }
        assert!(schema.doc.ends_with('.'), "{name}: the doc is a sentence");
        assert!(schema.example.starts_with(&format!("{name}(")), "{name}: the example is one of it");
        let mut names: Vec<&str> =
            schema.ports.iter().map(|port| port.name).chain(schema.fields.iter().map(|field| field.name)).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{name}: inputs and fields share no name");
        if let Outputs::Counted { fields } = schema.outputs {
            assert!(fields.iter().all(|field| schema.field_index(field).is_some()), "{name}: outputs are counted by its fields");
        }
        if let [only] = schema.ports {
            assert!(only.name == "from" || only.kind == PortKind::Named, "{name}: the only input is called `from`");
        }
    }
}

#[test]
fn the_json_names_every_op() {
    let schema = document::schema();
    let names: Vec<&str> = schema["ops"].as_array().expect("a list").iter().filter_map(|op| op["name"].as_str()).collect();
    assert_eq!(names, catalogue().names().collect::<Vec<_>>());
    let linear = schema["ops"].as_array().expect("a list").iter().find(|op| op["name"] == "Linear").expect("Linear");
    assert_eq!(linear["fields"][0]["name"], "units");
    assert_eq!(linear["fields"][0]["required"], true);
    assert_eq!(linear["fields"][1]["default"], true);
}
