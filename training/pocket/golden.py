"""Golden outputs: eight prompts through Hugging Face's LlamaForCausalLM in float32, compared with the model here."""
import torch

import explain
import model
from common import CONFIG, TOY, hf_config, log
from tokenizer import BOS, END_HEADER, FILE_SEP, MIDDLE, PREFIX, START_HEADER, SUFFIX

PYTHON = 'def fibonacci(n):\n    """Return the n-th Fibonacci number."""\n    a, b = 0, 1\n    for _ in range(n):\n        '
CPP = ("#include <string>\n#include <vector>\n\nstd::vector<std::string> split(const std::string& s, char sep) {\n"
       "  std::vector<std::string> out;\n  size_t start = 0;\n  for (size_t i = 0; i <= s.size(); ++i) {\n"
       "    if (i == s.size() || s[i] == sep) {\n      out.push_b")
JAVASCRIPT = ("export function debounce(fn, wait) {\n  let timer = null;\n  return function (...args) {\n"
              "    clearTimeout(timer);\n    timer = setTimeout(() => {\n")
GO = 'package main\n\nimport "fmt"\n\nfunc main() {\n\tnames := []string{"a", "b"}\n\tfor i, name := ra'
RUST = ("fn largest(list: &[i32]) -> i32 {\n    let mut largest = list[0];\n    for &item in list {\n"
        "        if item > largest {\n")
JAVA = ("public class Counter {\n    private int count;\n\n    public void increment() {\n        count++;\n    }\n\n"
        "    public int getCount() {\n")
QUESTION = ("Explain this code:\n```python\ndef is_prime(n):\n    if n < 2:\n        return False\n"
            "    for i in range(2, int(n ** 0.5) + 1):\n        if n % i == 0:\n            return False\n    return True\n```")


def prompts(tok):
    """(name, ids) of each; the same as for the first pocket, so the two can be laid side by side."""
    e = lambda s: tok.encode(s).tolist()
    head = lambda p: [BOS, FILE_SEP] + e(p + "\n")
    psm = lambda p, a, b: head(p) + [PREFIX] + e(a) + [SUFFIX] + e(b) + [MIDDLE]
    spm = lambda p, a, b: head(p) + [SUFFIX] + e(b) + [PREFIX] + e(a) + [MIDDLE]
    long = (RUST + "            largest = item;\n        }\n    }\n    largest\n}\n\n") * (2 if TOY else 9)
    answer = [START_HEADER] + e("assistant") + [END_HEADER] + e("\n\n")
    return [("fim_psm_python", psm("src/fib.py", PYTHON, "\n    return a\n")),
            ("fim_spm_cpp_mid_token", spm("src/split.cpp", CPP, "\n      start = i + 1;\n    }\n  }\n  return out;\n}\n")),
            ("plain_javascript", head("lib/debounce.js") + e(JAVASCRIPT)),
            ("chat_explain_python", explain.chat(tok.encode, [("user", QUESTION)]) + answer),
            ("fim_psm_go_mid_token", psm("main.go", GO, " {\n\t\tfmt.Println(i, name)\n\t}\n}\n")),
            ("plain_rust_long", head("src/lib.rs") + e(long)[:CONFIG["context"] - 80]),
            ("fim_spm_java_empty_suffix", spm("Counter.java", JAVA, "")),
            ("plain_short", [BOS] + e("int main("))]


def reference_model(state, head, device):
    """transformers' model with these float tensors; `head`: the output matrix where it is not the embedding."""
    from transformers import LlamaConfig, LlamaForCausalLM
    c = hf_config()
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id",
            "pad_token_id")
    config = LlamaConfig(tie_word_embeddings=head is None, **{k: c[k] for k in keys})  # theta 10000: checked below
    config._attn_implementation = "eager"
    net = LlamaForCausalLM(config).float()
    weights = {k: v.float().cpu() for k, v in state.items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] if head is None else head.float().cpu()
    found = net.load_state_dict(weights, strict=False)
    wrong = [k for k in list(found.missing_keys) + list(found.unexpected_keys) if "rotary" not in k]
    size = CONFIG["hidden"] // CONFIG["heads"]
    frequency = 1.0 / (CONFIG["theta"] ** (torch.arange(0, size, 2).float() / size))
    if wrong or not torch.allclose(net.model.rotary_emb.inv_freq.float().cpu(), frequency, rtol=1e-5):
        raise RuntimeError("transformers' model is another one: %s" % (wrong[:5] or "rotary frequencies"))
    return net.to(device).eval()


@torch.no_grad()
def own_outputs(net, ids, head):
    """Logits of the last position, and hidden states: embedding, each block, after the final norm."""
    x = torch.tensor([ids], device=net.cos.device)
    cos, sin, h = net.cos[:len(ids)], net.sin[:len(ids)], net.model.embed_tokens(x).float()
    states = [h]
    for block in net.model.layers:
        h = block(h, cos, sin)
        states.append(h)
    states.append(net.model.norm(h))
    last = states[-1][0, -1]
    return (net.logits(last) if head is None else head.to(last) @ last).float(), states


def entry(name, ids, logits, states, greedy, source, tok):
    value, index = logits.topk(20)
    z = logits.double()
    return dict(name=name, input_ids=ids, source=source, top20=[[int(a), float(b)] for a, b in zip(index, value)],
                logits_mean=float(z.mean()), logits_std=float(z.std()), logsumexp=float(z.logsumexp(0)),
                hidden_norm_last_position=[float(h[0, -1].double().norm()) for h in states],
                hidden_norm_all_positions=[float(h[0].double().norm()) for h in states], greedy_32=greedy,
                greedy_text=tok.decode(greedy))


@torch.no_grad()
def make(state, tok, label, device, head=None):
    own = model.Llama(CONFIG, torch.float32).to(device)
    own.load_state_dict(state)
    own.eval()
    reference, why = None, ""
    try:
        reference = reference_model(state, head, device)
    except Exception as e:  # the file says so: its reader decides what that is worth
        why = "%s: %s" % (type(e).__name__, str(e)[:200])
        log("golden outputs without transformers (%s)" % why)
    out, worst = [], 0.0
    last_logits = lambda seq: (reference(input_ids=torch.tensor([seq], device=device), use_cache=False).logits[0, -1].float()
                               if reference is not None else own_outputs(own, seq, head)[0])
    for name, ids in prompts(tok):
        logits, states = own_outputs(own, ids, head)
        if reference is not None:
            r = reference(input_ids=torch.tensor([ids], device=device), output_hidden_states=True, use_cache=False)
            worst = max(worst, float((r.logits[0, -1].float() - logits).abs().max()))
            # transformers gives the embedding, each block but the last, and the last one after the final norm
            for a, b in zip(r.hidden_states[:-1], states):
                worst = max(worst, float((a.float() - b).abs().max() / b.abs().max()))
            logits = r.logits[0, -1].float()
        seq = list(ids)
        for _ in range(32):
            seq.append(int(last_logits(seq).argmax()))
        source = "own float32 model" if reference is None else "transformers LlamaForCausalLM float32"
        out.append(entry(name, ids, logits, states, seq[len(ids):], source, tok))
    log("golden outputs, %s: transformers differs by at most %.2g" % (label, worst))
    return dict(label=label, note="hidden norms: entry 0 is the embedding, entries 1..12 are the outputs of the blocks, "
                "the last is after the final norm; greedy_32 does not stop at end tokens",
                largest_difference_to_own_model=worst, transformers_error=why, prompts=out)
