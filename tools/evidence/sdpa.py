"""Times PyTorch's scaled_dot_product_attention at the shapes of the bench, beside what a copy of the device reaches.

Exits with 3 where PyTorch or its device is missing. Milliseconds are medians over rounds; bytes are those of q, K, V and o.
"""

import argparse
import json
import statistics
import sys
import time

HEADS, HEAD_DIM, KV_HEADS = 32, 128, (32, 8, 1)
COPY_BYTES = 2**29
ROUNDS = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contexts", default="4096", help="contexts of decoding, separated by commas")
    parser.add_argument("--prefill", default="2048", help="tokens of a prompt")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--json", help="file for the rows; the default is to print them")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        cannot_run("PyTorch is not installed: python3 -m pip install torch")
    if options.device == "cuda" and not torch.cuda.is_available():
        cannot_run("PyTorch finds no CUDA device")
    report = measure(torch, options)
    text = json.dumps(report, indent=2)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text)


def cannot_run(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(3)


def measure(torch, options) -> dict:
    device = options.device
    shapes = [(1, int(context)) for context in options.contexts.split(",")]
    shapes.append((int(options.prefill), int(options.prefill)))
    dtypes = {"f32": torch.float32, "f16": torch.float16} if device == "cuda" else {"f32": torch.float32}
    rows = []
    for seq_len, context in shapes:
        for name, dtype in dtypes.items():
            for kv_heads in KV_HEADS:
                rows.append(attention(torch, device, name, dtype, seq_len, context, kv_heads))
    source = torch.empty(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    copy = median_ms(torch, device, lambda: target.copy_(source))
    return {
        "schema": 1,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "copyGBps": 2 * COPY_BYTES / copy / 1e6,
        "rows": rows,
    }


def attention(torch, device, name, dtype, seq_len, context, kv_heads) -> dict:
    def random(heads, tokens):
        return torch.randn(1, heads, tokens, HEAD_DIM, device=device, dtype=dtype)

    q, k, v = random(HEADS, seq_len), random(kv_heads, context), random(kv_heads, context)

    def run():
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=seq_len > 1, enable_gqa=kv_heads != HEADS
        )

    expected = reference(torch, q, k, v, seq_len)
    error = (run().double() - expected).abs().max().item()
    ms = median_ms(torch, device, run)
    size = dtype.itemsize * HEAD_DIM * (2 * HEADS * seq_len + 2 * kv_heads * context)
    return {
        **{"dtype": name, "seqLen": seq_len, "contextLen": context, "numKvHeads": kv_heads},
        **{"medianMs": ms, "gbPerSecond": size / ms / 1e6, "maxAbsError": error},
    }


def reference(torch, q, k, v, seq_len):
    """The same in float64, head by head, so that it fits in memory."""
    group = HEADS // k.shape[1]
    outputs = []
    for head in range(HEADS):
        scores = q[0, head].double() @ k[0, head // group].double().T / HEAD_DIM**0.5
        if seq_len > 1:
            unseen = torch.ones_like(scores, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(unseen, float("-inf"))
        outputs.append(torch.softmax(scores, -1) @ v[0, head // group].double())
    return torch.stack(outputs)[None]


def median_ms(torch, device, run) -> float:
    for _ in range(3):
        run()
    times = []
    for _ in range(ROUNDS):
        if device == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end))
        else:
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
