// Explanations: streamed into the panel, kept, gone back to, stopped; their code copied and inserted.
import assert from 'node:assert/strict';
import { openPage, OwnPage, withObedientServer } from './pages.mjs';
import { eventually } from './eventually.mjs';

const mean = 'def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)\n';
const area = 'def area(width, height):\n    return width * height\n';

export function explainTests(test) {
  test('a selection is explained in the panel, by the keyboard alone', async (workbench) => {
    await workbench.edit('mean.py', mean);
    await workbench.press('Control+a', 'Control+Alt+e');
    const panel = await openPage(workbench, 'explain');
    const text = await panel.answer();
    assert.match(text, /\w+ \w+ \w+/);
    assert.equal(await panel.text('header .link'), 'mean.py:1-5');
    await workbench.shot('explain-panel');
    // To the panel, through its controls, and back to the code.
    await workbench.press('Control+2');
    await panel.tabTo('Try Again');
    const heard = panel.frame.getByRole('status').getByText('Answer complete.');
    await eventually('its end to be said', async () => (await heard.count()) === 1);
    await workbench.press('Enter');
    await eventually('another answer', async () => (await heard.count()) === 2);
    assert.equal(await panel.answer(), text); // greedy: the same again
    assert.equal(await panel.text('.position'), '1 of 1');
    await panel.tabTo('mean.py:1-5', 'Shift+Tab');
    await workbench.press('Enter');
    await eventually('the code', () => workbench.page.locator('.tab.active', { hasText: 'mean.py' }).isVisible());
  });

  test('earlier explanations are a step back', async (workbench) => {
    const panel = await openPage(workbench, 'explain');
    const first = await panel.answer();
    await workbench.press('Control+1');
    await workbench.edit('area.py', area);
    await workbench.press('Control+a', 'Control+Alt+e');
    await eventually('the second', async () => (await panel.text('.position')) === '2 of 2');
    const second = await panel.answer();
    assert.notEqual(second, first);
    await panel.button('Back').click();
    await eventually('the first', async () => (await panel.text('header .link')) === 'mean.py:1-5');
    assert.equal(await panel.answer(), first);
    assert.equal(await panel.button('Back').isDisabled(), true);
    await panel.button('Forward').click();
    await eventually('the second again', async () => (await panel.answer()) === second);
  });

  test('a panel that was closed comes back with what it held', async (workbench) => {
    await workbench.closeEditors();
    await new OwnPage(workbench, 'explain').gone();
    await workbench.command('incipit: Show Explanations');
    const panel = await openPage(workbench, 'explain');
    await eventually('the history', async () => (await panel.text('.position')) === '2 of 2');
    await workbench.closeEditors();
    await panel.gone();
  });

  test('code of an explanation is coloured, copied and inserted at the cursor', async (workbench) => {
    await withObedientServer(workbench, async () => {
      await workbench.edit('insert.py', 'before\n');
      await workbench.press('Control+Home', 'Shift+End', 'Control+Alt+e');
      const panel = await openPage(workbench, 'explain');
      await eventually('its explanation', async () => (await panel.text('header .link')) === 'insert.py:1');
      await panel.answer();
      assert.ok((await panel.frame.locator('.hljs-type').count()) > 0);
      const colour = (selector) => panel.frame.locator(selector).first().evaluate((node) => getComputedStyle(node).color);
      assert.notEqual(await colour('.hljs-comment'), await colour('code'));
      await panel.button('Copy').click();
      const code = 'int add(int a, int b) {\n  return a + b;  // the sum\n}';
      await eventually('the copy', async () =>
        (await workbench.page.evaluate(() => navigator.clipboard.readText())).trim() === code);
      await panel.button('Insert at Cursor').click();
      await workbench.focusEditor();
      await workbench.textIs('insert.py', `${code}\n`);
      await workbench.closeEditors();
    });
  });
}
