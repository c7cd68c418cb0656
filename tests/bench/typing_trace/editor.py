"""An editor's side of LSP over stdio, as far as a typing trace needs it: requests that do not block, one document."""

import json
import os
import pathlib
import queue
import subprocess
import threading
import time

PATIENCE = 180  # seconds for any one answer; making random 8B weights and loading them takes a few


class EditorError(Exception):
    pass


class Server:
    """`incipit lsp` as a child process. Answers wait in a queue with the time at which they came."""

    def __init__(self, command, log):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._arrived = queue.Queue()
        self._answers = {}  # id -> (message, when), not asked for yet
        self._next_id = 0
        self._write = threading.Lock()  # the reader answers the server's own requests
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        stream = self._process.stdout
        while True:
            length = 0
            while (header := stream.readline()) != b'\r\n':
                if not header:
                    self._arrived.put(None)
                    return
                name, value = header.decode('ascii').split(':', 1)
                if name.lower() == 'content-length':
                    length = int(value)
            body = stream.read(length)
            when = time.monotonic()
            message = json.loads(body)
            if 'method' in message and 'id' in message:
                # The server asks the editor; this one has no configuration to offer.
                items = (message.get('params') or {}).get('items', [])
                self._send({'id': message['id'], 'result': [None] * len(items) or None})
            elif 'id' in message:
                self._arrived.put((message, when))

    def _send(self, message):
        body = json.dumps({'jsonrpc': '2.0', **message}).encode()
        try:
            with self._write:
                self._process.stdin.write(b'Content-Length: %d\r\n\r\n' % len(body) + body)
                self._process.stdin.flush()
        except BrokenPipeError:
            raise EditorError(f'the server ended with {self._process.wait()}') from None

    def notify(self, method, params):
        self._send({'method': method, 'params': params})

    def ask(self, method, params):
        """Sends a request and returns its id."""
        self._next_id += 1
        self._send({'id': self._next_id, 'method': method, 'params': params})
        return self._next_id

    def cancel(self, request_id):
        self.notify('$/cancelRequest', {'id': request_id})

    def answer(self, request_id, until):
        """(message, when it came), or None when it has not come at the time `until`."""
        while request_id not in self._answers:
            try:
                arrived = self._arrived.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                return None
            if arrived is None:
                raise EditorError(f'the server ended with {self._process.wait()}')
            self._answers[arrived[0]['id']] = arrived
        return self._answers.pop(request_id)

    def request(self, method, params):
        """Asks and waits for the result."""
        found = self.answer(self.ask(method, params), time.monotonic() + PATIENCE)
        if found is None:
            raise EditorError(f'no answer to {method} within {PATIENCE} s')
        if 'error' in found[0]:
            raise EditorError(f'{method}: {found[0]["error"]["message"]}')
        return found[0]['result']

    def start(self, root, settings=None, others=()):
        """others: further folders of the workspace."""
        self.request('initialize', {'processId': os.getpid(), 'rootUri': root.as_uri(),
                                    'capabilities': {'textDocument': {'inlineCompletion': {}}},
                                    'initializationOptions': settings or {},
                                    'workspaceFolders': [{'uri': each.as_uri(), 'name': each.name} for each in (root, *others)]})
        self.notify('initialized', {})
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = self.request('incipit/status', None)
            if status['state'] == 'ready':
                return status
            if status['state'] == 'failed':
                raise EditorError(f'the model did not load: {status.get("message")}')
            time.sleep(0.05)
        raise EditorError(f'the model did not load within {PATIENCE} s')

    def stop(self):
        try:
            self.request('shutdown', None)
            self.notify('exit', None)
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (EditorError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()


class Document:
    """One open file and a cursor; every change goes to the server at once. Text is ASCII."""

    def __init__(self, server, path, text, language):
        self._server = server
        self._version = 1
        self.uri = pathlib.Path(path).as_uri()
        self.lines = text.split('\n')
        self.line = self.column = 0
        server.notify('textDocument/didOpen', {'textDocument': {
            'uri': self.uri, 'languageId': language, 'version': 1, 'text': text}})

    def go_to(self, line):
        """Puts the cursor at the end of a line."""
        self.line, self.column = line, len(self.lines[line])

    def type(self, text):
        at = self.position()
        self._version += 1
        before, after = self.lines[self.line][:self.column], self.lines[self.line][self.column:]
        new = (before + text + after).split('\n')
        self.lines[self.line:self.line + 1] = new
        self.line += len(new) - 1
        self.column = len(new[-1]) - len(after)
        self._server.notify('textDocument/didChange', {
            'textDocument': {'uri': self.uri, 'version': self._version},
            'contentChanges': [{'range': {'start': at, 'end': at}, 'text': text}]})

    def position(self):
        return {'line': self.line, 'character': self.column}
