// The texts of the pages, in the language of the window.
import { l10n } from 'vscode';
import type { PageStrings } from '../webview/protocol';

export function pageStrings(): PageStrings {
  return { ...commonStrings(), ...explainStrings(), ...chatStrings() };
}

function commonStrings() {
  return {
    copy: l10n.t('Copy'),
    copied: l10n.t('Copied'),
    copyAnswer: l10n.t('Copy Answer'),
    insert: l10n.t('Insert at Cursor'),
    code: l10n.t('Code {0}'),
    image: l10n.t('Image: {0}'),
    stop: l10n.t('Stop'),
    stopped: l10n.t('Stopped.'),
    cutOff: l10n.t('The answer has reached its longest length and was cut off.'),
    openSetting: l10n.t('Open Setting'),
    failed: l10n.t('That did not work.'),
    again: l10n.t('Try Again'),
    restartServer: l10n.t('Restart Server'),
    addModel: l10n.t('Add Model…'),
    answering: l10n.t('Answering…'),
    answered: l10n.t('Answer complete.'),
  };
}

function explainStrings() {
  return {
    back: l10n.t('Back'),
    forward: l10n.t('Forward'),
    position: l10n.t('{0} of {1}'),
    reveal: l10n.t('Show the explained code'),
    explanation: l10n.t('Explanation'),
    history: l10n.t('Earlier explanations'),
    noExplanation: l10n.t('Select code and run "incipit: Explain Selection".'),
  };
}

function chatStrings() {
  return {
    you: l10n.t('You'),
    assistant: l10n.t('incipit'),
    regenerate: l10n.t('Regenerate'),
    conversation: l10n.t('Conversation'),
    session: l10n.t('Chat'),
    question: l10n.t('Question'),
    placeholder: l10n.t('Ask about code (Enter sends)'),
    send: l10n.t('Send'),
    attachSelection: l10n.t('Attach Selection'),
    attachFile: l10n.t('Attach File…'),
    attached: l10n.t('Attached code'),
    detach: l10n.t('Remove {0}'),
    leftOut: l10n.t('The oldest messages ({0}) did not fit and were left out.'),
    emptyChat: l10n.t('Nothing asked yet. Your questions and code stay on this machine.'),
  };
}
