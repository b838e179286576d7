//! `S02xx`: references and structure.

codes! {
    201 UNKNOWN_FIELD "a field that does not exist" {
        "Every field of an op or construct is known; one that is not is a misspelling, never ignored. docs/ops.md lists the fields of each op."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", unit: 4, units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    202 UNKNOWN_OP "an op that does not exist" {
        "docs/ops.md lists the ops. Other graph files are placed with Use(module: \"...\")."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Liner(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    203 MISSING_FIELD "a required field is missing" {
        "A field without default must be written."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    204 FIELD_FORM "a field's value has another form" {
        "The message says what the field takes."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4, bias: 1) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4, bias: true) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    205 FIELD_VALUE "a value that a field does not take" {
        "A field that is a choice takes one of its words, a count a number in its range."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Repeat(times: 0, of: Linear(from: \"x\", units: 8)) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Repeat(times: 1, of: Linear(from: \"x\", units: 8)) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    206 UNNAMED_VALUE "a value without a name" {
        "Values of an op have names; only Formula takes its text without one."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(\"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    207 UNKNOWN_NODE "a node or input that does not exist" {
        "References name an input or a node of the same file, and steps and iterations by their path (\"blocks.3\")."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"z\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    208 UNKNOWN_PORT "an output that a node does not have" {
        "`node:port` names one of several outputs; a node with one output is named alone."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"halves\": Split(from: \"x\", axis: 1, parts: 2), \"y\": Formula(\"halves:0 + halves:2\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"halves\": Split(from: \"x\", axis: 1, parts: 2), \"y\": Formula(\"halves:0 + halves:1\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    209 SEVERAL_OUTPUTS "which output is meant is not said" {
        "A node with several outputs is named with the one that is meant: \"node:port\". A chain goes on with the only output of a step."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"halves\": Split(from: \"x\", axis: 1, parts: 2), \"y\": Relu(from: \"halves\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"halves\": Split(from: \"x\", axis: 1, parts: 2), \"y\": Formula(\"halves:0 * halves:1\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    210 CYCLE "nodes that read each other in a cycle" {
        "A graph runs from its inputs to its outputs. Repeat places a block several times in a row."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Relu(from: \"b\"), \"b\": Relu(from: \"a\"), \"y\": Formula(\"x + a\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Relu(from: \"x\"), \"b\": Relu(from: \"a\"), \"y\": Formula(\"x + b\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    211 MISSING_INPUT "an input is missing" {
        "Every input of an op or module must be given, unless its entry in docs/ops.md calls it optional."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    212 UNKNOWN_INPUT "an input that the module does not have" {
        "The inputs that a `Use` gives are those that the module's file declares."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", inputs: { \"z\": \"x\" }) },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"head.ron\", inputs: { \"x\": \"x\" }) },\n    outputs: { \"y\": \"y\" },\n)\n// file: head.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    213 FED_TWICE "a step with nothing left to feed" {
        "A step of a chain or a repeat is fed by the one before; if all its inputs are named, what comes from there is lost."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Chain(from: \"x\", layers: [Relu(from: \"x\")]) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Chain(from: \"x\", layers: [Relu]) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    214 BAD_NAME "a name with characters that names do not have" {
        "Names consist of letters, digits, `_` and `-`, in parts that dots join."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a b\": Relu(from: \"x\"), \"y\": Relu(from: \"a b\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a_b\": Relu(from: \"x\"), \"y\": Relu(from: \"a_b\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    215 NAME_TAKEN "two things with one name" {
        "Inputs and nodes of a file share one set of names, and every parameter of a graph has its own."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"x\": Relu(from: \"x\"), \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    216 SHARES "parameters that cannot be shared" {
        "`shares` names a node of the same file that makes the same parameters with the same shapes."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Linear(from: \"x\", units: 8), \"y\": Linear(from: \"a\", units: 4, shares: \"a\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Linear(from: \"x\", units: 8), \"y\": Linear(from: \"a\", units: 8, shares: \"a\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    217 REPEAT_CARRY "iterations that carry nothing on" {
        "The next iteration reads the output that has an input's name, or the only output. If neither exists, the iterations would all compute the same."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"r\": Repeat(times: 2, of: Use(module: \"two.ron\", from: \"x\")), \"y\": Formula(\"r:a + r:b\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: two.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Relu(from: \"x\"), \"b\": Gelu(from: \"x\") },\n    outputs: { \"a\": \"a\", \"b\": \"b\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"r\": Repeat(times: 2, of: Use(module: \"two.ron\", from: \"x\")), \"y\": Formula(\"r:x + r:b\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: two.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"a\": Relu(from: \"x\"), \"b\": Gelu(from: \"x\") },\n    outputs: { \"x\": \"a\", \"b\": \"b\" },\n)"
    }
}
