use super::*;
use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::source::{Sources, Span};
use insta::assert_snapshot;

/// Two files, and a fault that spans both, one without a place and a warning.
fn example() -> (Sources, Diagnostics) {
    let mut sources = Sources::new();
    let main = sources.add("models/a, b: 100%.ron", "Module(\r\n\t\"é\": Linear(unit: 4),\r\n)\r\n");
    let other = sources.add("ops.ron", "Linear(\n    units: 1,\n)");
    let unit = sources.text(main).find("unit").unwrap();
    let mut all = Diagnostics::new();
    all.push(
        Diagnostic::new(codes::UNEXPECTED_TOKEN, "`Linear` has no field `unit`", Span::new(main, unit..unit + 4))
            .text("unknown field")
            .label(Span::new(other, 12..17), "the field that it has")
            .suggest(Some("units")),
    );
    all.push(Diagnostic::without_place(codes::FILE_NOT_FOUND, "there is no file `x.ron`").help("looked in `graphs`"));
    let warning = Diagnostic::new(codes::MISSING_COMMA, "two\nlines, 50%", Span::new(main, 0..unit + 4));
    all.push(warning.severity(crate::diagnostic::Severity::Warning));
    (sources, all)
}

#[test]
fn text_is_written_in_the_manner_of_rustc() {
    let (sources, all) = example();
    assert_snapshot!(text(&sources, &all, false), @r#"
    error[S0030]: there is no file `x.ron`
     |
     = help: looked in `graphs`

    warning[S0006]: two
                    lines, 50%
     --> models/a, b: 100%.ron:1:1
      |
    1 | / Module(
    2 | |     "é": Linear(unit: 4),
      | |____________________^

    error[S0007]: `Linear` has no field `unit`
     --> models/a, b: 100%.ron:2:14
      |
    2 |     "é": Linear(unit: 4),
      |                 ^^^^ unknown field
      |
     ::: ops.ron:2:5
      |
    2 |     units: 1,
      |     ----- the field that it has
      |
      = help: did you mean `units`?
    "#);
    assert_eq!(summary(&all), "2 errors, 1 warning");
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let (sources, all) = example();
    let coloured = text(&sources, &all, true);
    assert!(coloured.contains("\u{1b}[1m\u{1b}[91merror[S0007]"), "{coloured:?}");
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, text(&sources, &all, false));
}

#[test]
fn json_is_one_object_a_line() {
    let (sources, all) = example();
    let written = json(&sources, &all);
    assert_snapshot!(written, @r#"
    {"code":"S0030","severity":"error","message":"there is no file `x.ron`","file":null,"line":null,"column":null,"end_line":null,"end_column":null,"labels":[],"help":["looked in `graphs`"]}
    {"code":"S0006","severity":"warning","message":"two\nlines, 50%","file":"models/a, b: 100%.ron","line":1,"column":1,"end_line":2,"end_column":18,"labels":[],"help":[]}
    {"code":"S0007","severity":"error","message":"`Linear` has no field `unit`","file":"models/a, b: 100%.ron","line":2,"column":14,"end_line":2,"end_column":18,"labels":[{"file":"models/a, b: 100%.ron","line":2,"column":14,"end_line":2,"end_column":18,"text":"unknown field"},{"file":"ops.ron","line":2,"column":5,"end_line":2,"end_column":10,"text":"the field that it has"}],"help":["did you mean `units`?"]}
    "#);
    for line in written.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = ["code", "severity", "message", "file", "line", "column", "end_line", "end_column", "labels", "help"];
        assert_eq!(keys, wanted);
    }
}

#[test]
fn github_commands_are_escaped() {
    let (sources, all) = example();
    assert_snapshot!(github(&sources, &all), @r#"
    ::error title=S0030::there is no file `x.ron`%0Ahelp: looked in `graphs`
    ::error file=models/a%2C b%3A 100%25.ron,line=2,endLine=2,col=14,endColumn=17,title=S0007::`Linear` has no field `unit`: unknown field%0Aops.ron:2:5: the field that it has%0Ahelp: did you mean `units`?
    ::warning file=models/a%2C b%3A 100%25.ron,line=1,endLine=2,title=S0006::two%0Alines, 50%25
    "#);
}

#[test]
fn github_shows_ten_of_a_severity_and_the_worst_first() {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", "x".repeat(50));
    let mut all = Diagnostics::new();
    for index in 0..12 {
        let span = Span::new(file, index..index + 1);
        let fault = Diagnostic::new(codes::MISSING_COMMA, format!("number {index}"), span);
        all.push(fault.clone().severity(crate::diagnostic::Severity::Warning));
        all.push(fault);
    }
    let written = github(&sources, &all);
    let words: Vec<_> = written.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, [vec!["::error"; 10], vec!["::warning"; 10], vec!["4"]].concat());
    assert!(written.ends_with("4 more findings are not shown as annotations\n"));
}

#[test]
fn sarif_has_every_code_as_a_rule_and_every_finding_as_a_result() {
    let (sources, all) = example();
    let document: serde_json::Value = serde_json::from_str(&sarif(&sources, &all)).unwrap();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), crate::diagnostic::all_codes().count());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    assert_snapshot!(serde_json::to_string_pretty(&results[2]).unwrap(), @r#"
    {
      "ruleId": "S0007",
      "ruleIndex": 6,
      "level": "error",
      "message": {
        "text": "`Linear` has no field `unit`\nhelp: did you mean `units`?"
      },
      "locations": [
        {
          "physicalLocation": {
            "artifactLocation": {
              "uri": "models/a%2C%20b%3A%20100%25.ron"
            },
            "region": {
              "startLine": 2,
              "startColumn": 14,
              "endLine": 2,
              "endColumn": 18
            }
          },
          "message": {
            "text": "unknown field"
          }
        }
      ],
      "relatedLocations": [
        {
          "physicalLocation": {
            "artifactLocation": {
              "uri": "ops.ron"
            },
            "region": {
              "startLine": 2,
              "startColumn": 5,
              "endLine": 2,
              "endColumn": 10
            }
          },
          "id": 0,
          "message": {
            "text": "the field that it has"
          }
        }
      ]
    }
    "#);
}

#[test]
fn a_large_file_does_not_slow_the_text_down() {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", "units: 4,\n".repeat(300_000));
    let mut all = Diagnostics::new();
    for index in 0..1000 {
        all.push(Diagnostic::new(codes::MISSING_COMMA, "a comma is missing", Span::new(file, index * 3000..index * 3000 + 5)));
    }
    let started = std::time::Instant::now();
    let written = text(&sources, &all, false);
    assert_eq!(written.matches("error[S0006]").count(), 1000);
    // Handing the whole text to the renderer each time takes minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
