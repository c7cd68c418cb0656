"""The commands of the real binary, with the real model: what they print where, and how they end.

usage: cli_test.py PATH/TO/incipit"""

import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.path.abspath(sys.argv.pop(1))
PATIENCE = 300

OK, FAILURE, USAGE, INPUT, MODEL, INTERRUPTED = 0, 1, 2, 3, 4, 130
SOURCE = '''def mean(values):
    """Returns the mean of the values."""
    total = 0
    for value in values:
        total += value
    return 
'''


# What two runs of `incipit eval` need not share: times, and what the engine had generated before it
# noticed that enough was there.
VARYING = ("Ms", "cachedTokens", "promptTokens", "generatedTokens")


def lasting(report):
    """A report of `incipit eval` without what may differ when it is made again."""
    if isinstance(report, list):
        return [lasting(value) for value in report]
    if isinstance(report, dict):
        return {key: lasting(value) for key, value in report.items() if not key.endswith(VARYING)}
    return report


class CliTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="incipit-cli-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def incipit(self, *arguments, stdin=b""):
        return subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True,
                              cwd=self.directory, timeout=PATIENCE, check=False)

    def file(self, name, content):
        data = content if isinstance(content, bytes) else content.encode()
        (self.directory / name).write_bytes(data)
        return name

    def assert_fails(self, result, code, *parts):
        stderr = result.stderr.decode()
        self.assertEqual(result.returncode, code, stderr)
        for part in parts:
            self.assertIn(part, stderr)
        self.assertEqual(result.stdout, b"")

    def test_version(self):
        result = self.incipit("--version")
        self.assertEqual(result.returncode, OK)
        self.assertRegex(result.stdout.decode(), r"^incipit \d+\.\d+\.\d+\n$")
        self.assertEqual(result.stderr, b"")

    def test_help_goes_to_stdout_and_a_wrong_command_line_to_stderr(self):
        self.assertIn(b"Exit codes:", self.incipit("--help").stdout)
        self.assert_fails(self.incipit(), USAGE, "a command is missing", "Commands:")
        self.assert_fails(self.incipit("compleet"), USAGE, "unknown command 'compleet'")
        self.assert_fails(self.incipit("complete", "a.py"), USAGE, "--at is required")

    def test_complete_prints_the_text_to_insert_and_nothing_else_on_stdout(self):
        result = self.incipit("complete", self.file("mean.py", SOURCE), "--at", "6:12")
        self.assertEqual(result.returncode, OK, result.stderr)
        self.assertIn("total", result.stdout.decode())
        self.assertIn("prompt tokens", result.stderr.decode())

    def test_complete_json_has_items_and_timings(self):
        result = self.incipit("complete", self.file("mean.py", SOURCE), "--at", "6:12", "--json")
        report = json.loads(result.stdout)
        self.assertEqual(set(report), {"items", "timings"})
        item = report["items"][0]
        self.assertEqual(set(item), {"insertText", "range"})
        for end in ("start", "end"):
            self.assertEqual(item["range"][end], {"line": 5, "character": 11})
        self.assertGreater(report["timings"]["generatedTokens"], 0)
        self.assertGreater(report["timings"]["firstTokenMs"], 0)

    def test_text_from_stdin_gives_the_same_as_the_file(self):
        name = self.file("mean.py", SOURCE)
        from_file = self.incipit("complete", name, "--at", "6:12")
        os.remove(self.directory / name)
        from_stdin = self.incipit("complete", name, "--stdin", "--at", "6:12",
                                  stdin=SOURCE.encode())
        self.assertEqual(from_stdin.returncode, OK, from_stdin.stderr)
        self.assertEqual(from_stdin.stdout, from_file.stdout)

    def test_a_dos_file_keeps_its_line_ends(self):
        name = self.file("mean.py", SOURCE.replace("\n", "\r\n"))
        result = self.incipit("complete", name, "--at", "6:12", "--json")
        self.assertEqual(result.returncode, OK, result.stderr)
        text = json.loads(result.stdout)["items"][0]["insertText"]
        self.assertNotIn("\n", text.replace("\r\n", ""))

    def test_an_empty_file_is_no_error(self):
        result = self.incipit("complete", self.file("empty.py", ""), "--at", "1:1", "--json")
        self.assertEqual(result.returncode, OK, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(bool(report["items"]), "whyEmpty" not in report)

    def test_positions_outside_the_file_name_what_was_found(self):
        name = self.file("mean.py", SOURCE)
        self.assert_fails(self.incipit("complete", name, "--at", "9:1"), USAGE,
                          "there is no line 9: mean.py has 7 lines")
        self.assert_fails(self.incipit("complete", name, "--at", "6:13"), USAGE,
                          "there is no column 13", "12 is the last column")
        self.assert_fails(self.incipit("complete", name, "--at", "six"), USAGE, 'found "six"')
        self.assert_fails(self.incipit("explain", name, "--lines", "3:40"), USAGE, "no line 40")
        self.assert_fails(self.incipit("explain", name, "--lines", "5:3"), USAGE, "want A:B")

    def test_columns_count_bytes(self):
        name = self.file("umlaut.py", "größe = \n")
        self.assertEqual(self.incipit("complete", name, "--at", "1:11").returncode, OK)
        self.assert_fails(self.incipit("complete", name, "--at", "1:4"), USAGE,
                          "inside the character that starts at column 3")

    def test_files_that_cannot_be_used(self):
        for name, part in ((self.file("a.bin", b"\x7fELF\0\1"), "binary data"),
                           (self.file("latin.py", "# na\xefve\n".encode("latin-1")), "want UTF-8"),
                           (".", "found a directory"), ("none.py", "o such file")):
            with self.subTest(name=name):
                self.assert_fails(self.incipit("complete", name, "--at", "1:1"), INPUT, name, part)
                self.assert_fails(self.incipit("explain", name, "--lines", "1"), INPUT, name, part)

    def test_a_failure_is_json_when_json_was_asked_for(self):
        result = self.incipit("complete", "none.py", "--at", "1:1", "--json")
        self.assertEqual(result.returncode, INPUT)
        error = json.loads(result.stdout)["error"]
        self.assertEqual((error["code"], error["exitCode"]), ("not_found", INPUT))
        self.assertIn("none.py", error["message"])

    def test_an_unknown_model_is_named(self):
        name = self.file("mean.py", SOURCE)
        for command in (("complete", name, "--at", "1:1"), ("explain", name, "--lines", "1"),
                        ("bench",)):
            with self.subTest(command=command[0]):
                self.assert_fails(self.incipit(*command, "--model", "no-such-model"), MODEL,
                                  "no-such-model")

    def test_explain_prints_a_text_and_its_json_holds_the_same(self):
        name = self.file("mean.py", SOURCE)
        plain = self.incipit("explain", name, "--lines", "1:6")
        self.assertEqual(plain.returncode, OK, plain.stderr)
        self.assertRegex(plain.stdout.decode(), r"\w+ \w+")
        report = json.loads(self.incipit("explain", name, "--lines", "1:6", "--json").stdout)
        self.assertEqual(set(report), {"text", "timings"})
        self.assertEqual(report["text"].strip(), plain.stdout.decode().strip())

    def shell(self, redirections, *arguments):
        """Runs incipit from a shell, which can close streams or send them to a full disk."""
        return subprocess.run(["sh", "-c", f'exec "$@" {redirections}', "sh", BINARY, *arguments],
                              capture_output=True, stdin=subprocess.DEVNULL, cwd=self.directory,
                              timeout=PATIENCE, check=False)

    def test_output_that_cannot_be_written_is_a_failure_that_says_so(self):
        name = self.file("mean.py", SOURCE)
        complete = ["complete", name, "--at", "6:12"]
        for command in (["--help"], ["--version"], complete, [*complete, "--json"],
                        ["explain", name, "--lines", "1:6"], ["doctor"]):
            with self.subTest(command=command):
                self.assert_fails(self.shell(">/dev/full", *command), FAILURE,
                                  "incipit: cannot write the output: No space left on device\n")
        self.assert_fails(self.shell(">&-", "--version"), FAILURE,
                          "incipit: cannot write the output: Bad file descriptor\n")

    def test_a_stderr_that_takes_nothing_does_not_cost_the_result(self):
        arguments = ["complete", self.file("mean.py", SOURCE), "--at", "6:12"]
        wanted = self.incipit(*arguments).stdout
        for redirections in ("2>/dev/full", "2>&-", "2>&- <&-"):
            with self.subTest(redirections=redirections):
                result = self.shell(redirections, *arguments)
                self.assertEqual((result.returncode, result.stdout), (OK, wanted))

    def test_a_limit_of_file_size_leaves_the_weights_in_memory(self):
        cache = self.directory / "cache"
        script = 'ulimit -f 10000; XDG_CACHE_HOME="$1"; export XDG_CACHE_HOME; shift; exec "$@"'
        result = subprocess.run(
            ["sh", "-c", script, "sh", cache, BINARY, "complete", self.file("mean.py", SOURCE),
             "--at", "6:12"], capture_output=True, cwd=self.directory, timeout=PATIENCE,
            check=False)
        self.assertEqual(result.returncode, OK, result.stderr)
        self.assertIn("total", result.stdout.decode())
        self.assertIn("File too large", result.stderr.decode())
        self.assertEqual(list((cache / "incipit").iterdir()), [])

    def test_bench_gives_figures_beside_what_the_machine_can_do(self):
        result = self.incipit("bench", "--json", "--prompt-tokens", 32, "--decode-tokens", 8,
                              "--cached-tokens", 64, "--new-tokens", 4)
        self.assertEqual(result.returncode, OK, result.stderr)
        report = json.loads(result.stdout)
        self.assertGreater(report["machine"]["readBytesPerSecond"], 0)
        self.assertGreater(report["machine"]["int8OpsPerSecond"], 0)
        limited = [row for row in report["rows"] if "limit" in row]
        self.assertTrue(any(row["name"].startswith("decode") for row in limited))
        self.assertTrue(any(row["name"].startswith("prefill") for row in limited))

    def eval_folder(self):
        """Three files in three languages, and one that has to stay out."""
        folder = self.directory / "code"
        folder.mkdir()
        (folder / "mean.py").write_text(SOURCE.replace("return ", "return total / len(values)"))
        (folder / "sum.c").write_text("int sum(const int* values, int n) {\n  int total = 0;\n"
                                      "  for (int i = 0; i < n; ++i) total += values[i];\n"
                                      "  return total;\n}\n")
        (folder / "max.lua").write_text("local function max(a, b)\n  if a > b then\n"
                                        "    return a\n  end\n  return b\nend\n\nreturn max\n")
        (folder / "made.py").write_text("# Code generated by hand. DO NOT EDIT.\nx = 1\n")
        return folder

    def test_eval_measures_the_same_twice(self):
        folder = self.eval_folder()
        arguments = ("eval", folder, "--holes", 3, "--seed", 7, "--json")
        first = self.incipit(*arguments, "--out", "first.json")
        self.assertEqual(first.returncode, OK, first.stderr)
        report = json.loads(first.stdout)
        self.assertEqual(json.loads((self.directory / "first.json").read_text()), report)
        self.assertEqual((report["format"], report["model"], report["files"]), (1, "pocket", 3))
        self.assertEqual(report["leftOut"], {"generated": 1})
        self.assertEqual({hole["language"] for hole in report["holes"]}, {"python", "c", "lua"})
        for hole in report["holes"]:
            text = (folder / hole["file"]).read_bytes()
            self.assertEqual(text[hole["start"]:hole["end"]].decode(), hole["expected"])
            self.assertNotEqual(bool(hole["shown"]), bool(hole["whyHidden"]))
            self.assertEqual(hole["shown"].rstrip() == hole["expected"].rstrip(),
                             hole["exactSpan"])
        self.assertEqual(report["summaries"][0]["n"], len(report["holes"]))
        self.assertGreater(report["summaries"][0]["firstTokenP50Ms"], 0)
        again = json.loads(self.incipit(*arguments).stdout)
        self.assertEqual(lasting(again), lasting(report))
        other = json.loads(self.incipit("eval", folder, "--holes", 3, "--seed", 8, "--json").stdout)
        self.assertNotEqual([hole["start"] for hole in other["holes"]],
                            [hole["start"] for hole in report["holes"]])

    def test_eval_compares_two_reports(self):
        folder = self.eval_folder()
        for name, holes in (("a.json", 1), ("b.json", 2)):
            result = self.incipit("eval", folder, "--holes", holes, "--kinds", "line",
                                  "--languages", "c,py", "--out", name)
            self.assertEqual(result.returncode, OK, result.stderr)
            self.assertIn("exact line", result.stdout.decode())
        result = self.incipit("eval", "--compare", "a.json", "b.json")
        self.assertEqual(result.returncode, OK, result.stderr)
        self.assertIn("2 holes in both; only in A 0, only in B 2", result.stdout.decode())
        report = json.loads(self.incipit("eval", "--compare", "a.json", "b.json", "--json").stdout)
        self.assertEqual((report["common"], report["onlyB"]), (2, 2))
        for figure in report["groups"][0]["figures"]:
            self.assertEqual((figure["difference"], figure["chance"]), (0, 1))
        other = self.incipit("eval", folder, "--holes", 1, "--kinds", "block", "--languages", "lua",
                             "--out", "c.json")
        self.assertEqual(other.returncode, OK, other.stderr)
        self.assert_fails(self.incipit("eval", "--compare", "a.json", "c.json"), FAILURE,
                          "found none in common")
        self.assert_fails(self.incipit("eval", "--compare", "a.json", "code/sum.c"), INPUT, "sum.c")

    def test_eval_says_what_it_cannot_use(self):
        (self.directory / "empty").mkdir()
        self.file("words.txt", "words")
        self.assert_fails(self.incipit("eval", "none"), INPUT, "none: want a folder or a file")
        self.assert_fails(self.incipit("eval", "empty"), INPUT, "found none")
        self.assert_fails(self.incipit("eval", "words.txt"), INPUT, "1 another kind of file")
        self.assert_fails(self.incipit("eval", ".", "--languages", "klingon"), USAGE, "klingon",
                          "python")
        self.assert_fails(self.incipit("eval", ".", "--out", "no/such/r.json"), FAILURE,
                          "no/such/r.json")

    def test_eval_that_is_interrupted_prints_what_it_measured(self):
        folder = self.directory / "many"
        folder.mkdir()
        for i in range(40):
            (folder / f"mean{i}.py").write_text(SOURCE.replace("mean", f"mean{i}") * 40 + "1\n")
        with subprocess.Popen([BINARY, "eval", folder, "--holes", "2000", "--max-files", "40",
                               "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd=self.directory) as process:
            for line in process.stderr:  # a line of progress: the first holes are measured
                if b" holes, " in line:
                    break
            process.send_signal(signal.SIGINT)
            report = json.loads(process.communicate(timeout=PATIENCE)[0])
        self.assertEqual(process.returncode, INTERRUPTED)
        self.assertTrue(report["interrupted"])
        self.assertTrue(0 < len(report["holes"]) < 2000, len(report["holes"]))

    def test_an_unknown_shape_is_a_usage_error_that_names_the_known_ones(self):
        result = self.incipit("bench", "--synthetic", "llama-9")
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertIn("llama-3-8b", result.stderr.decode())

    def test_a_model_that_was_added_answers_by_its_name_without_its_source(self):
        source = self.directory / "source"
        shutil.copytree(ROOT / "engine/models/pocket", source)
        data = {**os.environ, "XDG_DATA_HOME": str(self.directory / "data")}

        def run(*arguments):
            return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, env=data,
                                  cwd=self.directory, timeout=PATIENCE, check=False)

        added = run("model", "add", source, "--name", "mine", "--json")
        self.assertEqual(added.returncode, OK, added.stderr)
        self.assertEqual(json.loads(added.stdout)["outcome"], "added")
        self.assertIn("nothing to do", run("model", "add", source, "--name", "mine").stdout.decode())
        shutil.rmtree(source)
        self.assertEqual(run("model", "default", "mine").returncode, OK)
        listed = json.loads(run("model", "list", "--json").stdout)["models"]
        self.assertEqual([(model["name"], model["default"]) for model in listed],
                         [("mine", True), ("pocket", False)])
        self.assertEqual(json.loads(run("model", "show", "--json").stdout)["conversion"], "exact")
        name = self.file("mean.py", SOURCE)
        wanted = self.incipit("complete", name, "--at", "6:12").stdout
        self.assertEqual(run("complete", name, "--at", "6:12").stdout, wanted)
        self.assertEqual(json.loads(run("doctor", "--json").stdout)["problems"], 0)
        self.assertIn("pocket is the default again", run("model", "remove", "mine").stdout.decode())
        self.assert_fails(run("model", "show", "mine"), MODEL, "mine")
        self.assert_fails(run("model", "add", self.directory), MODEL, "without config.json")

    def zeros_in_full_precision(self, n_layers):
        """A checkpoint whose weights are all zero: a file with a hole, so made at once, however long it takes to quantise."""
        pocket = ROOT / "engine/models/pocket"
        source = self.directory / "zeros"
        source.mkdir()
        shutil.copy(pocket / "tokenizer.json", source)
        config = json.loads((pocket / "config.json").read_text())
        del config["quantization_config"]
        (source / "config.json").write_text(json.dumps({**config, "num_hidden_layers": n_layers}))
        hidden, ffn, kv = config["hidden_size"], config["intermediate_size"], 256
        shapes = {"model.embed_tokens": [config["vocab_size"], hidden], "model.norm": [hidden]}
        for layer in range(n_layers):
            for name, shape in (("self_attn.q_proj", [hidden, hidden]), ("self_attn.k_proj", [kv, hidden]),
                                ("self_attn.v_proj", [kv, hidden]), ("self_attn.o_proj", [hidden, hidden]),
                                ("mlp.gate_proj", [ffn, hidden]), ("mlp.up_proj", [ffn, hidden]),
                                ("mlp.down_proj", [hidden, ffn]), ("input_layernorm", [hidden]),
                                ("post_attention_layernorm", [hidden])):
                shapes[f"model.layers.{layer}.{name}"] = shape
        header, end = {}, 0
        for name, shape in shapes.items():
            begin, end = end, end + 4 * math.prod(shape)
            header[name + ".weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        with open(source / "model.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
        return source

    def test_an_error_about_a_hostile_file_says_nothing_to_the_terminal(self):
        name = b"\x1b[2Jblk"
        header = struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 32, 99, 0)
        self.file("m.gguf", b"GGUF" + header + bytes(128))
        result = self.incipit("model", "add", "m.gguf")
        self.assertEqual(result.returncode, MODEL, result.stderr)
        self.assertIn(b"?[2Jblk: type: want one of", result.stderr)
        self.assertNotIn(b"\x1b", result.stderr)

    def test_adding_a_model_can_be_interrupted(self):
        source = self.zeros_in_full_precision(n_layers=12)
        models = self.directory / "data/incipit/models"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            adding = subprocess.Popen([BINARY, "model", "add", source, "--name", "mine", "--quantize", "gptq"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env={**os.environ, "XDG_DATA_HOME": str(self.directory / "data")})
            deadline = time.monotonic() + PATIENCE
            while not list(models.glob(".being-added*")):
                self.assertIsNone(adding.poll(), "it ended by itself")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            adding.send_signal(number)
            _, stderr = adding.communicate(timeout=PATIENCE)
            self.assertEqual(adding.returncode, INTERRUPTED, stderr)
            self.assertEqual(list(models.iterdir()), [])

    def test_doctor_is_content_with_the_model_in_the_tree(self):
        result = self.incipit("doctor")
        self.assertEqual(result.returncode, OK, result.stdout)
        report = result.stdout.decode()
        for part in ("cpu", "cuda", "memory", "model", "files", "grammars", "Python", "No problem"):
            self.assertIn(part, report)
        self.assertEqual(json.loads(self.incipit("doctor", "--json").stdout)["problems"], 0)

    def test_doctor_says_what_to_do_about_a_damaged_model(self):
        copy = self.directory / "model"
        shutil.copytree(ROOT / "engine/models/pocket", copy)
        with open(copy / "model.safetensors", "r+b") as weights:
            weights.truncate(1_000_000)
        result = self.incipit("doctor", "--model", copy)
        self.assertEqual(result.returncode, FAILURE)
        self.assertIn("model.safetensors", result.stdout.decode())
        self.assertIn("->", result.stdout.decode())

    def test_the_server_reports_a_failed_start(self):
        folder = self.directory / "logs"
        folder.mkdir()
        self.assert_fails(self.incipit("lsp", "--log-file", folder), FAILURE, str(folder))
        result = self.incipit("lsp", "--json", "--log-file", folder)
        self.assertEqual(json.loads(result.stderr)["error"]["exitCode"], FAILURE)
        self.assertEqual(result.stdout, b"")

    def test_the_server_reports_a_wrong_command_line_as_json_on_stderr(self):
        for wrong in (["--bogus"], ["--threads", "x"]):
            result = self.incipit("lsp", *wrong, "--json")
            self.assertEqual((result.returncode, result.stdout), (USAGE, b""))
            self.assertIn(wrong[0], json.loads(result.stderr)["error"]["message"])

    def test_the_server_ends_with_1_when_its_input_ends(self):
        result = self.incipit("lsp", "--log-level", "off")
        self.assertEqual((result.returncode, result.stdout), (1, b""))


if __name__ == "__main__":
    unittest.main()
