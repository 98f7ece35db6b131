import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readSafetyPolicy } from '../src/lib/commands/safety-policy.ts';
import { readDecisionRules } from '../src/lib/decision/policy.ts';
import { Secrets } from '../src/lib/secrets.ts';
import { secrets } from './support/events.ts';
import { rulesPage } from './support/rules-page.ts';

const reference = (name: string) => fileURLToPath(new URL(`../../docs/reference/${name}`, import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(reference(name), 'utf8'));

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
}

test('the page of the rules is what the tables hold', async () => {
  await expect(rulesPage()).toMatchFileSnapshot(reference('decision-rules.md'));
});

describe("the schema of a site's policy", () => {
  const schema = read('safety-policy.schema.json') as Schema;
  const example = read('safety-policy.example.json');

  test('the example uses every field of it, and no other', () => {
    expect(fieldsOf(example)).toEqual(fieldsOfSchema(schema));
  });

  test('the bots that read it take the example', () => {
    const given = new Secrets(secrets({ SAFETY_POLICY: JSON.stringify(example) }));
    expect(readDecisionRules(given).ruleset.site).toMatchObject({ id: 'st-mary-2026', added: 6, changed: 3 });
    expect(readSafetyPolicy(given).blockedCommands).toEqual(['QueueReferralLetter']);
  });

  test.each(requiredOf(schema))('without %s it is NOT_CONFIGURED', (path) => {
    const policy = JSON.stringify(without(example, path.split('.')));
    expect(() => readDecisionRules(new Secrets(secrets({ SAFETY_POLICY: policy })))).toThrow(
      expect.objectContaining({ code: 'NOT_CONFIGURED' }) as Error
    );
  });

  test('the policy on the page is one', () => {
    const page = readFileSync(reference('decision-rules.md'), 'utf8');
    const policy = /```json\n([\s\S]*?)```/.exec(page)?.[1] as string;
    const rules = readDecisionRules(new Secrets(secrets({ SAFETY_POLICY: policy })));
    expect(rules.critical.find(({ id }) => id === 'potassium')?.high).toBe(6);
  });
});

/** The paths of all fields, lists left out of them. */
function fieldsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) {
    return [...new Set(value.flatMap((each) => fieldsOf(each, path)))];
  }
  return typeof value === 'object' && value !== null
    ? Object.entries(value)
        .flatMap(([key, each]) => [`${path}${key}`, ...fieldsOf(each, `${path}${key}.`)])
        .sort()
    : [];
}

function fieldsOfSchema({ properties, items }: Schema, path = ''): string[] {
  if (items) {
    return fieldsOfSchema(items, path);
  }
  return Object.entries(properties ?? {})
    .flatMap(([key, each]) => [`${path}${key}`, ...fieldsOfSchema(each, `${path}${key}.`)])
    .sort();
}

function requiredOf({ properties, required, items }: Schema, path = ''): string[] {
  const own = (required ?? []).map((key) => `${path}${key}`);
  return [
    ...own,
    ...(items
      ? requiredOf(items, path)
      : Object.entries(properties ?? {}).flatMap(([key, each]) => requiredOf(each, `${path}${key}.`))),
  ];
}

function without(value: unknown, [key = '', ...rest]: string[]): unknown {
  if (Array.isArray(value)) {
    return value.map((each) => without(each, [key, ...rest]));
  }
  const { [key]: here, ...others } = value as Record<string, unknown>;
  return rest.length === 0 ? others : { ...others, [key]: without(here, rest) };
}
