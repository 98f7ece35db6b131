import table from '../../data/icd10cm.json';
import { plainCode } from './icd10cm.ts';

/** Two codes that the classification says are not coded together. */
export interface Excludes1Alert {
  codes: [string, string];
  /** Of which code or range the note is, and which it excludes, as the table writes them. */
  note: string;
}

/**
 * Which of some codes exclude one another by an Excludes1 note, of a code itself or of any level above it.
 *
 * An alert is no verdict: two conditions that have nothing to do with one another may both be coded.
 */
export function excludes1Among(codes: readonly string[]): Excludes1Alert[] {
  const plain = codes.map((code) => plainCode(code) ?? '');
  const alerts = new Map<string, Excludes1Alert>();
  for (const entry of table.excludes1) {
    const [scope = '', targets = ''] = entry.split('\t');
    const inScope = plain.map((code) => matches(code, scope));
    if (!inScope.includes(true)) {
      continue;
    }
    for (const target of targets.split(',')) {
      for (const [index, code] of plain.entries()) {
        const other = inScope.findIndex((inside, at) => inside && at !== index && plain[at] !== code);
        if (other >= 0 && matches(code, target)) {
          const pair: [number, number] = [Math.min(index, other), Math.max(index, other)];
          const key = pair.join();
          if (!alerts.has(key)) {
            alerts.set(key, {
              codes: pair.map((at) => codes[at]) as [string, string],
              note: `${scope} excludes ${target}`,
            });
          }
        }
      }
    }
  }
  return [...alerts.values()];
}

/**
 * Whether a code is one that a scope or target means.
 * @param code - In capitals, without its dot.
 * @param pattern - `E11` for it and all below, `E08-E13` for a range, each with conditions such as `/4=4/5=12`: the
 * fourth character is 4, the fifth 1 or 2.
 */
export function matches(code: string, pattern: string): boolean {
  const [range = '', ...conditions] = pattern.split('/');
  const [low = '', high = low] = range.split('-');
  if (code === '' || code.slice(0, low.length) < low || code.slice(0, high.length) > high) {
    return false;
  }
  return conditions.every((condition) => {
    const [position, characters = ''] = condition.split('=');
    const character = code[Number(position) - 1];
    return character !== undefined && characters.includes(character);
  });
}
