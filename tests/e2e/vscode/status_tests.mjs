// The status bar item, its hover and its menu; switching suggestions off and on.
import assert from 'node:assert/strict';
import { python } from './completion_tests.mjs';
import { eventually } from './eventually.mjs';

export function statusTests(test) {
  test('the hover tells model, device, memory and the last suggestion', async (workbench) => {
    await workbench.edit('hover.py', python);
    await workbench.suggestionFor('    return ');
    await workbench.press('Escape');
    await workbench.status('ready');
    const text = await workbench.hoverText();
    await workbench.shot('status-hover', { x: 430, y: 340, width: 530, height: 260 });
    assert.match(text, /Model\s+pocket, context of \d+ tokens/);
    assert.match(text, /Device\s+cpu/);
    assert.match(text, /Memory\s+\d+ MiB in use; weights \d+ MiB/);
    assert.match(text, /Last suggestion\s+(first token after [\d.]+ ms|[\d.]+ ms, without the model)/);
    await workbench.discard();
  });

  test('the menu switches suggestions off and on, and the hover says why nothing is shown', async (workbench) => {
    await workbench.edit('off.py', python);
    await workbench.statusItem.click();
    await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'pocket' }).waitFor();
    await workbench.shot('status-menu', { x: 176, y: 20, width: 612, height: 320 });
    await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'Disable suggestions' }).first().click();
    await workbench.status('suggestions are off');
    await workbench.shot('status-off');
    await workbench.focusEditor();
    await workbench.type('    return ');
    await eventually('the reason', async () => /Nothing shown because/.test(await workbench.hoverText()));
    assert.equal(await workbench.ghost(), '');
    await workbench.command('incipit: Enable or Disable Suggestions');
    await workbench.status('ready');
    await workbench.discard();
  });

  test('suggestions can be off in one language alone', async (workbench) => {
    await workbench.edit('language.py', python);
    await workbench.command('incipit: Enable or Disable Suggestions for This Language');
    await workbench.status('suggestions are off for this language');
    await workbench.type('    return ');
    await workbench.edit('language.js', 'function area(width, height) {\n');
    await workbench.status('ready');
    await workbench.suggestionFor('  return ');
    await workbench.discard();
    await workbench.edit('language2.py', python);
    await workbench.command('incipit: Enable or Disable Suggestions for This Language');
    await workbench.status('ready');
    await workbench.suggestionFor('    return ');
    await workbench.discard();
  });

  test('the context menu offers the commands on a selection', async (workbench) => {
    await workbench.edit('menu.py', python);
    await workbench.press('Control+a');
    await workbench.page.locator('.view-line', { hasText: 'moved' }).click({ button: 'right' });
    await workbench.page.locator('.context-view .action-item', { hasText: 'incipit' }).first().hover();
    const entries = workbench.page.locator('.context-view .monaco-submenu .action-item');
    await entries.first().waitFor();
    await workbench.shot('context-menu');
    const names = (await entries.allInnerTexts()).map((text) => text.trim()).filter((text) => text !== '');
    for (const name of ['Explain Selection', 'Write Documentation', 'Generate Tests', 'Fix', 'Rewrite…']) {
      assert.ok(names.some((text) => text.startsWith(name)), `${name} is not among ${names}`);
    }
    await workbench.press('Escape', 'Escape', 'Escape');
    await workbench.discard();
  });

  test('documentation is written where the language keeps it', async (workbench) => {
    const text = 'def area(width, height):\n    return width * height\n';
    await workbench.edit('document.py', text);
    await workbench.press('Control+a');
    await workbench.command('incipit: Write Documentation');
    await workbench.textMatches('document.py', /^def area\(width, height\):\n {4}""".+"""\n {4}return width \* height\n$/s);
    await workbench.discard();
  });

  test('what the model refuses is said, with what helps', async (workbench) => {
    await workbench.edit('refuse.py', python);
    await workbench.press('Control+a');
    await workbench.command('incipit: Rewrite…');
    await workbench.page.locator('.quick-input-widget', { hasText: 'What should be different?' }).waitFor();
    await workbench.type('return early');
    await workbench.press('Enter');
    await workbench.notification(/this model was trained to complete and to explain/);
    await workbench.shot('refused');
    await workbench.clearNotifications();
    await workbench.textIs('refuse.py', python);
    await workbench.discard();
  });
}
