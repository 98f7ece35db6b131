import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { secrets } from '../../../test/support/events.ts';
import { Secrets } from '../secrets.ts';
import { checkDrug } from './interaction-check.ts';
import { readDecisionRules } from './policy.ts';
import { shippedRules } from './rules.ts';

const read = (policy: unknown) =>
  readDecisionRules(
    new Secrets(secrets({ SAFETY_POLICY: typeof policy === 'string' ? policy : JSON.stringify(policy) }))
  );
const site = (more: object) => read({ decisionSupport: { id: 'st-mary', ...more } });

/** Everything that a site may write. */
const WHOLE_POLICY: unknown = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../../../docs/reference/safety-policy.example.json', import.meta.url)), 'utf8')
);

describe("a site's policy", () => {
  test('without one, or with one for commands only, the shipped rules hold', () => {
    expect(readDecisionRules(new Secrets({}))).toEqual(shippedRules());
    expect(read({ blockedCommands: ['QueueReferralLetter'] })).toEqual(shippedRules());
  });

  test('everything can be added, changed and switched off, and the ruleset says so', () => {
    const rules = read(WHOLE_POLICY);
    expect(rules.ruleset).toMatchObject({
      version: shippedRules().ruleset.version,
      site: {
        id: 'st-mary-2026',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
        added: 6,
        changed: 3,
        switchedOff: 6,
      },
    });
    expect(rules.interactions.find(({ id }) => id === 'qt-qt')?.severity).toBe('low');
    expect(rules.interactions.some(({ id }) => id === 'warfarin-acetaminophen')).toBe(false);
    expect(rules.critical.find(({ id }) => id === 'potassium')).toMatchObject({ low: 2.8, high: 6 });
    expect(rules.critical.find(({ id }) => id === 'chloride')?.units).toEqual({ 'mmol/L': 1, 'meq/L': 1 });
    expect(rules.criticalHours).toBe(48);
    expect(rules.preventive.find(({ id }) => id === 'colorectal-cancer')?.minAge).toBe(50);
    const warfarin = { ...taken, ingredients: ['warfarin'] };
    expect(checkDrug({ text: 'Zyxor 10 mg' }, [warfarin], rules).interactions).toMatchObject([
      { rule: 'zyxin-warfarin' },
    ]);
  });

  test.each([
    ['no JSON', '{', 'no JSON'],
    ['a list', '[]', 'JSON object'],
    ['a misspelt part', { decisionSuport: {} }, 'decisionSuport'],
    ['a policy without a name', { decisionSupport: {} }, 'decisionSupport.id is missing'],
    ['an unknown part', { decisionSupport: { id: 'x', dosing: {} } }, 'decisionSupport.dosing'],
    [
      'a rule to switch off that does not exist',
      { decisionSupport: { id: 'x', interactions: { off: ['warfarin-asprin'] } } },
      'warfarin-asprin',
    ],
    [
      'a change of nothing',
      { decisionSupport: { id: 'x', critical: { change: [{ id: 'kalium', high: 6 }] } } },
      'kalium',
    ],
    [
      'a severity that FHIR has not',
      { decisionSupport: { id: 'x', interactions: { change: [{ id: 'qt-qt', severity: 'major' }] } } },
      'severity must be one of',
    ],
    [
      'limits out of order',
      { decisionSupport: { id: 'x', critical: { change: [{ id: 'potassium', low: 7 }] } } },
      'out of order',
    ],
    [
      'a limit that is not plausible',
      { decisionSupport: { id: 'x', critical: { change: [{ id: 'potassium', high: 65 }] } } },
      'plausible',
    ],
    [
      'a limit as text',
      { decisionSupport: { id: 'x', critical: { change: [{ id: 'potassium', high: '6' }] } } },
      'high must be a number',
    ],
    [
      'a unit that nobody knows',
      { decisionSupport: { id: 'x', critical: { add: [{ id: 'a', name: 'A', loinc: ['1-8'], unit: 'spoons' }] } } },
      'unit that is not known',
    ],
    [
      'a LOINC code of another rule',
      { decisionSupport: { id: 'x', critical: { add: [{ id: 'a', name: 'A', loinc: ['2823-3'], unit: 'mmol/L' }] } } },
      'another rule',
    ],
    [
      'an ingredient that nobody knows',
      { decisionSupport: { id: 'x', interactions: { add: [{ id: 'a', one: ['zyxomab'], other: ['warfarin'] }] } } },
      'zyxomab',
    ],
    ['an id that is taken', { decisionSupport: { id: 'x', preventive: { add: [{ id: 'hiv' }] } } }, 'hiv'],
    [
      'an interaction without advice',
      {
        decisionSupport: {
          id: 'x',
          interactions: { add: [{ id: 'a', one: ['aspirin'], other: ['warfarin'], severity: 'high', mechanism: 'x' }] },
        },
      },
      'management is missing',
    ],
    [
      'ages out of order',
      { decisionSupport: { id: 'x', preventive: { change: [{ id: 'hiv', minAge: 90 }] } } },
      'ages out of order',
    ],
  ])('%s is NOT_CONFIGURED, and it is said what is wrong', (_name, policy, words) => {
    expect(() => read(policy)).toThrow(
      expect.objectContaining({ code: 'NOT_CONFIGURED', message: expect.stringContaining(words) as unknown }) as Error
    );
    expect(() => read(policy)).toThrow(/SAFETY_POLICY/);
  });

  test('a value of the secret is shown only where it is a plain name', () => {
    expect(() => site({ interactions: { off: ['<script>alert(1)</script>'] } })).toThrow(
      /names a rule that does not exist$/
    );
  });
});

const taken = {
  reference: 'MedicationRequest/1',
  resourceType: 'MedicationRequest' as const,
  ingredients: [] as string[],
  incomplete: false,
  contradictory: false,
  product: '',
  links: [],
};
