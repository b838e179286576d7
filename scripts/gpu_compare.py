#!/usr/bin/env python3
"""Compare the CUDA engine with PyTorch on one GPU, in one run, in bf16: attention, a norm, convolutions, and training steps of ViT-L/16,
ConvNeXt-Base, ResNet-50 and cross-attention of one query with its projections.

    pip install torch timm
    scripts/gpu_check.sh build
    scripts/gpu_compare.py [--sward target/release/sward] [--gpu-check scripts/gpu_check] [--batch 64] [--only attention] [--hold FILE]

A ratio above 1 means that Sward is faster. PyTorch's training step is zero_grad, forward under autocast, mean of squares of 5 outputs, backward
and fused AdamW, the better of eager and torch.compile; its attention is `scaled_dot_product_attention` as it chooses its kernel itself.
--hold: models are compiled at once, and nothing is measured before this file exists, so that a machine can do something else meanwhile.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

# What PyTorch trains, and the graph that Sward does.
MODELS = {
    "vit_large_patch16_224": "backbones/vit_large_patch16_224.ron",
    "convnext_base": "backbones/convnext_base.ron",
    "resnet50": "backbones/resnet50.ron",
    "cross_attention": None,
}
# The last: samples, tokens, width and heads, and its graph.
POOLING = (8, 4096, 1024, 16)
POOLING_GRAPH = """
Module(
    inputs: { "instances": F32(["batch", "instances", "width"]) },
    nodes: { "pool": Use(module: "pooling/cross_attention.ron", from: "instances", params: { "heads": 16, "head_width": 64 }) },
    outputs: { "pooled": As("pool:pooled", F32(["batch", "width"])) },
)
"""
HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sward", default=os.path.join(HERE, "../target/release/sward"))
    parser.add_argument("--gpu-check", default=os.path.join(HERE, "gpu_check"))
    parser.add_argument("--graphs", default=os.path.join(HERE, "../graphs"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", default="", help="workloads whose name holds this text")
    parser.add_argument("--hold", help="measure once this file exists")
    parser.add_argument("--model", choices=MODELS, help=argparse.SUPPRESS)
    return parser.parse_args()


def milliseconds(step, runs, warmup=3):
    """The median by the device's clock."""
    import torch

    for _ in range(warmup):
        step()
    torch.cuda.synchronize()
    times = []
    for _ in range(runs):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        step()
        last.record()
        torch.cuda.synchronize()
        times.append(first.elapsed_time(last))
    return statistics.median(times)


def train_in_pytorch(model, batch):
    """One process: compiles, says so, waits for a line, measures. Prints {"eager": ms, "compile": ms}."""
    import timm
    import torch

    class Pooling(torch.nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.query = torch.nn.Parameter(torch.randn(1, 1, width) * 0.02)
            self.attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)

        def forward(self, tokens):
            return self.attention(self.query.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)[0]

    is_pooling = model == "cross_attention"
    sizes = POOLING[:3] if is_pooling else (batch, 3, 224, 224)
    images = torch.randn(sizes, device="cuda")

    def make(is_compiled):
        torch.manual_seed(0)
        net = Pooling(*POOLING[2:]) if is_pooling else timm.create_model(model, pretrained=False, num_classes=5)
        net = net.cuda().train()
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
        run = torch.compile(net) if is_compiled else net

        def step():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16):
                loss = run(images).float().square().mean()
            loss.backward()
            optimizer.step()

        step()
        torch.cuda.synchronize()
        return step

    steps = {"eager": make(False), "compile": make(True)}
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps({kind: milliseconds(step, 10) for kind, step in steps.items()}), flush=True)


def microseconds(kernel, repeats=20):
    """The median of five series of a kernel, many times in a row, so that the device waits for none of them."""
    def series():
        for _ in range(repeats):
            kernel()

    return milliseconds(series, 5, 1) * 1e3 / repeats


def kernels_in_pytorch():
    """Microseconds by the names that `gpu_check --speed` gives its kernels."""
    import torch
    import torch.nn.functional as F

    found = {}

    def of(tokens, width):
        # As projections leave them: [batch, tokens, heads, width], seen as [batch, heads, tokens, width].
        x = torch.randn(8, tokens, 16, width, device="cuda", dtype=torch.bfloat16)
        return x.transpose(1, 2).requires_grad_()

    for tokens, width in [(1800, 64), (4096, 64), (4096, 128)]:
        q, k, v, grad = (of(tokens, width) for _ in range(4))
        name = f"{tokens} x {tokens}, 8 x 16 heads of {width} bf16"
        with torch.no_grad():
            found[f"attention {name}"] = microseconds(lambda: F.scaled_dot_product_attention(q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)
        back = lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True)
        found[f"attention_gradient {name}"] = microseconds(back)
    torch.backends.cudnn.benchmark = True
    with torch.no_grad():
        q, k, v = of(1, 64), of(4096, 64), of(4096, 64)
        found["attention 1 x 4096, 8 x 16 heads of 64 bf16"] = microseconds(lambda: F.scaled_dot_product_attention(q, k, v))
        norm = torch.nn.LayerNorm(1024, device="cuda", dtype=torch.bfloat16)
        x = torch.randn(65536, 1024, device="cuda", dtype=torch.bfloat16)
        found["layer_norm 65536 x 1024 bf16"] = microseconds(lambda: norm(x))
        x = torch.randn(64, 256, 56, 56, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        weight = torch.randn(256, 1, 7, 7, device="cuda", dtype=torch.bfloat16)
        depthwise = lambda: F.conv2d(x, weight, padding=3, groups=256)
        found["depthwise 7 x 7, 64 x 56 x 56 x 256 bf16"] = microseconds(depthwise)
        for size, channels in [(56, 64), (28, 128), (28, 256), (14, 256)]:
            x = torch.randn(64, channels, size, size, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
            weight = torch.randn(channels, channels, 3, 3, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
            name = f"3 x 3, 64 x {size} x {size} x {channels} bf16"
            found[f"convolution {name}"] = microseconds(lambda: F.conv2d(x, weight, padding=1))
            for kind, wanted in [("input", [True, False, False]), ("weight", [False, True, False])]:
                back = lambda: torch.ops.aten.convolution_backward(x, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
                found[f"convolution_{kind}_gradient {name}"] = microseconds(back)
    return found


def kernels_in_sward(gpu_check):
    """The same of ours, from its table."""
    table = subprocess.run([gpu_check, "--speed"], stdout=subprocess.PIPE, text=True, check=True).stdout
    print(table, flush=True)
    return {name.strip(): float(us) for name, us in re.findall(r"^  (\S.*?) {2,}([\d.]+) us", table, re.MULTILINE)}


def train_in_sward(options, model):
    sizes, params = (f"batch={options.batch}", "height=224", "width=224"), ["--set", "classes=5"]
    graph = os.path.join(options.graphs, MODELS[model] or "")
    if model == "cross_attention":
        sizes, params = [f"{name}={size}" for name, size in zip(("batch", "instances", "width"), POOLING)], []
        graph = os.path.join(tempfile.mkdtemp(), "cross_attention.ron")
        with open(graph, "w") as file:
            file.write(POOLING_GRAPH)
    command = [options.sward, "bench", graph, "--mode", "train", "--dtype", "bf16", "--engine", "cuda", *params]
    command += [word for size in sizes for word in ("--dim", size)]
    run = [*command, "--runs", "10", "--warmup", "3", "--format", "json"]
    return json.loads(subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout)["median_s"] * 1e3


def main():
    options = arguments()
    if options.model:
        return train_in_pytorch(options.model, options.batch)
    models = [model for model in MODELS if options.only in model]
    own = [sys.executable, os.path.abspath(__file__), "--batch", str(options.batch), "--model"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    peers = {model: subprocess.Popen([*own, model], cwd=tempfile.gettempdir(), **pipes) for model in models}
    for peer in peers.values():
        peer.stdout.readline()
    while options.hold and not os.path.exists(options.hold):
        time.sleep(0.1)
    import torch

    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {time.strftime('%Y-%m-%d')}", flush=True)
    rows = []
    for model, peer in peers.items():
        theirs = json.loads(peer.communicate("\n")[0].strip().splitlines()[-1])
        ours = train_in_sward(options, model)
        name = f"{model}, training step, batch {POOLING[0] if model == 'cross_attention' else options.batch}"
        rows.append((name, ours, "ms", min(theirs.values()), ", ".join(f"{kind} {ms:.2f}" for kind, ms in theirs.items())))
        print(f"{name}: sward {ours:.2f} ms, PyTorch {rows[-1][4]}", flush=True)
    theirs = {name: us for name, us in kernels_in_pytorch().items() if options.only in name}
    ours = kernels_in_sward(options.gpu_check) if theirs else {}
    rows.extend((name, ours[name], "us", us, "") for name, us in theirs.items())
    print(f"{'workload':<58} {'sward':>10} {'PyTorch':>10}  ratio")
    for name, own, unit, other, note in rows:
        print(f"{name:<58} {own:>7.1f} {unit} {other:>7.1f} {unit}  {other / own:.2f}  {note}")


if __name__ == "__main__":
    main()
