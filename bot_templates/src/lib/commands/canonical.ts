import { BotFailure } from '../failure.ts';
import { sha256 } from '../hash.ts';

/** A value as JSON in one spelling: keys sorted, nothing undefined, no blanks. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map((each) => canonicalJson(each ?? null)).join(',')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .sort(([one], [other]) => (one < other ? -1 : 1));
    return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** The id of a command, by which the same command is known again: SHA-256 of its canonical JSON. */
export function commandIdOf(text: string): string {
  return sha256(text);
}

/** How deep a command's parameters may nest; the deepest that are known need four levels. */
const DEEPEST = 8;

/**
 * What a screen does not show, or shows in another order than it stands: control characters, overrides of the writing
 * direction, tag characters. An approver must see what will be written.
 */
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/u;

/** @throws BotFailure INVALID_INPUT for texts that do not show what they say, and for values nested too deep. */
export function requireVisible(value: unknown, path: string, depth = 0): void {
  if (typeof value === 'string') {
    if (UNSEEN.test(value) || !value.isWellFormed()) {
      throw new BotFailure('INVALID_INPUT', `${path} holds characters that a reader would not see`, { field: path });
    }
  } else if (typeof value === 'object' && value !== null) {
    if (depth >= DEEPEST) {
      throw new BotFailure('INVALID_INPUT', `${path} is nested too deep`, { field: path });
    }
    for (const [key, each] of Object.entries(value)) {
      requireVisible(key, path, depth);
      requireVisible(each, path, depth + 1);
    }
  }
}
