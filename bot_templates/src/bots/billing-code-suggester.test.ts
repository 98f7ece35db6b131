import type { Condition, Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { codesOf, commandOf, ICD, named, NOTE, SNOMED, status as clinical, Visit } from '../../test/support/billing.ts';
import { useClinic } from '../../test/support/clinic.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';
import { sourceWith } from '../../test/support/router.ts';

describe('Billing Code Suggester Bot, of a record', () => {
  const clinic = useClinic(['billing-code-suggester', 'command-processor']);

  beforeEach(() => {
    clinic.router.chat = () => ({ codes: [] });
  });

  test('I10 and E11.9 of two conditions, the first of them primary, as one Task', async () => {
    const visit = await Visit.open(clinic);
    const hypertension = await visit.condition('I10');
    const diabetes = await visit.condition('e119');
    await visit.change({
      diagnosis: [
        { condition: { reference: `Condition/${diabetes.id}` }, rank: 2 },
        { condition: { reference: `Condition/${hypertension.id}` }, rank: 1 },
      ],
    });
    const output = await visit.suggest();
    expect(output).toMatchObject({
      success: true,
      icd10Codes: [
        {
          system: ICD,
          code: 'I10',
          display: 'Essential (primary) hypertension',
          confidence: 0.9,
          isPrimary: true,
          source: 'record',
          evidence: [{ reference: `Condition/${hypertension.id}` }],
        },
        { code: 'E11.9', display: 'Type 2 diabetes mellitus without complications', isPrimary: false },
      ],
      cptCodes: [],
      hcpcsCodes: [],
      modifiers: [],
      excludes1Alerts: [],
      codesValidated: true,
      command: { command: 'SuggestBillingCodes', action: 'queued' },
    });
    const [task, second] = await visit.tasks();
    expect(second).toBeUndefined();
    expect(task).toMatchObject({
      id: output.taskId,
      status: 'requested',
      encounter: visit.reference,
      for: visit.subject,
    });
    const command = commandOf(task as Task);
    expect(command.parameters.suggestedCodes).toEqual([
      { system: ICD, code: 'I10', display: 'Essential (primary) hypertension', confidence: 0.9, isPrimary: true },
      { system: ICD, code: 'E11.9', display: 'Type 2 diabetes mellitus without complications', confidence: 0.9 },
    ]);
    expect(JSON.stringify(task)).not.toMatch(/price|amount|money|USD/i);
  });

  test.each(['QA0.0101', 'C7A.00', 'M1A.0110', 'S13.4XXA', 'U07.1', 'B20'])('%s reaches a Task', async (code) => {
    const visit = await Visit.open(clinic);
    await visit.condition(code);
    const output = await visit.suggest();
    expect(output.warnings).toEqual([]);
    expect(output.taskId).toBeDefined();
  });

  test('E11 is refused as no leaf, with the reason and a gap', async () => {
    const visit = await Visit.open(clinic);
    const condition = await visit.condition('E11');
    const output = await visit.suggest();
    expect(output.icd10Codes).toEqual([]);
    expect(output.refusedCodes).toEqual([{ code: 'E11', reason: 'NOT_SPECIFIC', source: `Condition/${condition.id}` }]);
    expect(codesOf(output.documentationGaps)).toEqual(
      expect.arrayContaining(['DIAGNOSIS_NOT_SPECIFIC', 'NO_DIAGNOSIS'])
    );
    expect(await visit.tasks()).toEqual([]);
    expect(output).not.toHaveProperty('command');
  });

  test.each([
    ['entered in error', 'entered-in-error', []],
    ['refuted', 'refuted', ['REFUTED']],
    ['provisional', 'provisional', ['PROVISIONAL']],
    ['unconfirmed', 'unconfirmed', ['PROVISIONAL']],
    ['a differential', 'differential', ['PROVISIONAL']],
  ])('a condition that is %s gives no code', async (_name, verification, reasons) => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10', verification);
    const output = await visit.suggest();
    expect(output.icd10Codes).toEqual([]);
    expect(output.refusedCodes.map(({ reason }: { reason: string }) => reason)).toEqual(reasons);
  });

  test('a diagnosis in doubtful words gives no code, but one whose code means doubt does', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition({ coding: [{ system: ICD, code: 'J18.9' }], text: 'Rule out pneumonia' });
    await visit.condition({ coding: [{ system: ICD, code: 'Z20.822' }], text: 'Suspected exposure to COVID-19' });
    const output = await visit.suggest();
    expect(codesOf(output.icd10Codes)).toEqual(['Z20.822']);
    expect(output.refusedCodes).toMatchObject([{ code: 'J18.9', reason: 'PROVISIONAL' }]);
  });

  test.each([
    ['over before the visit', clinical('resolved'), '2026-01-01', 0],
    ['over after it', clinical('resolved'), '2026-03-20', 1],
    ['inactive', clinical('inactive'), undefined, 0],
  ])('a condition that is %s', async (_name, clinicalStatus, abatementDateTime, count) => {
    const visit = await Visit.open(clinic);
    await visit.condition('J20.9', 'confirmed', {
      clinicalStatus,
      ...(abatementDateTime ? { abatementDateTime } : {}),
    });
    expect((await visit.suggest()).icd10Codes).toHaveLength(count);
  });

  test('a condition without a verification status counts as stated', async () => {
    const visit = await Visit.open(clinic);
    const { verificationStatus: _none, ...plain } = await visit.condition('I10');
    await clinic.admin.updateResource<Condition>(plain);
    expect(codesOf((await visit.suggest()).icd10Codes)).toEqual(['I10']);
  });

  test('a SNOMED CT code alone is a gap, and is not translated', async () => {
    const visit = await Visit.open(clinic);
    const condition = await visit.condition({ coding: [{ system: SNOMED, code: '38341003' }], text: 'Hypertension' });
    const output = await visit.suggest();
    expect(output.icd10Codes).toEqual([]);
    expect(output.documentationGaps).toContainEqual({
      code: 'DIAGNOSIS_WITHOUT_ICD10CM',
      message: expect.any(String) as unknown,
      references: [`Condition/${condition.id}`],
    });
  });

  test('an active problem that the encounter does not name is a gap, no code', async () => {
    const visit = await Visit.open(clinic);
    const category = [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-category', code: 'problem-list-item' }] },
    ];
    const { encounter: _none, ...problem } = await visit.condition('I10', 'confirmed', { category });
    await clinic.admin.updateResource<Condition>(problem);
    const output = await visit.suggest();
    expect(output.icd10Codes).toEqual([]);
    expect(output.documentationGaps).toContainEqual(
      expect.objectContaining({ code: 'PROBLEM_NOT_LINKED', references: [`Condition/${problem.id}`] })
    );
  });

  test("another patient's condition is left out, though the encounter names it", async () => {
    const other = await Visit.open(clinic);
    const theirs = await other.condition('C50.911');
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    await visit.change({ diagnosis: [{ condition: { reference: `Condition/${theirs.id}` } }] });
    const output = await visit.suggest();
    expect(codesOf(output.icd10Codes)).toEqual(['I10']);
    expect(output.warnings).toContain('FOREIGN_RECORD');
    expect(JSON.stringify(output)).not.toContain(theirs.id);
  });

  test('a code of two conditions is one code, with both as evidence', async () => {
    const visit = await Visit.open(clinic);
    const [one, other] = [await visit.condition('I10'), await visit.condition('i10')];
    const output = await visit.suggest();
    expect(output.icd10Codes).toHaveLength(1);
    expect(output.icd10Codes[0].evidence).toEqual(
      expect.arrayContaining([{ reference: `Condition/${one.id}` }, { reference: `Condition/${other.id}` }])
    );
  });

  test('an external cause or a manifestation is never primary while there is another', async () => {
    const visit = await Visit.open(clinic);
    const fall = await visit.condition('W19.XXXA');
    const sprain = await visit.condition('S13.4XXA');
    await visit.change({
      diagnosis: [fall, sprain].map(({ id }) => ({ condition: { reference: `Condition/${id}` } })),
    });
    const { icd10Codes } = await visit.suggest();
    expect(icd10Codes).toMatchObject([
      { code: 'W19.XXXA', isPrimary: false },
      { code: 'S13.4XXA', isPrimary: true },
    ]);
  });

  test('codes that exclude one another are kept, with an alert', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('E10.9');
    await visit.condition('E11.9');
    const output = await visit.suggest();
    expect(output.icd10Codes).toHaveLength(2);
    expect(output.excludes1Alerts).toMatchObject([{ note: 'E10 excludes E11' }]);
    expect(output.warnings).toContain('EXCLUDES1');
  });

  test('its audit event counts, and tells nothing of the record', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    await visit.note(NOTE);
    await visit.suggest();
    const [event, second] = await clinic.audits('billing_suggestion', `&patient=Patient/${visit.patient.id}`);
    expect(second).toBeUndefined();
    expect(event).toMatchObject({ outcome: '0', action: 'E' });
    const text = JSON.stringify(await clinic.find('AuditEvent', `patient=Patient/${visit.patient.id}`));
    expect(text).toContain('icd10-codes');
    expect(text).not.toMatch(/hypertension|metformin|I10/i);
  });

  test('the example on its page', async () => {
    const visit = await Visit.open(clinic);
    const condition = await visit.condition('I10');
    const note = await visit.note(NOTE);
    clinic.router.chat = (call) => ({
      codes: [named('E11.9', 'Type 2 diabetes mellitus', [sourceWith(call, 'Assessment')])],
    });
    const example = exampleOf('billing-code-suggester', {
      PATIENT_ID: visit.patient.id,
      ENCOUNTER_ID: visit.encounter.id,
      CONDITION_REFERENCE: `Condition/${condition.id}`,
      NOTE_REFERENCE: `DocumentReference/${note.id}`,
      ENCOUNTER_REFERENCE: `Encounter/${visit.encounter.id}`,
    });
    expectOutput(await clinic.execute('billing-code-suggester', example.input), example.output);
  });
});
