import { defineConfig } from 'vitest/config';
import { fileURLToPath } from 'node:url';

export default defineConfig({
  test: { include: ['test/{unit,webview}/**/*.test.ts'] },
  resolve: {
    // There is no editor in a unit test: what the code asks of it is played by a small stub.
    alias: { vscode: fileURLToPath(new URL('test/support/vscode.ts', import.meta.url)) },
  },
});
