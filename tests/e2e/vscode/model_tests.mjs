// "Add Model…": from the question for a checkpoint to its use.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { eventually } from './eventually.mjs';

// Goes through the questions up to the folder.
async function add(workbench, folder, shot) {
  await workbench.command('incipit: Add Model…');
  const row = workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'A folder' });
  await row.first().waitFor();
  if (shot) await workbench.shot(shot);
  await row.first().click();
  const input = workbench.page.locator('.quick-input-widget input[type=text]');
  await eventually('the dialog', async () => (await input.inputValue()).startsWith('/'));
  // While it reads a folder it does not hear, and what it fills in by itself may come after what was typed.
  await eventually('the folder to be taken', async () => {
    if (!(await input.isVisible())) return true;
    const text = await input.inputValue({ timeout: 500 }).catch(() => '');
    if (text !== `${folder}/`) {
      await input.fill(`${folder}/`, { timeout: 500 }).catch(() => undefined);
      return false;
    }
    await workbench.page.locator('.quick-input-widget .monaco-button', { hasText: 'Add' }).click({ timeout: 500 }).catch(() => undefined);
    return false;
  });
}

export function modelTests(test) {
  test('a folder that holds no model is refused with the reason', async (workbench) => {
    const empty = path.join(workbench.server.home, 'empty');
    mkdirSync(empty, { recursive: true });
    await add(workbench, empty, 'add-model');
    await workbench.notification(/The model was not added: .*config\.json/s);
    await workbench.clearNotifications();
  });

  test('a model is added, and used when that is wanted', async (workbench) => {
    const extensions = path.join(workbench.server.home, 'extensions');
    const [own] = readdirSync(extensions).filter((name) => name.startsWith('incipit.'));
    const mine = path.join(workbench.server.home, 'models/mine');
    cpSync(path.join(extensions, own, 'server/share/incipit/models/pocket'), mine, { recursive: true });
    await add(workbench, mine);
    await workbench.notification(/The model mine was added/);
    await workbench.button('Use It');
    await eventually('the model in use', async () => /Model\s+mine,/.test(await workbench.hoverText()));
    assert.match(await workbench.statusLabel(), /ready/);
    workbench.server.configure({});
    await eventually('the model of before', async () => /Model\s+pocket,/.test(await workbench.hoverText()));
    await workbench.clearNotifications();
  });
}
