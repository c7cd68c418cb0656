// What a user does and sees in VS Code, in words of the tests.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Browser } from './browser.mjs';
import { CodeServer, keys } from './code_server.mjs';
import { eventually, settles } from './eventually.mjs';

const loading = 240_000; // milliseconds that VS Code may take to come up on a machine with much else to do

export class Workbench {
  constructor(shots) {
    this.shots = shots;
    mkdirSync(shots, { recursive: true });
    this.server = new CodeServer();
    this.browser = new Browser();
  }

  async open(vsix) {
    this.server.install(vsix);
    await Promise.all([this.server.start(), this.browser.open()]);
    this.page = this.browser.page;
  }

  // A page of its own for a file of tests, with an empty folder, settings as they are at first, and nothing stored.
  // `locale`: the language of the window; `ready`: see load().
  async begin(name, { locale, ready } = {}) {
    this.server.begin(name, locale);
    await this.load(ready).catch(async (error) => {
      await this.shot(`failed to begin ${name}`).catch(() => undefined);
      throw error;
    });
  }

  // `ready`: what the item in the status bar says when all is there.
  async load(ready = 'incipit: ready') {
    const folder = encodeURIComponent(this.server.workspace);
    this.suggests = false;
    await this.page.goto(`${this.server.url}?folder=${folder}`, { timeout: loading });
    await this.page.locator('.monaco-workbench').waitFor({ timeout: loading });
    await eventually(`"${ready}" in the status bar`, async () => (await this.statusLabel()) === ready, loading);
  }

  // Leaves the page. VS Code would keep its extension host for hours, lest the page come back; with it the server has to end.
  async end() {
    await this.browser.leave(this.server.url);
    this.server.endHosts();
    await eventually('the server to end', () => this.server.servers().length === 0);
  }

  async close() {
    await this.browser.close();
    await this.server.stop();
  }

  // `clip`: a part of the window.
  shot(name, clip) {
    const file = path.join(this.shots, `${name}.png`);
    return this.page.screenshot({ path: file, animations: 'disabled', ...(clip && { clip }) });
  }

  // What was seen when a test failed: a picture, and in words the item's states, messages, and its hover, which says why nothing was
  // suggested. Not the log: VS Code writes it by a package that would have to be compiled.
  async showFailure(test) {
    const name = `failed ${test.replace(/[^a-zA-Z]+/g, '-')}`;
    await this.shot(name);
    const seen = [`states: ${(await this.states()).join(' | ')}`, `messages: ${(await this.notifications()).join(' | ')}`];
    await this.statusItem.hover({ timeout: 5000 }).catch(() => undefined);
    const hovers = this.page.locator('.monaco-hover:visible, .workbench-hover:visible');
    seen.push(await hovers.last().innerText({ timeout: 5000 }).catch(() => 'no hover'));
    writeFileSync(path.join(this.shots, `${name}.txt`), `${seen.join('\n\n')}\n`);
  }

  // ---- commands, files, text

  async command(title) {
    const input = this.page.locator('.quick-input-widget input[type=text]');
    // The row that Enter acts on: before the list has heard of the title, others are in it and the last used is the one.
    const row = this.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: title });
    const done = [() => true, () => false];
    // A page that is being loaded may swallow a key, and one that comes up closes the palette when it takes the focus.
    await eventually(`the command palette to run ${title}`, async () => {
      await this.press('F1');
      if (!(await input.fill(`>${title}`, { timeout: 2000 }).then(...done))) return false;
      if (!(await row.waitFor({ timeout: 5000 }).then(...done))) return false;
      await this.page.evaluate(() => delete window.incipitEnter);
      await this.press('Enter');
      return this.page.evaluate(() => window.incipitEnter === 'palette');
    });
  }

  async showExplorer() {
    const explorer = this.page.locator('.explorer-folders-view');
    await this.pressUntil(keys.explorer, 'the explorer', () => explorer.isVisible());
    return explorer;
  }

  file(name) {
    return path.join(this.server.workspace, name);
  }

  // Opens a new file with this text; the cursor is at its end.
  async edit(name, text) {
    writeFileSync(this.file(name), text);
    // By the explorer: the search of Quick Open may not know a file that is this young.
    const row = (await this.showExplorer()).locator('.monaco-list-row', { hasText: name }).first();
    const opened = this.page.locator(`.editor-group-container.active .monaco-editor.focused[data-uri$="/${name}"]`);
    // What comes to be before VS Code watches the folder is not heard of.
    await this.pressUntil(keys.refresh, `${name} in the explorer`, () => row.isVisible());
    await eventually(`${name} in the editor`, async () => {
      await row.dblclick();
      return opened.first().waitFor({ timeout: 5000 }).then(() => true, () => false);
    });
    await this.press('Control+End');
    // An editor gets the part that asks for suggestions when VS Code is idle, on a busy machine seconds later, and what was
    // typed before is not asked for. A command of that part makes it come now; a page keeps its editor.
    if (!this.suggests) await this.press(keys.suggest, 'Escape');
    this.suggests = true;
  }

  type(text) {
    return this.page.keyboard.type(text, { delay: 15 });
  }

  async press(...names) {
    for (const name of names) await this.page.keyboard.press(name);
  }

  // Presses a key, again after a while where it was not heard, until something is so.
  async pressUntil(key, what, isSo) {
    let next = 0;
    await eventually(what, async () => {
      if (await isSo()) return true;
      if (Date.now() >= next) {
        await this.press(key);
        next = Date.now() + 3000;
      }
      return false;
    });
  }

  // Saves, and wants that text in the file then: the text of the editor and nothing of its decorations.
  async textIs(name, wanted, message) {
    await settles(() => this.saved(name), wanted, message);
  }

  async textMatches(name, pattern) {
    return eventually(`${name} like ${pattern}`, async () => {
      const text = await this.saved(name);
      return pattern.test(text) ? text : undefined;
    });
  }

  // What is in the file, where the editor has nothing that is not; undefined while it has.
  async saved(name) {
    await this.press('Control+s');
    const clean = (await this.page.locator('.tab.active:not(.dirty)').count()) > 0;
    return clean ? readFileSync(this.file(name), 'utf8') : undefined;
  }

  async focusEditor() {
    await this.press('Control+1');
    await this.page.locator('.editor-group-container.active .monaco-editor.focused').first().waitFor();
  }

  // Closes all editors without saving.
  async closeEditors() {
    await this.press('Escape');
    const tabs = this.page.locator('.tab');
    for (let n = await tabs.count(); n > 0; n = await tabs.count()) {
      const before = n;
      await this.pressUntil(keys.closeEditor, 'a tab to close', async () => (await tabs.count()) < before);
    }
  }

  // The same, and removes the files.
  async discard() {
    await this.closeEditors();
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

  // The ghost text once it stays: nobody writes, and it has been the same for a while.
  waitForGhost() {
    let last;
    let since;
    return eventually('ghost text', async () => {
      const ghost = await this.ghost();
      const idle = (await this.statusLabel()) === 'incipit: ready';
      if (!idle || ghost === '' || ghost !== last) {
        last = ghost;
        since = Date.now();
        return undefined;
      }
      return Date.now() - since > 300 ? ghost : undefined;
    });
  }

  noGhost() {
    return eventually('the ghost text to go', async () => (await this.ghost()) === '');
  }

  // Types at the end of the file and returns the text that is suggested there.
  async suggestionFor(typed) {
    await this.type(typed);
    return this.waitForGhost();
  }

  // ---- status and messages

  get statusItem() {
    return this.page.locator('.statusbar-item[id*="incipit.status"]');
  }

  async statusLabel() {
    return (await this.states()).at(-1) ?? '';
  }

  // Every state that the item has shown since the page was loaded.
  states() {
    return this.page.evaluate(() => window.incipitStates);
  }

  // Waits for a state; with `after`, a number of states, for one that was not among them.
  status(words, after = 0) {
    const wanted = (label) => (words instanceof RegExp ? words.test(label) : label === `incipit: ${words}`);
    return eventually(`the status "${words}"`, async () => {
      const states = await this.states();
      return states.length > after && wanted(states.at(-1));
    });
  }

  // Waits until the server, which something has just been done to, is there again.
  async restarted(act) {
    const { length } = await this.states();
    await act();
    await this.status('ready', length);
  }

  // Points at the item anew each time: a hover that stays may go, by a key or a change, and comes only where the mouse does.
  async hoverText() {
    const hover = this.page.locator('.monaco-hover:visible, .workbench-hover:visible');
    return eventually('the hover', async () => {
      await this.page.mouse.move(250, 588); // where the status bar is empty
      if ((await hover.count()) > 0) return undefined;
      await this.statusItem.hover();
      return hover.last().innerText({ timeout: 3000 }).catch(() => undefined);
    });
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
    await this.pressUntil(keys.clearNotifications, 'messages to go', async () => (await this.notifications()).length === 0);
  }
}
