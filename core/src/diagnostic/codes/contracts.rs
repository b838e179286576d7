//! `S05xx`: contracts and interfaces.

codes! {
    501 INTERFACE_INPUT "a module that does not take its interface's inputs" {
        "A module that implements an interface has exactly its inputs, and takes the interface's types for all sizes."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"z\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Relu(from: \"z\") },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nInterface(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    outputs: { \"y\": F32([\"batch\", \"width\"]) },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Relu(from: \"x\") },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nInterface(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    outputs: { \"y\": F32([\"batch\", \"width\"]) },\n)"
    }
    502 INTERFACE_OUTPUT "a module that does not give its interface's outputs" {
        "The outputs of the interface must be there, with their types, for all sizes."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nInterface(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    outputs: { \"y\": F32([\"batch\", \"width\"]) },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"width\") },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nInterface(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    outputs: { \"y\": F32([\"batch\", \"width\"]) },\n)"
    }
    503 NOT_AN_INTERFACE "an `implements` that names no interface" {
        "`implements` lists files that hold an Interface(...)."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Relu(from: \"x\") },\n    outputs: { \"y\": \"y\" },\n    implements: [\"i.ron\"],\n)\n// file: i.ron\nInterface(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    outputs: { \"y\": F32([\"batch\", \"width\"]) },\n)"
    }
    505 REQUIREMENT "a requirement of a module that does not hold" {
        "What a module `requires` of its sizes and params is false where it stands, whatever the open sizes are. A divisibility that some sizes satisfy is no fault: it becomes an obligation of the graph."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 4, 30, 30]) },\n    nodes: { \"y\": Use(module: \"half.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: half.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"channels\", \"height\", \"width\"]) },\n    requires: [\"height % 4 == 0\"],\n    nodes: { \"y\": AvgPool2d(from: \"x\", kernel: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 4, 32, 32]) },\n    nodes: { \"y\": Use(module: \"half.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: half.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"channels\", \"height\", \"width\"]) },\n    requires: [\"height % 4 == 0\"],\n    nodes: { \"y\": AvgPool2d(from: \"x\", kernel: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    511 CONTRACT "a broken contract" {
        "A case of the module's contract states a number of parameters, a budget or an output's shape that does not hold."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n    contract: [Case(parameters: 32)],\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n    contract: [Case(parameters: 36)],\n)"
    }
}
