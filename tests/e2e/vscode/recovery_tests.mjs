// What breaks, what is said, and how it comes back.
import assert from 'node:assert/strict';
import { python } from './completion_tests.mjs';
import { eventually } from './eventually.mjs';

export function recoveryTests(test) {
  test('a server that is killed comes back by itself, with the documents', async (workbench) => {
    await workbench.edit('killed.py', python);
    const [pid] = workbench.server.servers().slice(-1);
    await workbench.restarted(() => process.kill(pid, 'SIGKILL'));
    assert.ok(workbench.server.servers().every((other) => other !== pid));
    await workbench.suggestionFor('    return ');
    assert.deepEqual(await workbench.notifications(), []);
    await workbench.discard();
  });

  test('one that keeps ending is left alone, with a message that helps', async (workbench) => {
    await workbench.edit('crashes.py', python);
    let nKilled = 0;
    for (let given = false; !given; ++nKilled) {
      assert.ok(nKilled < 5, `started ${nKilled} times`);
      const { length } = await workbench.states();
      process.kill(workbench.server.servers().at(-1), 'SIGKILL');
      await workbench.status(/: (ready|error)$/, length);
      given = (await workbench.statusLabel()) === 'incipit: error';
    }
    assert.ok(nKilled >= 3, `given up after ${nKilled} ends`);
    await workbench.notification(/keeps ending by itself/);
    await workbench.status('error');
    await workbench.shot('status-crashed');
    await workbench.restarted(() => workbench.button('Restart Server'));
    await workbench.suggestionFor('    return ');
    await workbench.clearNotifications();
    await workbench.discard();
  });

  test('a server that hangs is replaced by Restart Server', async (workbench) => {
    await workbench.edit('hangs.py', python);
    const [pid] = workbench.server.servers().slice(-1);
    process.kill(pid, 'SIGSTOP');
    await workbench.restarted(() => workbench.command('incipit: Restart Server'));
    assert.ok(!workbench.server.servers().includes(pid));
    await workbench.suggestionFor('    return ');
    assert.deepEqual(await workbench.notifications(), []);
    await workbench.discard();
  });

  test('a wrong path is named, and the right one is taken at once', async (workbench) => {
    workbench.server.configure({ 'incipit.server.path': '/nowhere/incipit' });
    await workbench.notification(/incipit\.server\.path names \/nowhere\/incipit/);
    await workbench.status('error');
    await workbench.shot('wrong-path');
    await workbench.button('Open Settings');
    await workbench.page.locator('.settings-editor .setting-item-contents', { hasText: 'Path of the program' }).first().waitFor();
    workbench.server.configure({});
    await workbench.status('ready');
    await workbench.press('Escape'); // the settings are a dialog
    await workbench.clearNotifications();
    await workbench.discard();
  });

  test('a program that is no server is named', async (workbench) => {
    workbench.server.configure({ 'incipit.server.path': '/bin/true' });
    await workbench.notification(/\/bin\/true could not be started/);
    await workbench.status('error');
    workbench.server.configure({});
    await workbench.status('ready');
    await workbench.clearNotifications();
  });

  test('a wrong setting gets a message with key, wanted and found', async (workbench) => {
    workbench.server.configure({ 'incipit.completion.maxTokens': 0 });
    await workbench.notification(/incipit\.completion\.maxTokens: want an integer 1\.\.1024, found 0/);
    await workbench.shot('wrong-setting');
    workbench.server.configure({});
    await workbench.status('ready');
    await workbench.clearNotifications();
  });

  test('a model that is not there is an error with the reason, and goes when the setting does', async (workbench) => {
    workbench.server.configure({ 'incipit.model': 'no-such-model' });
    await workbench.notification(/no-such-model/);
    await workbench.status('error');
    assert.match(await workbench.hoverText(), /no-such-model/);
    workbench.server.configure({});
    await workbench.status('ready');
    await workbench.clearNotifications();
  });
}
