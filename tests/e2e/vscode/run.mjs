// Tests of the extension in a real workbench: run.mjs INCIPIT.vsix SCREENSHOT-FOLDER [PATTERN]. One editor and one browser serve all;
// each file of tests begins with a page, a folder and settings of its own.
import { after, before, describe, it } from 'node:test';
import { Workbench } from './workbench.mjs';
import { accessTests } from './access_tests.mjs';
import { actionTests } from './action_tests.mjs';
import { chatTests } from './chat_tests.mjs';
import { completionTests } from './completion_tests.mjs';
import { explainTests } from './explain_tests.mjs';
import { freezeTests } from './freeze_tests.mjs';
import { languageTests } from './language_tests.mjs';
import { statusTests } from './status_tests.mjs';
import { modelTests } from './model_tests.mjs';
import { recoveryTests } from './recovery_tests.mjs';

const [vsix, shots, pattern = ''] = process.argv.slice(2);
const wanted = new RegExp(pattern);
const files = {
  completion: completionTests,
  status: statusTests,
  action: actionTests,
  explain: explainTests,
  chat: chatTests,
  access: accessTests,
  language: languageTests,
  model: modelTests,
  freeze: freezeTests,
  recovery: recoveryTests,
};

describe('incipit in VS Code', { timeout: 1_500_000 }, () => {
  const workbench = new Workbench(shots);
  before(() => workbench.open(vsix));
  after(() => workbench.close());

  // A test that failed shows where. After a few the rest would say no more, slowly.
  let nFailed = 0;
  const attempt = async (name, run, context) => {
    if (nFailed >= 3) return context.skip('too many have failed');
    try {
      return await run(workbench);
    } catch (error) {
      ++nFailed;
      await workbench.showFailure(name).catch(() => undefined);
      await workbench.tidyUp().catch(() => undefined);
      throw error;
    }
  };

  for (const [file, declare] of Object.entries(files)) {
    const tests = [];
    const options = declare((name, run) => {
      if (wanted.test(name)) tests.push([name, run]);
    });
    if (tests.length === 0) continue;
    describe(file, () => {
      before(() => workbench.begin(file, options));
      after(() => workbench.end());
      for (const [name, run] of tests) it(name, (context) => attempt(name, run, context));
    });
  }

  // Last, so that it has seen all of the others.
  it('nothing was asked of another host', () => {
    const { foreignHosts } = workbench.browser;
    if (foreignHosts.size > 0) throw new Error(`asked ${[...foreignHosts].join(', ')}`);
  });

  // A style or script of ours that the policy forbids would be missing without a word.
  it('the pages want nothing that their policy forbids', () => {
    const { blocked } = workbench.browser;
    if (blocked.length > 0) throw new Error(blocked.join('\n'));
  });
});
