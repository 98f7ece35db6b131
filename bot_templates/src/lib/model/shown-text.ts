import { REMOVED } from './injection.ts';

/** Controls that a terminal or a page obeys instead of showing them: all but tab and line end; ESC and CSI among them. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Marks that reorder what is read, and characters nobody sees in which words can be hidden: bidi, zero width, tags. */
const HIDDEN = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Turns of chat templates that no clinical text has; `<s>` or a heading `Instructions` may well be one's own. */
const TURNS =
  /<[|｜][^|｜>\n]{1,40}[|｜]>|\[\/?INST\]|<<\/?SYS>>|<\/?(?:start_of_turn|end_of_turn|tool_call|tool_response|function_call)>/gi;

/**
 * A record's text for whoever reads it outside: a person, a terminal, or a model that somebody else asks.
 *
 * It stays verbatim but for what is no text of a record: controls become U+FFFD, hidden characters go, and a mark of a
 * chat template is `[removed]`. Sentences that speak to a model stay, for a person must be able to see them.
 */
export function shownText(text: string): string {
  return text.replace(CONTROLS, '\ufffd').replace(HIDDEN, '').replace(TURNS, REMOVED).toWellFormed();
}
