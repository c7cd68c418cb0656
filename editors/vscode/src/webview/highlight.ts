// Colours of code by highlight.js, for the languages that the server knows and those that its answers quote besides.
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import kotlin from 'highlight.js/lib/languages/kotlin';
import lua from 'highlight.js/lib/languages/lua';
import php from 'highlight.js/lib/languages/php';
import python from 'highlight.js/lib/languages/python';
import ruby from 'highlight.js/lib/languages/ruby';
import rust from 'highlight.js/lib/languages/rust';
import typescript from 'highlight.js/lib/languages/typescript';

const languages = { bash, c, cpp, csharp, diff, go, java, javascript, json, kotlin, lua, php, python, ruby, rust, typescript };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);
// Names that editors use and highlight.js does not.
hljs.registerAliases(['cuda', 'cuda-cpp', 'cu'], { languageName: 'cpp' });
hljs.registerAliases(['shellscript', 'shell'], { languageName: 'bash' });
hljs.registerAliases(['typescriptreact'], { languageName: 'typescript' });
hljs.registerAliases(['javascriptreact'], { languageName: 'javascript' });

// Beyond this a block is shown plain: colouring it anew for every streamed piece would stall the page.
const longestCode = 40_000;

// HTML of the code, everything in it escaped.
export function highlight(code: string, language: string): string {
  if (code.length > longestCode || !hljs.getLanguage(language)) return escapeHtml(code);
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
