// A session as a Markdown document that other people's viewers show as we do.
import { attachmentLabel, type Attachment, type Message, type Session } from './session';

export interface ExportTexts {
  you: string;
  assistant: string;
  stopped: string;
  cutOff: string;
  failed: string;
}

export function exportMarkdown(session: Session, texts: ExportTexts): string {
  const parts = [`# ${escapeInline(session.name)}`, new Date(session.createdAt).toISOString().slice(0, 10)];
  for (const message of session.messages) parts.push(...exportMessage(message, texts));
  return `${parts.join('\n\n')}\n`;
}

function exportMessage(message: Message, texts: ExportTexts): string[] {
  const parts = [`## ${message.role === 'user' ? texts.you : texts.assistant}`];
  for (const attachment of message.attachments) parts.push(exportAttachment(attachment));
  if (message.text.trim()) parts.push(closeFence(message.text.trim()));
  const note = {
    done: undefined,
    streaming: texts.stopped,
    stopped: texts.stopped,
    cutOff: texts.cutOff,
    failed: message.error ?? texts.failed,
  }[message.state];
  if (note) parts.push(`*${escapeInline(note)}*`);
  return parts;
}

function exportAttachment(attachment: Attachment): string {
  const fence = fenceFor(attachment.text);
  const text = attachment.text.endsWith('\n') ? attachment.text : `${attachment.text}\n`;
  return `${codeSpan(attachmentLabel(attachment))}\n\n${fence}${attachment.languageId}\n${text}${fence}`;
}

// Longer than any run of backticks inside, so that code which holds a fence does not end its own.
export function fenceFor(text: string): string {
  const runs = text.match(/`+/g) ?? [];
  return '`'.repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
}

// An answer that stopped inside a code block would swallow the rest of the document.
export function closeFence(text: string): string {
  let open: string | undefined;
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
    if (!mark) continue;
    const [, run, rest] = mark as unknown as [string, string, string];
    if (open === undefined) open = run;
    else if (run.startsWith(open) && rest.trim() === '') open = undefined;
  }
  return open === undefined ? text : `${text}\n${open}`;
}

function codeSpan(text: string): string {
  const runs = text.match(/`+/g) ?? [];
  const fence = '`'.repeat(1 + Math.max(0, ...runs.map((run) => run.length)));
  return fence.length === 1 ? `\`${text}\`` : `${fence} ${text} ${fence}`;
}

function escapeInline(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/([\\`*_[\]<>#])/g, '\\$1');
}

// A file name that every system takes.
export function exportFileName(session: Session): string {
  const name = session.name.replace(/[\\/:*?"<>|\u0000-\u001f]/g, ' ').replace(/\s+/g, ' ').replace(/^[. ]+|[. …]+$/g, '');
  return `${name || 'chat'}.md`;
}
