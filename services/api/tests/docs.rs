//! What is written down for operators is what the code says.

use rend_core::config::docs_markdown;

#[test]
fn the_table_of_variables_is_the_one_that_the_services_check() {
    let written = include_str!("../../deploy/ENVIRONMENT.md");
    let table: Vec<_> = written.lines().skip_while(|line| !line.starts_with("| variable |")).collect();
    let said = docs_markdown();
    let fix = "replace the table of services/deploy/ENVIRONMENT.md by what `cargo run -p rend -- env docs` prints";
    for (written, said) in table.iter().zip(said.lines()) {
        assert_eq!(*written, said, "{fix}");
    }
    assert_eq!(table.len(), said.lines().count(), "{fix}");
}
