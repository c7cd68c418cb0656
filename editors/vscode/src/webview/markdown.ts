// Markdown of a model, which is not to be trusted: no HTML of its own, no image, links to the web alone. What comes out has no
// style attribute either, since the pages' content security policy would block it.
import MarkdownIt, { type Token } from 'markdown-it';
import { escapeHtml, highlight } from './highlight';
import { fill, type PageStrings } from './protocol';

// Makes HTML of a text, one string for each block at the top level: a streamed text changes in its last ones only.
export type RenderBlocks = (text: string) => string[];

export function markdownRenderer(strings: PageStrings): RenderBlocks {
  const markdown = new MarkdownIt({ html: false, linkify: false, breaks: false });
  markdown.validateLink = isWebLink;
  markdown.renderer.rules['fence'] = (tokens, i) => codeBlock(tokens[i] as Token, strings);
  markdown.renderer.rules['code_block'] = (tokens, i) => codeBlock(tokens[i] as Token, strings);
  markdown.renderer.rules['image'] = (tokens, i) => imageAsLink(tokens[i] as Token, strings);
  markdown.core.ruler.push('alignment', (state) => alignByClass(state.tokens));
  return (text) => {
    const env = {};
    return topLevelBlocks(markdown.parse(text, env)).map((tokens) => markdown.renderer.render(tokens, markdown.options, env));
  };
}

function isWebLink(url: string): boolean {
  return /^(?:https?:\/\/|mailto:)/i.test(url.trim());
}

function topLevelBlocks(tokens: Token[]): Token[][] {
  const blocks: Token[][] = [];
  let depth = 0;
  let start = 0;
  tokens.forEach((token, i) => {
    depth += token.nesting;
    if (depth === 0) {
      blocks.push(tokens.slice(start, i + 1));
      start = i + 1;
    }
  });
  return blocks;
}

function codeBlock(token: Token, strings: PageStrings): string {
  const language = (/^[\w+#.-]+/.exec(token.info.trim())?.[0] ?? '').toLowerCase();
  const label = fill(strings.code, language).trim();
  const button = (action: string, text: string) =>
    `<button type="button" data-action="${action}">${escapeHtml(text)}</button>`;
  return (
    `<figure class="code" aria-label="${escapeHtml(label)}">` +
    `<figcaption><span>${escapeHtml(language)}</span>${button('copy', strings.copy)}${button('insert', strings.insert)}</figcaption>` +
    `<pre tabindex="0"><code>${highlight(token.content, language)}</code></pre></figure>\n`
  );
}

// A picture from the web would tell its host who reads what: it becomes a link that one may follow.
function imageAsLink(token: Token, strings: PageStrings): string {
  const text = escapeHtml(fill(strings.image, token.content || String(token.attrGet('title') ?? '')).trim());
  const url = String(token.attrGet('src') ?? '');
  return isWebLink(url) ? `<a href="${escapeHtml(url)}">${text}</a>` : text;
}

function alignByClass(tokens: Token[]): void {
  for (const token of tokens) {
    const style = token.attrGet('style');
    if (style === null) continue;
    token.attrs = (token.attrs ?? []).filter(([name]) => name !== 'style');
    const align = /text-align:\s*(left|center|right)/.exec(String(style))?.[1];
    if (align) token.attrJoin('class', `align-${align}`);
  }
}
