import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

/** The example on a bot's page: the JSON blocks under `### Input` and `### Output`. */
export interface Example {
  input: Record<string, unknown>;
  output: Record<string, unknown>;
}

/**
 * Reads the example of `docs/bots/<key>.md`.
 * @param ids - Values of the names in capitals that stand for ids, such as PATIENT_ID.
 */
export function exampleOf(key: string, ids: Record<string, string>): Example {
  const page = readFileSync(fileURLToPath(new URL(`../../../docs/bots/${key}.md`, import.meta.url)), 'utf8');
  const block = (title: string): Record<string, unknown> => {
    const found = new RegExp(`^### ${title}\\n[\\s\\S]*?\`\`\`json\\n([\\s\\S]*?)\`\`\``, 'm').exec(page)?.[1];
    if (found === undefined) {
      throw new Error(`docs/bots/${key}.md has no JSON under ### ${title}`);
    }
    const filled = Object.entries(ids).reduce((text, [name, id]) => text.replaceAll(`"${name}"`, JSON.stringify(id)), found);
    return JSON.parse(filled) as Record<string, unknown>;
  };
  return { input: block('Input'), output: block('Output') };
}

/** An answer is the page's: the same values, where a text in capitals such as ID or HASH stands for any text. */
export function expectOutput(actual: unknown, page: Example['output']): void {
  expect(actual).toMatchObject(withWildcards(page) as object);
}

function withWildcards(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withWildcards);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withWildcards(each)]));
  }
  return typeof value === 'string' && /^[A-Z]+(?:_[A-Z]+)*$/.test(value) && value.length > 1
    ? (expect.any(String) as unknown)
    : value;
}
