import type { DetectedIssue, MedicationRequest } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { allergyCode, CDS, Deciding } from '../../test/support/deciding.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';

describe('Clinical Decision Support Bot', () => {
  const clinic = useClinic([CDS, 'command-processor']);
  const it = new Deciding(clinic);

  beforeEach(async () => {
    await clinic.setSecrets({});
    await it.newPatient();
  });

  describe('medications', () => {
    test('warfarin and aspirin give one high DRG issue, and asking again adds none', async () => {
      const warfarin = await it.order('Warfarin 5 mg');
      const aspirin = await it.order('Aspirin 81 mg');
      const first = await it.ask();
      const second = await it.ask();
      const references = [warfarin, aspirin].map(({ id }) => `MedicationRequest/${id}`).sort();
      expect(first).toMatchObject({
        success: true,
        interactions: [{ rule: 'warfarin-aspirin', severity: 'high', implicated: references }],
      });
      const found = await it.issues();
      expect(found).toMatchObject([
        {
          status: 'final',
          severity: 'high',
          code: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'DRG' }] },
          identifier: [
            { system: 'urn:medbots/detected-issue', value: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown },
          ],
          author: { reference: expect.stringMatching(/^Device\//) as unknown },
          implicated: references.map((reference) => ({ reference })),
        },
      ]);
      expect(second.detectedIssues).toEqual([`DetectedIssue/${found[0]?.id}`]);
      expect(second.issuesWritten).toEqual({ created: 0, cancelled: 0, reopened: 0 });
    });

    test('an issue that a rule found carries no label of artificial intelligence, and names its rule', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.ask();
      const [issue] = await it.issues();
      expect(JSON.stringify(issue?.meta)).not.toContain('AIAST');
      expect(issue?.detail).toMatch(/rule warfarin-aspirin of medbots-decision-rules 1\.0\.0, without a model/);
    });

    test('the example of the page', async () => {
      await it.order('Warfarin 5 mg');
      await it.order('Aspirin 81 mg');
      await it.potassium(6.8);
      const { input, output } = exampleOf(CDS, { PATIENT_ID: it.patientId });
      expectOutput(await clinic.execute(CDS, input), output);
    });

    test('an order and a statement interact; a draft counts', async () => {
      await it.order('Warfarin', { status: 'draft', intent: 'proposal' });
      await it.statement('Ibuprofen 400 mg');
      expect((await it.ask()).interactions).toMatchObject([{ rule: 'anticoagulant-nsaid' }]);
    });

    test.each([
      ['entered in error', { status: 'entered-in-error' }],
      ['stopped', { status: 'stopped' }],
      ['cancelled', { status: 'cancelled' }],
      ['completed', { status: 'completed' }],
      ['ordered not to be given', { doNotPerform: true }],
    ] satisfies [string, Partial<MedicationRequest>][])('an order that is %s does not count', async (_name, more) => {
      await it.order('Warfarin');
      await it.order('Aspirin', more);
      expect(await it.ask()).toMatchObject({ interactions: [], detectedIssues: [] });
    });

    test('contained and referenced Medications are read, and their ingredients', async () => {
      const medication = await clinic.create({
        resourceType: 'Medication',
        code: { text: 'House blend' },
        ingredient: [{ itemCodeableConcept: { text: 'Warfarin' } }],
      });
      await it.order('', { medicationReference: { reference: `Medication/${medication.id}` } });
      await it.order('', {
        contained: [
          {
            resourceType: 'Medication',
            id: 'a',
            code: { coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '1191' }] },
          },
        ],
        medicationReference: { reference: '#a' },
      });
      expect(await it.ask()).toMatchObject({ interactions: [{ rule: 'warfarin-aspirin' }], unrecognised: [] });
    });

    test('the same ingredient in two products is DUPTHPY and no DRG', async () => {
      await it.order('Ibuprofen 400 mg');
      await it.order('Advil 200 mg');
      await it.ask();
      expect(await it.issues()).toMatchObject([{ code: { coding: [{ code: 'DUPTHPY' }] }, severity: 'moderate' }]);
    });

    test('an allergy gives an ALGY issue that names allergy and order; refuted it gives none', async () => {
      const allergy = await it.allergy('Penicillin');
      const order = await it.order('Amoxicillin/clavulanate 875 mg');
      await it.ask();
      expect(await it.issues()).toMatchObject([
        {
          code: { coding: [{ code: 'ALGY' }] },
          severity: 'high',
          implicated: [
            { reference: `AllergyIntolerance/${allergy.id}` },
            { reference: `MedicationRequest/${order.id}` },
          ],
        },
      ]);
      await clinic.admin.updateResource({ ...allergy, verificationStatus: allergyCode('verification', 'refuted') });
      expect(await it.ask()).toMatchObject({ allergyConflicts: [], issuesWritten: { cancelled: 1 } });
      expect(await it.standing()).toEqual([]);
    });

    test('drugs that are not known are told by reference, with the words that no finding is no safety', async () => {
      const order = await it.order('Zyxomab 10 mg');
      const allergy = await it.allergy('Zyxomab');
      const output = await it.ask();
      expect(output).toMatchObject({
        unrecognised: [`MedicationRequest/${order.id}`, `AllergyIntolerance/${allergy.id}`],
        statement: expect.stringContaining('No finding is no safety') as unknown,
        ruleset: {
          id: 'medbots-decision-rules',
          version: expect.any(String) as unknown,
          date: expect.any(String) as unknown,
        },
      });
      expect(output.warnings).toContain('UNRECOGNISED_MEDICATION');
      expect(JSON.stringify(output)).not.toContain('Zyxomab');
    });

    test('an order whose code and words name different drugs counts as both, and is told', async () => {
      const order = await it.order('Aspirin 81 mg', {
        medicationCodeableConcept: {
          coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '11289', display: 'warfarin' }],
          text: 'Aspirin 81 mg',
        },
      });
      const [ofAspirin, ofWarfarin] = [await it.order('Prednisone 10 mg'), await it.order('Fluconazole 100 mg')];
      const output = await it.ask();
      expect(output).toMatchObject({
        unrecognised: [`MedicationRequest/${order.id}`],
        contradictory: [`MedicationRequest/${order.id}`],
      });
      expect(output.warnings).toContain('CONTRADICTORY_MEDICATION');
      const implicated = (output.interactions as { implicated: string[] }[]).flatMap((each) => each.implicated);
      expect(implicated).toContain(`MedicationRequest/${ofAspirin.id}`);
      expect(implicated).toContain(`MedicationRequest/${ofWarfarin.id}`);
    });

    test('a Medication that can no longer be read ends no issue', async () => {
      const medication = await clinic.create({ resourceType: 'Medication', code: { text: 'Warfarin' } });
      await it.order('', { medicationReference: { reference: `Medication/${medication.id}` } });
      await it.order('Aspirin');
      await it.ask();
      await clinic.admin.deleteResource('Medication', medication.id);
      expect(await it.ask()).toMatchObject({ interactions: [], issuesWritten: { cancelled: 0 } });
      expect(await it.standing()).toHaveLength(1);
    });

    test("another patient's drugs do not count, wherever they are mentioned", async () => {
      const mine = it.patientId;
      await it.order('Warfarin');
      const theirs = await it.newPatient();
      const others = await it.order('Aspirin');
      await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: { reference: `Patient/${mine}` },
        medicationCodeableConcept: { text: 'Metformin' },
        supportingInformation: [{ reference: `MedicationRequest/${others.id}` }],
        basedOn: [{ reference: `MedicationRequest/${others.id}` }],
      });
      expect(await clinic.execute(CDS, { patientId: mine })).toMatchObject({ interactions: [] });
      expect(await clinic.execute(CDS, { patientId: theirs })).toMatchObject({ interactions: [] });
    });

    test('what a person cancelled or marked as an error stays as it is', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.ask();
      const [issue] = (await it.issues()) as [DetectedIssue];
      for (const status of ['cancelled', 'entered-in-error']) {
        await clinic.admin.updateResource({ ...issue, status } as DetectedIssue);
        const output = await it.ask();
        expect(output.issuesWritten).toEqual({ created: 0, cancelled: 0, reopened: 0 });
        expect(output.interactions).toHaveLength(1);
        expect(output.warnings).toContain('ISSUE_SET_ASIDE');
        expect(await it.issues()).toMatchObject([{ status }]);
      }
    });

    test('many runs at once make each issue once', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.order('Ibuprofen');
      const outputs = await Promise.all(Array.from({ length: 5 }, () => it.ask({ analysisTypes: ['interactions'] })));
      expect(outputs.map(({ success }) => success)).toEqual([true, true, true, true, true]);
      const keys = (await it.issues()).map(({ identifier }) => identifier?.[0]?.value);
      expect(keys).toHaveLength(3);
      expect(new Set(keys).size).toBe(3);
      expect(await it.guidance()).toHaveLength(1);
    });
  });
});
