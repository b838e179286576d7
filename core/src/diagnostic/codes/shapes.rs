//! `S03xx`: types, shapes and dimensions.

codes! {
    301 SIZE_ARITHMETIC "arithmetic with sizes fails" {
        "A size is a whole number of 64 bits. Sums and products of sizes that leave this range, and divisions by zero, are refused before anything is allocated."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 9000000000000000000]) },\n    nodes: { \"y\": Concat(from: [\"x\", \"x\"], axis: 1) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 9000]) },\n    nodes: { \"y\": Concat(from: [\"x\", \"x\"], axis: 1) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    302 WRONG_RANK "a tensor has the wrong number of axes" {
        "The op reads tensors of a certain form, for example `[batch, channels, height, width]`. An axis too few is added with Reshape or Expand, one too many goes with a reduction or a Reshape that joins two."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Conv2d(from: \"x\", channels: 8, kernel: 3) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 3, \"height\", \"width\"]) },\n    nodes: { \"y\": Conv2d(from: \"x\", channels: 8, kernel: 3) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    303 NO_SUCH_AXIS "an axis that the tensor does not have" {
        "Axes are counted from 0, or from -1 at the end."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Mean(from: \"x\", axes: [2]) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Mean(from: \"x\", axes: [1]) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    304 REPEATED_AXIS "an axis is named twice" {
        "A list of axes holds each axis once; 1 and -1 are the same axis of a tensor of two."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Sum(from: \"x\", axes: [1, -1]) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Sum(from: \"x\", axes: [0, 1]) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    305 SIZES_DIFFER "sizes that must be equal differ" {
        "The op joins its inputs along axes that must have one size: the inner axes of a matrix product, all but one axis of Concat, the tokens of keys and values. Two sizes are equal if they are for all values of the names in them; the message gives values for which they are not."
        wrong: "Module(\n    inputs: { \"a\": F32([\"batch\", \"width\"]), \"b\": F32([\"batch\", \"units\"]) },\n    nodes: { \"y\": MatMul(left: \"a\", right: \"b\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"a\": F32([\"batch\", \"width\"]), \"b\": F32([\"width\", \"units\"]) },\n    nodes: { \"y\": MatMul(left: \"a\", right: \"b\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    306 NO_BROADCAST "shapes that do not broadcast" {
        "Tensors that meet elementwise are aligned at their last axes. Sizes of 1 and missing leading axes repeat; any other size meets only itself. A named size never meets a differently named one, even if both may happen to have the same value."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"channels\", \"height\", \"width\"]), \"scale\": F32([\"channels\"]) },\n    nodes: { \"y\": Formula(\"x * scale\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"channels\", \"height\", \"width\"]), \"scale\": F32([\"channels\"]) },\n    nodes: {\n        \"column\": Reshape(from: \"scale\", shape: [\"channels\", 1, 1]),\n        \"y\": Formula(\"x * column\"),\n    },\n    outputs: { \"y\": \"y\" },\n)"
    }
    307 RESHAPE_COUNT "a reshape that changes the number of elements" {
        "The product of the new sizes is the product of the old ones, for all values of the names in them. One of the new sizes may be -1: it takes what the others leave."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"tokens\", 64]) },\n    nodes: { \"y\": Reshape(from: \"x\", shape: [\"batch\", \"tokens\", 4, 8]) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"tokens\", 64]) },\n    nodes: { \"y\": Reshape(from: \"x\", shape: [\"batch\", \"tokens\", 4, 16]) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    308 NOT_DIVISIBLE "a size that does not divide another" {
        "Groups must divide channels, heads must divide a width, equal parts must divide an axis. Where a size is known by name alone, the condition becomes an obligation of the graph; here no value meets it."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 30, \"height\", \"width\"]) },\n    nodes: { \"y\": Conv2d(from: \"x\", channels: 60, kernel: 3, groups: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 30, \"height\", \"width\"]) },\n    nodes: { \"y\": Conv2d(from: \"x\", channels: 60, kernel: 3, groups: 5) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    309 WINDOW_TOO_LARGE "a window does not fit into its input" {
        "The kernel of a convolution or a pool reaches over the padded input, so that the result would be empty."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 3, 4, 4]) },\n    nodes: { \"y\": MaxPool2d(from: \"x\", kernel: 5) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 3, 4, 4]) },\n    nodes: { \"y\": MaxPool2d(from: \"x\", kernel: 2) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    310 SETTING_OUT_OF_RANGE "a setting is out of its range" {
        "The field's value has the right kind, and is not one that the op can work with: a probability above 1, a stride of 0."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: 1.5) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: { \"y\": Dropout(from: \"x\", p: 0.15) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    311 SETTINGS_CONFLICT "settings that do not go together" {
        "Each field is fine alone, and together they contradict each other, or one that the others need is missing."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 3, \"height\", \"width\"]) },\n    nodes: { \"y\": Resize(from: \"x\", size: 64, mode: Nearest, align_corners: true) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 3, \"height\", \"width\"]) },\n    nodes: { \"y\": Resize(from: \"x\", size: 64, mode: Bilinear, align_corners: true) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    312 DTYPES_DIFFER "dtypes that do not go together" {
        "Tensors that are joined have one dtype, and a mask is Bool or F32. Nothing is converted silently; Cast says what is meant."
        wrong: "Module(\n    inputs: { \"a\": F32([\"batch\", 4]), \"b\": I64([\"batch\", 2]) },\n    nodes: { \"y\": Concat(from: [\"a\", \"b\"], axis: 1) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"a\": F32([\"batch\", 4]), \"b\": I64([\"batch\", 2]) },\n    nodes: { \"c\": Cast(from: \"b\", to: F32), \"y\": Concat(from: [\"a\", \"c\"], axis: 1) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    313 OUT_OF_BOUNDS "a part that lies outside of its axis" {
        "A slice ends after the axis does or before it starts, TopK takes more elements than there are, or an index is known to name no element."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 10]) },\n    nodes: { \"y\": Slice(from: \"x\", axis: 1, start: 4, end: 12) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 10]) },\n    nodes: { \"y\": Slice(from: \"x\", axis: 1, start: 4, end: 10) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    314 NOT_A_PERMUTATION "an order that leaves out axes" {
        "`axes` of Permute names every axis of its input once."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", \"tokens\", \"width\"]) },\n    nodes: { \"y\": Permute(from: \"x\", axes: [0, 2]) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", \"tokens\", \"width\"]) },\n    nodes: { \"y\": Permute(from: \"x\", axes: [0, 2, 1]) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    315 WRONG_LENGTH "a list of the wrong length" {
        "The list has one item for each of something else: a number for each element, a padding for each axis."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 3]) },\n    nodes: { \"mean\": Constant(value: [0.5, 0.4], shape: [3]), \"y\": Formula(\"x - mean\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 3]) },\n    nodes: { \"mean\": Constant(value: [0.5, 0.4, 0.3], shape: [3]), \"y\": Formula(\"x - mean\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    316 FORMULA "a formula that cannot be read as elementwise arithmetic" {
        "A formula applies the functions and operators of the language to every element. Lists, texts and unknown functions have no meaning in it, and a name in it is a node, an input or a param that is a number."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 3]) },\n    nodes: { \"y\": Formula(\"atan(x)\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 3]) },\n    nodes: { \"y\": Formula(\"tanh(x)\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    330 SHAPE "sizes that do not agree" {
        "Two sizes that must be equal are not, for the sizes that the message gives as an example. The labels show where both come from."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": As(\"y\", F32([\"batch\", 5])) },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": As(\"y\", F32([\"batch\", 4])) },\n)"
    }
    331 DTYPE "a dtype that does not fit" {
        "F32, I64 and Bool are kept apart; Cast changes one into another."
        wrong: "Module(\n    inputs: { \"x\": I64([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
    332 RANK "a number of axes that does not fit" {
        "The tensor has more or fewer axes than expected."
        wrong: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": As(\"y\", F32([\"batch\"])) },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": As(\"y\", F32([\"batch\", 4])) },\n)"
    }
    333 UNBOUND "a size that nothing determines" {
        "A dimension is bound where its name stands alone in the shape of an input, or is a param."
        wrong: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"two.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: two.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"a * b\"]) },\n    nodes: { \"y\": Relu(from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)"
        right: "// file: main.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Use(module: \"two.ron\", from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)\n// file: two.ron\nModule(\n    inputs: { \"x\": F32([\"batch\", \"2 * b\"]) },\n    nodes: { \"y\": Relu(from: \"x\") },\n    outputs: { \"y\": \"y\" },\n)"
    }
    334 UNKNOWN_DTYPE "a dtype that does not exist" {
        "The dtypes of graph files are F32, I64 and Bool. bf16 is a way to run a graph, chosen by --dtype."
        wrong: "Module(\n    inputs: { \"x\": F23([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
        right: "Module(\n    inputs: { \"x\": F32([\"batch\", 8]) },\n    nodes: { \"y\": Linear(from: \"x\", units: 4) },\n    outputs: { \"y\": \"y\" },\n)"
    }
}
