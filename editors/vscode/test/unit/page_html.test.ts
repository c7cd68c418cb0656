import { expect, test } from 'vitest';
import { pageHtml } from '../../src/pages/page_html';
import { pageStrings } from '../../src/pages/page_strings';
import { strings } from '../support/page_strings';

const parts = {
  kind: 'chat' as const, language: 'en', title: 'Chat', cspSource: 'https://own.example', nonce: 'abc123',
  script: 'https://own.example/webview.js', style: 'https://own.example/webview.css', strings,
};

test('the policy lets in our script and style sheet, and nothing else', () => {
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(pageHtml(parts))?.[1];
  expect(policy?.split('; ')).toEqual([
    "default-src 'none'", 'style-src https://own.example', "script-src 'nonce-abc123'", "base-uri 'none'", "form-action 'none'",
  ]);
});

test('nothing in the page needs what the policy forbids', () => {
  const html = pageHtml(parts);
  expect(html).not.toMatch(/\sstyle=|\son\w+=|<style/);
  expect(html.match(/<script/g)).toHaveLength(2);
});

test('a text cannot end the block that it is in', () => {
  const html = pageHtml({ ...parts, title: '"><b>', strings: { ...strings, stop: '</script><script>alert(1)</script>' } });
  expect(html.match(/<\/script>/g)).toHaveLength(2);
  expect(html).not.toContain('<b>');
  const block = /id="strings"[^>]*>(.*)<\/script>/.exec(html)?.[1] ?? '';
  expect((JSON.parse(block) as typeof strings).stop).toBe('</script><script>alert(1)</script>');
});

test('every text of the pages is given', () => {
  expect(Object.keys(pageStrings()).sort()).toEqual(Object.keys(strings).sort());
});
