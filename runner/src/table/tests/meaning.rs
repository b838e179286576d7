//! Numbers, categories, dates, coordinates, targets and identities.

use indexmap::IndexMap;
use proptest::prelude::*;

use super::*;

fn column_of(cells: &[&str]) -> Table {
    let lines: Vec<String> = cells.iter().map(|cell| format!("{cell},1\n")).collect();
    table(&format!("x,y\n{}", lines.concat()))
}

#[test]
fn missing_is_not_zero() {
    let cells = column_of(&["0", "", "NaN", " 2.5 "]);
    let column = cells.column("x").unwrap();
    let read = numbers(column, &MissingRule::usual()).unwrap();
    assert_eq!(read, Numbers { values: vec![0.0, 0.0, 0.0, 2.5], observed: vec![true, false, false, true] });
    assert_eq!(
        numbers(column, &MissingRule::refuse()).unwrap_err().to_string(),
        "t.csv:3: column \"x\": the cell is empty, and this column does not allow missing values"
    );
}

#[test]
fn what_is_not_a_number_is_named() {
    let cases = [
        ("12g", "\"12g\" is not a number"),
        ("\"1,5\"", "\"1,5\" is not a number; write the decimal point as a point"),
        ("inf", "\"inf\" is infinite; a number must be finite"),
        ("-Infinity", "\"-Infinity\" is infinite; a number must be finite"),
        ("1e999", "\"1e999\" is infinite; a number must be finite"),
        ("nan", "\"nan\" is not a number; if it means a missing value, allow missing values and list the word"),
    ];
    for (cell, cause) in cases {
        let cells = column_of(&["1", cell]);
        let rule = MissingRule { allowed: true, words: vec![] };
        let message = numbers(cells.column("x").unwrap(), &rule).unwrap_err().to_string();
        assert_eq!(message, format!("t.csv:3: column \"x\": {cause}"));
    }
}

#[test]
fn a_z_score_is_fitted_on_the_training_rows_alone() {
    let cells = column_of(&["1", "3", "", "1000", "8"]);
    let numbers = numbers(cells.column("x").unwrap(), &MissingRule::usual()).unwrap();
    let scale = ZScore::fit("x", &numbers, &[0, 1, 2, 4]).unwrap();
    // scikit-learn: StandardScaler().fit([[1], [3], [8]]) has mean_ 4 and scale_ 2.943920288775949.
    assert_eq!((scale.mean, scale.count), (4.0, 3));
    assert!((scale.deviation - 2.943_920_288_775_949).abs() < 1e-14);
    assert!((scale.invert(scale.apply(1000.0)) - 1000.0).abs() < 1e-9);
    let message = ZScore::fit("x", &numbers, &[0, 2]).unwrap_err().to_string();
    assert_eq!(message, "column \"x\": a z-score needs at least 2 observed numbers, but the 2 training rows hold 1");
    let same = Numbers { values: vec![0.1; 5], observed: vec![true; 5] };
    assert!(ZScore::fit("x", &same, &[0, 1, 2, 3, 4]).unwrap_err().to_string().contains("needs two different ones"));
}

#[test]
fn a_missing_number_is_seen_as_asked() {
    let cells = column_of(&["1", "3", ""]);
    let column = cells.column("x").unwrap();
    let fit = |missing| NumberEncoder::fit(column, &[0, 1], true, missing, &MissingRule::refuse());
    let indicated = fit(MissingAs::Indicator).unwrap().encode(column).unwrap();
    assert_eq!((indicated.width, indicated.values), (2, vec![-1.0, 0.0, 1.0, 0.0, 0.0, 1.0]));
    let null = fit(MissingAs::Null).unwrap().encode(column).unwrap();
    assert_eq!((null.values, null.observed), (vec![-1.0, 1.0, 0.0], vec![true, true, false]));
    assert!(fit(MissingAs::Refuse).unwrap_err().to_string().contains("t.csv:4"));
}

#[test]
fn a_number_beyond_32_bits_is_refused() {
    let cells = column_of(&["1", "1e300"]);
    let column = cells.column("x").unwrap();
    let encoder = NumberEncoder::fit(column, &[0, 1], false, MissingAs::Refuse, &MissingRule::refuse()).unwrap();
    let message = encoder.encode(column).unwrap_err().to_string();
    assert_eq!(message, "t.csv:3: column \"x\": the number is beyond the range of 32-bit floats");
}

#[test]
fn unseen_and_missing_categories_are_the_null_index() {
    let cells = column_of(&["Vic", "Tas", "", "Vic", "NSW"]);
    let column = cells.column("x").unwrap();
    let encoder = CategoryEncoder::fit(column, &[0, 1, 2, 3], &MissingRule::default()).unwrap();
    assert_eq!(encoder.categories, ["Tas", "Vic"]);
    assert_eq!(encoder.cardinality(), 3);
    assert_eq!(encoder.encode(column), [2, 1, 0, 2, 0]);
    assert_eq!((encoder.category(2), encoder.category(0), encoder.category(9)), (Some("Vic"), None, None));
    let message = CategoryEncoder::fit(column, &[2], &MissingRule::default()).unwrap_err().to_string();
    assert_eq!(message, "column \"x\": the 1 training rows hold no category");
}

#[test]
fn dates_meet_at_the_turn_of_the_year() {
    let cells = column_of(&["2015-01-01", "2015/9/4", "2016-12-31", "20150702", "2015-07-02 13:45:00"]);
    let features = DateEncoder::default().encode(cells.column("x").unwrap()).unwrap();
    let angle = |day: f64, days: f64| std::f64::consts::TAU * day / days;
    let expected = [angle(0.0, 365.0), angle(246.0, 365.0), angle(365.0, 366.0), angle(182.0, 365.0), angle(182.0, 365.0)];
    for (pair, angle) in features.values.chunks(2).zip(expected) {
        assert!((f64::from(pair[0]) - angle.sin()).abs() < 1e-7 && (f64::from(pair[1]) - angle.cos()).abs() < 1e-7);
    }
}

#[test]
fn the_order_of_day_and_month_must_be_stated() {
    let cells = column_of(&["4/9/2015"]);
    let column = cells.column("x").unwrap();
    assert_eq!(
        DateEncoder::default().encode(column).unwrap_err().to_string(),
        "t.csv:2: column \"x\": \"4/9/2015\" is not a date in any of the formats %Y-%m-%d, %Y/%m/%d, %Y.%m.%d, %Y%m%d"
    );
    let encoder = DateEncoder { formats: vec!["%d/%m/%Y".to_owned()], ..DateEncoder::default() };
    assert_eq!(encoder.dates(column).unwrap()[0].unwrap().to_string(), "2015-09-04");
    assert!(encoder.parse("31/2/2015").is_err());
}

#[test]
fn coordinates_are_sinusoids_of_doubled_angles() {
    let place = table("lat,lon\n-37.5,145\n,10\n");
    let encoder = CoordinateEncoder { levels: 2, rule: MissingRule::usual() };
    let features = encoder.encode(place.column("lat").unwrap(), place.column("lon").unwrap()).unwrap();
    assert_eq!((features.width, features.observed), (8, vec![true, false]));
    let expected = [
        (-37.5f64).to_radians().sin(),
        (-37.5f64).to_radians().cos(),
        145f64.to_radians().sin(),
        145f64.to_radians().cos(),
        (-75f64).to_radians().sin(),
        (-75f64).to_radians().cos(),
        290f64.to_radians().sin(),
        290f64.to_radians().cos(),
    ];
    for (actual, expected) in features.values.iter().zip(expected) {
        assert!((f64::from(*actual) - expected).abs() < 1e-7, "{actual} {expected}");
    }
    assert!(features.values[8..].iter().all(|&value| value == 0.0));
    let message = encoder.encode(place.column("lon").unwrap(), place.column("lat").unwrap()).unwrap_err().to_string();
    assert_eq!(message, "t.csv:2: column \"lon\": 145 is not a latitude between -90 and 90 degrees");
}

#[test]
fn a_range_of_columns_is_a_vector() {
    let digits = table("label,p0,p1\n3,0,16\n5,4,\n");
    let names = digits.range("p0..p1").unwrap();
    assert!(vector(&digits, &names).unwrap_err().to_string().starts_with("t.csv:3: column \"p1\": the cell is empty"));
    let features = vector(&digits.pick(&[0]), &names).unwrap();
    assert_eq!((features.width, features.values), (2, vec![0.0, 16.0]));
}

#[test]
fn targets_change_unit_and_come_back() {
    let text = table("a,b\n21,1\n,2\n42,3\n");
    let fit = |name: &str, divide, z_score| {
        TargetEncoder::fit(text.column(name).unwrap(), &[0, 1, 2], divide, z_score, &MissingRule::usual()).unwrap()
    };
    let encoders = [fit("a", 0.21, true), fit("b", 1.0, false)];
    let targets = encode_targets(&encoders, &text).unwrap();
    assert_eq!(targets.observed, [true, true, false, true, true, true]);
    assert_eq!(targets.values, [-1.0, 1.0, 0.0, 2.0, 1.0, 3.0]);
    assert!((encoders[0].invert(1.0) - 42.0).abs() < 1e-12);
    let saved = serde_json::to_string(&encoders[0]).unwrap();
    assert_eq!(serde_json::from_str::<TargetEncoder>(&saved).unwrap(), encoders[0]);
    let message = TargetEncoder::fit(text.column("a").unwrap(), &[1], 1.0, false, &MissingRule::usual()).unwrap_err();
    assert_eq!(message.to_string(), "column \"a\": none of the 1 training rows states this target");
}

#[test]
fn a_condition_on_numbers_names_the_cell_that_breaks_it() {
    let cells = column_of(&["1", "", "-0.5"]);
    let column = cells.column("x").unwrap();
    let read = numbers(column, &MissingRule::usual()).unwrap();
    let message = demand(column, &read, |value| value >= 0.0, "zero or more").unwrap_err().to_string();
    assert_eq!(message, "t.csv:4: column \"x\": -0.5 is not zero or more");
    assert!(demand(column, &read, |value| value > -1.0, "above -1").is_ok());
}

#[test]
fn identities_are_read_and_shown() {
    let identity = Identity::parse("Dry_Total_g = GDM_g + Dry-Dead - 0.5*Soil").unwrap();
    assert_eq!(identity.total, "Dry_Total_g");
    let terms: Vec<(f64, &str)> = identity.terms.iter().map(|(factor, name)| (*factor, name.as_str())).collect();
    assert_eq!(terms, [(1.0, "GDM_g"), (1.0, "Dry-Dead"), (-0.5, "Soil")]);
    assert_eq!(identity.to_string(), "Dry_Total_g = GDM_g + Dry-Dead - 0.5 * Soil");
    assert_eq!(Identity::parse("a = -b + 1e-3 * c").unwrap().to_string(), "a = -b + 0.001 * c");
    for (text, cause) in [
        ("a + b", "there is no \"=\""),
        ("= b", "no column left"),
        ("a = b + ", "a term has no column"),
        ("a = b * c", "a factor must be a number"),
        ("a = b + b", "\"b\" stands twice"),
        ("a = a + b", "\"a\" stands twice"),
        ("a = b + 3", "a term must be a column"),
        ("a = 2 * b * c", "only sums"),
    ] {
        let message = Identity::parse(text).unwrap_err().to_string();
        assert!(message.contains(cause), "{text}: {message}");
    }
}

#[test]
fn rows_that_break_an_identity_are_reported() {
    let text = table("T,A,B\n3,1,2\n9,1,2\n4,,2\n3.005,1,2\n");
    let identity = Identity::parse("T = A + B").unwrap();
    let read: IndexMap<&str, Numbers> = ["T", "A", "B"]
        .map(|name| (name, numbers(text.column(name).unwrap(), &MissingRule::usual()).unwrap()))
        .into_iter()
        .collect();
    let tolerance = Tolerance { absolute: 0.01, relative: 0.0 };
    let broken = broken_rows(&identity, tolerance, |name| Ok((text.column(name)?, &read[name]))).unwrap();
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].row, broken[0].place.line, broken[0].total, broken[0].sum), (1, 3, 9.0, 3.0));
    assert!(broken_rows(&identity, tolerance, |name| Ok((text.column(&name.to_lowercase())?, &read[name]))).is_err());
}

#[test]
fn predictions_are_completed_in_the_order_of_dependence() {
    let identities = [Identity::parse("Total = GDM + Dead").unwrap(), Identity::parse("GDM = Green + Clover").unwrap()];
    let mut known: IndexMap<String, Vec<f64>> = [("Green", vec![1.0, 2.0]), ("Clover", vec![0.5, 0.0]), ("Dead", vec![3.0, 4.0])]
        .map(|(name, values)| (name.to_owned(), values))
        .into_iter()
        .collect();
    complete(&identities, &mut known);
    assert_eq!((&known["GDM"], &known["Total"]), (&vec![1.5, 2.0], &vec![4.5, 6.0]));
    let mut nothing = IndexMap::new();
    complete(&identities, &mut nothing);
    assert!(nothing.is_empty());
}

proptest! {
    #[test]
    fn targets_survive_the_way_there_and_back(
        values in proptest::collection::vec(-1e4f64..1e4, 3..20),
        divide in 0.01f64..100.0,
    ) {
        prop_assume!(values.iter().any(|value| (value - values[0]).abs() > 1e-3));
        let text: String = values.iter().map(|value| format!("{value}\n")).collect();
        let cells = table(&format!("x\n{text}"));
        let column = cells.column("x").unwrap();
        let rows: Vec<usize> = (0..values.len()).collect();
        let encoder = TargetEncoder::fit(column, &rows, divide, true, &MissingRule::refuse()).unwrap();
        for value in values {
            prop_assert!((encoder.invert(encoder.apply(value)) - value).abs() < 1e-8);
        }
    }

    #[test]
    fn arbitrary_identities_never_panic(text in "[ab=+* 0-9.e-]{0,30}") {
        if let Ok(identity) = Identity::parse(&text) {
            prop_assert_eq!(Identity::parse(&identity.to_string()).unwrap(), identity);
        }
    }
}
