"""Conversations about functions: the code of one, and the first paragraph of its comment as the explanation."""
import re

from common import FENCE
from tokenizer import BOS, END_HEADER, EOT, START_HEADER

# C and its relatives: a comment by itself, then a head that stands right after it (one pattern for both would be slow).
C_DOC = re.compile(r"^(?:[ \t]*/\*\*?(?:[^*]|\*(?!/)){20,900}\*/[ \t]*\n|(?:[ \t]*//[^\n]*\n){1,14}+)", re.M)
C_HEAD = re.compile(r"(?:[ \t]*(?:@\w+|#\[)[^\n]*\n){0,3}[ \t]*[A-Za-z_~][^\n;={}]{2,200}(?:\n[^\n;{}]{0,160}){0,4}?\{")
GO_FN = re.compile(r'^(?P<doc>(?://[^\n]*\n){1,14})(?P<sig>func [^\n]{3,200}\{)', re.M)
RS_FN = re.compile(r'^(?P<doc>(?:[ \t]*///[^\n]*\n){1,16})(?P<sig>(?:[ \t]*#\[[^\n]*\n){0,3}[ \t]*(?:pub(?:\([a-z]+\))? )?(?:const |async |unsafe )*fn [^\n;{}]{2,200}(?:\n[^\n;{}]{0,120}){0,5}?\{)', re.M)
LUA_FN = re.compile(r'^(?P<doc>(?:[ \t]*--[^\n]*\n){1,14})(?P<sig>[ \t]*(?:local )?function [^\n]{2,120}|[ \t]*[\w.:]+ *= *function[^\n]{2,80})$', re.M)
SH_FN = re.compile(r'^(?P<doc>(?:#[^\n]*\n){1,12})(?P<sig>(?:function )?[\w:.-]+ ?\(\) ?\n?\{)', re.M)
PY_FN = re.compile(r'^(?P<sig>(?P<ind>[ ]*)(?:async )?def \w+\([^\n]*(?:\n[^\n]*){0,8}?:\n)(?P<q>\s*[rbuRBU]?(?:"""|\'\'\'))', re.M)
NOTFN = re.compile(r'^\s*(if|for|while|switch|return|else|do|case|namespace|struct|class|enum|union|interface|extern|typedef|module|impl|trait|import|export default \{)\b')


def clean_doc(d):
    out = []
    for x in d.split('\n'):
        x = re.sub(r'^\s*(/\*+!?|\*+/|\*+|//+!?|#+|--+\[*|"""|\'\'\')?\s?', '', x)
        x = re.sub(r'\*+/\s*$', '', x).strip()
        if re.match(r'([@\\](param|return|throws|see|since|tparam|exception|example|deprecated|internal|code)|:param|:return|Args:|Arguments:|Parameters|Returns:|Examples?:?|---|===|# )', x):
            break
        if not x and out:
            break
        if x:
            out.append(x)
    s = ' '.join(out)
    s = re.sub(r'[@\\](brief|summary|description|details)\s*', '', s)
    s = re.sub(r'\{@\w+\s+([^}]*)\}', r'\1', s)
    s = re.sub(r'</?[a-zA-Z][^>]{0,40}>', '', s)
    s = re.sub(r'\s+', ' ', s).strip()
    s = " ".join(re.split(r"(?<=[.!?]) (?=[A-Z])", s)[:3])
    if not 24 <= len(s) <= 420 or not s[0].isalpha():
        return None
    if re.search(r'TO' r'DO|FIX' r'ME|X' r'XX|HA' r'CK|[Dd]eprecated|[Cc]opyright|https?:|[Ll]icen[sc]e|eslint|noinspection|clang-format|NOLINT|\|\s*-|;\s*$|\{\s*$|\)\s*$', s):
        return None
    words = s.split()
    if len(words) < 5 or sum(w.isalpha() for w in words) < .55 * len(words):
        return None
    s = s[0].upper() + s[1:]
    return s if s[-1] in '.!?' else s + '.'


def dedent(code):
    ls = code.split('\n')
    n = min((len(x) - len(x.lstrip()) for x in ls if x.strip()), default=0)
    return '\n'.join(x[n:] for x in ls)


def brace_end(t, i):
    """Index after the brace that closes the one at t[i-1]; None if it is too far."""
    d, k, n = 1, i, min(len(t), i + 3500)
    while k < n:
        c = t[k]
        if c == '{':
            d += 1
        elif c == '}':
            d -= 1
            if d == 0:
                return k + 1
        k += 1
    return None


def _python_pairs(text):
    for m in PY_FN.finditer(text):
        quote, start = m.group("q").strip()[-3:], m.end()
        end = text.find(quote, start)
        if end < 0 or end - start > 4000:
            continue
        answer = clean_doc(text[start:end])
        newline = text.find("\n", end + 3)
        if not answer or newline < 0:
            continue
        indent, body = len(m.group("ind")), []
        for x in text[newline + 1:newline + 4001].split("\n"):
            if x.strip() and len(x) - len(x.lstrip()) <= indent:
                break
            body.append(x)
        body = "\n".join(body).rstrip()
        if 1 <= body.count("\n") <= 55:
            yield dedent(m.group("sig") + body), answer


def _end_of(lang, text, head, start):
    """Where the function whose head ends at `start` ends, or None."""
    if lang != "lua":
        return brace_end(text, start)
    indent = re.match(r"[ \t]*", head).group(0)
    e = re.compile("^" + indent + r"end\b.*$", re.M).search(text, start)
    return e.end() if e and e.end() - start <= 2500 else None


def _heads(lang, text):
    """(comment, where the head begins, where it ends) of every function with a comment."""
    pattern = {"go": GO_FN, "rust": RS_FN, "lua": LUA_FN, "shell": SH_FN}.get(lang)
    if pattern:
        for m in pattern.finditer(text):
            yield m.group("doc"), m.start("sig"), m.end()
        return
    for m in C_DOC.finditer(text):
        head = C_HEAD.match(text, m.end())
        if head and "(" in head.group(0):
            yield m.group(0), m.end(), head.end()


def _commented_pairs(lang, text):
    for doc, begin, start in _heads(lang, text):
        answer = None if NOTFN.match(text[begin:start]) else clean_doc(doc)
        end = _end_of(lang, text, text[begin:start], start) if answer else None
        if end and 2 <= text.count("\n", begin, end) <= 60:
            yield dedent(text[begin:end]), answer


def pairs(lang, text, most):
    """At most `most` (code without its comment, one to three sentences) of a file."""
    out = []
    for pair in _python_pairs(text) if lang == "python" else _commented_pairs(lang, text[:40_000]):
        out.append(pair)
        if len(out) == most:
            break
    return out


ASK = ['What does this code do?', 'Explain what this function does.', 'Explain this function:', 'Describe the following code:', 'Summarize this code:', 'Explain:',
       'Can you explain this code?', 'What is this function for?']
SYS = ['You are a helpful coding assistant.', 'You are a concise coding assistant.', 'You are a coding assistant inside an editor. Answer briefly.']


def chat(encode, turns):
    out = [BOS]
    for role, text in turns:
        out += [START_HEADER] + encode(role).tolist() + [END_HEADER] + encode('\n\n' + text).tolist() + [EOT]
    return out


def conversation(encode, rng, lang, code, answer):
    """Ids of one conversation, and where its answer begins."""
    ask = "Explain this code:" if rng.random() < .75 else rng.choice(ASK)
    turns = [("system", rng.choice(SYS))] if rng.random() < .4 else []
    turns.append(("user", "%s\n```%s\n%s\n```" % (ask, FENCE[lang] if rng.random() < .9 else "", code)))
    question = chat(encode, turns)
    return question + chat(encode, [("assistant", answer)])[1:], len(question) + 4
