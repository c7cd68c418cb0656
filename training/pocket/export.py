"""Last step: quantize the trained model, write checkpoints and golden outputs, measure, pack what travels.

What matters most comes first and is packed at once; measurements are left out when time runs short (PK_DEADLINE)."""
import json
import lzma
import os
import sys
import time
import traceback

import numpy as np
import torch

import checkpoint
import evaluate
import golden
import holes
import model
import quantize
import safetensors_io
from common import CONFIG, LENGTHS, TOY, WORK, env_float, env_int, log, path
from data import Sampler, mixture, split_targets
from tokenizer import Tokenizer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RESULTS = os.path.join(WORK, "results")
DEADLINE = env_float("PK_DEADLINE", 0)
HOLES = env_int("PK_CASES", 3 if TOY else 200)
CALIBRATION = env_int("PK_CALIBRATION", 6 if TOY else 256)
SIZES = dict(rows=4, long=1, cross=2, explanations=1) if TOY else dict(rows=48, long=12, cross=40, explanations=12)
REPORT = {}


def save_report():
    with open(path("results", "report.json"), "w") as f:
        json.dump(REPORT, f, indent=1, default=float)


def step(name, needs_s, work):
    """Runs work() unless less than needs_s seconds are left; a failure is logged and ends the step only."""
    if DEADLINE and DEADLINE - time.time() < needs_s:
        log("LEFT OUT for lack of time: " + name)
        return None
    t0 = time.time()
    try:
        result = work()
        log("%s: %.1f s" % (name, time.time() - t0))
        return result
    except Exception:
        log("%s FAILED:\n%s" % (name, traceback.format_exc()))
        return None
    finally:
        save_report()


def trained_state():
    """float32 tensors that bf16 holds exactly, of the last checkpoint there is."""
    file = os.path.join(WORK, "ckpt", "final.pt")
    file = file if os.path.exists(file) else os.path.join(WORK, "ckpt", "last.pt")
    saved = torch.load(file, map_location="cpu")
    log("exporting %s: step %d, %.1f M tokens" % (os.path.basename(file), saved["step"], saved["tokens"] / 1e6))
    REPORT.update(step=saved["step"], tokens=saved["tokens"], checkpoint=os.path.basename(file), config=CONFIG, torch=torch.__version__,
                  device=torch.cuda.get_device_name(0) if DEVICE == "cuda" else "cpu")
    bits = {k: safetensors_io.to_bf16(v.float().numpy()) for k, v in saved["model"].items()}
    return bits, {k: torch.from_numpy(safetensors_io.from_bf16(v).copy()) for k, v in bits.items()}


def load(state, dtype=None):
    net = model.Llama(CONFIG, dtype or (torch.bfloat16 if DEVICE == "cuda" else torch.float32)).to(DEVICE)
    net.load_state_dict(state)
    return net.eval()


def calibration_rows(sampler):
    sampler.start(mixture(LENGTHS[0], False), 2, 77, CALIBRATION)
    ids = split_targets(sampler.take())[0]
    sampler.stop()
    return ids


def quantized(state, sampler):
    """Writes the INT4 checkpoint; returns its dequantized weights, its packed names, and the INT8 head's values."""
    codes = quantize.quantize(state, calibration_rows(sampler), DEVICE)
    tensors, plain = {}, {}
    for name, value in state.items():
        base = name[:-len(".weight")]
        if base in codes:
            packed = quantize.pack(*codes[base])
            tensors.update({"%s.%s" % (base, k): v for k, v in packed.items()})
            plain[name] = torch.from_numpy(quantize.unpack(packed))
        else:
            tensors[name] = value.numpy().astype(np.float16)
            plain[name] = torch.from_numpy(tensors[name].astype(np.float32))
    checkpoint.write(os.path.join(RESULTS, "pocket-gptq-int4"), tensors, "float16", quantized=True)
    rows, scale = quantize.int8_rows(plain["model.embed_tokens.weight"])
    os.makedirs(os.path.join(RESULTS, "pocket-int8-head"), exist_ok=True)
    safetensors_io.save(os.path.join(RESULTS, "pocket-int8-head", "model.safetensors"),
                        {"lm_head.codes": rows.numpy(), "lm_head.scale": scale.numpy().astype(np.float32)})
    return plain, set(codes), rows.float() * scale[:, None]


def write_golden(name, *arguments, **more):
    with open(path("results", "golden_%s.json" % name), "w") as f:
        json.dump(golden.make(*arguments, **more), f, indent=1)


def held_out(label, state):
    REPORT.setdefault("held_out", {})[label] = found = evaluate.losses(load(state), evaluate.loss_sets(SIZES["rows"]))
    log("held-out %s: %s" % (label, evaluate.show(found)))


def lines(label, state, tok, sets, **how):
    found, details = evaluate.line_holes(load(state), tok, sets, **how)
    REPORT.setdefault("holes", {})[label] = found
    log("holes, %s: %s" % (label, evaluate.show_holes(found)))
    if label == "int4 healed":
        with open(path("results", "answers.jsonl"), "w") as f:
            for language, cases in details.items():
                for case in cases[:40]:
                    f.write(json.dumps(dict(language=language, **case)) + "\n")


def first_pocket():
    """Dequantized weights of a checkpoint to compare with (PK_COMPARE: its folder) and the order of its prompts, or None."""
    folder = os.environ.get("PK_COMPARE", os.path.join(WORK, "compare"))
    if not os.path.exists(folder + "/model.safetensors"):
        return None
    raw, state = safetensors_io.load(folder + "/model.safetensors"), {}
    for name, value in raw.items():
        base, _, kind = name.rpartition(".")
        if kind == "qweight":
            state[base + ".weight"] = torch.from_numpy(quantize.unpack(
                {k: raw["%s.%s" % (base, k)] for k in ("qweight", "qzeros", "scales", "g_idx")}))
        elif kind == "weight":
            state[name] = torch.from_numpy(value.astype(np.float32))
    with open(folder + "/pocket.json") as f:
        marked = json.load(f)["fim"]["spm"].endswith("<|fim_middle|>")
    return state, "spm" if marked else "spm joined"


def table():
    """The report in short, printed last so that a truncated log has it."""
    print("RESULT  step %d, %.1f M tokens" % (REPORT["step"], REPORT["tokens"] / 1e6))
    columns = [("loss " + k, v, None) for k, v in REPORT.get("held_out", {}).items()]
    for k, v in REPORT.get("holes", {}).items():
        columns += [("%s %s" % (short, k), v, key) for short, key in (
            ("exact", "exact"), ("sim", "similarity"), ("ended", "ended"), ("in line", "ended_in_line"))]
    for name, values, key in columns:
        numbers = {l: (v[key] if key else v) for l, v in values.items()}
        print("%-28s %s" % (name, evaluate.show(numbers)))
    sys.stdout.flush()


def drawn_holes(tok):
    """The holes, kept as well: they come from sources of the training machine that are nowhere else."""
    sets = holes.draw(tok, HOLES)
    with lzma.open(path("results", "holes.json.xz"), "wt", encoding="utf8") as f:
        json.dump({language: [dict(path=h["path"], before=h["before"], text=h["text"], after=tok.decode(h["suffix"]))
                              for h in hs] for language, hs in sets.items()}, f)
    return sets


def measure(state, plain, int4_names, tok, sampler):
    sets = step("holes drawn", 30, lambda: drawn_holes(tok))
    step("held-out bf16", 30, lambda: held_out("bf16", state))
    step("held-out int4", 30, lambda: held_out("int4", plain))
    step("holes int4, healed", 30, lambda: lines("int4 healed", plain, tok, sets, heal=True))
    step("holes int4", 40, lambda: lines("int4", plain, tok, sets))
    step("everything", 40, lambda: REPORT.update(int4=evaluate.everything(load(plain), tok, sampler, SIZES)))
    nearest = {k: quantize.nearest(v) if k[:-7] in int4_names else v for k, v in state.items()}
    step("held-out rtn", 40, lambda: held_out("rtn int4", nearest))
    old = step("old checkpoint", 45, first_pocket) if not TOY or os.environ.get("PK_COMPARE") else None
    if old:
        state_of_old, order = old
        step("held-out old", 45, lambda: held_out("old int4", state_of_old))
        step("holes old, healed", 45, lambda: lines("old int4 healed", state_of_old, tok, sets, order=order, heal=True))
        step("holes old", 45, lambda: lines("old int4", state_of_old, tok, sets, order=order))
    step("holes bf16, healed", 45, lambda: lines("bf16 healed", state, tok, sets, heal=True))
    step("holes int4, prefix first", 45, lambda: lines("int4 prefix first", plain, tok, sets, order="psm"))


def main():
    t0 = time.time()
    if DEVICE == "cpu":
        torch.set_num_threads(env_int("PK_TORCH_THREADS", 2))
    else:
        torch.set_float32_matmul_precision("high")
    bits, state = trained_state()
    checkpoint.write(os.path.join(RESULTS, "pocket-bf16"), bits, "bfloat16")
    tok = Tokenizer()
    sampler = Sampler(tok)
    found = step("INT4", 0, lambda: quantized(state, sampler))
    checkpoint.pack(RESULTS, with_bf16=found is None)
    if found:
        plain, int4_names, head = found
        torch.set_float32_matmul_precision("highest")
        step("golden int4", 25, lambda: write_golden("int4", plain, tok, "dequantized int4 weights in float32", DEVICE))
        step("golden int8 head", 25, lambda: write_golden(
            "int8_head", plain, tok, "dequantized int4 weights, output matrix rounded to int8 rows", DEVICE, head=head))
        step("golden bf16", 25, lambda: write_golden("bf16", state, tok, "bf16 weights in float32", DEVICE))
        torch.set_float32_matmul_precision("high")
        checkpoint.pack(RESULTS, with_bf16=False)
        measure(state, plain, int4_names, tok, sampler)
    REPORT["export_seconds"] = time.time() - t0
    save_report()
    calls = checkpoint.pack(RESULTS, with_bf16=True)
    log("parts: " + " | ".join("fetch %d: %s" % (i + 1, " ".join(c)) for i, c in enumerate(calls)))
    table()
    log("exported in %.0f s" % (time.time() - t0))


if __name__ == "__main__":
    main()
