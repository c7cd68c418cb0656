"""Sizes, folders and small helpers shared by the steps."""
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# The tokenizer is that of the shipped model; run.sh puts it beside the program where it works on a copy.
_BESIDE = os.path.join(HERE, "tokenizer")
TOKENIZER = _BESIDE if os.path.isdir(_BESIDE) else os.path.join(HERE, "..", "..", "engine", "models", "pocket")
WORK = os.environ.get("PK_WORK", "/tmp/pocket-work")
TOY = os.environ.get("PK_TOY") == "1"  # the same program on a small model: tests and rehearsals on a CPU

LANGUAGES = ["python", "c", "cpp", "cuda", "javascript", "typescript", "go", "rust", "java", "lua", "shell"]
# Share of the drawn documents. Every language counts the same in the mean, so the small ones are drawn more often than
# their texts' size would give, but not so often that they are learnt by heart.
MIX = dict(python=.175, typescript=.120, javascript=.105, cpp=.115, c=.095, go=.095, rust=.105, java=.090,
           cuda=.032, lua=.038, shell=.030)
FENCE = {name: name for name in LANGUAGES} | {"shell": "bash"}

if TOY:
    CONFIG = dict(hidden=128, layers=2, heads=2, kv=1, ffn=256, vocab=16384, context=512, theta=10000.0, eps=1e-5)
    LENGTHS = (256, 512)
else:
    CONFIG = dict(hidden=512, layers=12, heads=8, kv=4, ffn=1408, vocab=16384, context=4096, theta=10000.0, eps=1e-5)
    LENGTHS = (2048, 4096)  # tokens of a training row, early and late
EVAL_LENGTH = 256 if TOY else 2048  # windows of the held-out loss, as they were for the first pocket


def hf_config(dtype="bfloat16"):
    """config.json of a Hugging Face LlamaForCausalLM."""
    c = CONFIG
    return dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=c["hidden"],
                intermediate_size=c["ffn"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
                num_key_value_heads=c["kv"], head_dim=c["hidden"] // c["heads"], vocab_size=c["vocab"],
                max_position_embeddings=c["context"], rope_theta=c["theta"], rope_scaling=None,
                rms_norm_eps=c["eps"], hidden_act="silu", tie_word_embeddings=True, attention_bias=False,
                mlp_bias=False, attention_dropout=0.0, initializer_range=0.02, pretraining_tp=1, use_cache=True,
                bos_token_id=16373, eos_token_id=[16374, 16377], pad_token_id=16381, torch_dtype=dtype)


def path(*parts):
    """A path under the work folder; its folder is made."""
    full = os.path.join(WORK, *parts)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def env_float(name, default):
    return float(os.environ.get(name, default))


def env_int(name, default):
    return int(os.environ.get(name, default))
