import type { Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { codesOf, commandOf, HCPCS, ICD, SNOMED, Visit } from '../../test/support/billing.ts';
import { useClinic } from '../../test/support/clinic.ts';

describe('Billing Code Suggester Bot, of procedures and visits', () => {
  const clinic = useClinic(['billing-code-suggester', 'command-processor']);

  beforeEach(() => {
    clinic.router.chat = () => ({ codes: [] });
  });

  test('CPT and HCPCS codes with the diagnosis that each is for', async () => {
    const visit = await Visit.open(clinic);
    const pain = await visit.condition('M25.561');
    await visit.condition('I10');
    const reasonReference = [{ reference: `Condition/${pain.id}` }];
    const injection = await visit.procedure('20610', { reasonReference, bodySite: [{ text: 'Right knee' }] });
    await visit.procedure('j3301', { reasonReference }, HCPCS);
    await visit.procedure('93000');
    const output = await visit.suggest();
    expect(output.cptCodes).toMatchObject([
      {
        code: '20610',
        confidence: 0.9,
        verified: false,
        diagnoses: ['M25.561'],
        evidence: [{ reference: `Procedure/${injection.id}` }],
      },
      { code: '93000', diagnoses: [], medicalNecessityWarning: expect.any(String) as unknown },
    ]);
    expect(output.cptCodes[0]).not.toHaveProperty('medicalNecessityWarning');
    expect(output.cptCodes[0]).not.toHaveProperty('display');
    expect(output.hcpcsCodes).toMatchObject([{ code: 'J3301', system: HCPCS, diagnoses: ['M25.561'] }]);
    expect(output.modifiers).toEqual([{ code: 'RT', appliesTo: '20610', evidence: `Procedure/${injection.id}` }]);
    expect(output.codesValidated).toBe(false);
    expect(output.warnings).toEqual(expect.arrayContaining(['MEDICAL_NECESSITY', 'PROCEDURE_CODES_NOT_VERIFIED']));
    const [task] = await visit.tasks();
    expect(commandOf(task as Task).parameters.suggestedCodes).toContainEqual({
      system: 'http://www.ama-assn.org/go/cpt',
      code: '20610',
      confidence: 0.9,
      modifiers: ['RT'],
      diagnoses: ['M25.561'],
    });
  });

  test('the only diagnosis of the encounter supports what has no reason of its own', async () => {
    const visit = await Visit.open(clinic);
    const condition = await visit.condition('I10');
    await visit.change({ diagnosis: [{ condition: { reference: `Condition/${condition.id}` } }] });
    await visit.procedure('93000');
    expect((await visit.suggest()).cptCodes).toMatchObject([{ code: '93000', diagnoses: ['I10'] }]);
  });

  test('a reason in ICD-10-CM is a diagnosis too', async () => {
    const visit = await Visit.open(clinic);
    await visit.procedure('93000', { reasonCode: [{ coding: [{ system: ICD, code: 'R00.2' }] }] });
    const output = await visit.suggest();
    expect(codesOf(output.icd10Codes)).toEqual(['R00.2']);
    expect(output.cptCodes).toMatchObject([{ diagnoses: ['R00.2'] }]);
  });

  test("a reason that is another patient's supports nothing", async () => {
    const theirs = await (await Visit.open(clinic)).condition('R00.2');
    const visit = await Visit.open(clinic);
    await visit.procedure('93000', { reasonReference: [{ reference: `Condition/${theirs.id}` }] });
    const output = await visit.suggest();
    expect(output.icd10Codes).toEqual([]);
    expect(output.cptCodes[0]).toHaveProperty('medicalNecessityWarning');
  });

  test.each([
    ['entered in error', { status: 'entered-in-error' as const }, undefined],
    ['not done', { status: 'not-done' as const }, undefined],
    ['stopped', { status: 'stopped' as const }, 'PROCEDURE_NOT_COMPLETED'],
    ['coded in SNOMED CT only', { code: { coding: [{ system: SNOMED, code: '29303009' }] } }, 'PROCEDURE_WITHOUT_CODE'],
  ])('a procedure that is %s gives no code', async (_name, more, gap) => {
    const visit = await Visit.open(clinic);
    await visit.procedure('93000', more);
    const output = await visit.suggest();
    expect(output.cptCodes).toEqual([]);
    expect(codesOf(output.documentationGaps).filter((code) => code.startsWith('PROCEDURE'))).toEqual(gap ? [gap] : []);
  });

  test('the same procedure twice is one code, and its units a gap', async () => {
    const visit = await Visit.open(clinic);
    await visit.procedure('20610');
    await visit.procedure('20610');
    const output = await visit.suggest();
    expect(codesOf(output.cptCodes)).toEqual(['20610']);
    expect(codesOf(output.documentationGaps)).toContain('PROCEDURE_REPEATED');
  });

  test('by documented minutes, for the diagnoses of the visit', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    const note = await visit.note('Established patient. Total time on the day of the visit: 32 minutes.');
    const output = await visit.suggest();
    expect(output.cptCodes).toMatchObject([
      {
        code: '99214',
        confidence: 0.8,
        diagnoses: ['I10'],
        evidence: [{ reference: `DocumentReference/${note.id}` }],
      },
    ]);
  });

  test('a level that was coded without documentation is refused', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    await visit.note('Established patient, doing well.');
    await visit.procedure('99215');
    const output = await visit.suggest();
    expect(output.cptCodes).toEqual([]);
    expect(output.refusedCodes).toMatchObject([{ code: '99215', reason: 'LEVEL_NOT_DOCUMENTED' }]);
    expect(codesOf(output.documentationGaps)).toContain('LEVEL_NOT_DOCUMENTED');
  });

  test('a patient whom the same clinician saw within three years is established', async () => {
    const participant = [{ individual: { reference: `Practitioner/${clinic.doctor.profile.id}` } }];
    const earlier = await Visit.open(clinic, { participant, period: { start: '2024-05-01T09:00:00Z' } });
    const visit = await Visit.open(clinic, { participant }, earlier.patient);
    await visit.condition('I10');
    await visit.note('MDM: moderate.');
    expect(codesOf((await visit.suggest()).cptCodes)).toEqual(['99214']);
  });
});
