// What every kernel of an attention is told: sizes, strides of the mask in elements (0 along axes that it repeats), and how keys are split.

struct AttentionShape {
    i64 mask_batch, mask_head, mask_query;
    int batch, heads, queries, keys, width, value_width, causal;
    // Above 0 on tensor cores: the largest score is then the largest product.
    float scale;
    // Keys of one split; a multiple of the tile.
    int split_keys, splits;
};

enum AttentionMask { MASK_NONE, MASK_ADDITIVE, MASK_BOOLEAN };
