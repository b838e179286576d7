//! Every example of the language reference checks, as it stands.

use sward::experiment::library_session;
use sward_core::check::Overrides;
use sward_core::diagnostic::render;
use sward_core::roots::MemoryFolder;

#[test]
fn every_example_of_the_language_reference_checks() {
    let page = include_str!("../../docs/language.md");
    let mut count = 0;
    for (position, block) in page.split("```ron\n").skip(1).enumerate() {
        let example = block.split("```").next().expect("a block has an end");
        let mut session = library_session();
        let root = session.roots_mut().add_root("", MemoryFolder::new().with("example.ron", example));
        if let Some((id, file)) = session.open_in(root, "example.ron") {
            session.check_file(id, &file, &Overrides::default());
        }
        let text = render::text(&session.sources, &session.diagnostics, false);
        assert!(session.diagnostics.is_empty(), "example {} of docs/language.md:\n{text}", position + 1);
        count += 1;
    }
    assert!(count >= 7, "the page has examples");
}
