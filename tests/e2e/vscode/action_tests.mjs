// What Ctrl+. offers: the server's code actions, run as the extension's own commands are.
import assert from 'node:assert/strict';
import { eventually } from './eventually.mjs';
import { openPage, withObedientServer } from './pages.mjs';

const area = 'def area(width, height):\n    return width * height\n';

// The rows of the menu.
async function actions(workbench) {
  const rows = workbench.page.locator('.action-widget .monaco-list-row.action');
  await workbench.pressUntil('Control+.', 'the code actions', () => rows.first().isVisible());
  return rows;
}

export function actionTests(test) {
  test('Ctrl+. offers what can be done with a selection, and explains it', async (workbench) => {
    await workbench.edit('action.py', area);
    await workbench.press('Control+a');
    const rows = await actions(workbench);
    const titles = (await rows.allInnerTexts()).map((text) => text.trim());
    for (const title of ['Explain selection', 'Write documentation']) assert.ok(titles.includes(title), titles.join());
    await rows.filter({ hasText: 'Explain selection' }).click();
    const panel = await openPage(workbench, 'explain');
    await eventually('its explanation', async () => (await panel.text('header .link')) === 'action.py:1-2');
    assert.match(await panel.answer(), /\w+ \w+ \w+/);
    await workbench.discard();
  });

  test('Ctrl+. fixes a problem, and the server is told which', async (workbench) => {
    await withObedientServer(workbench, async () => {
      await workbench.edit('problem.py', 'nothing_of_this_name\n');
      await workbench.press('Control+Home');
      await workbench.page.locator('.squiggly-error').first().waitFor();
      const rows = await actions(workbench);
      await rows.filter({ hasText: 'Fix with incipit' }).click();
      await workbench.textIs('problem.py', '# nothing_of_this_name is not known\n');
      await eventually('its progress to go', async () => (await workbench.notifications()).length === 0);
      await workbench.discard();
    });
  });
}
