import type { PageStrings } from '../../src/webview/protocol';

// The English texts, as the window would give them.
export const strings: PageStrings = {
  copy: 'Copy', copied: 'Copied', copyAnswer: 'Copy Answer', insert: 'Insert at Cursor', code: 'Code {0}', image: 'Image: {0}',
  stop: 'Stop', stopped: 'Stopped.', cutOff: 'Cut off.', openSetting: 'Open Setting', failed: 'That did not work.',
  again: 'Try Again', regenerate: 'Regenerate', restartServer: 'Restart Server', answering: 'Answering…', answered: 'Answer complete.',
  back: 'Back', forward: 'Forward', position: '{0} of {1}', reveal: 'Show', explanation: 'Explanation', history: 'Earlier explanations',
  noExplanation: 'Select code.', conversation: 'Conversation', session: 'Chat', question: 'Question', placeholder: 'Ask.', send: 'Send',
  attachSelection: 'Attach Selection', attachFile: 'Attach File…', attached: 'Attached code', detach: 'Remove {0}',
  leftOut: '{0} left out.', addModel: 'Add Model…', emptyChat: 'Nothing asked yet.', you: 'You', assistant: 'incipit',
};
