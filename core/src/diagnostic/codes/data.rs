//! `S07xx`: data.

codes! {
    701 UNKNOWN_COLUMN "a column that is not declared" {
        "Fields, identities, folds and outputs name columns that stand in `columns`. What a table holds is only looked at when it is read; what a column means is said once, in the `Data` file."
        wrong: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"weight_g\": Number(role: Target) },\n    fields: { \"weight\": Targets([\"wieght_g\"]) },\n)"
        right: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"weight_g\": Number(role: Target) },\n    fields: { \"weight\": Targets([\"weight_g\"]) },\n)"
    }
    702 COLUMN_KIND "a column of the wrong kind" {
        "Each kind of field is made of one kind of column: `Transform` of `Image`, `Numbers` and `Targets` of `Number`, `Categories` and `Labels` of `Category`, `DayOfYear` of `Date`."
        wrong: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"state\": Category() },\n    fields: { \"state\": Numbers([\"state\"]) },\n)"
        right: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"state\": Category() },\n    fields: { \"state\": Categories(\"state\") },\n)"
    }
    703 COLUMN_ROLE "a column that this field must not read" {
        "Columns with the role Group tell which rows belong together and are no features. Targets are read by `Targets`, `Present` and `Labels`, which read no features."
        wrong: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"day\": Date(role: Group) },\n    fields: { \"day\": DayOfYear(\"day\") },\n)"
        right: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"day\": Date() },\n    fields: { \"day\": DayOfYear(\"day\") },\n)"
    }
    704 IDENTITY "an identity that is none" {
        "An identity is a column, `=`, and a sum of columns with or without constant factors. All of its columns are `Number` columns."
        wrong: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"a\": Number(role: Target), \"b\": Number(role: Target) },\n    identities: [\"a = b * b\"],\n    fields: { \"y\": Targets([\"a\", \"b\"]) },\n)"
        right: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"a\": Number(role: Target), \"b\": Number(role: Target) },\n    identities: [\"a = 2 * b\"],\n    fields: { \"y\": Targets([\"a\", \"b\"]) },\n)"
    }
    705 TRANSFORM "steps that do not follow each other" {
        "The size of what a transform gives must be known from its file, and be the same in training and in prediction."
        wrong: "Transform(steps: [HorizontalFlip(p: 0.5)])"
        right: "Transform(steps: [HorizontalFlip(p: 0.5), Resize(height: 8, width: 8)])"
    }
    706 OTHER_KIND "a file of another kind" {
        "The file that is named here must be of the kind that the field says."
        wrong: "Experiment(\n    data: \"data.ron\",\n    model: Linear(from: \"x\", units: 1),\n    losses: {},\n    predictions: {},\n    train: Train(epochs: 1, batch: 1, optimizer: Sgd(lr: 0.1)),\n)\n// file: data.ron\nTransform(steps: [Resize(height: 8, width: 8)])"
        right: "Experiment(\n    data: \"data.ron\",\n    model: Linear(from: \"x\", units: 1),\n    losses: { \"y\": Use(module: \"loss.ron\", inputs: { \"y\": \"model\", \"target\": \"y\", \"observed\": \"y:observed\" }) },\n    predictions: { \"y\": \"model\" },\n    train: Train(epochs: 1, batch: 1, optimizer: Sgd(lr: 0.1)),\n)\n// file: data.ron\nData(\n    table: Csv(\"train.csv\"),\n    columns: { \"a\": Number(), \"b\": Number(role: Target) },\n    fields: { \"x\": Numbers(\"a\"), \"y\": Targets(\"b\") },\n)\n// file: loss.ron\nModule(\n    inputs: { \"y\": F32([\"batch\", 1]), \"target\": F32([\"batch\", 1]), \"observed\": Bool([\"batch\", 1]) },\n    nodes: { \"square\": Formula(\"(y - target) ** 2\"), \"kept\": Where(condition: \"observed\", then: \"square\", otherwise: 0.0), \"loss\": Mean(from: \"kept\") },\n    outputs: { \"loss\": \"loss\" },\n)"
    }
    707 FIELD_SETTING "a setting of data that cannot be" {
        "A number is out of range, or a setting is missing that this column needs: a feature that may be missing says how a model sees that."
        wrong: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"height\": Number(missing: Allowed) },\n    fields: { \"height\": Numbers([\"height\"]) },\n)"
        right: "Data(\n    table: Csv(\"train.csv\"),\n    columns: { \"height\": Number(missing: Allowed) },\n    fields: { \"height\": Numbers([\"height\"], missing: Indicator) },\n)"
    }
}
