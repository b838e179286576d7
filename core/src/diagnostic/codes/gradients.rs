//! `S04xx`: domains and gradients.

codes! {
    401 DOMAIN "values outside of what is demanded" {
        "A type may demand Positive, NonNegative, Probability, Unit or Finite values. What is known of the values that arrive (Softplus gives Positive, a plain Linear anything) does not guarantee it."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": As(\"y\", F32([\"batch\", 4], domain: Positive)) },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"z\": Linear(from: \"x\", units: 4), \"y\": Softplus(from: \"z\") },\n    outputs: { \"y\": As(\"y\", F32([\"batch\", 4], domain: NonNegative)) },\n)"
    }
    402 NO_GRADIENT "a trained parameter that no gradient reaches" {
        "Every path from the parameter to an output passes through something without gradient (ArgMax, a comparison, Detach): training would never change it."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"z\": Linear(from: \"x\", units: 4), \"y\": Detach(from: \"z\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"z\": Linear(from: \"x\", units: 4, trained: false), \"y\": Detach(from: \"z\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    403 PARAMETER_UNUSED "a trained parameter that no output depends on" {
        "The parameter would be saved and loaded, and never used or trained."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"dead\": Linear(from: \"x\", units: 4), \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    404 UNKNOWN_DOMAIN "a domain that does not exist" {
        "The domains are Any, Finite, NonNegative, Positive, Probability and Unit."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8], domain: Postive) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8], domain: Positive) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
}
