// A chat session as it is kept: messages in order, code frozen as it was when it was attached. No VS Code in here.
import * as v from 'valibot';

// The bounds keep a damaged or foreign file from becoming a page that cannot be shown.
export const maxNameLength = 120;

const attachmentSchema = v.object({
  path: v.string(),
  languageId: v.string(),
  text: v.string(),
  // One-based lines, both inclusive; absent: the whole file.
  lines: v.optional(v.tuple([v.pipe(v.number(), v.integer()), v.pipe(v.number(), v.integer())])),
});

const messageSchema = v.object({
  id: v.pipe(v.number(), v.integer(), v.minValue(1)),
  role: v.picklist(['user', 'assistant']),
  text: v.string(),
  attachments: v.optional(v.array(attachmentSchema), []),
  state: v.optional(v.picklist(['done', 'streaming', 'stopped', 'cutOff', 'failed']), 'done'),
  // Why it failed, as the server says it, and whether it refused or could not be asked.
  error: v.optional(v.string()),
  failure: v.optional(v.picklist(['refused', 'unreachable'])),
  // How many of the oldest messages did not fit into the model's context.
  leftOut: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});

export const sessionSchema = v.object({
  version: v.literal(1),
  id: v.pipe(v.string(), v.regex(/^[0-9a-zA-Z-]{1,64}$/)),
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(maxNameLength)),
  // False: the name still follows from the first question.
  named: v.optional(v.boolean(), false),
  createdAt: v.number(),
  updatedAt: v.number(),
  messages: v.array(messageSchema),
});

export type Attachment = v.InferOutput<typeof attachmentSchema>;
export type Message = v.InferOutput<typeof messageSchema>;
export type Session = v.InferOutput<typeof sessionSchema>;

export function newSession(id: string, name: string, now: number): Session {
  return { version: 1, id, name, named: false, createdAt: now, updatedAt: now, messages: [] };
}

// Reads what a file holds; throws when it is no session. What was being written when the window went away has stopped.
export function parseSession(text: string): Session {
  const session = v.parse(sessionSchema, JSON.parse(text));
  for (const message of session.messages) {
    if (message.state === 'streaming') message.state = 'stopped';
  }
  return session;
}

export function addMessage(session: Session, role: Message['role'], text: string, attachments: Attachment[] = []): Message {
  const last = session.messages[session.messages.length - 1];
  const message: Message = { id: (last?.id ?? 0) + 1, role, text, attachments, state: 'done' };
  session.messages.push(message);
  return message;
}

// A name in one line, or undefined where nothing is left of it.
export function cleanName(name: string): string | undefined {
  return cut(name.replace(/\s+/g, ' ').trim(), maxNameLength) || undefined;
}

// The name that a question gives its session: its first words.
export function nameFromQuestion(question: string): string | undefined {
  const name = cleanName(question);
  if (name === undefined || name.length <= 40) return name;
  const begin = cut(name, 40);
  const space = begin.lastIndexOf(' ');
  return `${space > 20 ? begin.slice(0, space) : begin}…`;
}

// At most so many UTF-16 units, and no half of a surrogate pair at the end.
function cut(text: string, length: number): string {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, '');
}

// `src/a.py:3-9`, as chips and exports show it.
export function attachmentLabel(attachment: Pick<Attachment, 'path' | 'lines'>): string {
  if (!attachment.lines) return attachment.path;
  const [first, last] = attachment.lines;
  return `${attachment.path}:${first === last ? first : `${first}-${last}`}`;
}
