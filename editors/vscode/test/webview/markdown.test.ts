// @vitest-environment happy-dom
import { describe, expect, test } from 'vitest';
import { markdownRenderer } from '../../src/webview/markdown';
import { strings } from '../support/page_strings';

const renderBlocks = markdownRenderer(strings);

function render(text: string): HTMLElement {
  const box = document.createElement('div');
  box.innerHTML = renderBlocks(text).join('');
  return box;
}

describe('what a model says', () => {
  test.each([
    ['a script', '<script>alert(1)</script>'],
    ['a handler', '<img src=x onerror=alert(1)>'],
    ['a frame', '<iframe src="https://evil.example"></iframe>'],
    ['a style', '<style>body{display:none}</style><p style="color:red">x</p>'],
    ['a form', '<form action="https://evil.example"><input></form>'],
    ['HTML in a heading', '# <b onclick=alert(1)>x</b>'],
    ['HTML in a table', '| a |\n| - |\n| <svg onload=alert(1)> |'],
    ['HTML in an info string', '```"><script>alert(1)</script>\nx\n```'],
    ['HTML in code', '```js\n</code></pre><script>alert(1)</script>\n```'],
    ['HTML in code of no language', '    <script>alert(1)</script>'],
    ['HTML in a link title', '[a](https://x.example "\\"><script>alert(1)</script>")'],
    ['HTML in an image', '![<script>](https://x.example/"onerror="alert(1))'],
  ])('%s stays text', (_, text) => {
    const box = render(text);
    expect(box.querySelector('script, img, iframe, style, form, input, svg, b, object, embed, link, meta, base')).toBeNull();
    for (const node of box.querySelectorAll('*')) {
      for (const { name } of node.attributes) expect(['href', 'title', 'class', 'type', 'data-action', 'aria-label', 'tabindex', 'start']).toContain(name);
    }
  });

  test.each([
    'javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'java\tscript:alert(1)', '&#106;avascript:alert(1)', 'vbscript:x', 'data:text/html,x',
    'data:image/png;base64,x', 'file:///etc/passwd', 'command:workbench.action.terminal.new', 'vscode://x/y', '//evil.example', 'relative.md', '#x',
  ])('a link to %s is none', (url) => {
    for (const text of [`[a](${url})`, `[a](<${url}>)`, `<${url}>`, `![a](${url})`, `[a][r]\n\n[r]: ${url}`]) {
      expect(render(text).querySelector('a')).toBeNull();
    }
  });

  test('links to the web work', () => {
    const links = render('[a](https://a.example) <http://b.example> [m](mailto:a@b.example)').querySelectorAll('a');
    expect([...links].map((link) => link.getAttribute('href'))).toEqual(['https://a.example', 'http://b.example', 'mailto:a@b.example']);
  });

  test('an image is not loaded: it becomes a link', () => {
    const box = render('![A **chart**](https://a.example/x.png)');
    expect(box.querySelector('img')).toBeNull();
    expect(box.querySelector('a')?.getAttribute('href')).toBe('https://a.example/x.png');
    expect(box.textContent).toContain('Image: A');
  });

  test('has no style attribute, which the policy would block', () => {
    const box = render('| a | b |\n| --: | :-: |\n| 1 | 2 |');
    expect(box.querySelector('[style]')).toBeNull();
    expect(box.querySelector('td')?.className).toBe('align-right');
  });
});

describe('code', () => {
  test.each([
    'c', 'cpp', 'cuda', 'cuda-cpp', 'csharp', 'python', 'javascript', 'javascriptreact', 'typescript', 'typescriptreact', 'go', 'rust', 'java',
    'kotlin', 'php', 'ruby', 'lua', 'shellscript', 'bash', 'json', 'diff',
  ])('of %s is coloured', (language) => {
    const box = render(`\`\`\`${language}\n- if (x) return "text" 12\n{"a": true}\n\`\`\``);
    expect(box.querySelector('code [class^=hljs-]')).not.toBeNull();
  });

  test('is whole, whatever colours it', () => {
    const code = 'if (a < b && "c") {\n  /* <b> */\n}\n';
    expect(render(`\`\`\`cpp\n${code}\`\`\``).querySelector('code')?.textContent).toBe(code);
    expect(render(`\`\`\`nosuch\n${code}\`\`\``).querySelector('code')?.textContent).toBe(code);
  });

  test('has buttons and a name', () => {
    const figure = render('```Python title\nx = 1\n```').querySelector('figure');
    expect(figure?.getAttribute('aria-label')).toBe('Code python');
    expect([...(figure?.querySelectorAll('button') ?? [])].map((button) => button.textContent)).toEqual(['Copy', 'Insert at Cursor']);
  });
});

test('a text that grows changes its last block only', () => {
  const before = renderBlocks('# One\n\ntwo\n\n```py\nx = ');
  const after = renderBlocks('# One\n\ntwo\n\n```py\nx = 1\n```');
  expect(before).toHaveLength(3);
  expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
  expect(after[2]).not.toBe(before[2]);
});
