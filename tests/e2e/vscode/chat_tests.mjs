// The chat: what this model can and cannot, sessions that survive a reload, export, stop, regenerate; by keyboard, in all themes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.mjs';
import { chatWithFocus, newChat, openChat, withObedientServer } from './pages.mjs';

const mean = 'def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)\n';

async function say(workbench, chat, question) {
  await chat.frame.locator('textarea').fill(question);
  await workbench.press('Enter');
}

async function exportTo(workbench, where) {
  await workbench.command('incipit: Export Chat as Markdown…');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: where }).click();
}

export function chatTests(test) {
  test('the chat says what the model cannot do, and a refusal what helps', async (workbench) => {
    const chat = await openChat(workbench);
    await eventually('the notice', async () => /pocket explains attached code/.test(await chat.text('.notice')));
    assert.equal(await chat.focused(), 'Question');
    await workbench.type('Hello?');
    await workbench.press('Enter');
    await chat.frame.locator('.note.error').waitFor();
    assert.match(await chat.text('.note.error'), /attach/i);
    await workbench.shot('chat-refused');
    assert.equal(await chat.button('Add Model…').isVisible(), true);
  });

  test('attached code is explained', async (workbench) => {
    await workbench.edit('chat_mean.py', mean);
    await workbench.press('Control+a');
    await newChat(workbench);
    await workbench.command('incipit: Attach Selection to Chat');
    const chat = await chatWithFocus(workbench);
    await eventually('a chip', async () => /chat_mean\.py:1-5/.test(await chat.text('.composer .chips')));
    await workbench.command('incipit: Attach File to Chat…');
    await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'chat_mean.py' }).first().waitFor();
    await workbench.press('Enter');
    await eventually('two chips', async () => (await chat.frame.locator('.composer .chip').count()) === 2);
    await chat.frame.getByRole('button', { name: 'Remove chat_mean.py', exact: true }).click();
    await eventually('one chip', async () => (await chat.frame.locator('.composer .chip').count()) === 1);
    await say(workbench, chat, 'What does this compute?');
    assert.match(await chat.answer(), /\w+ \w+ \w+/);
    assert.equal(await chat.frame.locator('.composer .chip').count(), 0);
    assert.match(await chat.text('.message.user'), /chat_mean\.py:1-5/);
    await workbench.shot('chat', { x: 0, y: 0, width: 640, height: 600 });
  });

  test('a chat keeps its new name and its words over a reload of the window', async (workbench) => {
    let chat = await openChat(workbench);
    const answer = await chat.answer();
    await workbench.command('incipit: Rename Chat…');
    await workbench.page.locator('.quick-input-widget', { hasText: 'Name of the chat' }).waitFor();
    await workbench.press('Control+a');
    await workbench.type('Means and totals');
    await workbench.press('Enter');
    const name = () => chat.frame.locator('select').evaluate((select) => select.selectedOptions[0].textContent);
    await eventually('the name', async () => (await name()) === 'Means and totals');
    await workbench.load();
    chat = await openChat(workbench);
    await eventually('the name', async () => (await name()) === 'Means and totals');
    assert.equal(await chat.answer(), answer);
  });

  test('a chat is exported as Markdown', async (workbench) => {
    const chat = await openChat(workbench);
    const answer = await chat.answer();
    await exportTo(workbench, 'Open as Document');
    const lines = workbench.page.locator('.editor-group-container.active .view-lines');
    const read = async () => (await lines.innerText()).replace(/\u00a0/g, ' ');
    await eventually('the document', async () => /^# Means and totals/m.test(await read()));
    const text = await read();
    for (const part of ['# Means and totals', '## You', '`chat_mean.py:1-5`', '```python', 'What does this compute?', '## incipit']) {
      assert.ok(text.includes(part), `${part} is not in ${text}`);
    }
    assert.ok(text.replace(/\s+/g, ' ').includes(answer.split('\n')[0].slice(0, 30)), text);
    await workbench.closeEditors();
  });

  test('a chat is exported into a file', async (workbench) => {
    const chat = await openChat(workbench);
    const answer = await chat.answer();
    await exportTo(workbench, 'Save to File');
    const input = workbench.page.locator('.quick-input-widget input[type=text]');
    const name = await eventually('the name', async () => /\/([^/]+\.md)$/.exec(await input.inputValue())?.[1]);
    await workbench.page.locator('.quick-input-widget .monaco-button', { hasText: /^(OK|Save)$/ }).click();
    await eventually('the file', () => readdirSync(workbench.server.workspace).includes(name));
    await workbench.page.locator('.tab.active', { hasText: name }).waitFor(); // it is shown
    const text = readFileSync(workbench.file(name), 'utf8');
    for (const part of ['# Means and totals', '`chat_mean.py:1-5`', mean, 'What does this compute?', '## incipit']) {
      assert.ok(text.includes(part), `${part} is not in ${text}`);
    }
    assert.ok(text.replace(/\s+/g, ' ').includes(answer.split('\n')[0].slice(0, 30)), text);
    await workbench.closeEditors();
  });

  test('an answer is stopped by Escape, and written anew by Regenerate', async (workbench) => {
    await withObedientServer(workbench, async () => {
      const chat = await newChat(workbench);
      await eventually('no notice', async () => !(await chat.frame.locator('.notice').isVisible()));
      await say(workbench, chat, 'count');
      await eventually('a few numbers', async () => /\b5\b/.test(await chat.text('.answer .markdown')));
      await workbench.press('Escape');
      const stopped = await chat.answer();
      assert.match(stopped, /^1 2 3 4 5( \d+)*$/);
      assert.match(await chat.text('.note'), /Stopped/);
      await workbench.page.waitForTimeout(300); // nothing may come after it
      assert.equal(await chat.answer(), stopped);
      await chat.button('Regenerate').click();
      await eventually('a new answer', async () => /^1 2/.test(await chat.text('.answer .markdown')));
      assert.equal(await chat.frame.locator('.message.assistant').count(), 1);
      await chat.button('Stop').click();
      await chat.answer();
    });
  });

  test('nothing is lost while the view is hidden', async (workbench) => {
    await withObedientServer(workbench, async (written) => {
      let chat = await newChat(workbench);
      await say(workbench, chat, 'count');
      await eventually('the first', async () => /1 2/.test(await chat.text('.answer .markdown')));
      await chat.frame.locator('textarea').fill('a draft');
      await workbench.showExplorer();
      const hidden = written();
      await eventually('more meanwhile', () => written() > hidden + 20);
      chat = await openChat(workbench);
      await eventually('more', async () => (await chat.text('.answer .markdown')).split(' ').length > hidden + 20);
      await workbench.press('Escape');
      const numbers = (await chat.answer()).split(/\s+/).map(Number);
      assert.deepEqual(numbers, numbers.map((_, i) => i + 1));
      assert.equal(await chat.frame.locator('textarea').inputValue(), 'a draft');
      await chat.frame.locator('textarea').fill('');
    });
  });

  test('everything is reached by the keyboard, in an order that reads', async (workbench) => {
    await withObedientServer(workbench, async () => {
      const chat = await newChat(workbench);
      await eventually('the field', async () => (await chat.focused()) === 'Question');
      await workbench.type('one');
      await workbench.press('Shift+Enter');
      await workbench.type('two');
      assert.equal(await chat.frame.locator('textarea').inputValue(), 'one\ntwo');
      await workbench.press('Enter');
      assert.match(await chat.answer(), /Message 1 asks: one/);
      const names = await chat.tabTo('Chat', 'Shift+Tab');
      const order = ['Question', 'Regenerate', 'Copy Answer', 'Insert at Cursor', 'Copy', 'Conversation', 'Chat'];
      assert.deepEqual(names.filter((name) => order.includes(name)), order);
      assert.deepEqual((await chat.tabTo('Send')).slice(-4), ['Question', 'Attach Selection', 'Attach File…', 'Send']);
    });
  });

  test('light, dark and high contrast are the colours of the theme', async (workbench) => {
    const chat = await openChat(workbench);
    const seen = new Set();
    const themes = { 'Default Light Modern': 'vscode-light', 'Default High Contrast': 'vscode-high-contrast', 'Default Dark Modern': 'vscode-dark' };
    for (const [theme, name] of Object.entries(themes)) {
      workbench.server.configure({ 'workbench.colorTheme': theme });
      await eventually(theme, () => chat.frame.evaluate((wanted) => document.body.classList.contains(wanted), name));
      const look = await chat.frame.evaluate(() => {
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        return { text: style('body').color, chip: style('button').backgroundColor, border: style('textarea').borderColor };
      });
      await workbench.shot(`chat-${name}`);
      seen.add(JSON.stringify(look));
    }
    assert.equal(seen.size, 3);
    workbench.server.configure({});
  });

  test('a deleted chat is gone', async (workbench) => {
    const chat = await openChat(workbench);
    const count = () => chat.frame.locator('select option').count();
    const before = await count();
    await workbench.command('incipit: Delete Chat…');
    await workbench.page.locator('.monaco-dialog-box .monaco-button', { hasText: 'Delete' }).click();
    await eventually('one less', async () => (await count()) === before - 1);
  });
}
