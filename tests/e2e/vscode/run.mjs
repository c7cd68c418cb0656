// Tests of the extension in a real workbench: run.mjs INCIPIT.vsix SCREENSHOT-FOLDER [PATTERN]. One editor and one browser serve all.
import { after, before, describe, it } from 'node:test';
import { Workbench } from './workbench.mjs';
import { chatTests } from './chat_tests.mjs';
import { completionTests } from './completion_tests.mjs';
import { explainTests } from './explain_tests.mjs';
import { freezeTests } from './freeze_tests.mjs';
import { statusTests } from './status_tests.mjs';
import { modelTests } from './model_tests.mjs';
import { recoveryTests } from './recovery_tests.mjs';

const [vsix, shots, pattern = ''] = process.argv.slice(2);
const wanted = new RegExp(pattern);

describe('incipit in VS Code', { timeout: 600_000 }, () => {
  const workbench = new Workbench(shots);
  before(() => workbench.open(vsix));
  after(() => workbench.close());

  // A test that failed shows where. After a few the rest would say no more, slowly.
  let nFailed = 0;
  const test = (name, run) =>
    it(name, { skip: !wanted.test(name) }, async (context) => {
      if (nFailed >= 3) return context.skip('too many have failed');
      try {
        return await run(workbench);
      } catch (error) {
        ++nFailed;
        await workbench.shot(`failed ${name.replace(/[^a-zA-Z]+/g, '-')}`).catch(() => undefined);
        await workbench.tidyUp().catch(() => undefined);
        throw error;
      }
    });

  completionTests(test);
  statusTests(test);
  explainTests(test);
  chatTests(test);
  modelTests(test);
  freezeTests(test);
  recoveryTests(test);

  // Last, so that it has seen all of the others.
  test('nothing was asked of another host', async ({ foreignHosts }) => {
    if (foreignHosts.size > 0) throw new Error(`asked ${[...foreignHosts].join(', ')}`);
  });
});
