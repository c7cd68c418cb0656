// The document of a page. Its content security policy lets in our script (by nonce) and our style sheet, and nothing else.
import type { PageKind, PageStrings } from '../webview/protocol';

export interface PageParts {
  kind: PageKind;
  language: string;
  title: string;
  cspSource: string;
  nonce: string;
  script: string;
  style: string;
  strings: PageStrings;
}

export function pageHtml(parts: PageParts): string {
  const policy = `default-src 'none'; style-src ${parts.cspSource}; script-src 'nonce-${parts.nonce}'; base-uri 'none'; form-action 'none'`;
  return `<!DOCTYPE html>
<html lang="${escapeAttribute(parts.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeAttribute(parts.title)}</title>
<link rel="stylesheet" href="${escapeAttribute(parts.style)}">
</head>
<body data-page="${parts.kind}">
<script type="application/json" id="strings" nonce="${parts.nonce}">${jsonInHtml(parts.strings)}</script>
<script nonce="${parts.nonce}" src="${escapeAttribute(parts.script)}"></script>
</body>
</html>
`;
}

function escapeAttribute(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/"/g, '&quot;').replace(/</g, '&lt;');
}

// "</script>" inside a string would end the block.
function jsonInHtml(value: unknown): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}
