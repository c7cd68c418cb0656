// What goes to the server's command incipit.chat, and what comes back (docs/lsp-extensions.md).
import * as v from 'valibot';
import type { Message, Session } from './session';

export interface ChatMessage {
  role: 'user' | 'assistant';
  content: string;
  context?: { path: string; languageId: string; text: string }[];
}

// The conversation up to its last question. Questions that were never answered are left out with what they failed by.
export function chatMessages(session: Session): ChatMessage[] {
  const sent: ChatMessage[] = [];
  const last = session.messages.map((message) => message.role).lastIndexOf('user');
  session.messages.slice(0, last + 1).forEach((message, i) => {
    const next = session.messages[i + 1];
    const unanswered = message.role === 'user' && i < last && !(next?.role === 'assistant' && next.text);
    if (!unanswered && (message.role === 'user' || message.text)) sent.push(chatMessage(message));
  });
  return sent;
}

function chatMessage(message: Message): ChatMessage {
  const sent: ChatMessage = { role: message.role, content: message.text };
  if (message.attachments.length > 0) {
    sent.context = message.attachments.map(({ path, languageId, text }) => ({ path, languageId, text }));
  }
  return sent;
}

const resultSchema = v.object({
  text: v.string(),
  finish: v.optional(v.picklist(['stop', 'length']), 'stop'),
  leftOut: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
});
export type ChatResult = v.InferOutput<typeof resultSchema>;

export function parseChatResult(result: unknown): ChatResult {
  return v.parse(resultSchema, result);
}
