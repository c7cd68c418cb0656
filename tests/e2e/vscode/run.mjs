// Tests of the extension in a real workbench: run.mjs INCIPIT.vsix SCREENSHOT-FOLDER. One editor and one browser serve all.
import { after, before, describe, it } from 'node:test';
import { Workbench } from './workbench.mjs';
import { completionTests } from './completion_tests.mjs';
import { freezeTests } from './freeze_tests.mjs';
import { statusTests } from './status_tests.mjs';
import { recoveryTests } from './recovery_tests.mjs';

const [vsix, shots] = process.argv.slice(2);

describe('incipit in VS Code', { timeout: 600_000 }, () => {
  const workbench = new Workbench(shots);
  before(() => workbench.open(vsix));
  after(() => workbench.close());

  // A test that failed shows where.
  const test = (name, run) =>
    it(name, async () => {
      try {
        await run(workbench);
      } catch (error) {
        await workbench.shot(`failed ${name.replace(/[^a-zA-Z]+/g, '-')}`).catch(() => undefined);
        throw error;
      }
    });

  completionTests(test);
  statusTests(test);
  freezeTests(test);
  recoveryTests(test);

  // Last, so that it has seen all of the others.
  test('nothing was asked of another host', async ({ foreignHosts }) => {
    if (foreignHosts.size > 0) throw new Error(`asked ${[...foreignHosts].join(', ')}`);
  });
});
