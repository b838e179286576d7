//! `S06xx`: warnings.

codes! {
    601 UNUSED_NODE "a node that nothing uses" {
        "No output depends on the node. (If it has trained parameters, that is an error: S0403.)"
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"dead\": Relu(from: \"x\"), \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    602 UNUSED_INPUT "an input that nothing reads" {
        "The input must be given and changes nothing."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]), \"z\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    603 UNUSED_PARAM "a param that nothing uses" {
        "The param can be set and changes nothing."
        wrong: "Module(\n    params: { \"hidden\": Int(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    params: { \"hidden\": Int(4) },\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: \"hidden\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
}
