//! What is written down for operators is what the code says.

use rend_core::config::docs_markdown;

#[test]
fn the_table_of_variables_is_the_one_that_the_services_check() {
    let written = include_str!("../../deploy/ENVIRONMENT.md");
    let table = written.find("| variable |").map(|at| &written[at..]);
    assert_eq!(
        table,
        Some(docs_markdown().as_str()),
        "replace the table of services/deploy/ENVIRONMENT.md by what `cargo run -p rend -- env docs` prints"
    );
}
