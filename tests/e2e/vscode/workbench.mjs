// What a user does and sees in VS Code, in words of the tests.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import * as codeServer from './code_server.mjs';

export const patience = Number(process.env.INCIPIT_PATIENCE_MS ?? 30_000);

const browserArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// Waits until `seen()` is true (or anything but null, undefined and false), and returns it.
export async function eventually(what, seen, timeoutMs = patience) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    last = await seen();
    if (last !== undefined && last !== null && last !== false) return last;
    await sleep(30);
  }
  assert.fail(`waited ${timeoutMs} ms for ${what}`);
}

export class Workbench {
  constructor(shots) {
    this.shots = shots;
    mkdirSync(shots, { recursive: true });
    this.server = new codeServer.CodeServer();
    this.foreignHosts = new Set();
    this.blocked = []; // what a content security policy kept out
  }

  async open(vsix) {
    this.server.install(vsix);
    await this.server.start();
    this.browser = await chromium.launch({ executablePath: codeServer.chromium(), args: browserArguments });
    const context = await this.browser.newContext({ viewport: { width: 960, height: 600 }, locale: 'en-US' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    this.page = await context.newPage();
    this.page.setDefaultTimeout(patience);
    this.page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      // A page of an extension asks for its own files under this name, which the workbench's service worker answers.
      const ownFile = hostname.endsWith('.vscode-resource.vscode-cdn.net');
      if (/^(https?|wss?):$/.test(protocol) && hostname !== '127.0.0.1' && !ownFile) this.foreignHosts.add(hostname);
    });
    this.page.on('console', (message) => {
      if (/Content Security Policy/.test(message.text())) this.blocked.push(message.text());
    });
    this.page.on('response', (response) => {
      const { hostname } = new URL(response.url());
      if (hostname.endsWith('vscode-cdn.net') && !response.fromServiceWorker()) this.foreignHosts.add(hostname);
    });
    await this.load();
  }

  async load() {
    const folder = encodeURIComponent(this.server.workspace);
    await this.page.goto(`${this.server.url}?folder=${folder}`, { timeout: 60_000 });
    await this.page.locator('.monaco-workbench').waitFor({ timeout: 60_000 });
    await this.status('ready', 60_000);
  }

  async close() {
    await this.browser?.close();
    await this.server.stop();
  }

  // `clip`: a part of the window.
  shot(name, clip) {
    const file = path.join(this.shots, `${name}.png`);
    return this.page.screenshot({ path: file, animations: 'disabled', ...(clip && { clip }) });
  }

  // ---- commands, files, text

  async command(title) {
    const input = this.page.locator('.quick-input-widget input[type=text]');
    // A page that is being loaded, or one that takes the focus, may swallow the key.
    await eventually('the command palette', async () => {
      await this.page.keyboard.press('F1');
      return input.waitFor({ timeout: 2000 }).then(() => true, () => false);
    });
    await input.fill(`>${title}`);
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: title.replace(/^incipit: /, '') });
    await row.first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  file(name) {
    return path.join(this.server.workspace, name);
  }

  // Opens a new file with this text; the cursor is at its end.
  async edit(name, text) {
    writeFileSync(this.file(name), text);
    const explorer = this.page.locator('.explorer-folders-view');
    if (!(await explorer.isVisible())) await this.press('Control+Shift+e');
    // By the explorer: the search of Quick Open may not know a file that is this young.
    await explorer.locator('.monaco-list-row', { hasText: name }).first().dblclick();
    await this.page.locator('.tab.active', { hasText: name }).waitFor();
    await this.page.locator('.editor-group-container.active .monaco-editor.focused').first().waitFor();
    await this.page.keyboard.press('Control+End');
  }

  type(text) {
    return this.page.keyboard.type(text, { delay: 15 });
  }

  press(...keys) {
    return keys.reduce((before, key) => before.then(() => this.page.keyboard.press(key)), Promise.resolve());
  }

  // Saves, and reads what is in the file then: the text of the editor and nothing of its decorations.
  async text(name) {
    await eventually('the file to be saved', async () => {
      await this.page.keyboard.press('Control+s');
      return (await this.page.locator('.tab.active:not(.dirty)').count()) > 0;
    });
    return readFileSync(this.file(name), 'utf8');
  }

  async focusEditor() {
    await this.page.keyboard.press('Control+1');
    await this.page.locator('.editor-group-container.active .monaco-editor.focused').first().waitFor();
  }

  // Closes all editors without saving, and removes the files.
  async discard() {
    await this.page.keyboard.press('Escape');
    while ((await this.page.locator('.tab').count()) > 0) {
      const n = await this.page.locator('.tab').count();
      await this.command('View: Revert and Close Editor');
      await eventually('a tab to close', async () => (await this.page.locator('.tab').count()) < n);
    }
    for (const name of readdirSync(this.server.workspace)) rmSync(this.file(name), { recursive: true });
  }

  // After a test that failed, for the next one.
  async tidyUp() {
    this.server.configure({});
    await this.press('Escape', 'Escape');
    await this.clearNotifications();
    await this.discard();
  }

  // ---- ghost text

  ghost() {
    return this.page.evaluate(() => {
      const text = (selector) => [...document.querySelectorAll(selector)].map((node) => node.textContent.replace(/\u00a0/g, ' '));
      const first = text('.ghost-text-decoration').join('');
      const lines = text('.ghost-text .view-line, .suggest-preview-text .view-line');
      return first === '' && lines.length === 0 ? '' : [first, ...lines].join('\n');
    });
  }

  waitForGhost() {
    return eventually('ghost text', async () => (await this.ghost()) || undefined);
  }

  noGhost() {
    return eventually('the ghost text to go', async () => (await this.ghost()) === '');
  }

  // Types at the end of the file and returns the text that is suggested there.
  async suggestionFor(typed) {
    await this.type(typed);
    return this.waitForGhost();
  }

  // VS Code begins to ask some time after the server has come, and only when a key is pressed.
  async firstSuggestionFor(typed) {
    await this.type(typed);
    for (let i = 0; i < 10; ++i) {
      const ghost = await eventually('ghost text', async () => (await this.ghost()) || undefined, 1000).catch(() => '');
      if (ghost) return ghost;
      await this.press('Backspace');
      await this.type(typed.at(-1));
    }
    return this.waitForGhost();
  }

  // ---- status and messages

  get statusItem() {
    return this.page.locator('.statusbar-item[id*="incipit.status"]');
  }

  async statusLabel() {
    return (await this.statusItem.locator('a').first().getAttribute('aria-label').catch(() => null)) ?? '';
  }

  status(words, timeoutMs) {
    const wanted = (label) => (words instanceof RegExp ? words.test(label) : label === `incipit: ${words}`);
    return eventually(`the status "${words}"`, async () => wanted(await this.statusLabel()), timeoutMs);
  }

  async hoverText() {
    await this.statusItem.hover();
    const hover = this.page.locator('.monaco-hover:visible, .workbench-hover:visible').last();
    await hover.waitFor();
    return hover.innerText();
  }

  notifications() {
    return this.page.locator('.notification-list-item').allInnerTexts();
  }

  notification(pattern) {
    return eventually(`a message like ${pattern}`, async () => (await this.notifications()).find((text) => pattern.test(text)));
  }

  button(title) {
    return this.page.locator('.notification-list-item .monaco-button', { hasText: title }).first().click();
  }

  async clearNotifications() {
    await this.command('Notifications: Clear All Notifications');
    await eventually('messages to go', async () => (await this.notifications()).length === 0);
  }
}
