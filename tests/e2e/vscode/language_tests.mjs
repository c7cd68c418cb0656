// The window in Chinese: whatever the extension says is in the language of the window.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { eventually } from './eventually.mjs';
import { openPage } from './pages.mjs';

const extension = path.join(import.meta.dirname, '../../../editors/vscode');
const read = (name) => JSON.parse(readFileSync(path.join(extension, name), 'utf8'));
const manifest = read('package.nls.zh-cn.json');
const bundle = read('l10n/bundle.l10n.zh-cn.json');

// The Chinese for a text of the program, which has to be there and to be Chinese.
function chinese(text, ...words) {
  assert.match(bundle[text] ?? '', /\p{Script=Han}/u, `no Chinese for "${text}"`);
  return bundle[text].replace(/\{(\d)\}/g, (_, n) => words[n]);
}
const status = (text) => bundle['incipit: {0}'].replace('{0}', chinese(text));

export function languageTests(test) {
  test('in Chinese: status bar, hover and menu', async (workbench) => {
    const hover = await workbench.hoverText();
    for (const word of ['ready', 'Model', 'Device', 'Memory', 'Menu']) assert.ok(hover.includes(chinese(word)), `${word}: ${hover}`);
    await workbench.statusItem.click();
    const rows = workbench.page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: chinese('$(add) Add model…').replace('$(add) ', '') }).first().waitFor();
    await workbench.press('Escape');
  });

  test('in Chinese: commands, context menu and settings', async (workbench) => {
    await workbench.edit('chinese.py', 'def area(width, height):\n    return width * height\n');
    await workbench.press('Control+a');
    await workbench.page.locator('.view-line', { hasText: 'area' }).click({ button: 'right' });
    await workbench.page.locator('.context-view .action-item', { hasText: 'incipit' }).first().hover();
    const entries = workbench.page.locator('.context-view .monaco-submenu');
    await entries.filter({ hasText: manifest['command.writeDocumentation'] }).first().waitFor();
    await workbench.press('Escape', 'Escape', 'Escape');
    await workbench.command(`incipit: ${manifest['command.openSettings']}`);
    const setting = workbench.page.locator('.settings-editor .setting-item-contents', { hasText: manifest['setting.completion.enabled'] });
    await setting.first().waitFor();
    await workbench.press('Escape');
    await workbench.discard();
  });

  test('in Chinese: the chat and the panel of explanations', async (workbench) => {
    await workbench.command(`incipit: ${manifest['command.openChat']}`);
    const chat = await openPage(workbench, 'chat');
    await chat.button(chinese('Send')).waitFor();
    assert.equal(await chat.frame.locator('textarea').getAttribute('aria-label'), chinese('Question'));
    await workbench.shot('chinese');
    await workbench.edit('explain.py', 'def area(width, height):\n    return width * height\n');
    await workbench.press('Control+a', 'Control+Alt+e');
    const panel = await openPage(workbench, 'explain');
    await panel.answer();
    await eventually('its button', () => panel.button(chinese('Try Again')).isVisible());
    assert.equal(await panel.text('.position'), chinese('{0} of {1}', 1, 1));
    await workbench.discard();
  });

  return { locale: 'zh-cn', ready: status('ready') };
}
