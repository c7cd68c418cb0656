"""What a model is worth on the held-out files: losses, single-line holes, other files' help, explanations."""
import difflib
import random
import re

import numpy as np
import torch
import torch.nn.functional as F

import explain
import holes
from common import CONFIG, EVAL_LENGTH, LANGUAGES, TOY, log
from data import CROSS_FILE, TARGET, Files
from decode import greedy
from tokenizer import (BASE, BOS, END_HEADER, EOS, EOT, FILE_SEP, PAD, REPO, START_HEADER, SUFFIX, Tokenizer)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def loss_sets(per_language, length=EVAL_LENGTH, only_long=False):
    """language -> int64 [rows, length + 1]: the beginnings of held-out files as plain text, padded."""
    encode, out = Tokenizer().encode, {}
    for language in LANGUAGES:
        files, rows = Files(language), []
        for i in np.random.RandomState(5).permutation(len(files)):
            path, text = files.get(i)
            if only_long and len(text) < 2 * length:
                continue
            x = ([BOS, FILE_SEP] + encode(path + "\n").tolist() + encode(text).tolist() + [EOS])[:length + 1]
            if only_long and len(x) <= length:
                continue
            rows.append(np.array(x + [PAD] * (length + 1 - len(x)), np.int64))
            if len(rows) >= per_language:
                break
        if rows:
            out[language] = np.stack(rows)
    return out


@torch.no_grad()
def token_losses(net, rows, batch=8):
    """float32 [rows, length] losses, NaN where the target is padding."""
    out, device = [], net.cos.device
    for i in range(0, len(rows), batch):
        x = torch.from_numpy(rows[i:i + batch]).to(device)
        z, t = net.logits(net.hidden(x[:, :-1])).float(), x[:, 1:]
        loss = F.cross_entropy(z.reshape(-1, z.shape[-1]), t.reshape(-1), reduction="none").view_as(t)
        out.append(loss.masked_fill(t == PAD, float("nan")).cpu().numpy())
    return np.concatenate(out)


def losses(net, sets):
    """language -> nats a token"""
    return {language: float(np.nanmean(token_losses(net, rows))) for language, rows in sets.items()}


def show(by_language, digits=3):
    words = " ".join("%s %.*f" % (k[:6], digits, v) for k, v in by_language.items())
    return "%s | mean %.4f" % (words, mean(by_language.values()))


def far_context(net, per_language):
    """Mean loss by position in windows as long as the context; only files that fill it."""
    length = CONFIG["context"]
    sets = loss_sets(per_language, length, only_long=True)
    if not sets:
        return {}
    all_rows = np.concatenate([token_losses(net, rows, 4) for rows in sets.values()])
    edges = np.linspace(0, length, 9).astype(int)
    return {"%d-%d" % (a, b): float(np.nanmean(all_rows[:, a:b])) for a, b in zip(edges[:-1], edges[1:])} | {"files": len(all_rows)}


def similarity(a, b):
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() if a or b else 1.0


def line_holes(net, tok, sets, order="spm", heal=False, most=160):
    """({language: {exact, similarity, ended, ended_in_line, holes}}, details). `ended`: share of the holes after which
    the model came to its end token by itself within `most` tokens; `ended_in_line`: before a line break."""
    flat = [(language, hole) for language, hs in sets.items() for hole in hs]
    asked = [holes.prompt(tok, hole, order, heal) for _, hole in flat]
    ends = (EOS, EOT, PAD, FILE_SEP)
    answers = greedy(net, [p for p, _ in asked], 8 if TOY else most, lambda o: o[-1] in ends,
                     forced=(tok.pieces, [left.encode("utf8") for _, left in asked]))
    sums, details = {}, {}
    for (language, hole), (_, left), ids in zip(flat, asked, answers):
        text = tok.decode([i for i in ids if i < BASE])[len(left):]
        got, want, ended = text.split("\n")[0].rstrip(), hole["text"].rstrip(), ids[-1] in ends
        s = sums.setdefault(language, np.zeros(5))
        s += (got == want, similarity(got, want), ended, ended and "\n" not in text.rstrip(), 1)
        details.setdefault(language, []).append(dict(path=hole["path"], before=hole["before"][-160:],
                                                     after=hole["after"], want=hole["text"], got=text))
    names = ("exact", "similarity", "ended", "ended_in_line")
    return {k: dict(zip(names, s / s[4]), holes=int(s[4])) for k, s in sums.items()}, details


def show_holes(result):
    average = lambda key: mean(v[key] for v in result.values())
    return "exact %s; similarity %.3f; ended %.3f, in the line %.3f" % (
        show({k: v["exact"] for k, v in result.items()}, 2), average("similarity"), average("ended"),
        average("ended_in_line"))


def cross_file(net, sampler, per_language, room):
    """Loss of the middle with and without the other files, the same holes of held-out files."""
    out = {}
    for number, (language, held) in enumerate(sampler.languages):
        with_files, without = [], []
        for k, file in enumerate(np.flatnonzero(held)):
            doc = sampler.document(number, file, CROSS_FILE, room, 1000 + k)
            ids = (doc & 0x3FFF).astype(np.int64)
            marks = np.flatnonzero(ids == SUFFIX)
            if len(doc) == 0 or REPO not in ids or len(marks) != 1:
                continue
            own = np.flatnonzero(ids[:marks[0]] == FILE_SEP)[-1]
            pair = [middle_loss(net, ids, doc), middle_loss(net, np.concatenate([[BOS], ids[own:]]), np.concatenate([doc[:1], doc[own:]]))]
            with_files.append(pair[0])
            without.append(pair[1])
            if len(with_files) >= per_language:
                break
        if with_files:
            out[language] = dict(with_files=mean(with_files), without=mean(without), holes=len(with_files))
    return out


def middle_loss(net, ids, doc):
    loss = token_losses(net, ids[None])[0]
    return float(np.mean(loss[(doc[1:] & TARGET) != 0]))


def explanations(net, tok, per_language):
    """Held-out functions explained: how many answers end by themselves, and have one to three sentences."""
    prompts, asked, rng = [], [], random.Random(3)
    for language in LANGUAGES:
        files, n = Files(language), 0
        for i in range(len(files)):
            for code, answer in explain.pairs(language, files.get(i)[1], 1):
                question = explain.chat(tok.encode, [("user", "Explain this code:\n```%s\n%s\n```" % (explain.FENCE[language], code))])
                prompt = question + [START_HEADER] + tok.encode("assistant").tolist() + [END_HEADER] + tok.encode("\n\n").tolist()
                if len(prompt) < CONFIG["context"] // 2:
                    prompts.append(prompt)
                    asked.append((language, code, answer))
                    n += 1
            if n >= per_language:
                break
    if not prompts:
        return {}
    answers = greedy(net, prompts, 8 if TOY else 128, lambda o: o[-1] in (EOS, EOT, PAD))
    ended = [ids[-1] in (EOS, EOT) for ids in answers]
    texts = [tok.decode([i for i in ids if i < BASE]).strip() for ids in answers]
    short = [1 <= len(re.findall(r"[.!?](?:\s|$)", t)) <= 3 for t in texts]
    shown = rng.sample(range(len(texts)), min(12, len(texts)))
    return dict(asked=len(texts), ended=mean(ended), one_to_three_sentences=mean(short), examples=[
        dict(language=asked[i][0], code=asked[i][1], comment=asked[i][2], answer=texts[i]) for i in shown])


def everything(net, tok, sampler, sizes):
    """The figures that are wanted of the finished model. sizes: rows, long, holes, cross, explanations a language."""
    out = dict(loss_2048=losses(net, loss_sets(sizes["rows"])),
               loss_by_position=far_context(net, sizes["long"]))
    log("held-out loss: " + show(out["loss_2048"]))
    log("loss by position:", out["loss_by_position"])
    out["cross_file"] = cross_file(net, sampler, sizes["cross"], 400 if TOY else 2400)
    log("cross-file:", {k: "%.3f / %.3f without" % (v["with_files"], v["without"]) for k, v in out["cross_file"].items()})
    out["explanations"] = explanations(net, tok, sizes["explanations"])
    log("explanations:", {k: v for k, v in out["explanations"].items() if k != "examples"})
    return out
