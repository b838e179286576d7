//! `S01xx`: resolving modules, parameters and overrides.

codes! {
    101 FILE_KIND "no kind of file that Sward knows" {
        "A graph file holds one value: Module(...), Interface(...), Data(...), Experiment(...) or Ablation(...)."
        wrong: "Modul(outputs: {})"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    102 NOT_A_MODULE "a file that is placed holds no module" {
        "`Use` and `--swap` place modules. An interface has no nodes to place."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nInterface(inputs: { \"x\": F32([\"batch\"]) }, outputs: { \"y\": F32([\"batch\"]) })"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    103 USE_CYCLE "modules that place each other" {
        "A module that places itself, directly or through others, would never end. `Repeat` places a module several times in a row."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"main.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    104 EXPANSION "an expansion beyond the limits" {
        "A graph has at most 100,000 nodes after expansion, a Repeat at most 10,000 iterations, and modules nest at most 64 deep. The limits are looked at before anything is allocated."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Repeat(times: 1000000000, of: Linear(from: \"x\", units: 8)) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Repeat(times: 4, of: Linear(from: \"x\", units: 8)) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    105 UNKNOWN_PARAM "a param that the module does not have" {
        "The params that a `Use` sets are those that the module's file declares."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", from: \"x\", params: { \"unit\": 4 }) },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nModule(\n    params: { \"units\": Int(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"units\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", from: \"x\", params: { \"units\": 4 }) },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nModule(\n    params: { \"units\": Int(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"units\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    106 MISSING_PARAM "a param without a value" {
        "A param without a default must be set by whoever places the module. (A file with an `Int` param without default can still be checked by itself: the param then stands for every whole number.)"
        wrong: "Module(\n    params: { \"rate\": Float },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: \"rate\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    params: { \"rate\": Float(0.1) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: \"rate\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    107 PARAM_VALUE "a value that a param does not take" {
        "Params have a kind and perhaps a range; the value must fit both."
        wrong: "Module(\n    params: { \"rate\": Float(1.5, min: 0.0, max: 1.0) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: \"rate\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    params: { \"rate\": Float(0.5, min: 0.0, max: 1.0) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: \"rate\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    108 EXPRESSION "an expression that cannot be read or evaluated" {
        "Expressions in quotes use numbers, names of params and dimensions, + - * / // % **, comparisons, and, or, not, lists and the functions of docs/language.md."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"4 *\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"4 * 2\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    109 UNKNOWN_NAME "an expression names something unknown" {
        "An expression may name params of its file, dimensions that its inputs bind, and inside a Repeat `index` and the names of `over`."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"bach\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"batch\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    110 OVERRIDE_UNMATCHED "an override that matches nothing" {
        "--set, --swap and --dim must each match something, else they would be ignored silently."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        untested: "needs command line flags: sward check model.ron --set hiden=4"
    }
    111 OVERRIDE_FORM "an override that cannot be read" {
        "--set takes path=value, --swap node=file.ron, --dim name=number."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        untested: "needs command line flags: sward check model.ron --dim batch=many"
    }
    112 UNDECIDED "a decision that depends on open sizes" {
        "The condition of an If, the count of a Repeat and a few fields of ops must be known when the graph is read. Sizes of inputs are open then; params with numbers are not."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": If(condition: \"batch > 4\", then: Identity(from: \"x\"), otherwise: Relu(from: \"x\")) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    params: { \"large\": Flag(true) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": If(condition: \"large\", then: Identity(from: \"x\"), otherwise: Relu(from: \"x\")) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    113 UNKNOWN_PARAM_KIND "a kind of param that does not exist" {
        "The kinds are Int, Float, Flag, Choice, Text, Ints, Floats and File."
        wrong: "Module(\n    params: { \"units\": Integer(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"units\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    params: { \"units\": Int(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"units\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    114 FORM "something of another form is expected here" {
        "Each place of a graph file takes certain forms: a type, a size, a node, a declaration. The message names the one that is expected."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": 4 },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    115 REWRITE_TARGET "an adapter that cannot be added" {
        "Low-rank adapters go to Linear nodes: a pattern that matches another op would leave it as it is, silently. Rank is at least 1, dropout from 0 to below 1."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        untested: "needs an experiment that declares an adapter"
    }
}
