//! What ops of other libraries are here: for people who write a model that they know from there.

/// Names in lower case, without `_`, and what to write instead.
const NAMES: &[(&[&str], &str)] = &[
    (&["flatten", "view", "squeeze", "unsqueeze", "expanddims"], "write Reshape(from: \"x\", shape: [...]); one size may be -1"),
    (&["transpose", "swapaxes", "movedim"], "write Permute(from: \"x\", axes: [0, 2, 1])"),
    (&["cat", "concatenate"], "write Concat(from: [\"a\", \"b\"], axis: 1)"),
    (&["sequential"], "write Chain(from: \"x\", layers: [...])"),
    (&["modulelist", "loop"], "write Repeat(times: 4, of: ...)"),
    (
        &["batchnorm", "batchnorm3d"],
        "BatchNorm1d takes [batch, channels] and [batch, channels, length], BatchNorm2d [batch, channels, height, width]",
    ),
    (&["instancenorm", "instancenorm2d"], "write GroupNorm with as many groups as channels"),
    (
        &["multiheadattention", "multiheadselfattention", "attention"],
        "write Use(module: \"blocks/attention.ron\", ...), Use(module: \"blocks/cross_attention.ron\", ...) or ScaledDotProductAttention",
    ),
    (
        &["transformerencoderlayer", "transformerblock", "encoderlayer"],
        "write Use(module: \"blocks/vit.ron\", ...) or Use(module: \"blocks/bert.ron\", ...)",
    ),
    (
        &["upsample", "interpolate", "upsamplingbilinear2d", "upsamplingnearest2d"],
        "write Resize(from: \"x\", size: [\"2 * height\", \"2 * width\"])",
    ),
    (
        &["einsum", "bmm", "mm", "dot", "dotproduct"],
        "write MatMul(left: \"a\", right: \"b\"), with Permute where axes stand otherwise",
    ),
    (&["globalavgpool", "globalavgpool2d", "globalaveragepooling2d", "globalpool"], "write Mean(from: \"x\", axes: [2, 3])"),
    (&["adaptiveavgpool1d", "globalavgpool1d", "globalaveragepooling1d"], "write Mean(from: \"x\", axes: [2])"),
    (&["adaptivemaxpool1d", "globalmaxpool1d", "globalmaxpooling1d"], "write Max(from: \"x\", axes: [2])"),
    (&["adaptivemaxpool2d", "globalmaxpool", "globalmaxpooling2d"], "write Max(from: \"x\", axes: [2, 3])"),
    (&["dense", "fc", "fullyconnected", "gemm"], "write Linear(from: \"x\", units: 8)"),
    (&["swish"], "write Silu(from: \"x\")"),
    (&["maskedfill"], "write Where(condition: \"mask\", then: \"x\", otherwise: 0.0)"),
    (
        &["mul", "sub", "div", "pow", "neg", "elementwise", "lambda"],
        "write Formula(\"a * b\"): arithmetic of nodes, element by element",
    ),
    (&["chunk", "unbind"], "write Split(from: \"x\", axis: 1, parts: 2)"),
    (&["zeros", "ones", "full"], "write a number where an input takes one, or Constant"),
    (&["pixelshuffle", "pixelunshuffle", "unfold", "rearrange"], "write Reshape, Permute and Reshape"),
    (&["repeatinterleave", "tile", "broadcast", "broadcastto"], "write Expand(from: \"x\", shape: [...])"),
    (&["rnn", "lstm", "gru"], "there are no recurrent ops; Repeat writes out a fixed number of steps"),
];

/// What to write for an op that another library has; `None` for names that nobody uses.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    let name: String = name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_libraries_are_known_in_any_case() {
        assert!(instead_of("Flatten").is_some_and(|instead| instead.contains("Reshape")));
        assert!(instead_of("masked_fill").is_some_and(|instead| instead.contains("Where")));
        assert_eq!(instead_of("Linaer"), None);
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a name stands in two lines");
        assert!(all.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())));
    }
}
