import type { AccessPolicyResource, Observation } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { readManifest } from '../../test/support/manifest.ts';
import { labResult, type Visit, visit } from '../../test/support/visit.ts';

const KEY = 'documentation-assistant';
const READ = ['read', 'search'] as NonNullable<AccessPolicyResource['interaction']>;
/** The types that a draft is written from. */
const RECORD = [
  'Patient',
  'Encounter',
  'Condition',
  'MedicationRequest',
  'MedicationStatement',
  'AllergyIntolerance',
  'Observation',
  'DocumentReference',
  'DiagnosticReport',
  'Procedure',
];

describe('Documentation Assistant Bot: rights', () => {
  const clinic = useClinic([KEY, 'audit-logging']);
  const shipped = readManifest().bots[KEY]?.policy as AccessPolicyResource[];
  let known: Visit;

  beforeAll(async () => {
    known = await visit(clinic);
  });
  beforeEach(() => {
    clinic.router.chat = () => ({ subjective: [], assessment: [], plan: [] });
  });

  const somebody = (rules: AccessPolicyResource[]): Promise<Member> => clinic.member('doctor', rules);
  const recordWithout = (...types: string[]): AccessPolicyResource[] => [
    ...RECORD.filter((type) => !types.includes(type)).map((resourceType) => ({ resourceType, interaction: READ })),
    ...shipped,
  ];
  const draft = (as: Member, more: object = {}): Promise<Output> =>
    clinic.execute(
      KEY,
      {
        patientId: known.patient.id,
        encounterId: known.encounter.id,
        documentationType: 'progress',
        format: 'text',
        ...more,
      },
      as.client
    );

  test('reading the record, and what the manifest says, is enough', async () => {
    const output = await draft(await somebody(recordWithout()));
    expect(output).toMatchObject({ success: true, warnings: [] });
    expect(output.sections.objective).toContain('148 mmHg');
    expect(output.sections.objective).not.toContain('not readable');
  });

  test.each([
    ['Observation', ['Vital signs', 'Laboratory results'], '148 mmHg'],
    ['AllergyIntolerance', ['Allergies'], 'Penicillin'],
    ['MedicationRequest', ['Medications'], 'Metformin'],
  ])('without the right to %s the document says so, not that there is none', async (type, titles, text) => {
    const output = await draft(await somebody(recordWithout(type)));
    expect(output.success).toBe(true);
    expect(output.warnings).toContain('RECORD_NOT_READABLE');
    for (const title of titles) {
      const part = output.sections.objective.split(`${title}:\n\n`)[1]?.split('\n\n')[0];
      expect(part).toContain(`${type}: not readable`);
      expect(part).not.toContain('None');
    }
    expect(JSON.stringify([output, clinic.router.chats])).not.toContain(text);
  });

  test.each(['Condition', 'DocumentReference', 'DiagnosticReport', 'Procedure'])(
    'without the right to %s the draft warns',
    async (type) => {
      expect(await draft(await somebody(recordWithout(type)))).toMatchObject({
        success: true,
        warnings: ['RECORD_NOT_READABLE'],
      });
    }
  );

  test('without the right to a patient nothing is told of them', async () => {
    const rules = [{ resourceType: 'Patient', interaction: READ, criteria: 'Patient?gender=male' }];
    const output = await draft(await somebody([...recordWithout('Patient'), ...rules]));
    expect(output).toMatchObject({ success: false, errorCode: 'PATIENT_NOT_FOUND' });
    expect(clinic.router.calls).toEqual([]);
  });

  test('without the right to an encounter there is no draft', async () => {
    const rules = [{ resourceType: 'Encounter', interaction: READ, criteria: 'Encounter?status=planned' }];
    const output = await draft(await somebody([...recordWithout('Encounter'), ...rules]));
    expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    expect(await draft(await somebody(recordWithout('Encounter')))).toMatchObject({ errorCode: 'UNAUTHORIZED' });
    expect(clinic.router.calls).toEqual([]);
  });

  test('who sees only some Observations is not told that there are none', async () => {
    const secret = await clinic.create<Observation>(labResult(known.patient.id, 'HIV 1', '29893-5', undefined));
    const criteria = 'Observation?code=http://loinc.org|0-0';
    const rules = [{ resourceType: 'Observation', interaction: READ, criteria }];
    const output = await draft(await somebody([...recordWithout('Observation'), ...rules]));
    const none = 'None among the records that the author may read.';
    expect(output.sections.objective).toContain(`Laboratory results:\n\n- ${none}`);
    expect(output.sections.objective).not.toMatch(/Laboratory results:\n\n- None documented/);
    expect(JSON.stringify([output, clinic.router.chats])).not.toMatch(new RegExp(`HIV|${secret.id}`));
  });

  test('fields that are hidden from the user are in no draft, and it says so', async () => {
    const rules = [{ resourceType: 'AllergyIntolerance', interaction: READ, hiddenFields: ['reaction'] }];
    const output = await draft(await somebody([...recordWithout('AllergyIntolerance'), ...rules]));
    expect(output.warnings).toContain('FIELDS_HIDDEN');
    expect(output.sections.objective).toContain("Some details are hidden from the author's rights.");
    expect(JSON.stringify([output, clinic.router.chats])).not.toContain('Hives');
  });

  const permissions = shipped.flatMap(({ resourceType, interaction = [] }) =>
    interaction.map((each) => [resourceType, each] as const)
  );
  test.each(permissions)(
    'of what the manifest says %s %s is needed',
    async (resourceType, removed) => {
      const rules = shipped.map((rule) =>
        rule.resourceType === resourceType
          ? { ...rule, interaction: (rule.interaction ?? []).filter((each) => each !== removed) }
          : rule
      );
      const records = recordWithout().slice(0, RECORD.length);
      const as = await somebody([...records, ...rules]);
      const output = await draft(as).catch((error: unknown) => ({ success: false, warnings: [String(error)] }));
      expect(output.success && (output.warnings ?? []).length === 0).toBe(false);
    }
  );
});
