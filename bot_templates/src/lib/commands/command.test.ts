import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, commandIdOf } from './canonical.ts';
import { identify, parseCommand, readSubmission } from './command.ts';

const PATIENT = randomUUID();
const ENCOUNTER = randomUUID();
const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';

const COMMANDS: readonly (readonly [string, object])[] = [
  [
    'FlagAbnormalResult',
    {
      observationId: randomUUID(),
      severity: 'critical',
      interpretation: { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code: 'HH', display: 'very high' },
    },
  ],
  ['CreateEncounterNoteDraft', { noteType: 'progress', content: 'Text', sections: { plan: 'Rest' } }],
  ['CreateEncounterNoteDraft', { noteType: { system: 'http://loinc.org', code: '18842-5' }, content: 'Text', format: 'text' }],
  ['ProposeProblemListUpdate', { action: 'update', conditionId: randomUUID(), condition: { system: ICD, code: 'I10' }, note: 'x' }],
  ['ProposeProblemListUpdate', { action: 'resolve', conditionId: randomUUID() }],
  ['SuggestBillingCodes', { suggestedCodes: [{ system: ICD, code: 'I10', confidence: 0.9, isPrimary: true }] }],
  ['QueueReferralLetter', { specialty: 'Cardiology', urgency: 'stat', reason: 'x', summary: 'y' }],
  ['QueueReferralLetter', { specialty: { system: 'http://snomed.info/sct', code: '394579002' }, urgency: 'asap', reason: 'x', summary: 'y' }],
  [
    'SuggestMedicationChange',
    { action: 'change', medication: { system: RXNORM, code: '6809', display: 'metformin' }, rationale: 'x', currentMedicationId: randomUUID(), dosage: '1-0-1' },
  ],
];

const submit = (command: string, parameters: object, more: object = {}) =>
  readSubmission({ command, patientId: PATIENT, encounterId: ENCOUNTER, confidence: 0.9, parameters, ...more });

describe('a command', () => {
  test.each(COMMANDS)('%s is read again from what a Task keeps of it, and has the same id', (name, parameters) => {
    const { text, commandId } = submit(name, parameters);
    expect(commandIdOf(text)).toBe(commandId);
    expect(identify(parseCommand(text))).toEqual({ text, commandId });
  });

  test('has the same id whatever the model, the confidence and the sources are', () => {
    const [name, parameters] = COMMANDS[0] as (typeof COMMANDS)[number];
    const ids = [{}, { confidence: 0.5 }, { aiModel: 'x' }, { sources: [`Observation/${randomUUID()}`] }].map(
      (more) => submit(name, parameters, more).commandId
    );
    expect(new Set(ids).size).toBe(1);
  });

  test('has another id for another patient, encounter or word', () => {
    const note = (content: string, more: object = {}): string =>
      submit('CreateEncounterNoteDraft', { noteType: 'progress', content }, more).commandId;
    const ids = [note('a'), note('b'), note('a', { patientId: randomUUID() }), note('a', { encounterId: randomUUID() })];
    expect(new Set(ids).size).toBe(4);
  });

  test.each(['', '[]', '{}', '{"command":"LaunchRocket","patientId":"x","parameters":{}}', 'null', '{"command":'])(
    'is none in %j',
    (text) => {
      expect(() => parseCommand(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error);
    }
  );

  test('that nobody knows is told apart by its content too', () => {
    expect(submit('LaunchRocket', { at: 1 })).toMatchObject({ command: undefined, name: 'LaunchRocket' });
    expect(submit('LaunchRocket', { at: 1 }).commandId).not.toBe(submit('LaunchRocket', { at: 2 }).commandId);
  });

  test.each([
    ['an override of direction', '\u202eevil'],
    ['an isolate', 'a\u2066b'],
    ['a NUL', 'a\u0000'],
    ['an escape', 'a\u001b[2J'],
    ['tag characters', `a${String.fromCodePoint(0xe0041)}`],
    ['half a character', 'a\ud800'],
  ])('is refused with %s, wherever that stands', (_name, text) => {
    const refused = expect.objectContaining({ code: 'INVALID_INPUT' }) as Error;
    expect(() => submit('LaunchRocket', { deep: [{ text }] })).toThrow(refused);
    expect(() => submit('LaunchRocket', { [text]: 1 })).toThrow(refused);
  });

  test('may have line breaks, tabs and letters of any language', () => {
    const content = 'Zeile\nZwei\tDrei – β-Blocker, שלום, 血圧';
    expect(submit('CreateEncounterNoteDraft', { noteType: 'progress', content }).text).toContain('血圧');
  });

  test('is refused when it is nested without end', () => {
    let nested: object = {};
    for (let depth = 0; depth < 1_000; depth++) {
      nested = { nested };
    }
    expect(() => submit('LaunchRocket', nested)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }) as Error);
  });
});

describe('canonical JSON', () => {
  test('is the same for every order of keys, and parses to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const shuffled = JSON.parse(JSON.stringify(value), (_key, each: unknown) =>
          typeof each === 'object' && each !== null && !Array.isArray(each)
            ? Object.fromEntries(Object.entries(each).reverse())
            : each
        ) as unknown;
        expect(canonicalJson(shuffled)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      })
    );
  });

  test('leaves out what is undefined', () => {
    expect(canonicalJson({ b: undefined, a: [undefined, 1] })).toBe('{"a":[null,1]}');
  });
});
