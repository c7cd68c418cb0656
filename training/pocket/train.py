"""Second step: training, boxed by the clock. The learning rate follows the clock and is zero at the end."""
import json
import math
import os
import time

import torch

import attention
import evaluate
import model
from common import CONFIG, LENGTHS, TOY, WORK, env_float, env_int, log, path
from data import Sampler, mixture, split_targets
from optimizer import Muon
from tokenizer import BOS, Tokenizer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TRAIN_S = env_float("PK_TRAIN_S", 1340)
DEADLINE = env_float("PK_DEADLINE", 0)    # seconds since 1970: all must be done by then; 0: no such time
EXPORT_S = env_float("PK_EXPORT_S", 170)  # kept for what follows the training
STEP_TOKENS = (env_int("PK_STEP_TOKENS", 1024 if TOY else 131072), env_int("PK_STEP_TOKENS_LATE", 2048 if TOY else 262144))
MICRO_TOKENS = env_int("PK_MICRO_TOKENS", 1024 if TOY else 65536)
LR_MUON, LR_ADAM = env_float("PK_LR_MUON", .02), env_float("PK_LR_ADAM", .003)
WARM, FLAT = .015, .40          # shares of the time
LARGER_STEPS, LONGER_ROWS = .25, .60  # from these shares of the time on
MAX_STEPS = env_int("PK_MAX_STEPS", 0)  # tests: progress by steps instead of time
THREADS = env_int("PK_THREADS", max(1, min(11, (os.cpu_count() or 2) - 4)))


def lr_factor(progress):
    if progress < WARM:
        return max(progress / WARM, .02)
    return 1.0 if progress < FLAT else max(0.0, (1 - progress) / (1 - FLAT))


class Clock:
    """Progress from 0 to 1. It starts once: a resumed training keeps its end."""

    def __init__(self):
        file = path("clock")
        if not os.path.exists(file):
            begin = time.time()
            end = begin + TRAIN_S
            if DEADLINE and end > DEADLINE - EXPORT_S:
                end = max(begin + 20, DEADLINE - EXPORT_S)
                log("LESS TIME than planned: %.0f s of training instead of %.0f" % (end - begin, TRAIN_S))
            with open(file, "w") as f:
                json.dump([begin, end], f)
        with open(file) as f:
            self.begin, self.end = json.load(f)

    def progress(self, step):
        return step / MAX_STEPS if MAX_STEPS else (time.time() - self.begin) / (self.end - self.begin)


class Trainer:
    def __init__(self):
        torch.manual_seed(1)
        dtype = torch.bfloat16 if DEVICE == "cuda" else torch.float32
        self.net = model.Llama(CONFIG, dtype).to(DEVICE)
        inside = lambda name, p: p.dim() == 2 and "embed" not in name
        self.muon = Muon([p for n, p in self.net.named_parameters() if inside(n, p)], weight_decay=.05)
        rest = [p for n, p in self.net.named_parameters() if not inside(n, p)]
        fused = dict(fused=True) if DEVICE == "cuda" else {}
        self.adam = torch.optim.AdamW(rest, lr=LR_ADAM, betas=(.9, .95), eps=1e-10, weight_decay=0.0, **fused)
        self.step = self.tokens = 0
        compiled = DEVICE == "cuda" and attention.MODERN and os.environ.get("PK_COMPILE", "1") == "1"
        self.forward = torch.compile(self.net, dynamic=False) if compiled else self.net
        self.micro, self.kinds = MICRO_TOKENS, ["plain"]
        if compiled:
            self.kinds = attention.choose(CONFIG, DEVICE, 8, LENGTHS[0], log)
        self.use_attention()
        log("parameters: %.2f M, %s" % (sum(p.numel() for p in self.net.parameters()) / 1e6, CONFIG))

    def use_attention(self):
        """The best kind of attention that is left."""
        attention.CHOSEN = self.kinds.pop(0) if self.kinds else "plain"
        log("attention:", attention.CHOSEN)

    def warm_up(self, length):
        """Compiles for rows of this length and says how fast a micro-batch is."""
        rows = max(1, self.micro // length)
        x = torch.randint(0, 16000, (rows, length + 1), device=DEVICE)
        x[:, ::700] = BOS
        w = torch.ones(rows, length, device=DEVICE)
        times = []
        for _ in range(3):
            t = time.time()
            loss = self.forward(x[:, :-1].contiguous(), x[:, 1:].contiguous(), w)
            loss.backward()
            value = float(loss)
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            times.append(time.time() - t)
            self.net.zero_grad(set_to_none=True)
        memory = torch.cuda.max_memory_allocated() / 2**30 if DEVICE == "cuda" else 0
        log("micro-batch %d x %d: first %.0f s, then %.0f ms, %.0f k tokens/s, %.1f GiB, loss %.3f" % (
            rows, length, times[0], times[-1] * 1e3, rows * length / times[-1] / 1e3, memory, value))

    def warm_up_all(self):
        """Falls back where the machine refuses: smaller micro-batches, another attention, no compilation."""
        for attempt in range(6):
            try:
                for length in LENGTHS:
                    self.warm_up(length)
                return
            except Exception as e:
                log("warm-up failed (%s: %s)" % (type(e).__name__, str(e)[:300].replace("\n", " ")))
                if attempt == 5:
                    raise
                self.net.zero_grad(set_to_none=True)
                if DEVICE == "cuda":
                    torch.cuda.empty_cache()
                if "out of memory" in str(e).lower():
                    self.micro //= 2
                elif self.kinds:
                    self.use_attention()
                else:
                    self.forward = self.net
                    self.micro = min(self.micro, 32768)
                if self.forward is not self.net:
                    torch._dynamo.reset()
                    self.forward = torch.compile(self.net, dynamic=False)

    def resume(self):
        file = os.path.join(WORK, "ckpt", "last.pt")
        if os.path.exists(file):
            saved = torch.load(file, map_location=DEVICE)
            self.net.load_state_dict(saved["model"])
            self.adam.load_state_dict(saved["adam"])
            self.muon.load_state_dict(saved["muon"])
            self.step, self.tokens = saved["step"], saved["tokens"]
            log("resumed at step %d" % self.step)

    def save(self, name, full=True):
        state = dict(model=self.net.state_dict(), step=self.step, tokens=self.tokens, config=CONFIG)
        if full:
            state.update(adam=self.adam.state_dict(), muon=self.muon.state_dict())
        file = path("ckpt", name)
        torch.save(state, file + ".tmp")
        os.replace(file + ".tmp", file)

    def train_step(self, rows, progress):
        """rows: a list of micro-batches from the sampler. Returns loss and gradient norm as tensors."""
        factor, total = lr_factor(progress), 0
        for micro in rows:
            ids, targets, weights = (torch.from_numpy(a).to(DEVICE, non_blocking=True) for a in split_targets(micro))
            loss = self.forward(ids.long().contiguous(), targets.long().contiguous(), weights)
            (loss / len(rows)).backward()
            total = total + loss.detach() / len(rows)
            self.tokens += ids.numel()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.adam.param_groups:
            group["lr"] = LR_ADAM * factor
        self.adam.step()
        self.muon.step(LR_MUON * factor, .85 + .10 * min(1.0, self.step / 300))
        self.net.zero_grad(set_to_none=True)
        self.step += 1
        return total, norm


class Journal:
    """What is said and written while training: every 15 s a line, now and then the held-out loss and a checkpoint."""

    def __init__(self, trainer, sampler, clock):
        self.t, self.sampler, self.clock = trainer, sampler, clock
        self.sets = evaluate.loss_sets(env_int("PK_EVAL_ROWS", 4 if TOY else 24))
        self.said = self.evaluated = self.saved = self.began = time.time()
        self.losses, self.tokens, self.first_tokens = [], trainer.tokens, trainer.tokens
        self.file = open(path("train.jsonl"), "a")

    def note(self, **what):
        self.file.write(json.dumps(dict(step=self.t.step, tokens=self.t.tokens, **what)) + "\n")
        self.file.flush()

    def after_step(self, loss, norm, progress):
        self.losses.append(loss)
        now = time.time()
        if now - self.said > env_float("PK_SAY_S", 5 if TOY else 15):
            self.say(norm, progress)
        if now - self.evaluated > env_float("PK_EVAL_S", 240):
            held = evaluate.losses(self.t.net, self.sets)
            log("held-out: " + evaluate.show(held))
            self.note(held=held)
            self.evaluated = time.time()
        if now - self.saved > env_float("PK_CKPT_S", 150):
            self.t.save("last.pt")
            self.saved = time.time()

    def say(self, norm, progress):
        value = float(sum(self.losses) / len(self.losses))  # waits for the device
        now = time.time()
        speed = (self.t.tokens - self.tokens) / (now - self.said)
        waited = self.sampler.waited
        log("step %d  %.1f M tokens  loss %.4f  lr %.3f  grad %.2f  %.0f k tokens/s  %.0f of %.0f s  waited %.1f s" % (
            self.t.step, self.t.tokens / 1e6, value, lr_factor(progress), float(norm), speed / 1e3,
            now - self.clock.begin, self.clock.end - self.clock.begin, waited))
        self.note(loss=value, lr=lr_factor(progress), grad=float(norm), tokens_per_s=speed, waited=waited)
        self.said, self.losses, self.tokens = now, [], self.t.tokens
        if not math.isfinite(value):
            raise SystemExit("the loss is not finite")

    def finish(self):
        seconds = time.time() - self.began
        tokens = self.t.tokens - self.first_tokens
        held = evaluate.losses(self.t.net, self.sets)
        log("held-out at the end: " + evaluate.show(held))
        log("trained %d steps, %.1f M tokens; here %.0f s, %.0f k tokens/s, waited for data %.1f s (%.1f %%); shares %s" % (
            self.t.step, self.t.tokens / 1e6, seconds, tokens / seconds / 1e3, self.sampler.waited,
            100 * self.sampler.waited / seconds, self.sampler.shares()))
        self.note(held=held, seconds=seconds, waited=self.sampler.waited, shares=self.sampler.shares(), final=True)


def wait_for_corpus():
    while not os.path.exists(os.path.join(WORK, "prepared")):
        if os.path.exists(os.path.join(WORK, "failed")):
            raise SystemExit("the preparation failed")
        time.sleep(.2)


def run(trainer, sampler):
    clock, micro = Clock(), trainer.micro
    late = None
    journal = None
    while (progress := clock.progress(trainer.step)) < 1:
        if late != (progress >= LONGER_ROWS):
            late = progress >= LONGER_ROWS
            length = LENGTHS[late]
            sampler.stop()
            sampler.start(mixture(length, late), THREADS, 1 + trainer.step, max(1, micro // length))
            log("rows of %d tokens from step %d on" % (length, trainer.step))
            journal = journal or Journal(trainer, sampler, clock)
        batch = STEP_TOKENS[progress >= LARGER_STEPS]
        rows = [sampler.take() for _ in range(max(1, batch // micro))]
        loss, norm = trainer.train_step(rows, progress)
        journal.after_step(loss, norm, progress)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    trainer.save("final.pt", full=False)
    sampler.stop()
    if journal:
        journal.finish()


def main():
    if DEVICE == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cuda.enable_math_sdp(False)
        log("device:", torch.cuda.get_device_name(0), "| torch", torch.__version__)
    else:
        torch.set_num_threads(env_int("PK_TORCH_THREADS", 2))
    trainer = Trainer()
    trainer.warm_up_all()
    trainer.resume()
    wait_for_corpus()
    run(trainer, Sampler(Tokenizer()))
    with open(path("trained"), "w") as f:
        f.write("%d %d\n" % (trainer.step, trainer.tokens))


if __name__ == "__main__":
    main()
